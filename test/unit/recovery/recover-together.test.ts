import { describe, expect, test, vi } from "vitest";
import type { Header } from "../../../src/core/http.ts";
import type { Lock, Locks } from "../../../src/locks/locks.ts";
import { memoryLocks } from "../../../src/locks/memory.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { type Answer, type Handler, silent } from "../../support/scripted-server.ts";
import { first, HEADERS, NEW, NOBODY_THERE, never, open, RESTARTED, STEPS, USED } from "./router.ts";

describe("a session that was recovered meanwhile", () => {
  test("is used where the lost one is no longer known, and only the lost one is asked", async () => {
    const { recovery, loss, store, key, names } = await open();
    await store.bind(key, "one", 1, NEW);
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "joined", binding: NEW });
    expect(names()).toEqual(["ping"]);
  });

  test("is not used where the lost one still serves what was sent to it: the request has run there", async () => {
    const { recovery, loss, store, key } = await open({ answers: { ping: { status: 200 } } });
    await store.bind(key, "one", 1, NEW);
    expect(await recovery.recover(loss, never)).toEqual({ kind: "alive", by: "ping" });
  });

  test("is used, and no backend is asked, where nothing was sent", async () => {
    const { recovery, loss, store, key, names } = await open();
    await store.bind(key, "one", 1, NEW);
    expect(await recovery.recover({ ...loss, suspicion: "unreachable" }, never)).toMatchObject({ binding: NEW });
    expect(names()).toEqual([]);
  });

  test("is used also where it was recovered while the backend was asked", async () => {
    const opened = await open({
      answers: {
        ping: () => {
          void opened.store.bind(opened.key, "one", 1, NEW);
          return RESTARTED.ping;
        },
      },
    });
    expect(await opened.recovery.recover(opened.loss, never)).toMatchObject({ kind: "joined", binding: NEW });
    expect(opened.names()).toEqual(["ping"]);
  });

  test("is waited for while another router holds the lock", async () => {
    let asked = 0;
    const locks: Locks = {
      async acquire() {
        // The other one is done by the third time that we ask.
        if (++asked === 3) await opened.store.bind(opened.key, "one", 1, NEW);
        return { kind: "taken" };
      },
    };
    const opened = await open({ locks });
    expect(await opened.recovery.recover(opened.loss, never)).toMatchObject({ kind: "joined", binding: NEW });
    expect(asked).toBe(3);
    expect(opened.names()).toEqual(["ping"]);
  });

  test("is used where the other router finished just before it released the lock", async () => {
    const free = memoryLocks();
    const locks: Locks = {
      async acquire(...of) {
        await opened.store.bind(opened.key, "one", 1, NEW);
        return free.acquire(...of);
      },
    };
    const opened = await open({ locks });
    expect(await opened.recovery.recover(opened.loss, never)).toMatchObject({ kind: "joined", binding: NEW });
    expect(opened.names()).toEqual(["ping"]);
    expect(await free.acquire(`${opened.key}/one`, 1)).toMatchObject({ kind: "acquired" });
  });

  test("is used where another router took over our lock, and the session that we began is ended", async () => {
    const theirs = { sessionId: "theirs", endpoint: "10.0.0.3:80" };
    const opened = await open({
      answers: {
        "notifications/initialized": () => {
          void opened.store.bind(opened.key, "one", 1, theirs);
          return { status: 202 };
        },
      },
    });
    expect(await opened.recovery.recover(opened.loss, never)).toMatchObject({
      kind: "joined",
      binding: { ...theirs, generation: 2 },
    });
    expect((await opened.listener.called("DELETE")).headers).toMatchObject({
      "mcp-session-id": "new",
      "x-mcp-endpoint": NEW.endpoint,
    });
  });
});

