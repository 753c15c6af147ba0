/** Sessions that several routers hold for clients without any, of MCP 2026-07-28, at a server that needs them. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import * as z from "zod";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { messageOf, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";

const PATH = "/mcp";
const ROUTERS = 2;
const USERS = ["ada", "bob", "eve", "kim"];
const CALLS = 20;

let redis: RunningRedis;
let servers: readonly TestServer[];
let fleet: Fleet;

beforeAll(async () => {
  redis = await startRedis();
  servers = await Promise.all(["a", "b"].map((name) => startMcpServer(name, { eras: "legacy", json: name === "a" })));
  fleet = await startFleet(ROUTERS, {
    store: { kind: "redis", url: redis.url },
    identity: { kind: "header", name: "x-user", required: false },
    backends: { one: { endpoints: servers.map(({ endpoint }) => endpoint), path: "/mcp" } },
    routes: [{ path: PATH, backends: ["one"], federated: true, era: "bridge" }],
    processor: { messageTimeout: "60s" },
  });
});
afterAll(async () => {
  await fleet?.stop();
  for (const server of servers ?? []) await server.close();
  await redis?.stop();
});

const SESSION = z.object({ result: z.object({ content: z.array(z.object({ text: z.string() })) }), id: z.number() });

/** The session of the server in which a call ran. */
async function callAs(user: string | undefined, id: number): Promise<string> {
  const message = modernMessage("tools/call", { name: "one__whoami", arguments: {} }, id);
  const headers = { ...modernHeaders("tools/call", "one__whoami"), ...(user !== undefined && { "x-user": user }) };
  const answer = SESSION.parse(messageOf(await post(fleet.port, PATH, message, headers)));
  expect(answer.id).toBe(id);
  return JSON.parse(answer.result.content[0]?.text ?? "").session;
}

const living = () => servers.flatMap(({ sessions }) => [...sessions]);

test("each principal has one, at whichever router its calls come in, and shares it with no other", async () => {
  const calls = USERS.flatMap((user) => Array.from({ length: CALLS }, (_, n) => ({ user, id: n })));
  const ran = await Promise.all(calls.map(async ({ user, id }) => ({ user, session: await callAs(user, id) })));
  const sessions = USERS.map((user) => new Set(ran.filter((call) => call.user === user).map(({ session }) => session)));
  expect(sessions.map(({ size }) => size)).toEqual(USERS.map(() => 1));
  const all = sessions.flatMap((of) => [...of]);
  expect(new Set(all).size).toBe(USERS.length);
  // Those that were begun at the same time as another one have ended again. Each router has one of its own for the lists.
  await vi.waitFor(() => expect(living()).toHaveLength(USERS.length + ROUTERS));
  expect(living()).toEqual(expect.arrayContaining(all));
});

test("what nobody in particular asks leaves none", async () => {
  const before = living();
  const sessions = await Promise.all(Array.from({ length: CALLS }, (_, n) => callAs(undefined, n)));
  expect(new Set(sessions).size).toBe(CALLS);
  await vi.waitFor(() => expect(living().toSorted()).toEqual(before.toSorted()), 5_000);
});
