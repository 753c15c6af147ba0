/** What backends are told of who calls, in whatever a request of a client comes to at them. */
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { startRedis } from "../../harness/redis.ts";
import { directoryOfTests } from "../support/directory.ts";
import { startFleet } from "../support/fleet.ts";
import { callTool, initializeMessage, openResponse, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { notificationMessage, requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { stored } from "../support/stored.ts";
import {
  type Said,
  startTokenEndpoint,
  subjectOf,
  type TokenEndpoint,
  unsignedToken,
} from "../support/token-endpoint.ts";
import { createIssuer } from "../support/tokens.ts";

const ISSUER = "https://issuer.example";
const issuer = createIssuer(ISSUER, "mcp");
const directory = directoryOfTests("credentials");
const secretFile = join(directory, "secret");
const SECRET = "secret-of-the-gateway";

const KINDS = ["none", "forward", "header", "key", "exchange"] as const;
type Kind = (typeof KINDS)[number];

const credentialsOf = (endpoint: TokenEndpoint): Readonly<Record<Kind, unknown>> => ({
  none: "none",
  forward: "forward",
  header: { header: "Authorization", file: secretFile, prefix: "Bearer " },
  key: { header: "X-Api-Key", file: secretFile },
  exchange: {
    exchange: {
      endpoint: `${endpoint.url}/token`,
      audience: "api",
      client: { id: "gateway", secretFile },
      timeout: "2s",
      pause: "500ms",
    },
  },
});

const ROUTES = ["transparent", "federated", "bridged"] as const;
const pathOf = (kind: Kind, route: (typeof ROUTES)[number]) => `/${kind}/${route}`;

const token = issuer.token({ sub: "ada" });
const ada = { authorization: `Bearer ${token}`, "x-api-key": "a-client's", "proxy-authorization": "Basic cHJveHk=" };

let stack: Stack;
let endpoint: TokenEndpoint;
/** By kind: each server that has run. They live one after another, at the same port. */
const lives = new Map<Kind, TestServer[]>();

const serverOf = (kind: Kind) => lives.get(kind)?.at(-1) ?? expect.fail();

async function startServer(kind: Kind, port = 0): Promise<void> {
  // Two of them answer nobody without a token, the router neither.
  const wantsToken = kind === "forward" || kind === "exchange";
  const refuses = ({ authorization }: { readonly authorization?: string | undefined }) =>
    wantsToken && authorization === undefined;
  const server = await startMcpServer(kind, { port, refuses });
  lives.set(kind, [...(lives.get(kind) ?? []), server]);
}

beforeAll(async () => {
  writeFileSync(secretFile, `${SECRET}\n`);
  const jwks = join(directory, "jwks.json");
  writeFileSync(jwks, issuer.jwks);
  endpoint = await startTokenEndpoint();
  const credentials = credentialsOf(endpoint);
  for (const kind of KINDS) await startServer(kind);
  stack = await startStack({
    backends: Object.fromEntries(
      KINDS.map((kind) => [kind, { endpoints: [serverOf(kind).endpoint], credentials: credentials[kind] }]),
    ),
    routes: KINDS.flatMap((kind) => [
      { path: pathOf(kind, "transparent"), backends: [kind] },
      { path: pathOf(kind, "federated"), backends: [kind], federated: true },
      { path: pathOf(kind, "bridged"), backends: [kind], era: "bridge" },
    ]),
    config: {
      processor: { streams: { listen: `127.0.0.1:${await freePort()}` } },
      identity: { kind: "jwt", issuer: ISSUER, audiences: ["mcp"], jwks: { file: jwks } },
      admission: { perPrincipal: 100 },
      sessions: { unused: "4s", sweep: "50ms" },
    },
  });
});
afterAll(async () => {
  await stack?.stop();
  await endpoint?.close();
  for (const servers of lives.values()) await servers.at(-1)?.close();
});

/** All that has reached the servers of a kind. */
const receivedAt = (kind: Kind) => (lives.get(kind) ?? []).flatMap(({ received }) => received);

const methodOf = ({ method, body }: { readonly method: string; readonly body: Buffer }): string =>
  method === "POST" ? (JSON.parse(body.toString()) as { method: string }).method : method;

/** Everything that a client may come to on a route: its session is lost once, and one that it leaves behind expires. */
async function live(path: string, kind: Kind): Promise<void> {
  const { port } = stack;
  const say = path.endsWith("federated") ? `${kind}__echo` : "echo";
  const session = await openSession(port, path, ada);
  const inSession = { ...ada, "mcp-session-id": session };
  const call = () => callTool(port, path, session, say, { text: "hi" }, ada);
  expect(await call()).toContain("hi");
  expect(await post(port, path, requestMessage("tools/list"), inSession)).toMatchObject({ status: 200 });
  await post(port, path, notificationMessage("notifications/roots/list_changed"), inSession);
  const stream = await openResponse({
    port,
    path,
    method: "GET",
    headers: { ...inSession, accept: "text/event-stream" },
  });
  expect(stream.statusCode).toBe(200);
  await serverOf(kind).close();
  await startServer(kind, serverOf(kind).port);
  expect(await call()).toContain("hi");
  stream.destroy();
  // Nothing names it any more, so it expires.
  expect((await post(port, path, initializeMessage(), ada)).status).toBe(200);
  // 200 of the backend, or 204 of the gateway.
  expect((await send({ port, path, method: "DELETE", headers: inSession })).status).toBeLessThan(300);
  const modern = await post(port, path, modernMessage("tools/call", { name: say, arguments: { text: "hi" } }), {
    ...ada,
    ...modernHeaders("tools/call", say),
  });
  // Lists that are each client's own need a session on a federated route.
  expect(modern.status).toBe((kind === "forward" || kind === "exchange") && path.endsWith("federated") ? 400 : 200);
}

/** The values of a header in all that has reached a backend: "-" where a request has none. */
const sentTo = (kind: Kind, header: string) =>
  new Set(receivedAt(kind).map(({ headers }) => String(headers[header] ?? "-")));

const tokenIn = (authorization: string) => authorization.replace(/^Bearer /, "");

describe("a backend is told what its credentials say by all that reaches it, on each kind of route, with credentials", () => {
  /** The sessions that were left at each. */
  let lived: ReadonlyMap<Kind, Promise<ReadonlySet<unknown>>>;
  beforeAll(() => {
    // Side by side: a session is left to expire at each.
    const all = KINDS.map(async (kind) => {
      for (const route of ROUTES) await live(pathOf(kind, route), kind);
      return new Set<unknown>(serverOf(kind).sessions);
    });
    lived = new Map(KINDS.map((kind, n) => [kind, all[n] ?? expect.fail()]));
    return Promise.allSettled(all);
  }, 30_000);

  test.each(KINDS)(
    "%s",
    async (kind) => {
      const left = await lived.get(kind);
      // What is left behind expires.
      const swept = () =>
        receivedAt(kind).filter(
          ({ headers }) => headers["x-client-id"] === "mcp-router/sweep" && left?.has(headers["mcp-session-id"]),
        );
      await expect.poll(() => swept().length, { timeout: 20_000 }).toBeGreaterThan(0);
      expect([...new Set(receivedAt(kind).map(({ headers }) => headers["x-client-id"]))]).toEqual(
        expect.arrayContaining([undefined, "mcp-router/initialize", "mcp-router/recovery", "mcp-router/list"]),
      );
      expect(receivedAt(kind).map(methodOf)).toEqual(
        expect.arrayContaining(["initialize", "tools/call", "tools/list", "GET", "DELETE"]),
      );
      const sent = sentTo(kind, "authorization");
      const bearer = `Bearer ${SECRET}`;
      const exchanged = [...sent].filter((one) => one !== "-");
      const expected = {
        none: [["-"], ["a-client's", "-"]],
        // What the router asks for itself, and the end of a session that nobody has ended, have no client.
        forward: [
          [ada.authorization, "-"],
          ["a-client's", "-"],
        ],
        header: [[bearer], ["a-client's", "-"]],
        key: [["-"], [SECRET]],
        exchange: [
          [...exchanged, "-"],
          ["a-client's", "-"],
        ],
      }[kind];
      expect(sent).toEqual(new Set(expected[0]));
      expect(sentTo(kind, "x-api-key")).toEqual(new Set(expected[1]));
      // It is for the gateway alone, whatever a backend gets.
      expect(sentTo(kind, "proxy-authorization")).toEqual(new Set(["-"]));
      if (kind !== "forward") expect(sent).not.toContain(ada.authorization);
      if (kind !== "exchange") return;
      // One exchange, whatever came after it, and with nothing of the backend's.
      expect(exchanged.map(tokenIn).map(subjectOf)).toEqual(["ada"]);
      expect(endpoint.exchanges.filter(({ subject }) => subject === "ada")).toHaveLength(1);
    },
    30_000,
  );
});

test("a secret that is replaced is used from then on", async () => {
  const path = pathOf("header", "transparent");
  const session = await openSession(stack.port, path, ada);
  writeFileSync(`${secretFile}.new`, "rotated");
  renameSync(`${secretFile}.new`, secretFile);
  const last = async () => {
    await callTool(stack.port, path, session, "echo", { text: "hi" }, ada);
    return serverOf("header").received.at(-1)?.headers.authorization;
  };
  await expect.poll(last).toBe("Bearer rotated");
});

describe("where a token cannot be had", () => {
  const path = pathOf("exchange", "transparent");
  const federated = pathOf("exchange", "federated");
  const userOf = (sub: string) => ({ authorization: `Bearer ${issuer.token({ sub })}` });
  const unavailable = (id: unknown, retryAfterMs?: number) => ({
    jsonrpc: "2.0",
    id,
    error: {
      code: -32603,
      message: "The gateway has no credential for the backend",
      data: { reason: "credential-unavailable", ...(retryAfterMs !== undefined && { retryAfterMs }) },
    },
  });
  /** Sessions of a user, whose token is gone: its next request needs another one. */
  const lost = async (sub: string, of: string) => {
    const user = userOf(sub);
    const session = await openSession(stack.port, of, user);
    // What a token says beside its user is another reason to have one of its own.
    return {
      ...userOf(sub),
      authorization: `Bearer ${issuer.token({ sub, again: randomUUID() })}`,
      "mcp-session-id": session,
    };
  };

  const say = (said: Said) => endpoint.say(({ subject }) => (subject === "eve" ? said : undefined));
  afterEach(() => endpoint.say(undefined));

  test("each request is answered so, nothing reaches the backend, and others go on", async () => {
    const eve = await lost("eve", path);
    const inFederated = await lost("eve", federated);
    const bob = userOf("bob");
    const bobs = await openSession(stack.port, path, bob);
    say({ status: 400, body: '{"error":"access_denied"}' });
    const { requests } = serverOf("exchange");
    const { port } = stack;
    const answered = async (of: string, message: object, headers: Readonly<Record<string, string>>) => {
      const answer = await post(port, of, message, headers);
      expect(answer.status).toBe(200);
      return JSON.parse(answer.body) as unknown;
    };
    expect(await answered(path, requestMessage("tools/call", { name: "echo" }, "a"), eve)).toEqual(unavailable("a"));
    expect(await answered(path, requestMessage("initialize", {}, 7), { authorization: eve.authorization })).toEqual(
      unavailable(7),
    );
    const call = requestMessage("tools/call", { name: "exchange__echo", arguments: {} }, 9);
    expect(await answered(federated, call, inFederated)).toEqual(unavailable(9));
    const get = { port, path, method: "GET", headers: { ...eve, accept: "text/event-stream" } };
    expect((await send(get)).status).toBe(502);
    // The session has ended, whoever is told.
    expect((await send({ port, path, method: "DELETE", headers: eve })).status).toBe(204);
    expect(serverOf("exchange").requests).toBe(requests);
    expect(await callTool(port, path, bobs, "echo", { text: "on" }, bob)).toContain("on");
    const metrics = await (await fetch(`http://127.0.0.1:${stack.httpPort}/metrics`)).text();
    expect(metrics).toContain('mcp_router_token_exchange_seconds_count{backend="exchange",outcome="refused"}');
    expect(metrics).not.toContain(SECRET);
  });

  test.each<[string, Said]>([
    ["away", { status: 503, body: "" }],
    ["slow", "hold"],
  ])("since the token endpoint is %s, a client is told when to come again, and then goes on", async (_, said) => {
    const eve = await lost("eve", path);
    say(said);
    const call = () =>
      post(stack.port, path, requestMessage("tools/call", { name: "echo", arguments: { text: "x" } }, 1), eve);
    const refused = await call();
    expect(refused.status).toBe(200);
    expect(JSON.parse(refused.body)).toEqual(unavailable(1, 1_000));
    endpoint.say(undefined);
    await expect.poll(async () => (await call()).body).toContain("result");
  });

  test("a token of another user goes nowhere", async () => {
    const eve = await lost("eve", path);
    const stolen = unsignedToken({ sub: "ada", aud: "api" });
    say({ status: 200, body: JSON.stringify({ access_token: stolen, token_type: "Bearer", expires_in: 60 }) });
    const answer = await post(stack.port, path, requestMessage("tools/call", { name: "echo" }, 1), eve);
    expect(JSON.parse(answer.body)).toEqual(unavailable(1));
    expect(sentTo("exchange", "authorization")).not.toContain(`Bearer ${stolen}`);
  });
});

test("what a reload says of credentials holds for what the router does in a client's name from then on", async () => {
  const path = pathOf("forward", "federated");
  const user = { authorization: `Bearer ${issuer.token({ sub: "dora" })}` };
  const session = await openSession(stack.port, path, user);
  await callTool(stack.port, path, session, "forward__echo", { text: "hi" }, user);
  const stream = await openResponse({
    port: stack.port,
    path,
    method: "GET",
    headers: { ...user, "mcp-session-id": session, accept: "text/event-stream" },
  });
  const sent = () => receivedAt("forward").filter(({ headers }) => headers.authorization === user.authorization).length;
  const text = readFileSync(stack.configFile, "utf8");
  writeFileSync(stack.configFile, text.replace("credentials: forward", "credentials: none"));
  await stack.router.reload();
  const before = sent();
  expect(before).toBeGreaterThan(0);
  // All that the client's stream and session need of the backend is asked for again.
  await serverOf("forward").close();
  await startServer("forward", serverOf("forward").port);
  const answer = await post(stack.port, path, requestMessage("tools/call", { name: "forward__echo", arguments: {} }), {
    ...user,
    "mcp-session-id": session,
  });
  expect(answer.status).toBe(200);
  await expect.poll(() => serverOf("forward").requests).toBeGreaterThan(0);
  expect(sent()).toBe(before);
  stream.destroy();
});

test("a change that names a secret which is not there yet waits for it", async () => {
  const path = pathOf("key", "transparent");
  const session = await openSession(stack.port, path, ada);
  const late = join(directory, "late");
  const key = async () => {
    await callTool(stack.port, path, session, "echo", { text: "hi" }, ada);
    return serverOf("key").received.at(-1)?.headers["x-api-key"];
  };
  const before = readFileSync(secretFile, "utf8");
  const text = readFileSync(stack.configFile, "utf8");
  const named = /(X-Api-Key"?\s+file: )\S+/i;
  expect(text).toMatch(named);
  writeFileSync(stack.configFile, text.replace(named, `$1${late}`));
  await stack.router.reload();
  expect(await key()).toBe(before.trim());
  writeFileSync(late, "late-key");
  await expect.poll(key, { timeout: 10_000 }).toBe("late-key");
}, 20_000);

test("no token or secret is in Envoy's log or the router's, at any level, in metrics, admin pages or Redis", async () => {
  const redis = await startRedis();
  const keyFile = join(directory, "key.pem");
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = String(privateKey.export({ type: "pkcs8", format: "pem" }));
  writeFileSync(keyFile, pem);
  const told = join(directory, "told");
  writeFileSync(told, "told-to-the-backend");
  const exchangeBy = (client: object) => ({
    exchange: { endpoint: `${endpoint.url}/token`, audience: "api", client: { id: "gateway", ...client } },
  });
  const all = {
    header: { header: "X-Api-Key", file: told },
    "by-secret": exchangeBy({ secretFile: told }),
    "by-key": exchangeBy({ keyFile, alg: "ES256" }),
  };
  const at = serverOf("none").endpoint;
  const fleet = await startFleet(1, {
    log: { level: "trace" },
    store: { kind: "redis", url: redis.url },
    backends: Object.fromEntries(
      Object.entries(all).map(([name, credentials]) => [name, { endpoints: [at], credentials }]),
    ),
    routes: Object.keys(all).map((name) => ({ path: `/${name}`, backends: [name] })),
    identity: { kind: "jwt", issuer: ISSUER, audiences: ["mcp"], jwks: { file: join(directory, "jwks.json") } },
  });
  const before = endpoint.exchanges.length;
  const users = ["scanned", "eve"].map((sub) => issuer.token({ sub }));
  const [good = "", refused = ""] = users;
  endpoint.say(({ subject }) => (subject === "eve" ? { status: 400, body: '{"error":"access_denied"}' } : undefined));
  const readable: string[] = [];
  try {
    for (const name of Object.keys(all)) {
      const session = await openSession(fleet.port, `/${name}`, { authorization: `Bearer ${good}` });
      const by = { authorization: `Bearer ${good}` };
      expect(await callTool(fleet.port, `/${name}`, session, "echo", { text: "hi" }, by)).toContain("hi");
      await post(fleet.port, `/${name}`, initializeMessage(), { authorization: `Bearer ${refused}` });
    }
    const http = fleet.routers[0]?.http ?? 0;
    const pages = ["/metrics", "/configuration", "/readyz"];
    for (const path of pages) readable.push((await send({ port: http, path })).body);
    for (const path of ["/config_dump", "/stats", "/clusters"]) readable.push(await fleet.envoy.admin(path));
    const { keys, fields, leases } = await stored(redis);
    expect(keys.length).toBeGreaterThan(0);
    readable.push(...keys, ...fields, ...leases);
  } finally {
    endpoint.say(undefined);
    await fleet.stop();
    await redis.stop();
  }
  const logged = fleet.envoy.output() + fleet.routers.map(({ child }) => child.output()).join("");
  expect(logged).toContain("a client's token was exchanged");
  expect(logged).toContain("a client's token was not exchanged");
  readable.push(logged);
  const exchanged = serverOf("none").received.flatMap(({ headers: { authorization } }) =>
    authorization === undefined ? [] : tokenIn(authorization),
  );
  const asked = endpoint.exchanges.slice(before);
  const assertions = asked.flatMap(({ parameters: { client_assertion: assertion } }) => assertion ?? []);
  const secrets = asked.flatMap(({ authorization }) => authorization?.split(" ")[1] ?? []);
  // One of each user, by each of both ways.
  expect([new Set(exchanged).size, assertions.length, secrets.length]).toEqual([2, 2, 2]);
  // The first part of a token is the same for all of them.
  const parts = [...users, ...exchanged, ...assertions].flatMap((one) => one.split(".").slice(1)).filter(Boolean);
  const text = readable.join("\n");
  for (const one of [...parts, ...secrets, "told-to-the-backend", pem.split("\n")[1] ?? expect.fail()])
    expect(text).not.toContain(one);
}, 30_000);