describe("many requests that meet the loss of one session at once", () => {
  test("have it recovered once", async () => {
    const { recovery, loss, names, events } = await open();
    const outcomes = await Promise.all(Array.from({ length: 60 }, () => recovery.recover(loss, never)));
    expect(outcomes).toMatchObject(Array(60).fill({ kind: "recovered", binding: NEW }));
    expect(names()).toEqual(["ping", ...STEPS]);
    expect(events).toHaveLength(1);
  });

  test("have it begun again once by two routers, one of which says so", async () => {
    const { recovery, another, loss, names, events } = await open();
    const routers = [recovery, another()];
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, at) => routers[at % 2]?.recover({ ...loss, suspicion: "unreachable" }, never)),
    );
    expect(outcomes).toMatchObject(Array(60).fill({ binding: NEW }));
    expect(events.map(({ outcome, to }) => [outcome, to]).toSorted()).toEqual([
      ["joined", NEW.endpoint],
      ["recovered", NEW.endpoint],
    ]);
    expect(names().filter((name) => name !== "DELETE")).toEqual(STEPS);
  });

  test("share no outcome where one has good credentials, and another must log in", async () => {
    const refuses: Handler = ({ method, headers }) =>
      method === "initialize" && headers.authorization === "Bearer new" ? RESTARTED.initialize : { status: 401 };
    const { recovery, loss } = await open({ answers: { ping: refuses, initialize: refuses } });
    const asked = { ...loss, suspicion: "probe-and-log-in", status: 401 } as const;
    const headers: readonly Header[] = [["authorization", "Bearer new"]];
    const outcomes = await Promise.all([
      recovery.recover(asked, never),
      recovery.recover({ ...asked, headers }, never),
    ]);
    expect(outcomes).toMatchObject([{ kind: "alive", by: "login" }, { kind: "recovered" }]);
  });

  test("share no outcome where one may have run, and another was not sent", async () => {
    const { recovery, loss } = await open({ answers: { ping: { status: 200 } } });
    const outcomes = await Promise.all([
      recovery.recover({ ...loss, suspicion: "unreachable" }, never),
      recovery.recover(loss, never),
    ]);
    expect(outcomes).toMatchObject([
      { kind: "recovered", binding: NEW },
      { kind: "alive", by: "ping" },
    ]);
  });

  test("share no outcome where different endpoints answered them", async () => {
    const ping: Handler = ({ headers }) =>
      headers["x-mcp-endpoint"] === USED.endpoint ? { status: 200 } : RESTARTED.ping;
    const { recovery, loss } = await open({ answers: { ping } });
    const outcomes = await Promise.all([
      recovery.recover({ ...loss, answeredBy: "10.0.0.9:80" }, never),
      recovery.recover(loss, never),
    ]);
    expect(outcomes).toMatchObject([
      { kind: "recovered", binding: NEW },
      { kind: "alive", by: "ping" },
    ]);
  });

  test("share no outcome where one has lost the next session already", async () => {
    const { recovery, loss, store, key } = await open();
    await store.bind(key, "one", 1, NEW);
    const [, next] = await Promise.all([
      recovery.recover(loss, never),
      recovery.recover({ ...loss, used: NEW }, never),
    ]);
    expect(next).toMatchObject({ kind: "recovered", binding: { generation: 3 } });
  });

  test("go on for the others when one client leaves, who does not wait", async () => {
    let answer: () => void = () => undefined;
    const initialize: Handler = ({ response }) => {
      answer = () => void response.writeHead(200, RESTARTED.initialize?.headers).end(RESTARTED.initialize?.body);
      return undefined;
    };
    const { recovery, loss, listener } = await open({ answers: { initialize } });
    const leaves = new AbortController();
    const left = recovery.recover(loss, leaves.signal);
    const stays = recovery.recover(loss, never);
    await listener.called("initialize");
    leaves.abort();
    expect(await left).toEqual({ kind: "left" });
    answer();
    expect(await stays).toMatchObject({ kind: "recovered", binding: NEW });
  });

  test("are given up when the last client leaves during the ping, and the backend sees that", async () => {
    const { recovery, loss, listener, events, names } = await open({ answers: { ping: silent } });
    const both = [new AbortController(), new AbortController()];
    const outcomes = both.map(({ signal }) => recovery.recover(loss, signal));
    const call = await listener.called("ping");
    for (const client of both) client.abort();
    await call.aborted;
    expect(await Promise.all(outcomes)).toEqual(Array(2).fill({ kind: "left" }));
    await vi.waitFor(() => expect(events).toMatchObject([{ outcome: "left", why: undefined }]));
    expect(names()).toEqual(["ping"]);
  });

  test.each(["initialize", "notifications/initialized", "logging/setLevel"])(
    "are seen through when all clients leave during %s: the session is bound, and the next request joins it",
    async (name) => {
      const { recovery, loss, listener, store, key, names } = await open({ answers: { [name]: silent } });
      await store.remember(key, "one", { kind: "level", params: "{}" });
      const both = [new AbortController(), new AbortController()];
      const outcomes = both.map(({ signal }) => recovery.recover(loss, signal));
      const { response } = await listener.called(name);
      for (const client of both) client.abort();
      expect(await Promise.all(outcomes)).toEqual(Array(2).fill({ kind: "left" }));
      const comes = recovery.recover(loss, never);
      const { status, headers, body } = RESTARTED[name] as Answer; // It is in the table above.
      response.writeHead(status, headers).end(body);
      expect(await comes).toMatchObject({ kind: "recovered", binding: NEW });
      expect(await store.load(key)).toMatchObject({ session: { bindings: { one: NEW } } });
      expect(names()).toEqual(["ping", ...STEPS, "logging/setLevel"]);
    },
  );

  test("are given up when all clients leave while no endpoint takes connections: nothing has begun", async () => {
    const leaves = new AbortController();
    const initialize: Handler = () => {
      leaves.abort();
      return NOBODY_THERE;
    };
    const { recovery, loss, events, names } = await open({ answers: { initialize } });
    expect(await recovery.recover(loss, leaves.signal)).toEqual({ kind: "left" });
    await vi.waitFor(() => expect(events).toMatchObject([{ outcome: "left" }]));
    expect(names()).toEqual(["ping", "initialize"]);
  });

  test("end at its backend a session that begins after all clients have left, and cannot be bound", async () => {
    const { recovery, loss, listener, store, key } = await open({ answers: { initialize: silent } });
    const leaves = new AbortController();
    const left = recovery.recover(loss, leaves.signal);
    const { response } = await listener.called("initialize");
    leaves.abort();
    await left;
    await store.remove(key);
    response.writeHead(200, RESTARTED.initialize?.headers).end(RESTARTED.initialize?.body);
    expect((await listener.called("DELETE")).headers).toMatchObject({
      "mcp-session-id": "new",
      ...Object.fromEntries(HEADERS),
    });
  });

  test("are recovered for a client who comes when all others have left", async () => {
    const { recovery, loss, listener } = await open({ answers: { ping: first(1, RESTARTED.ping as Answer) } });
    const leaves = new AbortController();
    const left = recovery.recover(loss, leaves.signal);
    await listener.called("ping");
    leaves.abort();
    await left;
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered", binding: NEW });
  });

  test("begin no session for a client who has left before", async () => {
    const { recovery, loss, events, names } = await open();
    expect(await recovery.recover(loss, AbortSignal.abort())).toEqual({ kind: "left" });
    await vi.waitFor(() => expect(events).toHaveLength(1));
    expect(names()).not.toContain("initialize");
  });
});

