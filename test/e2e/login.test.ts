/** How clients get in that know nothing but the URL: 401, metadata, authorization server, login, token, call. */
import { request as forwardTo } from "node:http";
import { Client, type OAuthClientProvider, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterEach, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { initializeMessage, post, send } from "../support/http.ts";
import { callPastExpiry, type Guarded, startGuarded } from "../support/login.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { startOpenIdProvider } from "../support/openid.ts";
import { startHttpServer } from "../support/scripted-server.ts";
import { startStack } from "../support/stack.ts";

const PATH = "/mcp";
const WELL_KNOWN = "/.well-known/oauth-protected-resource";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

async function open(lifetime?: number, gateway: object = {}, config: object = {}): Promise<Guarded> {
  return owner.adopt(await startGuarded({ ...(lifetime !== undefined && { lifetime }), gateway, config }), (it) =>
    it.stop(),
  );
}

/** A client's own part of the login: it keeps what it is given, and has a browser. */
class Browser implements OAuthClientProvider {
  readonly redirectUrl = "http://127.0.0.1:1/callback";
  readonly clientMetadata = {
    client_name: "test",
    redirect_uris: [this.redirectUrl],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  sentTo: URL | undefined;
  /** A token that is refreshed has no more scopes than before, and SDK v1 does nothing else where it can. */
  readonly #refreshes: boolean;
  #client: Awaited<ReturnType<OAuthClientProvider["clientInformation"]>>;
  #tokens: Awaited<ReturnType<OAuthClientProvider["tokens"]>>;
  #verifier = "";

  constructor(refreshes = true) {
    this.#refreshes = refreshes;
  }

  clientInformation() {
    return this.#client;
  }
  saveClientInformation(client: NonNullable<Awaited<ReturnType<OAuthClientProvider["clientInformation"]>>>) {
    this.#client = client;
  }
  /** The provider holds a client to the scopes that it has registered with: those of the first challenge. */
  forgetRegistration() {
    this.#client = undefined;
  }
  tokens() {
    return this.#tokens;
  }
  saveTokens(tokens: NonNullable<Awaited<ReturnType<OAuthClientProvider["tokens"]>>>) {
    this.#tokens = this.#refreshes ? tokens : { ...tokens, refresh_token: undefined };
  }
  redirectToAuthorization(url: URL) {
    this.sentTo = url;
  }
  saveCodeVerifier(verifier: string) {
    this.#verifier = verifier;
  }
  codeVerifier() {
    return this.#verifier;
  }
}

const INFO = { name: "test", version: "1" };

/** What each takes of the end of a login: v2 checks who it came from, too (RFC 9207). */
const SDKS = [
  ["v2", () => new Client(INFO), StreamableHTTPClientTransport, (params: URLSearchParams) => params],
  ["v1", () => new ClientV1(INFO), TransportV1, (params: URLSearchParams) => params.get("code") ?? ""],
] as const;

describe.each(SDKS)("the TypeScript SDK %s", (version, newClient, Transport, taken) => {
  test("knows the URL alone, logs in, and calls", async () => {
    const { url, provider, server } = await open();
    const browser = new Browser();
    const connect = async (transport: InstanceType<typeof Transport>) => {
      const client = newClient();
      await client.connect(transport as never);
      return client;
    };
    const refused = new Transport(url, { authProvider: browser as never });
    await expect(connect(refused)).rejects.toThrow(/unauthorized/i);
    const { sentTo } = browser;
    expect(sentTo?.origin).toBe(provider.issuer);
    expect(sentTo?.searchParams.get("resource")).toBe(url.href);
    expect(sentTo?.searchParams.get("scope")).toContain("mcp:use");
    await refused.finishAuth(taken(await provider.login(sentTo ?? url)) as never);
    const client = await connect(new Transport(url, { authProvider: browser as never }));
    owner.defer(() => client.close());
    const result = await client.callTool({ name: "echo", arguments: { text: "let in" } });
    expect(JSON.stringify(result)).toContain("let in");
    expect(server.sessions.size).toBe(1);
  });

  test("asks for the scopes that a call takes, and goes on in its session", async () => {
    const policy = [{ allow: { tools: ["echo"] } }, { allow: { tools: ["run"] }, when: { scope: "mcp:run" } }];
    const { url, provider, server } = await open(undefined, {}, { policy });
    const browser = new Browser(version === "v2");
    const first = new Transport(url, { authProvider: browser as never });
    await expect(newClient().connect(first as never)).rejects.toThrow();
    await first.finishAuth(taken(await provider.login(browser.sentTo ?? url)) as never);
    const client = newClient();
    owner.defer(() => client.close());
    const transport = new Transport(url, { authProvider: browser as never });
    await client.connect(transport as never);
    const toolsOf = async () => (await client.listTools()).tools.map(({ name }) => name);
    expect(await toolsOf()).toEqual(["echo"]);
    browser.forgetRegistration();
    await expect(client.callTool({ name: "run", arguments: { id: "1" } })).rejects.toThrow();
    expect(browser.sentTo?.searchParams.get("scope")?.split(" ")).toEqual(
      expect.arrayContaining(["mcp:use", "mcp:run"]),
    );
    await transport.finishAuth(taken(await provider.login(browser.sentTo ?? url)) as never);
    await client.callTool({ name: "run", arguments: { id: "2" } });
    expect(server.ran).toEqual(["2"]);
    expect((await toolsOf()).toSorted()).toEqual(["echo", "run"]);
    expect(server.sessions.size).toBe(1);
  });

  test("refreshes a token that expires in its session, which goes on", async () => {
    const guarded = await open(2);
    const { url, provider, server } = guarded;
    const browser = new Browser();
    const first = new Transport(url, { authProvider: browser as never });
    await expect(newClient().connect(first as never)).rejects.toThrow();
    await first.finishAuth(taken(await provider.login(browser.sentTo ?? url)) as never);
    const client = newClient();
    owner.defer(() => client.close());
    await client.connect(new Transport(url, { authProvider: browser as never }) as never);
    const call = () => client.callTool({ name: "echo", arguments: { text: "on" } });
    await callPastExpiry(guarded, async () => expect(JSON.stringify(await call())).toContain("on"));
    expect(provider.grants).toContain("refresh_token");
    expect(server.sessions.size).toBe(1);
  });
});

test("each refusal of Envoy's says where to get a token, and the document is there", async () => {
  const { url, provider } = await open();
  const port = Number(url.port);
  const metadata = `${url.origin}${WELL_KNOWN}${PATH}`;
  const challenge = `resource_metadata="${metadata}", scope="mcp:use"`;
  const without = await post(port, PATH, initializeMessage());
  expect(without).toMatchObject({ status: 401, headers: { "www-authenticate": `Bearer ${challenge}` } });
  const wrong = await post(port, `${PATH}/`, initializeMessage(), { authorization: "Bearer x" });
  expect(wrong.status).toBe(401);
  expect(wrong.headers["www-authenticate"]).toBe(
    `Bearer error="invalid_token", resource_metadata="${metadata}/", scope="mcp:use"`,
  );
  const documents = [`${WELL_KNOWN}${PATH}`, `${WELL_KNOWN}${PATH}/`, WELL_KNOWN];
  for (const path of documents) {
    const answer = await send({ port, path });
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": "application/json" } });
    expect(JSON.parse(answer.body)).toEqual({
      resource: url.href,
      authorization_servers: [provider.issuer],
      scopes_supported: ["mcp:use"],
      bearer_methods_supported: ["header"],
    });
  }
  expect(await send({ port, path: WELL_KNOWN, method: "HEAD" })).toMatchObject({ status: 200, body: "" });
  expect(await send({ port, path: WELL_KNOWN, method: "POST" })).toMatchObject({ status: 405 });
});

test.each([
  ["http", "http"],
  ["https", "https"],
  ["https, http", "https"],
  ['x", error="y', "https"],
])("a proxy that is trusted and says x-forwarded-proto: %s has the challenge name %s", async (forwarded, scheme) => {
  const { url } = await open(undefined, { trustedHops: 1 });
  const headers = { "x-forwarded-proto": forwarded, "x-forwarded-for": "192.0.2.1" };
  const { headers: answered } = await post(Number(url.port), PATH, initializeMessage(), headers);
  const metadata = `${scheme}://${url.host}${WELL_KNOWN}${PATH}`;
  expect(answered["www-authenticate"]).toBe(`Bearer resource_metadata="${metadata}", scope="mcp:use"`);
});

describe("a backend with a login of its own", () => {
  test("is logged in to by a client that knows the gateway's URL alone", async () => {
    const port = await freePort();
    const url = new URL(`http://127.0.0.1:${port}/files/mcp`);
    const started = await startOpenIdProvider({ scopes: ["mcp:use"], resource: url.href });
    const provider = owner.adopt(started, (it) => it.close());
    const inner = await startMcpServer("one");
    owner.defer(() => inner.close());
    // It knows its own address, and not the gateway's.
    const backend = await startHttpServer((request, response) => {
      const at = `http://${request.headers.host}${WELL_KNOWN}${PATH}`;
      if (request.url === `${WELL_KNOWN}${PATH}`) {
        const document = {
          resource: `http://${request.headers.host}${PATH}`,
          authorization_servers: [provider.issuer],
        };
        return void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document));
      }
      if (request.headers.authorization === undefined)
        return void response
          .writeHead(401, { "www-authenticate": `Bearer resource_metadata="${at}", scope="mcp:use"` })
          .end();
      const { method, headers } = request;
      const onward = forwardTo({ port: inner.port, method, path: request.url, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      request.pipe(onward);
    });
    owner.defer(() => backend.close());
    const stack = await startStack({
      backends: { one: [backend.endpoint], other: [inner.endpoint] },
      routes: [
        { path: url.pathname, backends: ["one"] },
        { path: "/other/mcp", backends: ["other"] },
      ],
      config: { gateway: { listen: `127.0.0.1:${port}` } },
    });
    owner.defer(() => stack.stop());
    const refusal = await post(port, url.pathname, initializeMessage());
    expect(refusal).toMatchObject({
      status: 401,
      headers: {
        "www-authenticate": `Bearer resource_metadata="${url.origin}${WELL_KNOWN}${url.pathname}", scope="mcp:use"`,
      },
    });
    // A backend without such a document has none here either.
    expect((await send({ port, path: `${WELL_KNOWN}/other/mcp` })).status).toBe(404);
    const browser = new Browser();
    const first = new StreamableHTTPClientTransport(url, { authProvider: browser });
    await expect(new Client(INFO).connect(first)).rejects.toThrow();
    expect(browser.sentTo?.searchParams.get("resource")).toBe(url.href);
    await first.finishAuth(await provider.login(browser.sentTo ?? url));
    const client = new Client(INFO);
    owner.defer(() => client.close());
    await client.connect(new StreamableHTTPClientTransport(url, { authProvider: browser }));
    expect(JSON.stringify(await client.callTool({ name: "echo", arguments: { text: "in" } }))).toContain("in");
  });
});
