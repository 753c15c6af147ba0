/** A gateway that takes the tokens of a real OpenID provider, in front of one server. */
import { createHash, randomBytes } from "node:crypto";
import { vi } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { startMcpServer, type TestServer } from "./mcp-server.ts";
import { type OpenIdProvider, startOpenIdProvider } from "./openid.ts";
import { startStack } from "./stack.ts";

const PATH = "/mcp";
/** For how long (s) after its end Envoy takes a token. By default a minute. */
const SKEW_S = 1;
const CALL_EVERY_MS = 200;

export interface Guarded {
  readonly server: TestServer;
  readonly provider: OpenIdProvider;
  /** All that a client knows. */
  readonly url: URL;
  stop(): Promise<void>;
}

interface GuardedOptions {
  /** Seconds that a token lives. */
  readonly lifetime?: number;
  /** Settings of the gateway's section. */
  readonly gateway?: object;
  /** Further sections of mcp-router.yaml. */
  readonly config?: object;
}

/** A token for `mcp:use` gets in; the provider issues `mcp:run` too. */
export async function startGuarded({ lifetime, gateway, config }: GuardedOptions = {}): Promise<Guarded> {
  const started = new AsyncDisposableStack();
  try {
    const server = started.adopt(await startMcpServer("one"), (it) => it.close());
    const port = await freePort();
    const url = new URL(`http://127.0.0.1:${port}${PATH}`);
    const provider = started.adopt(
      await startOpenIdProvider({
        scopes: ["mcp:use", "mcp:run"],
        resource: url.href,
        ...(lifetime !== undefined && { lifetime }),
      }),
      (it) => it.close(),
    );
    const { issuer, jwks } = provider;
    const stack = await startStack({
      backends: { one: [server.endpoint] },
      routes: [{ path: PATH, backends: ["one"] }],
      config: {
        gateway: { listen: `127.0.0.1:${port}`, ...gateway },
        identity: { kind: "jwt", issuer, audiences: [url.href], jwks: { uri: jwks }, scopes: ["mcp:use"] },
        ...config,
      },
      rewriteBootstrap: (text) => text.replace(/^( *)forward: true$/m, `$&\n$1clock_skew_seconds: ${SKEW_S}`),
    });
    started.defer(() => stack.stop());
    return { server, provider, url, stop: () => started.disposeAsync() };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

/** A token of the provider's for a user whose client is nobody's. */
export async function tokenOf({ issuer, registered, login }: OpenIdProvider, user: string): Promise<string> {
  const verifier = randomBytes(32).toString("base64url");
  const client = { client_id: registered.clientId, redirect_uri: registered.redirectUri.href };
  const asked = new URL(`${issuer}/auth`);
  asked.search = String(
    new URLSearchParams({
      ...client,
      response_type: "code",
      scope: "mcp:use",
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    }),
  );
  const code = (await login(asked, user)).get("code") ?? "";
  const body = new URLSearchParams({ ...client, grant_type: "authorization_code", code, code_verifier: verifier });
  const answer = await fetch(`${issuer}/token`, { method: "POST", body });
  // Safe: so RFC 6749 has it.
  const { access_token: token } = (await answer.json()) as { readonly access_token: string };
  return token;
}

/** Calls, goes on to until the gateway no longer takes the token of the first call, and calls once more. */
export async function callPastExpiry({ server }: Guarded, call: () => Promise<unknown>): Promise<void> {
  await call();
  const [, claims = ""] = server.received.at(-1)?.headers.authorization?.split(".") ?? [];
  const { exp } = JSON.parse(Buffer.from(claims, "base64url").toString());
  const hasExpired = async () => {
    await call();
    // Envoy compares whole seconds.
    return Math.floor(Date.now() / 1_000) > exp + SKEW_S;
  };
  await vi.waitUntil(hasExpired, { timeout: 60_000, interval: CALL_EVERY_MS });
  await call();
}