test("a backend whose recoveries take turns does not hold up those of another", async () => {
  const ping: Handler = ({ headers }) => (headers["x-mcp-backend"] === "stuck" ? undefined : RESTARTED.ping);
  const { recovery, loss, listener } = await open({ answers: { ping }, bound: 2_000 });
  const leaves = new AbortController();
  const backend = { ...loss.backend, name: "stuck" };
  const stuck = Array.from({ length: 200 }, () =>
    recovery.recover({ ...loss, backend, key: sessionKey(mintSessionId()) }, leaves.signal),
  );
  await listener.called("ping");
  expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered", binding: NEW });
  leaves.abort();
  await Promise.all(stuck);
});

test("a lock is renewed for as long as its recovery takes, and not afterwards", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  try {
    const extended: number[] = [];
    let released = 0;
    const lock: Lock = {
      extend: async (ms) => void extended.push(ms),
      release: async () => void released++,
    };
    const locks: Locks = { acquire: async () => ({ kind: "acquired", lock }) };
    const { recovery, loss, listener } = await open({ answers: { initialize: silent }, locks });
    const outcome = recovery.recover(loss, never);
    const { response } = await listener.called("initialize");
    await vi.advanceTimersByTimeAsync(1_600);
    expect(extended).toEqual([2_000, 2_000, 2_000]);
    expect(released).toBe(0);
    response.writeHead(200, RESTARTED.initialize?.headers).end(RESTARTED.initialize?.body);
    expect(await outcome).toMatchObject({ kind: "recovered" });
    expect(released).toBe(1);
    await vi.advanceTimersByTimeAsync(1_600);
    expect(extended).toHaveLength(3);
  } finally {
    vi.useRealTimers();
  }
});
