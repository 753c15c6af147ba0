/** What backends are told of who calls, in whatever a request of a client comes to at them. */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { directoryOfTests } from "../support/directory.ts";
import { callTool, openResponse, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { notificationMessage, requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { createIssuer } from "../support/tokens.ts";

const ISSUER = "https://issuer.example";
const issuer = createIssuer(ISSUER, "mcp");
const directory = directoryOfTests("credentials");
const secretFile = join(directory, "secret");
const SECRET = "secret-of-the-gateway";

const KINDS = ["none", "forward", "header", "key"] as const;
type Kind = (typeof KINDS)[number];

const CREDENTIALS = {
  none: "none",
  forward: "forward",
  header: { header: "Authorization", file: secretFile, prefix: "Bearer " },
  key: { header: "X-Api-Key", file: secretFile },
} as const satisfies Record<Kind, unknown>;

const ROUTES = ["transparent", "federated", "bridged"] as const;
const pathOf = (kind: Kind, route: (typeof ROUTES)[number]) => `/${kind}/${route}`;

const token = issuer.token({ sub: "ada" });
const ada = { authorization: `Bearer ${token}`, "x-api-key": "a-client's" };

let stack: Stack;
/** By kind: each server that has run. They live one after another, at the same port. */
const lives = new Map<Kind, TestServer[]>();

const serverOf = (kind: Kind) => lives.get(kind)?.at(-1) ?? expect.fail();

async function startServer(kind: Kind, port = 0): Promise<void> {
  const server = await startMcpServer(kind, { port });
  lives.set(kind, [...(lives.get(kind) ?? []), server]);
}

beforeAll(async () => {
  writeFileSync(secretFile, `${SECRET}\n`);
  const jwks = join(directory, "jwks.json");
  writeFileSync(jwks, issuer.jwks);
  for (const kind of KINDS) await startServer(kind);
  stack = await startStack({
    backends: Object.fromEntries(
      KINDS.map((kind) => [kind, { endpoints: [serverOf(kind).endpoint], credentials: CREDENTIALS[kind] }]),
    ),
    routes: KINDS.flatMap((kind) => [
      { path: pathOf(kind, "transparent"), backends: [kind] },
      { path: pathOf(kind, "federated"), backends: [kind], federated: true },
      { path: pathOf(kind, "bridged"), backends: [kind], era: "bridge" },
    ]),
    config: {
      processor: { streams: { listen: `127.0.0.1:${await freePort()}` } },
      identity: { kind: "jwt", issuer: ISSUER, audiences: ["mcp"], jwks: { file: jwks } },
      timeouts: { call: "2s", listen: "2s" },
      admission: { perPrincipal: 100 },
      sessions: { idle: "2s", sweep: "50ms" },
    },
  });
});
afterAll(async () => {
  await stack?.stop();
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
  await openSession(port, path, ada);
  // 200 of the backend, or 204 of the gateway.
  expect((await send({ port, path, method: "DELETE", headers: inSession })).status).toBeLessThan(300);
  const modern = await post(port, path, modernMessage("tools/call", { name: say, arguments: { text: "hi" } }), {
    ...ada,
    ...modernHeaders("tools/call", say),
  });
  // Lists that are each client's own need a session on a federated route.
  expect(modern.status).toBe(kind === "forward" && path.endsWith("federated") ? 400 : 200);
}

/** The values of a header in all that has reached a backend: "-" where a request has none. */
const sentTo = (kind: Kind, header: string) =>
  new Set(receivedAt(kind).map(({ headers }) => String(headers[header] ?? "-")));

describe.each(KINDS)("a backend with credentials %s", (kind) => {
  test("is told so by all that reaches it, on each kind of route", async () => {
    for (const route of ROUTES) await live(pathOf(kind, route), kind);
    // What is left behind expires.
    const left = new Set<unknown>(serverOf(kind).sessions);
    const swept = () =>
      receivedAt(kind).filter(
        ({ headers }) => headers["x-client-id"] === "mcp-router/sweep" && left.has(headers["mcp-session-id"]),
      );
    await expect.poll(() => swept().length, { timeout: 10_000 }).toBeGreaterThan(0);
    expect([...new Set(receivedAt(kind).map(({ headers }) => headers["x-client-id"]))]).toEqual(
      expect.arrayContaining([undefined, "mcp-router/initialize", "mcp-router/recovery", "mcp-router/list"]),
    );
    expect(receivedAt(kind).map(methodOf)).toEqual(
      expect.arrayContaining(["initialize", "tools/call", "tools/list", "GET", "DELETE"]),
    );
    const bearer = `Bearer ${SECRET}`;
    const expected = {
      none: [["-"], ["a-client's", "-"]],
      // What the router asks for itself, and the end of a session that nobody has ended, have no client.
      forward: [
        [ada.authorization, "-"],
        ["a-client's", "-"],
      ],
      header: [[bearer], ["a-client's", "-"]],
      key: [["-"], [SECRET]],
    }[kind];
    expect(sentTo(kind, "authorization")).toEqual(new Set(expected[0]));
    expect(sentTo(kind, "x-api-key")).toEqual(new Set(expected[1]));
  }, 30_000);
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
