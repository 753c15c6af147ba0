/** Several routers and Redis, with `era: bridge`: what one has begun for a client goes on at the others. */
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { freePort } from "../../harness/ports.ts";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { type Answer, messageOf, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";

const ROUTERS = 2;
const USERS = ["ada", "bob", "eve"];
const CALLS = 20;

let redis: RunningRedis;
let old: TestServer;
let late: TestServer;
let fleet: Fleet;

beforeAll(async () => {
  redis = await startRedis();
  old = await startMcpServer("old", { eras: "legacy", port: await freePort() });
  late = await startMcpServer("late", { eras: "modern" });
  fleet = await startFleet(ROUTERS, {
    store: { kind: "redis", url: redis.url },
    identity: { kind: "header", name: "x-user", required: true },
    backends: {
      old: { endpoints: [old.endpoint], path: "/mcp" },
      late: { endpoints: [late.endpoint], path: "/mcp" },
    },
    routes: [
      { path: "/old", backends: ["old"], era: "bridge" },
      { path: "/late", backends: ["late"], era: "bridge" },
    ],
    processor: { messageTimeout: "60s" },
  });
});
afterAll(async () => {
  await fleet?.stop();
  for (const server of [old, late]) await server?.close();
  await redis?.stop();
});

const CALLED = z.object({ result: z.object({ content: z.array(z.object({ text: z.string() })) }) });

function saidBy(answer: Answer) {
  const [first] = CALLED.parse(messageOf(answer)).result.content;
  return z.object({ server: z.string(), session: z.string().optional() }).parse(JSON.parse(first?.text ?? ""));
}

async function callWithout(user: string, id: number) {
  const message = modernMessage("tools/call", { name: "whoami", arguments: {} }, id);
  return saidBy(await post(fleet.port, "/old", message, { ...modernHeaders("tools/call", "whoami"), "x-user": user }));
}

async function sessionsOf(users: readonly string[]): Promise<ReadonlyMap<string, ReadonlySet<string | undefined>>> {
  const calls = users.flatMap((user) => Array.from({ length: CALLS }, (_, n) => callWithout(user, n)));
  const said = await Promise.all(calls);
  return new Map(
    users.map((user, at) => [user, new Set(said.slice(at * CALLS, (at + 1) * CALLS).map(({ session }) => session))]),
  );
}

test("each principal without sessions has one at the server, also once that was restarted", async () => {
  const before = [...(await sessionsOf(USERS)).values()];
  expect(before.map(({ size }) => size)).toEqual(USERS.map(() => 1));
  expect(new Set(before.flatMap((of) => [...of])).size).toBe(USERS.length);
  await old.close();
  old = await startMcpServer("new", { eras: "legacy", port: old.port });
  const after = [...(await sessionsOf(USERS)).values()];
  expect(after.map(({ size }) => size)).toEqual(USERS.map(() => 1));
  expect(after.flatMap((of) => [...of])).toEqual(USERS.map(() => expect.stringMatching(/^new-/)));
});

test("a client of sessions uses its own at each router, until it ends it", async () => {
  const headers = { "mcp-session-id": await openSession(fleet.port, "/late", { "x-user": "ada" }), "x-user": "ada" };
  const call = (n: number) => post(fleet.port, "/late", requestMessage("tools/call", { name: "whoami" }, n), headers);
  const said = await Promise.all(Array.from({ length: CALLS }, (_, n) => call(n)));
  expect(said.map(saidBy)).toEqual(said.map(() => ({ server: "late" })));
  expect((await send({ port: fleet.port, method: "DELETE", path: "/late", headers })).status).toBe(204);
  const ended = await Promise.all(Array.from({ length: CALLS }, (_, n) => call(n)));
  expect(ended.map(({ status }) => status)).toEqual(ended.map(() => 404));
});
