import { describe, expect, test, vi } from "vitest";
import { describeFailure, type Failure } from "../../../src/backends/opened.ts";
import type { Header } from "../../../src/core/http.ts";
import { memoryLocks } from "../../../src/locks/memory.ts";
import { sessionTag } from "../../../src/sessions/id.ts";
import { parkedBinding } from "../../../src/sessions/store.ts";
import { type Answer, type Handler, silent } from "../../support/scripted-server.ts";
import { unavailable } from "../../support/unavailable.ts";
import { BACKEND } from "../core/policy.ts";
import {
  first,
  HEADERS,
  NEW,
  NOBODY_THERE,
  never,
  type OpenOptions,
  open,
  PARAMS,
  RESTARTED,
  rpcError,
  STEPS,
  USED,
} from "./router.ts";

describe("a lost session", () => {
  test("is recovered through a blip of the store, and of its locks", async () => {
    const away = { load: 2, acquire: 2, ask: 2 };
    const locks = memoryLocks();
    const { recovery, loss } = await open({
      store: (store) => ({
        load: (key) => (away.load-- > 0 ? unavailable() : store.load(key)),
        brake: (key, backend, cost) => (cost === 0 && away.ask-- > 0 ? unavailable() : store.brake(key, backend, cost)),
        outageWait: () => ({ retry: async () => true, cancel: () => undefined }),
      }),
      locks: { acquire: (...args) => (away.acquire-- > 0 ? unavailable() : locks.acquire(...args)) },
    });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered" });
  });

  test("is probed, begun again as the client began it, told what the lost one had been told, and bound", async () => {
    const { recovery, loss, listener, names, store, key } = await open();
    await store.remember(key, "one", { kind: "level", params: '{"level":"debug"}' });
    await store.remember(key, "one", { kind: "subscribe", uri: "a:b", params: '{"uri":"a:b"}' });
    await store.remember(key, "one", { kind: "subscribe", uri: "c", params: '{"uri":"c"}' });
    await store.remember(key, "two", { kind: "level", params: '{"level":"of another backend"}' });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered", binding: NEW });
    expect(names()).toEqual(["ping", ...STEPS, "logging/setLevel", "resources/subscribe", "resources/subscribe"]);
    const bodies = listener.calls.map(({ body }) => body);
    expect(bodies.map((body) => body.replace(/"id":"mcp-router-[^"]+"/, '"id":ID'))).toEqual([
      '{"jsonrpc":"2.0","id":ID,"method":"ping"}',
      `{"jsonrpc":"2.0","id":ID,"method":"initialize","params":${PARAMS}}`,
      '{"jsonrpc":"2.0","method":"notifications/initialized"}',
      '{"jsonrpc":"2.0","id":ID,"method":"logging/setLevel","params":{"level":"debug"}}',
      '{"jsonrpc":"2.0","id":ID,"method":"resources/subscribe","params":{"uri":"a:b"}}',
      '{"jsonrpc":"2.0","id":ID,"method":"resources/subscribe","params":{"uri":"c"}}',
    ]);
    const ids = bodies.map((body) => JSON.parse(body).id).filter((id) => id !== undefined);
    expect(new Set(ids)).toHaveProperty("size", 5);
    expect(await store.load(key)).toMatchObject({ session: { bindings: { one: NEW } } });
  });

  test("is recovered by calls that carry the client's credentials, and each what belongs to its session", async () => {
    const { recovery, loss, listener, store, key } = await open();
    await store.remember(key, "one", { kind: "level", params: '{"level":"debug"}' });
    await recovery.recover(loss, never);
    const common = {
      authorization: "Bearer ada",
      "x-user": "ada",
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "x-mcp-backend": "one",
      "x-mcp-session": sessionTag(key),
    };
    const old = { "mcp-session-id": "old", "x-mcp-endpoint": USED.endpoint };
    const begun = { "mcp-session-id": "new", "x-mcp-endpoint": NEW.endpoint, "mcp-protocol-version": "2025-06-18" };
    const pins = [old, {}, begun, begun];
    const purposes = ["recovery", "initialize", "recovery", "recovery"];
    for (const [at, { path, headers }] of listener.calls.entries()) {
      expect(path).toBe(BACKEND.path);
      expect(headers).toMatchObject({ ...common, ...pins[at], "x-client-id": `mcp-router/${purposes[at]}` });
      expect(headers).not.toHaveProperty("accept-encoding");
    }
    const [ping, initialize] = listener.calls;
    expect(ping?.headers).not.toHaveProperty("mcp-protocol-version");
    for (const name of ["mcp-session-id", "x-mcp-endpoint", "mcp-protocol-version"])
      expect(initialize?.headers).not.toHaveProperty(name);
  });

  test("is sent the cookies that its initialize sets, in place of the client's, and the outcome names them", async () => {
    const setCookies = ["LB=2; Path=/", "other=1"];
    const initialize = { ...(RESTARTED.initialize as Answer) }; // It is in the table above.
    const answers = { initialize: { ...initialize, headers: { ...initialize.headers, "set-cookie": setCookies } } };
    const { recovery, loss, listener, store, key } = await open({ answers });
    await store.remember(key, "one", { kind: "level", params: "{}" });
    const headers: readonly Header[] = [...HEADERS, ["cookie", "LB=1; mine=1"]];
    const outcome = await recovery.recover({ ...loss, headers }, never);
    expect(outcome).toMatchObject({ kind: "recovered", binding: NEW, setCookies });
    const calls = listener.calls.filter(({ method }) => method !== "DELETE");
    expect(calls.map(({ headers: { cookie } }) => cookie)).toEqual([
      "LB=1; mine=1",
      "LB=1; mine=1",
      "LB=2; mine=1; other=1",
      "LB=2; mine=1; other=1",
    ]);
  });

  test("is ended with the cookies that its initialize set, where it was begun for nothing", async () => {
    const initialize = { ...(RESTARTED.initialize as Answer) }; // It is in the table above.
    const begun = { ...initialize, headers: { ...initialize.headers, "set-cookie": "LB=2" } };
    const { recovery, loss, listener } = await open({ answers: { initialize: begun } });
    await recovery.recover({ ...loss, version: "2024-11-05" }, never);
    expect((await listener.called("DELETE")).headers.cookie).toBe("LB=2");
  });

  test("is probed in the version that the client speaks", async () => {
    const { recovery, loss, listener } = await open();
    expect(await recovery.recover({ ...loss, version: "2025-06-18" }, never)).toMatchObject({ kind: "recovered" });
    expect((await listener.called("ping")).headers["mcp-protocol-version"]).toBe("2025-06-18");
  });

  test("is sent no version where the backend names none", async () => {
    const initialize = { ...RESTARTED.initialize, status: 200, body: '{"result":{}}' };
    const { recovery, loss, listener } = await open({ answers: { initialize } });
    expect(await recovery.recover({ ...loss, version: "2025-06-18" }, never)).toMatchObject({ kind: "recovered" });
    expect((await listener.called("notifications/initialized")).headers).not.toHaveProperty("mcp-protocol-version");
  });

  test("is begun again by an answer that is an event stream, which need not end", async () => {
    const initialize: Handler = ({ response }) => {
      response.writeHead(200, { ...RESTARTED.initialize?.headers, "content-type": "text/event-stream" });
      response.write(`: hello\n\nevent: message\ndata: ${RESTARTED.initialize?.body}\n\n`);
      return undefined;
    };
    const { recovery, loss } = await open({ answers: { initialize } });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered", binding: NEW });
  });

  test("is not probed where its endpoint is unreachable, and is ended once there is another: it may live on there", async () => {
    const { recovery, loss, listener, names } = await open();
    expect(await recovery.recover({ ...loss, suspicion: "unreachable" }, never)).toMatchObject({ kind: "recovered" });
    const { headers } = await listener.called("DELETE");
    expect(names()).toEqual(STEPS);
    expect(headers).toMatchObject({
      "mcp-session-id": "old",
      "x-mcp-endpoint": USED.endpoint,
      ...Object.fromEntries(HEADERS),
    });
  });

  test("has an outcome that says how its ping was answered", async () => {
    const length = (body: string) => ({ "content-length": body.length });
    for (const [headersOf, said] of [
      [length, "its length"],
      [(body: string) => ({ ...length(body), "content-encoding": "gzip" }), "encoded"],
      [() => ({ "transfer-encoding": "chunked" }), "unsaid"],
    ] as const) {
      let ping = { id: "", body: "" };
      const { recovery, loss } = await open({
        answers: {
          ping(call) {
            const { id } = JSON.parse(call.body);
            const error = { code: -32001, message: `no session for ${id}` };
            ping = { id: JSON.stringify(id), body: JSON.stringify({ jsonrpc: "2.0", id, error }) };
            return { status: 404, headers: headersOf(ping.body), body: ping.body };
          },
        },
      });
      const outcome = await recovery.recover(loss, never);
      const answered = {
        status: 404,
        namesSession: false,
        length: said === "its length" ? ping.body.length : said,
        ids: 1,
        idLength: ping.id.length,
      };
      expect(outcome).toMatchObject({ kind: "recovered", binding: NEW, ping: answered });
    }
  });

  test("is probed at the endpoint that answered, and ended at its own, where it may live on", async () => {
    const { recovery, loss, listener, names } = await open();
    const answeredBy = "10.0.0.9:80";
    expect(await recovery.recover({ ...loss, answeredBy }, never)).toMatchObject({ kind: "recovered" });
    const pin = { "mcp-session-id": "old", "x-mcp-endpoint": answeredBy };
    expect((await listener.called("ping")).headers).toMatchObject(pin);
    expect((await listener.called("DELETE")).headers).toMatchObject({ ...pin, "x-mcp-endpoint": USED.endpoint });
    expect(names()).toEqual(["ping", ...STEPS]);
  });

  test.each<[string, Answer | Handler]>([
    ["cannot be reached still", { status: 503 }],
    ["does not know its id", { status: 400 }],
    ["does not answer", silent],
  ])("whose endpoint is gone is recovered, and nothing is said of it, where that %s", async (_, gone) => {
    const { recovery, loss, listener, events, abandoned } = await open({ answers: { DELETE: gone } });
    expect(await recovery.recover({ ...loss, suspicion: "unreachable" }, never)).toMatchObject({ kind: "recovered" });
    await listener.called("DELETE");
    expect(events).toMatchObject([{ outcome: "recovered" }]);
    expect(abandoned).toEqual([]);
  });

  test.each<[string, Answer]>([
    ["404 of any kind", { status: 404, body: "<html>" }],
    ["400 in known words", { status: 400, body: '{"error":{"message":"Bad Request: No valid session ID provided"}}' }],
    ["503, in Envoy's word that nobody is there", { status: 503, body: '{"error":{"message":"Backend unavailable"}}' }],
  ])("is known by a ping that is answered %s", async (_, ping) => {
    const { recovery, loss, names } = await open({ answers: { ping } });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered" });
    expect(names()).toEqual(["ping", ...STEPS]);
  });

  test("waits for a backend that is not back yet", async () => {
    const { recovery, loss, names } = await open({ answers: { initialize: first(3, NOBODY_THERE) } });
    expect(await recovery.recover({ ...loss, suspicion: "unreachable" }, never)).toMatchObject({
      kind: "recovered",
      binding: NEW,
    });
    expect(names().filter((name) => name === "initialize")).toHaveLength(4);
  });

  test("is not waited for where it refuses in Envoy's words, and Envoy says that it was not Envoy", async () => {
    const refusal = { ...NOBODY_THERE, headers: { "x-mcp-endpoint": NEW.endpoint } };
    const { recovery, loss, names, events } = await open({ answers: { initialize: first(1, refusal) } });
    expect(await recovery.recover({ ...loss, suspicion: "unreachable" }, never)).toMatchObject({ kind: "failed" });
    expect(names()).toEqual(["initialize"]);
    expect(events).toMatchObject([{ why: "the backend refuses to initialize: 503" }]);
  });

  test("is begun again at once where it was parked: it is neither probed, nor ended once more", async () => {
    const { recovery, loss, listener, events } = await open({ session: { bindings: { one: parkedBinding(USED) } } });
    const parked = {
      ...loss,
      suspicion: "parked",
      used: parkedBinding(USED),
      answeredBy: parkedBinding(USED).endpoint,
    } as const;
    expect(await recovery.recover(parked, never)).toMatchObject({ kind: "recovered", binding: NEW });
    expect(listener.calls.map(({ method }) => method)).toEqual(STEPS);
    expect(events).toMatchObject([{ suspicion: "parked", outcome: "recovered", from: "parked" }]);
  });

  test("goes on though the backend refuses what the lost one had been told", async () => {
    const { recovery, loss, store, key } = await open({ answers: { "logging/setLevel": { status: 400 } } });
    await store.remember(key, "one", { kind: "level", params: "{}" });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered" });
  });

  test.each<[string, Answer]>([
    ["200", { status: 200 }],
    ["400 in other words", { status: 400, body: "Bad Request" }],
    ["401", { status: 401 }],
    ["404 of a method that it does not have", rpcError(404, -32601, "Method not found")],
    ["405", { status: 405 }],
    ["500", { status: 500 }],
    ["503 of its own", { status: 503 }],
  ])("goes on though the backend answers notifications/initialized by %s", async (_, taken) => {
    const { recovery, loss, abandoned } = await open({ answers: { "notifications/initialized": taken } });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered", binding: NEW });
    expect(abandoned).toEqual([]);
  });

  test("is told its subscriptions a few at once, after its level", async () => {
    const held: (() => void)[] = [];
    const subscribe: Handler = ({ response }) => {
      const { status, headers, body } = RESTARTED["resources/subscribe"] as Answer; // It is in the table above.
      held.push(() => response.writeHead(status, headers).end(body));
      return undefined;
    };
    const { recovery, loss, store, key, names } = await open({ answers: { "resources/subscribe": subscribe } });
    await store.remember(key, "one", { kind: "level", params: "{}" });
    for (let n = 0; n < 20; n++) await store.remember(key, "one", { kind: "subscribe", uri: `${n}`, params: "{}" });
    const outcome = recovery.recover(loss, never);
    const atOnce: number[] = [];
    for (let left = 20; left > 0; left -= atOnce.at(-1) ?? left) {
      await vi.waitFor(() => expect(held).toHaveLength(Math.min(8, left)));
      atOnce.push(held.length);
      for (const answer of held.splice(0)) answer();
    }
    expect(atOnce).toEqual([8, 8, 4]);
    expect(await outcome).toMatchObject({ kind: "recovered" });
    expect(names()).toEqual(["ping", ...STEPS, "logging/setLevel", ...Array(20).fill("resources/subscribe")]);
  });

  test.each<[string, Answer]>([
    ["404", { status: 404 }],
    ["400 in known words", { status: 400, body: "Bad Request: No valid session ID provided" }],
    ["503, in Envoy's word that nobody is there", { status: 503, body: '{"error":{"message":"Backend unavailable"}}' }],
  ])("is begun once more where the new one is gone at once, which is ended if it is not: %s", async (_, gone) => {
    const { recovery, loss, listener, names, abandoned } = await open({
      answers: { "notifications/initialized": first(1, gone) },
    });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered" });
    expect((await listener.called("DELETE")).headers).toMatchObject({
      "mcp-session-id": "new",
      ...Object.fromEntries(HEADERS),
    });
    expect(names().filter((name) => name !== "DELETE")).toEqual(["ping", ...STEPS, ...STEPS]);
    expect(abandoned).toEqual([]);
  });

  test("leaves no lock behind", async () => {
    const locks = memoryLocks();
    const { recovery, loss, key } = await open({ locks });
    await recovery.recover(loss, never);
    expect(await locks.acquire(`${key}/one`, 1)).toMatchObject({ kind: "acquired" });
  });

  test("is reported by one event, with where it was and where it is", async () => {
    const { recovery, loss, events, key } = await open();
    await recovery.recover(loss, never);
    expect(events).toEqual([
      {
        kind: "recovery",
        key,
        backend: "one",
        suspicion: "probe",
        outcome: "recovered",
        why: undefined,
        from: USED.endpoint,
        to: NEW.endpoint,
        ms: expect.any(Number),
      },
    ]);
  });
});

