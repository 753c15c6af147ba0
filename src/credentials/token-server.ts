/** Asks token endpoints over HTTP. What is sent holds secrets: no error of it goes on as it is. */
import { createPrivateKey } from "node:crypto";
import * as oauth from "oauth4webapi";
import { Agent, fetch as send } from "undici";
import type { ExchangeCredentials, TokenClient } from "../core/credentials.ts";
import type { KeyAlgorithm } from "../core/key-algorithms.ts";
import { exchangeParameters, TOKEN_EXCHANGE, type TokenAnswer } from "../core/token-exchange.ts";
import type { Secrets } from "./secrets.ts";

/** Most bytes that are read of an answer. */
const LARGEST_ANSWER = 64 * 1024;
/** Connections to one token endpoint: what comes beyond waits, within its `timeout`. */
const CONNECTIONS = 32;

export interface TokenServer {
  /** Rejects where no whole answer came before the signal. */
  exchange(of: ExchangeCredentials, subjectToken: string, signal: AbortSignal): Promise<TokenAnswer>;
  close(): Promise<void>;
}

type ReadSecret = Pick<Secrets, "textOf">;

export function createTokenServer(secrets: ReadSecret): TokenServer {
  const agents = new Agents(secrets);
  return {
    async exchange(of, subjectToken, signal) {
      const { endpoint, client } = of;
      const answer = await oauth.genericTokenEndpointRequest(
        // Of the server only its endpoint is known, which is all that is asked.
        { issuer: endpoint, token_endpoint: endpoint },
        { client_id: client.id },
        await authenticationOf(client, secrets),
        TOKEN_EXCHANGE,
        exchangeParameters(of, subjectToken),
        {
          signal,
          // The configuration lets http:// pass on loopback addresses alone.
          [oauth.allowInsecureRequests]: true,
          [oauth.customFetch]: async (url, { method, headers, body, signal: until }) => {
            const dispatcher = agents.agentOf(of.ca);
            const text = body.toString();
            const got = await send(url, {
              method,
              headers,
              body: text,
              signal: until ?? null,
              redirect: "manual",
              dispatcher,
            });
            // Safe: it is the web's own interface, whichever fetch has made it, and is only read here.
            return got as unknown as Response;
          },
        },
      );
      const text = await readBounded(answer);
      return { status: answer.status, text, retryAfter: answer.headers.get("retry-after") ?? undefined };
    },
    close: () => agents.close(),
  };
}

async function authenticationOf(client: TokenClient, secrets: ReadSecret): Promise<oauth.ClientAuth> {
  if (client.kind === "secret") {
    const secret = needed(secrets.textOf("client-secret", client.file), client.file);
    return client.method === "basic" ? oauth.ClientSecretBasic(secret) : oauth.ClientSecretPost(secret);
  }
  const { alg, keyId, audience } = client;
  const pem = needed(secrets.textOf("client-key", client.file), client.file);
  const key = createPrivateKey(pem).toCryptoKey(WEB_CRYPTO[alg], false, ["sign"]);
  return oauth.PrivateKeyJwt(
    { key, ...(keyId !== undefined && { kid: keyId }) },
    {
      [oauth.modifyAssertion](header, payload) {
        header.alg = alg;
        payload.aud = audience;
      },
    },
  );
}

const WEB_CRYPTO = {
  ES256: { name: "ECDSA", namedCurve: "P-256" },
  ES384: { name: "ECDSA", namedCurve: "P-384" },
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  PS256: { name: "RSA-PSS", hash: "SHA-256" },
  EdDSA: { name: "Ed25519" },
} as const satisfies Record<KeyAlgorithm, object>;

/** A worker may start without a file, and a request under way may be of a configuration that is in force no more. */
class UnreadSecret extends Error {
  /** What is logged of it. */
  readonly code: string;

  constructor(file: string) {
    super();
    this.code = `${file} is not read`;
  }
}

function needed(text: string | undefined, file: string): string {
  if (text === undefined) throw new UnreadSecret(file);
  return text;
}

/** undefined: it is longer. */
async function readBounded({ body }: Response): Promise<string | undefined> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop gives the rest of the answer up.
  for await (const piece of body ?? []) {
    size += piece.length;
    if (size > LARGEST_ANSWER) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

/** The connections to token endpoints, by the authorities that they trust. */
class Agents {
  readonly #secrets: ReadSecret;
  /** By file; "" for those of Node.js. */
  readonly #agents = new Map<string, { readonly ca: string | undefined; readonly agent: Agent }>();

  constructor(secrets: ReadSecret) {
    this.#secrets = secrets;
  }

  agentOf(file: string | undefined): Agent {
    const ca = file === undefined ? undefined : needed(this.#secrets.textOf("ca", file), file);
    const known = this.#agents.get(file ?? "");
    if (known?.ca === ca && known) return known.agent;
    // What is under way there ends by itself.
    void known?.agent.close();
    const agent = new Agent({ connections: CONNECTIONS, ...(ca !== undefined && { connect: { ca } }) });
    this.#agents.set(file ?? "", { ca, agent });
    return agent;
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#agents.values(), ({ agent }) => agent.destroy()));
  }
}
