import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startRedis } from "../../harness/redis.ts";
import { directoryOfTests } from "../support/directory.ts";
import { startFleet } from "../support/fleet.ts";
import { callMessage, callTool, initializeMessage, messageOf, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type HttpServer, startHttpServer } from "../support/scripted-server.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { stored } from "../support/stored.ts";
import { createIssuer } from "../support/tokens.ts";

const ISSUER = "https://issuer.example";
const PATH = "/mcp";
const issuer = createIssuer(ISSUER, "mcp");
const forger = createIssuer(ISSUER, "mcp");
const anHourAgo = Math.floor(Date.now() / 1000) - 3600;

const directory = directoryOfTests("identity");
let server: TestServer;
let required: Stack;
let optional: Stack;

/** A gateway whose principals come by token. */
function stackWith(identity: object, rewriteBootstrap?: (bootstrap: string) => string): Promise<Stack> {
  const jwks = { file: join(directory, "jwks.json") };
  return startStack({
    backends: { one: [server.endpoint] },
    routes: [{ path: PATH, backends: ["one"] }],
    config: { identity: { kind: "jwt", issuer: ISSUER, audiences: ["mcp", "other-mcp"], jwks, ...identity } },
    ...(rewriteBootstrap && { rewriteBootstrap }),
  });
}

beforeAll(async () => {
  writeFileSync(join(directory, "jwks.json"), issuer.jwks);
  server = await startMcpServer("one");
  [required, optional] = await Promise.all([stackWith({}), stackWith({ required: false })]);
});

