/** A real OpenID provider on loopback, where whoever comes is let in as one user: what it says is the provider's own, but for that. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import Provider from "oidc-provider";
import { freePort } from "../../harness/ports.ts";

export interface OpenIdProvider {
  readonly issuer: string;
  readonly jwks: string;
  /** A client that need not register, and has no secret: its user's browser comes back to the redirect URI, on any port. */
  readonly registered: { readonly clientId: string; readonly redirectUri: URL };
  /** By what each token was given: an `authorization_code`, or a `refresh_token`. */
  readonly grants: readonly string[];
  /**
   * Where the login of a user's browser ends: with the code for the client. @param url that the client has sent the browser to
   * @param user who logs in, where that is not the usual one
   */
  login(url: URL, user?: string): Promise<URLSearchParams>;
  close(): Promise<void>;
}

interface OpenIdOptions {
  /** Scopes that tokens for the resource may have. */
  readonly scopes: readonly string[];
  /** The resource that tokens are for: their audience. */
  readonly resource: string;
  /** Seconds that an access token lives. Default: an hour. */
  readonly lifetime?: number;
  /** Who logs in. */
  readonly user?: string;
}

const REGISTERED = { clientId: "registered", redirectUri: new URL("http://127.0.0.1:1/callback") } as const;

/** Most redirects of one login. */
const MOST_STEPS = 10;

export async function startOpenIdProvider({
  scopes,
  resource,
  lifetime = 3_600,
  user = "ada",
}: OpenIdOptions): Promise<OpenIdProvider> {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    scopes: [...scopes, "openid", "offline_access"],
    clients: [
      {
        client_id: REGISTERED.clientId,
        redirect_uris: [REGISTERED.redirectUri.href],
        application_type: "native",
        token_endpoint_auth_method: "none",
      },
    ],
    clientDefaults: { grant_types: ["authorization_code", "refresh_token"] },
    ttl: { AccessToken: lifetime, Session: 3_600, Grant: 3_600, Interaction: 3_600 },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: scopes.join(" "),
          audience: resource,
          accessTokenFormat: "jwt",
          accessTokenTTL: lifetime,
        }),
        defaultResource: () => resource,
        useGrantedResource: () => true,
      },
    },
    issueRefreshToken: () => true,
    interactions: { url: (_, { uid }) => `/login/${uid}` },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  });
  const letIn = async (request: IncomingMessage, response: ServerResponse) => {
    const { params } = await provider.interactionDetails(request, response);
    const accountId = typeof params.login_hint === "string" ? params.login_hint : user;
    const grant = new provider.Grant({ accountId, clientId: String(params.client_id) });
    grant.addOIDCScope(String(params.scope));
    grant.addResourceScope(resource, String(params.scope));
    const consent = { grantId: await grant.save() };
    await provider.interactionFinished(request, response, { login: { accountId }, consent });
  };
  const grants: string[] = [];
  provider.on("grant.success", ({ oidc }) => grants.push(String(oidc.params?.grant_type)));
  const handle = provider.callback();
  const server = createServer((request, response) => {
    if (!request.url?.startsWith("/login/")) return void handle(request, response);
    void letIn(request, response).catch((error) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    issuer,
    jwks: `${issuer}/jwks`,
    registered: REGISTERED,
    grants,
    login: (url, as) => {
      if (as !== undefined) url.searchParams.set("login_hint", as);
      return endOfLogin(url);
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** Follows redirects as a browser does, with its cookies, until one leaves the provider. */
async function endOfLogin(url: URL): Promise<URLSearchParams> {
  const cookies = new Map<string, string>();
  let at = url;
  for (let step = 0; step < MOST_STEPS; step++) {
    const cookie = Array.from(cookies, ([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(at, { redirect: "manual", headers: { cookie } });
    for (const set of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      cookies.set(name, value);
    }
    const location = answer.headers.get("location");
    if (location === null) throw new Error(`no way on from ${at.pathname}: ${answer.status} ${await answer.text()}`);
    at = new URL(location, at);
    if (at.searchParams.has("code")) return at.searchParams;
    if (at.host !== url.host) throw new Error(`the login has failed: ${at}`);
  }
  throw new Error("the login goes in circles");
}