describe("a backend that speaks another version by now", () => {
  test("is not recovered in, and the session that it began is ended", async () => {
    const { recovery, loss, names, events } = await open();
    const outcome = await recovery.recover({ ...loss, version: "2024-11-05" }, never);
    const why = { reason: "version", backend: "2025-06-18", client: "2024-11-05" };
    expect(outcome).toEqual({ kind: "failed", why, passes: false });
    expect(events).toMatchObject([{ why: expect.stringContaining("the client 2024-11-05") }]);
    await expect.poll(names).toContain("DELETE");
  });
});

describe("a recovery fails, and says why:", () => {
  const opening = RESTARTED.initialize as Answer; // It is in the table above.
  const { "mcp-session-id": _, ...withoutSession } = opening.headers ?? {};
  const { "x-mcp-endpoint": __, ...withoutEndpoint } = opening.headers ?? {};

  test.each<[string, OpenOptions, Failure, boolean]>([
    [
      "where the backend refuses",
      { answers: { initialize: { status: 401 } } },
      { reason: "status", status: 401 },
      false,
    ],
    ["where the backend breaks", { answers: { initialize: { status: 500 } } }, { reason: "status", status: 500 }, true],
    [
      "where the backend says no in JSON-RPC",
      { answers: { initialize: { ...opening, body: '{"error":{"code":-32602}}' } } },
      { reason: "status", status: 200 },
      false,
    ],
    [
      "where the backend answers no JSON",
      { answers: { initialize: { ...opening, body: "<html>" } } },
      { reason: "status", status: 200 },
      false,
    ],
    [
      "where the backend has no sessions any more",
      { answers: { initialize: { ...opening, headers: withoutSession } } },
      { reason: "no-session" },
      false,
    ],
    [
      "where the backend gives different sessions",
      { answers: { initialize: { ...opening, headers: { ...opening.headers, "mcp-session-id": "a, b" } } } },
      { reason: "several-sessions" },
      false,
    ],
    ["where the bound is exceeded", { answers: { initialize: silent }, bound: 50 }, { reason: "timeout" }, true],
    ["where the bound is exceeded by the ping", { answers: { ping: silent }, bound: 50 }, { reason: "timeout" }, true],
    [
      "where the backend stays away",
      // Long enough for one try on a busy machine.
      { answers: { initialize: NOBODY_THERE }, bound: 1_000 },
      { reason: "no-connection" },
      true,
    ],
    [
      "where the backend sheds load",
      { answers: { initialize: { status: 503 } } },
      { reason: "status", status: 503 },
      true,
    ],
    [
      "where another router keeps the lock",
      { locks: { acquire: async () => ({ kind: "taken" }) }, bound: 100 },
      { reason: "timeout" },
      true,
    ],
    ["of a session without a binding there", { session: { bindings: {} } }, { reason: "no-binding" }, false],
  ])("%s", async (_, options, why, passes) => {
    const { recovery, loss, events, listener, store, key } = await open(options);
    const outcome = await recovery.recover(loss, never);
    expect(outcome).toEqual({ kind: "failed", why, passes });
    expect(events).toMatchObject([{ outcome: "failed", why: describeFailure(why) }]);
    expect(listener.calls.map(({ method }) => method)).not.toContain("DELETE");
    expect(await store.load(key)).not.toMatchObject({ session: { bindings: { one: { generation: 2 } } } });
  });

  test("where no header says which endpoint answered, and its session is ended where the lost one was", async () => {
    const { recovery, loss, listener, events } = await open({
      answers: { initialize: { ...opening, headers: withoutEndpoint } },
    });
    const why = { reason: "no-endpoint" };
    expect(await recovery.recover(loss, never)).toEqual({ kind: "failed", why, passes: false });
    expect(events).toMatchObject([{ why: expect.stringContaining("add x-mcp-endpoint") }]);
    await listener.called("DELETE");
    const ended = listener.calls.find(({ method }) => method === "DELETE");
    expect(ended?.headers).toMatchObject({ "mcp-session-id": "new", "x-mcp-endpoint": loss.used.endpoint });
  });

  test.each<[string, OpenOptions, readonly string[]]>([
    ["the store is away", { store: () => ({ load: unavailable }) }, []],
    ["the store goes away", { store: () => ({ bind: unavailable }) }, ["new"]],
    ["the store goes away when the new session is counted", { store: () => ({ brake: unavailable }) }, []],
    ["the locks are away", { locks: { acquire: unavailable } }, []],
  ])("where %s", async (_, options, ended) => {
    const { recovery, loss, events, listener, store, key } = await open(options);
    expect(await recovery.recover(loss, never)).toEqual({ kind: "store-away" });
    expect(events).toMatchObject([{ outcome: "store-away" }]);
    if (ended.length > 0) await listener.called("DELETE");
    const deleted = listener.calls.filter(({ method }) => method === "DELETE");
    expect(deleted.map(({ headers }) => headers["mcp-session-id"])).toEqual(ended);
    expect(await store.load(key)).not.toMatchObject({ session: { bindings: { one: { generation: 2 } } } });
  });

  test("where Envoy's egress listener is away, and a later request may recover it", async () => {
    const { recovery, loss, listener } = await open();
    await listener.close();
    expect(await recovery.recover(loss, never)).toMatchObject({
      kind: "failed",
      why: { reason: "broken", error: expect.stringContaining("ECONN") },
      passes: true,
    });
  });

  test("where the session has ended", async () => {
    const { recovery, loss, store, key, names } = await open();
    await store.remove(key);
    expect(await recovery.recover(loss, never)).toMatchObject({
      kind: "failed",
      why: { reason: "session-ended" },
      passes: false,
    });
    expect(names()).toEqual(["ping"]);
  });

  test("where the session ends meanwhile, and then ends the new one at its backend", async () => {
    const opened = await open({
      answers: {
        "notifications/initialized": () => {
          void opened.store.remove(opened.key);
          return { status: 202 };
        },
      },
    });
    expect(await opened.recovery.recover(opened.loss, never)).toMatchObject({
      kind: "failed",
      why: { reason: "session-ended" },
      passes: false,
    });
    expect((await opened.listener.called("DELETE")).headers["mcp-session-id"]).toBe("new");
  });

  test("where a store rejects, with what it rejects with", async () => {
    const load = () => Promise.reject("not even an Error");
    const { recovery, loss } = await open({ store: () => ({ load }) });
    expect(await recovery.recover(loss, never)).toMatchObject({
      kind: "failed",
      why: { reason: "broken", error: "not even an Error" },
    });
  });
});