afterAll(async () => {
  await required?.stop();
  await optional?.stop();
  await server?.close();
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const ada = () => bearer(issuer.token({ sub: "ada" }));
const bob = () => bearer(issuer.token({ sub: "bob" }, "ES256"));
const callIn = (stack: Stack, session: string, headers: Readonly<Record<string, string>> = {}) =>
  post(stack.port, PATH, callMessage("echo", { text: "x" }), { ...headers, "mcp-session-id": session });

test.each(["/mcp/", "//mcp", "/x/..//mcp//"])("Envoy checks tokens on %s as on the path that it is", async (path) => {
  const answer = (stack: Stack, headers: Readonly<Record<string, string>>) =>
    post(stack.port, path, initializeMessage(), headers);
  expect((await answer(required, {})).status).toBe(401);
  // Not taken for a request without one.
  expect((await answer(optional, bearer(forger.token({ sub: "ada" })))).status).toBe(401);
  const owner = bearer(issuer.token({ sub: "slashes" }));
  const session = await openSession(required.port, path, owner);
  expect(await callIn(required, session, bob())).toMatchObject({ status: 404 });
  expect(await callIn(required, session, owner)).toMatchObject({ status: 200 });
});

test("no spelling of a path that the router takes for a route's goes around the check of tokens", async () => {
  const before = ["/", "//", "/./", "/x/../", "/%2e/", "/%2F", "/x/..//", "/\\\\"];
  const names = ["mcp", "%6dcp", "MCP", "mcp;a", "mcp%00"];
  const after = [
    "",
    "/",
    "//",
    "/.",
    "/./",
    "/x/..",
    "/..//mcp",
    "%2F",
    "%2f/",
    "/%2e",
    "?",
    "?/mcp",
    "/?a=//",
    ";",
    "%20",
    "/%2e%2e/mcp/",
  ];
  const paths = before.flatMap((start) => names.flatMap((name) => after.map((end) => start + name + end)));
  const forged = bearer(forger.token({ sub: "ada" }));
  const statuses = new Set<number>();
  const { requests } = server;
  for (const path of paths) statuses.add((await post(optional.port, path, initializeMessage(), forged)).status);
  // Envoy's word on the token, or that there is no such route, or that it is no path.
  expect([...statuses].filter((status) => ![400, 401, 404].includes(status))).toEqual([]);
  expect(statuses).toContain(401);
  expect(server.requests).toBe(requests);
});

describe("a session of a principal", () => {
  test("goes on with a refreshed token, also one of another key", async () => {
    const session = await openSession(required.port, PATH, ada());
    for (const token of [
      issuer.token({ sub: "ada", jti: "2" }),
      issuer.token({ sub: "ada", aud: ["x", "other-mcp"] }),
      issuer.token({ sub: "ada" }, "ES256"),
    ])
      expect(await callTool(required.port, PATH, session, "echo", { text: "hi" }, bearer(token))).toContain("hi");
  });

  test("is unknown to another principal, who cannot end it either, and the owner goes on", async () => {
    const session = await openSession(required.port, PATH, ada());
    const theirs = await openSession(required.port, PATH, bob());
    expect(await callIn(required, session, bob())).toMatchObject({ status: 404 });
    expect(await callIn(required, theirs, ada())).toMatchObject({ status: 404 });
    const end = { port: required.port, path: PATH, method: "DELETE" };
    expect(await send({ ...end, headers: { ...bob(), "mcp-session-id": session } })).toMatchObject({ status: 404 });
    expect(await callIn(required, session, ada())).toMatchObject({ status: 200 });
    expect(await send({ ...end, headers: { ...ada(), "mcp-session-id": session } })).toMatchObject({ status: 200 });
    expect(await callIn(required, session, ada())).toMatchObject({ status: 404 });
  });
});

test("a header can name the principal in place of a token", async () => {
  const stack = await startStack({
    backends: { one: [server.endpoint] },
    routes: [{ path: PATH, backends: ["one"] }],
    config: { identity: { kind: "header", name: "X-User" } },
  });
  try {
    const session = await openSession(stack.port, PATH, { "x-user": "ada" });
    expect(await callIn(stack, session, { "x-user": "bob" })).toMatchObject({ status: 404 });
    expect(await callIn(stack, session)).toMatchObject({ status: 401, headers: { "www-authenticate": "Bearer" } });
    expect(await callIn(stack, session, { "x-user": "ada" })).toMatchObject({ status: 200 });
  } finally {
    await stack.stop();
  }
});

describe("a token that is wrong is refused by Envoy, as JSON-RPC", () => {
  const [head, , signature] = issuer.token({ sub: "bob" }).split(".");
  const [, payload] = issuer.token({ sub: "ada" }).split(".");
  test.each([
    ["forged", forger.token({ sub: "ada" })],
    ["with another's signature", `${head}.${payload}.${signature}`],
    ["unsigned", `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.`],
    ["expired", issuer.token({ sub: "ada", exp: anHourAgo })],
    ["for another audience", issuer.token({ sub: "ada", aud: "elsewhere" })],
    ["of another issuer", issuer.token({ sub: "ada", iss: "https://other" })],
    ["that is no token", "x"],
  ])("%s", async (_, token) => {
    const sessions = [await openSession(required.port, PATH, ada()), await openSession(optional.port, PATH, ada())];
    for (const [index, stack] of [required, optional].entries()) {
      const answer = await callIn(stack, sessions[index] ?? "", bearer(token));
      expect(answer).toMatchObject({ status: 401, headers: { "content-type": "application/json" } });
      expect(answer.headers["www-authenticate"]).toMatch(/^Bearer /);
      expect(messageOf(answer)).toEqual({
        jsonrpc: "2.0",
        error: { code: -32600, message: "Authentication required" },
      });
      expect(await callIn(stack, sessions[index] ?? "", ada())).toMatchObject({ status: 200 });
    }
  });
});

describe("where a token is required", () => {
  test("a request without one is refused, in its header, in a session, and with one in the query", async () => {
    const session = await openSession(required.port, PATH, ada());
    const token = issuer.token({ sub: "ada" });
    expect(await post(required.port, PATH, initializeMessage())).toMatchObject({ status: 401 });
    expect(await callIn(required, session)).toMatchObject({ status: 401 });
    expect(await post(required.port, `${PATH}?access_token=${token}`, initializeMessage())).toMatchObject({
      status: 401,
    });
  });

  test("a token that Envoy finds among something else is refused", async () => {
    const token = issuer.token({ sub: "ada" });
    for (const authorization of [`Foo Bearer ${token}`, `Bearer ~${token}`])
      expect(await post(required.port, PATH, initializeMessage(), { authorization })).toMatchObject({ status: 401 });
  });

  test("what is under no public path stays the processor's to answer, without a token", async () => {
    const at = "/.well-known/oauth-protected-resource";
    expect(await send({ port: required.port, path: `${at}/mcp` })).toMatchObject({ status: 200 });
    for (const path of [`${at}/other`, "/.well-known/oauth-authorization-server"])
      expect(await send({ port: required.port, path })).toMatchObject({ status: 404 });
  });

  test("a subject is as well: the processor refuses a token without one", async () => {
    const answer = await post(required.port, PATH, initializeMessage(), bearer(issuer.token({})));
    expect(answer.status).toBe(401);
    expect(answer.headers["www-authenticate"]).toMatch(/^Bearer error="invalid_token", resource_metadata="http:/);
  });

  test("an Envoy that does not check tokens, or keeps the claims to itself, lets nothing through", async () => {
    const rewrites = [
      (text: string) => text.replaceAll(`path: ${PATH}\n`, "path: /nowhere\n"),
      (text: string) => text.replaceAll("- envoy.filters.http.jwt_authn", "- nothing"),
    ];
    for (const rewrite of rewrites) {
      const changed: boolean[] = [];
      const stack = await stackWith({}, (text) => {
        changed.push(rewrite(text) !== text);
        return rewrite(text);
      });
      try {
        expect(changed).toEqual([true]);
        const answer = await post(stack.port, PATH, initializeMessage(), ada());
        expect(answer.status).toBe(401);
        expect(answer.headers["www-authenticate"]).toMatch(/^Bearer error="invalid_token", resource_metadata="http:/);
        expect(messageOf(answer)).toMatchObject({ error: { code: -32600, message: "Authentication required" } });
      } finally {
        await stack.stop();
      }
    }
  });
});

describe("where a token is not required", () => {
  test("sessions with and without one are kept apart, and live on", async () => {
    const own = await openSession(optional.port, PATH, ada());
    const nobodys = await openSession(optional.port, PATH);
    expect(await callIn(optional, own)).toMatchObject({ status: 404 });
    expect(await callIn(optional, nobodys, ada())).toMatchObject({ status: 404 });
    expect(await callIn(optional, own, ada())).toMatchObject({ status: 200 });
    expect(await callIn(optional, nobodys)).toMatchObject({ status: 200 });
  });

  test.each([
    ["a scheme in lower case", () => ({ authorization: `bearer ${forger.token({ sub: "ada" })}` })],
    ["a scheme in upper case", () => ({ authorization: `BEARER ${issuer.token({ sub: "ada" })}` })],
    [
      "two of them",
      () => ({ authorization: [ada().authorization, bearer(forger.token({ sub: "bob" })).authorization] }),
    ],
    ["no subject", () => bearer(issuer.token({}))],
  ])("a token that Envoy did not verify reaches no backend: %s", async (_, headers) => {
    const answer = await post(optional.port, PATH, initializeMessage(), headers());
    expect(answer.status).toBe(401);
    expect(answer.headers["www-authenticate"]).toMatch(/^Bearer/);
    expect(messageOf(answer)).toMatchObject({ error: { code: -32600, message: "Authentication required" } });
  });

  test("a token in the query reaches no backend either", async () => {
    const path = `${PATH}?access_token=${issuer.token({ sub: "ada" })}`;
    expect((await post(optional.port, path, initializeMessage())).status).toBe(401);
    expect((await post(optional.port, path, initializeMessage(), ada())).status).toBe(401);
  });
});

describe("with the keys at a URL", () => {
  let keys: HttpServer;
  let served = issuer.jwks;
  let stack: Stack;

  beforeAll(async () => {
    keys = await startHttpServer((_, response) => response.end(served));
    stack = await stackWith({ jwks: { uri: `${keys.url}/jwks.json`, refresh: "1s" } });
  });
  afterAll(async () => {
    await stack?.stop();
    await keys?.close();
  });

  const statusWith = async (token: string) => (await post(stack.port, PATH, initializeMessage(), bearer(token))).status;

  test("tokens count from the first request, and forged ones do not", async () => {
    expect(await statusWith(issuer.token({ sub: "ada" }))).toBe(200);
    expect(await statusWith(forger.token({ sub: "ada" }))).toBe(401);
  });

  test("a new key counts once they are refreshed, and one that was withdrawn does not", async () => {
    served = forger.jwks;
    await expect.poll(() => statusWith(forger.token({ sub: "ada" })), { timeout: 10_000 }).toBe(200);
    expect(await statusWith(issuer.token({ sub: "ada" }))).toBe(401);
  });

  test("no token counts while they were never had, and clients are told to come again", async () => {
    const lost = await stackWith({ jwks: { uri: "http://127.0.0.1:1/jwks.json" } });
    try {
      const answer = await post(lost.port, PATH, initializeMessage(), ada());
      expect(answer).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
      expect(messageOf(answer)).toMatchObject({ error: { code: -32603 } });
    } finally {
      await lost.stop();
    }
  });
});

test("no token is in Envoy's log or the router's, at any level, in its metrics or in Redis, nor a session's id", async () => {
  const redis = await startRedis();
  const fleet = await startFleet(1, {
    log: { level: "trace" },
    store: { kind: "redis", url: redis.url },
    backends: { one: { endpoints: [server.endpoint] } },
    routes: [{ path: PATH, backends: ["one"] }],
    identity: { kind: "jwt", issuer: ISSUER, audiences: ["mcp"], jwks: { file: join(directory, "jwks.json") } },
  });
  const secrets: string[] = [];
  const readable: string[] = [];
  const secret = (token: string) => {
    // A token's first part is the same for all of them.
    secrets.push(...token.split(".").slice(1));
    return token;
  };
  try {
    const good = secret(issuer.token({ sub: "ada" }));
    const session = await openSession(fleet.port, PATH, bearer(good));
    secrets.push(session);
    expect(await callTool(fleet.port, PATH, session, "echo", { text: "hi" }, bearer(good))).toContain("hi");
    const statuses: number[] = [];
    for (const token of [
      issuer.token({ sub: "bob" }),
      forger.token({ sub: "ada" }),
      issuer.token({ sub: "ada", exp: anHourAgo }),
    ]) {
      const headers = { ...bearer(secret(token)), "mcp-session-id": session };
      statuses.push((await post(fleet.port, PATH, callMessage("echo"), headers)).status);
    }
    statuses.push((await post(fleet.port, `${PATH}?access_token=${good}`, initializeMessage())).status);
    expect(statuses).toEqual([404, 401, 401, 401]);
    // Of the session three requests, and these four.
    const requests = () => fleet.envoy.output().split('"listener":"gateway"').length - 1;
    await expect.poll(requests, { timeout: 5_000 }).toBe(7);
    const { keys, fields, leases } = await stored(redis);
    // The session, its lease and its last use, and both of its principal.
    expect(keys).toHaveLength(5);
    const metrics = await send({ port: fleet.routers[0]?.http ?? 0, path: "/metrics" });
    expect(metrics.body).toContain("mcp_router_requests_rejected_total");
    readable.push(...keys, ...fields, ...leases, metrics.body);
  } finally {
    await fleet.stop();
    await redis.stop();
  }
  const logged = fleet.envoy.output() + fleet.routers.map(({ child }) => child.output()).join("");
  expect(logged).toContain("jwt_authn_access_denied");
  expect(logged).toContain('"level":');
  readable.push(logged);
  for (const text of secrets) expect(readable.join("\n")).not.toContain(text);
});
