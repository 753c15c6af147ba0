/** Sessions whose backend has left their route, by a change of the configuration that Envoy follows too. */
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, test } from "vitest";
import { parse, stringify } from "yaml";
import { callTool, endSession, openSession, post, send } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { runMessage, type SessionServer, startSessionServer } from "../support/session-server.ts";
import { type StackOptions, startStack } from "../support/stack.ts";

const PATIENCE = { timeout: 30_000, interval: 50 };
const PATH = "/mcp";

const owner = new AsyncDisposableStack();
afterAll(() => owner.disposeAsync());

async function server(): Promise<SessionServer> {
  return owner.adopt(await startSessionServer(), (it) => it.close());
}

async function gateway(
  names: Readonly<Record<string, { readonly endpoint: string }>>,
  routes: NonNullable<StackOptions["routes"]>,
) {
  const backends = Object.fromEntries(Object.entries(names).map(([name, { endpoint }]) => [name, [endpoint]]));
  const config = { log: { level: "silent" }, admission: { sessions: 10 } };
  const stack = owner.adopt(await startStack({ backends, routes, config, live: true }), (it) => it.stop());
  const change = (sections: object) =>
    writeFileSync(stack.configFile, stringify({ ...parse(readFileSync(stack.configFile, "utf8")), ...sections }));
  const metric = async (name: string) => {
    const { body } = await send({ port: stack.httpPort, path: "/metrics" });
    return body.split("\n").find((line) => line.startsWith(name));
  };
  return { ...stack, change, metric };
}

const inSession = (session: string) => ({ "mcp-session-id": session });

test.concurrent("a route that names another backend moves no session there: it ends with 404, and the old backend is told", async ({
  expect,
}) => {
  const [one, two] = [await server(), await server()];
  const { port, change, metric } = await gateway({ one, two }, [{ path: PATH, backends: ["one"] }]);
  const session = await openSession(port, PATH);
  const call = (id: number) => post(port, PATH, runMessage(id), inSession(session));
  expect((await call(1)).status).toBe(200);

  change({ routes: [{ path: PATH, backends: ["two"] }] });
  await expect.poll(async () => (await call(2)).status, PATIENCE).toBe(404);
  expect(two.ran).toEqual([]);
  await expect.poll(() => one.sessions.size, PATIENCE).toBe(0);
  expect(await metric("mcp_router_sessions_dismissed_total")).toBe(
    'mcp_router_sessions_dismissed_total{route="/mcp"} 1',
  );
  const next = await openSession(port, PATH);
  await endSession(port, PATH, next);
});

test.concurrent("a backend that the configuration names no more is told while Envoy still knows where it is", async ({
  expect,
}) => {
  const [one, two] = [await server(), await server()];
  const routes = [
    { path: PATH, backends: ["one"] },
    { path: "/two", backends: ["two"] },
  ];
  const { port, change } = await gateway({ one, two }, routes);
  const [gone, stays] = [await openSession(port, PATH), await openSession(port, "/two")];

  change({ backends: { two: { endpoints: [two.endpoint], path: PATH } }, routes: [routes[1]] });
  await expect.poll(async () => (await post(port, PATH, runMessage(1), inSession(gone))).status, PATIENCE).toBe(404);
  await expect.poll(() => one.sessions.size, PATIENCE).toBe(0);
  expect((await post(port, "/two", runMessage(2), inSession(stays))).status).toBe(200);
  expect(two.ended()).toEqual([]);
});

test.concurrent("a call that is under way ends as it would have, before its backend is told", async ({ expect }) => {
  const [one, two] = [await server(), await server()];
  const { port, change } = await gateway({ one, two }, [{ path: PATH, backends: ["one"] }]);
  const session = await openSession(port, PATH);
  const held = one.hold("tools/call");
  const answer = post(port, PATH, runMessage(1), inSession(session));
  await expect.poll(() => held.waiting).toBe(1);

  change({ routes: [{ path: PATH, backends: ["two"] }] });
  const ping = async () => (await post(port, PATH, requestMessage("ping"), inSession(session))).status;
  await expect.poll(ping, PATIENCE).toBe(404);
  held.release();
  expect((await answer).status).toBe(200);
  await expect.poll(() => one.sessions.size, PATIENCE).toBe(0);
});

test.concurrent("a session at several goes on without the one that leaves, which is told, and begins another there when it is back", async ({
  expect,
}) => {
  const [one, two] = await Promise.all(
    ["one", "two"].map(async (name) => owner.adopt(await startMcpServer(name, { json: true }), (it) => it.close())),
  );
  if (!one || !two) throw new Error("no servers");
  const { port, change } = await gateway({ one, two }, [{ path: PATH, backends: ["one", "two"] }]);
  const session = await openSession(port, PATH);
  const echo = (backend: string) => callTool(port, PATH, session, `${backend}__echo`, { text: backend });
  expect(await echo("two")).toContain("two");
  const before = new Set(one.sessions);
  expect(await echo("one")).toContain("one");
  const [own] = [...one.sessions].filter((id) => !before.has(id));
  expect(own).toBeDefined();

  change({ routes: [{ path: PATH, backends: ["two"], federated: true }] });
  await expect.poll(() => one.sessions.has(own ?? ""), PATIENCE).toBe(false);
  expect(await echo("two")).toContain("two");

  change({ routes: [{ path: PATH, backends: ["one", "two"] }] });
  await expect.poll(() => echo("one").catch(String), PATIENCE).toContain("one");
  expect(await echo("two")).toContain("two");
});
