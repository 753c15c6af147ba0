/** Crowds on one URL for several servers: what each costs the servers, over two routers on one Redis. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { callMessage, messageOf, openSession, post } from "../support/http.ts";
import { isOwn, startListedServer } from "../support/listed-server.ts";
import { requestMessage } from "../support/messages.ts";
import type { SessionServer } from "../support/session-server.ts";

const PATH = "/mcp";
const ROUTERS = 2;
/** How long (ms) the slow servers take for an initialize. */
const INITIALIZE = 2_000;
/** How long (ms) lists are held for new, and an initialize may take at the server that never answers one. */
const REFRESH = 1_000;
const BOUND = 1_000;
const RUN = { tools: [['{"name":"run"}']] };

let redis: RunningRedis;
let fleet: Fleet;
let backends: { readonly one: SessionServer; readonly two: SessionServer; readonly mute: SessionServer };

beforeAll(async () => {
  redis = await startRedis();
  const slowly = () => pause(INITIALIZE);
  backends = {
    one: await startListedServer(RUN, slowly),
    two: await startListedServer(RUN, slowly),
    // It tells the router what it lists, and begins no client's session.
    mute: await startListedServer(RUN, (call) => (isOwn(call) ? undefined : new Promise(() => undefined))),
  };
  // On a machine that is busy with other things all this takes longer than it may by default.
  const timeouts = { initialize: "40s" };
  fleet = await startFleet(ROUTERS, {
    log: { level: "error" },
    processor: { messageTimeout: "60s" },
    store: { kind: "redis", url: redis.url, timeout: "10s" },
    admission: { sessions: "off", waiting: "off" },
    lists: { refresh: `${REFRESH}ms`, timeout: "30s" },
    backends: {
      one: { endpoints: [backends.one.endpoint], timeouts },
      two: { endpoints: [backends.two.endpoint], timeouts },
      mute: { endpoints: [backends.mute.endpoint], timeouts: { initialize: `${BOUND}ms` } },
    },
    routes: [{ path: PATH, backends: ["one", "two", "mute"] }],
  });
  // Until both routers know what there is.
  await Promise.all(Array.from({ length: 4 * ROUTERS }, () => list(undefined)));
});
afterAll(async () => {
  await fleet?.stop();
  await redis?.stop();
  await Promise.all(Object.values(backends ?? {}).map((backend) => backend.close()));
});
beforeEach(() => {
  for (const backend of Object.values(backends)) backend.clear();
});

async function list(session: string | undefined): Promise<unknown> {
  const headers = { "mcp-session-id": session ?? (await openSession(fleet.port, PATH)) };
  const { result } = messageOf(await post(fleet.port, PATH, requestMessage("tools/list"), headers));
  return result;
}

async function opened(count: number): Promise<string[]> {
  const sessions: string[] = [];
  await each(Array(count).fill(PATH), 50, async (path) => void sessions.push(await openSession(fleet.port, path)));
  return sessions;
}
const initializes = (backend: SessionServer) =>
  backend.calls.filter((call) => call.method === "initialize" && !isOwn(call));

/** Does something for each, so many at once. */
async function each<Item>(items: readonly Item[], atOnce: number, go: (item: Item) => Promise<void>): Promise<void> {
  const rest = items.values();
  const work = async () => {
    for (const item of rest) await go(item);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

describe("10,000 requests for lists of 1,000 sessions", () => {
  test("open no session at a server, and ask each for its list no more often than once in lists.refresh", async () => {
    const began = performance.now();
    const sessions = await opened(1_000);
    const requests = sessions.flatMap((session) => Array.from({ length: 10 }, () => session));
    const tools = ["mute__run", "one__run", "two__run"].map((name) => ({ name }));
    let wrong: unknown;
    await each(requests, 200, async (session) => {
      const result = await list(session);
      if (JSON.stringify(result) !== JSON.stringify({ tools })) wrong = result;
    });
    expect(wrong).toBeUndefined();
    const most = ROUTERS * Math.ceil((performance.now() - began) / REFRESH + 1);
    for (const backend of Object.values(backends)) {
      const methods = backend.calls.map((call) => (isOwn(call) ? call.method : "a client's"));
      expect(methods).not.toContain("a client's");
      expect(methods).not.toContain("initialize");
      expect(methods.filter((method) => method === "tools/list").length).toBeLessThanOrEqual(most);
    }
  }, 300_000);
});

describe("500 clients", () => {
  test("whose first calls open sessions at once, at servers that take 2 s for it, lose none, and each opens one", async () => {
    const sessions = await opened(500);
    // Every fifth calls both servers at once, and one of them twice: over both routers.
    const calls = sessions.flatMap((session, client) =>
      (client % 5 === 0 ? ["one", "two", "one"] : ["one"]).map((backend, n) => {
        return { session, backend, id: `${backend} ${client} ${n}` };
      }),
    );
    const answers = await Promise.all(
      calls.map(async ({ session, backend, id }) => {
        const message = callMessage(`${backend}__run`, {}, id);
        return messageOf(await post(fleet.port, PATH, message, { "mcp-session-id": session }));
      }),
    );
    const failed = answers.filter(({ id, result }, n) => id !== calls[n]?.id || !result);
    expect(failed.slice(0, 3)).toEqual([]);
    for (const name of ["one", "two"] as const) {
      const { ran } = backends[name];
      expect(ran.toSorted()).toEqual(calls.flatMap(({ backend, id }) => (backend === name ? id : [])).toSorted());
      expect(initializes(backends[name])).toHaveLength(name === "one" ? sessions.length : sessions.length / 5);
    }
  }, 300_000);
});

describe("a server that never answers an initialize", () => {
  test("fails its own calls only, after its bound, by its name", async () => {
    const headers = { "mcp-session-id": await openSession(fleet.port, PATH) };
    const began = performance.now();
    const call = (name: string, id: unknown) => post(fleet.port, PATH, callMessage(name, {}, id), headers);
    const [dead, ...others] = await Promise.all([call("mute__run", "dead"), call("one__run", 1), call("two__run", 2)]);
    expect(others.map((answer) => messageOf(answer))).toMatchObject([
      { id: 1, result: { ran: 1 } },
      { id: 2, result: { ran: 2 } },
    ]);
    expect(dead?.status).toBe(200);
    expect(dead && messageOf(dead)).toMatchObject({
      id: "dead",
      error: { message: expect.stringMatching(/\bmute\b/), data: { backend: "mute" } },
    });
    const again = performance.now();
    expect(messageOf(await call("mute__run", "again"))).toMatchObject({ id: "again", error: {} });
    expect(performance.now() - again).toBeGreaterThanOrEqual(BOUND);
    expect(performance.now() - began).toBeGreaterThanOrEqual(2 * BOUND);
    expect(backends.mute.calls.filter(({ method }) => method === "tools/call")).toEqual([]);
  });
});
