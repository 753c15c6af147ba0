import { afterEach, describe, expect, test, vi } from "vitest";
import { createEgress } from "../../../src/backends/client.ts";
import { createSessionEnder } from "../../../src/backends/end.ts";
import { describeFailure, type Failure } from "../../../src/backends/opened.ts";
import { FREE_DEBT_MS, MOST_DEBT_MS } from "../../../src/core/brake.ts";
import type { Header } from "../../../src/core/http.ts";
import type { Lock, Locks } from "../../../src/locks/locks.ts";
import { memoryLocks } from "../../../src/locks/memory.ts";
import { createRecovery, type RecoveryEvent } from "../../../src/recovery/recover.ts";
import { mintSessionId, sessionKey, sessionTag } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS, parkedBinding, type Session, type SessionStore } from "../../../src/sessions/store.ts";
import { type Answer, type Handler, startListener } from "../backends/listener.ts";
import { BACKEND } from "../core/policy.ts";

const PATH = "/mcp";
const PARAMS = '{"protocolVersion":"2025-11-25","n":9007199254740993}';
const USED = { sessionId: "old", endpoint: "10.0.0.1:80", generation: 1 };
const NEW = { sessionId: "new", endpoint: "10.0.0.2:80", generation: 2 };
const HEADERS: readonly Header[] = [
  ["authorization", "Bearer ada"],
  ["x-user", "ada"],
];
const never = new AbortController().signal;

/** What a backend says that has just restarted, by the name of the call. */
const RESTARTED: Readonly<Record<string, Answer>> = {
  ping: { status: 404, body: "Session not found" },
  initialize: {
    status: 200,
    headers: { "content-type": "application/json", "mcp-session-id": "new", "x-mcp-endpoint": NEW.endpoint },
    body: '{"jsonrpc":"2.0","id":"mcp-router","result":{"protocolVersion":"2025-06-18"}}',
  },
  "notifications/initialized": { status: 202 },
  "logging/setLevel": { status: 200, headers: { "content-type": "application/json" }, body: '{"result":{}}' },
  "resources/subscribe": { status: 200, headers: { "content-type": "application/json" }, body: '{"result":{}}' },
  DELETE: { status: 204 },
};

/** What Envoy says where nobody takes connections. */
const NOBODY_THERE: Answer = { status: 503, body: '{"error":{"message":"Backend unavailable"}}' };

type Answers = Readonly<Record<string, Answer | Handler>>;

const silent: Handler = () => undefined;

/** That many calls answered so, and then as a backend answers that has restarted. */
function first(times: number, answer: Answer): Handler {
  let left = times;
  return (call) => (left-- > 0 ? answer : RESTARTED[call.name]);
}

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

interface OpenOptions {
  readonly answers?: Answers;
  readonly store?: (store: SessionStore) => Partial<SessionStore>;
  readonly locks?: Locks;
  readonly bound?: number;
  readonly session?: Partial<Session>;
}

/** A router with one session, whose backend has restarted. */
async function open({ answers = {}, store: over, locks = memoryLocks(), bound = 10_000, session }: OpenOptions = {}) {
  const listener = await startListener((call) => {
    const answer = { ...RESTARTED, ...answers }[call.name] ?? { status: 500 };
    return typeof answer === "function" ? answer(call) : answer;
  });
  owner.defer(() => listener.close());
  const egress = createEgress(listener.address);
  owner.defer(() => egress.close());
  const store = memoryStore({ idle: 60_000, lifetime: 60_000, unused: 60_000 });
  owner.defer(() => store.close());
  const key = sessionKey(mintSessionId());
  await store.create(key, {
    owner: ANONYMOUS,
    route: "/public",
    protocolVersion: "2025-11-25",
    initializeParams: PARAMS,
    bindings: { one: USED },
    ...session,
  });
  const events: RecoveryEvent[] = [];
  const abandoned: string[] = [];
  const backend = { ...BACKEND, timeouts: { ...BACKEND.timeouts, initialize: bound } };
  const ender = createSessionEnder({ egress, backendOf: () => backend, observe: () => undefined });
  const recoveryOver = (sessions: SessionStore) =>
    createRecovery({
      store: sessions,
      locks,
      egress,
      ender: {
        ...ender,
        end(name, session, credentials) {
          abandoned.push(session.sessionId);
          return ender.end(name, session, credentials);
        },
      },
      observe: (event) => void events.push(event),
    });
  const loss = {
    suspicion: "probe" as const,
    status: 404,
    key,
    backend,
    query: "",
    used: USED,
    answeredBy: USED.endpoint,
    headers: HEADERS,
    version: undefined,
  };
  const recovery = recoveryOver({ ...store, ...over?.(store) });
  /** What was called, but for the end of the lost session. */
  const names = () =>
    listener.calls
      .filter(({ name, headers }) => name !== "DELETE" || headers["mcp-session-id"] !== "old")
      .map(({ name }) => name);
  return { listener, store, key, events, abandoned, recovery, another: () => recoveryOver(store), loss, names };
}

const STEPS = ["initialize", "notifications/initialized"];
const unavailable = async () => ({ kind: "unavailable" }) as const;

describe("a session that its backend has lost", () => {
  test("is recovered through a blip of the store, and of its locks", async () => {
    const away = { load: 2, acquire: 2, ask: 2 };
    const locks = memoryLocks();
    const { recovery, loss } = await open({
      store: (store) => ({
        load: (key) => (away.load-- > 0 ? unavailable() : store.load(key)),
        brake: (key, backend, cost) => (cost === 0 && away.ask-- > 0 ? unavailable() : store.brake(key, backend, cost)),
        patience: () => ({ again: async () => true, leave: () => undefined }),
      }),
      locks: { acquire: (...args) => (away.acquire-- > 0 ? unavailable() : locks.acquire(...args)) },
    });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered" });
  });

  test("is asked for, begun anew as the client began it, told what the lost one had been told, and bound", async () => {
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

  test("is dealt with by calls that carry the client's credentials, and each what belongs to its session", async () => {
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
      expect(path).toBe(PATH);
      expect(headers).toMatchObject({ ...common, ...pins[at], "x-client-id": `mcp-router/${purposes[at]}` });
      expect(headers).not.toHaveProperty("accept-encoding");
    }
    const [ping, initialize] = listener.calls;
    expect(ping?.headers).not.toHaveProperty("mcp-protocol-version");
    for (const name of ["mcp-session-id", "x-mcp-endpoint", "mcp-protocol-version"])
      expect(initialize?.headers).not.toHaveProperty(name);
  });

  test("has the cookies that its initialize sets go with its calls, in place of the client's, and is told of by them", async () => {
    const setCookies = ["LB=2; Path=/", "other=1"];
    const initialize = { ...(RESTARTED.initialize as Answer) }; // It is in the table above.
    const answers = { initialize: { ...initialize, headers: { ...initialize.headers, "set-cookie": setCookies } } };
    const { recovery, loss, listener, store, key } = await open({ answers });
    await store.remember(key, "one", { kind: "level", params: "{}" });
    const headers: readonly Header[] = [...HEADERS, ["cookie", "LB=1; mine=1"]];
    const outcome = await recovery.recover({ ...loss, headers }, never);
    expect(outcome).toMatchObject({ kind: "recovered", binding: NEW, setCookies });
    const calls = listener.calls.filter(({ name }) => name !== "DELETE");
    expect(calls.map(({ headers: { cookie } }) => cookie)).toEqual([
      "LB=1; mine=1",
      "LB=1; mine=1",
      "LB=2; mine=1; other=1",
      "LB=2; mine=1; other=1",
    ]);
  });

  test("that was begun for nothing is ended with the cookies that its initialize set", async () => {
    const initialize = { ...(RESTARTED.initialize as Answer) }; // It is in the table above.
    const begun = { ...initialize, headers: { ...initialize.headers, "set-cookie": "LB=2" } };
    const { recovery, loss, listener } = await open({ answers: { initialize: begun } });
    await recovery.recover({ ...loss, version: "2024-11-05" }, never);
    expect((await listener.called("DELETE")).headers.cookie).toBe("LB=2");
  });

  test("is asked for in the version that the client speaks", async () => {
    const { recovery, loss, listener } = await open();
    expect(await recovery.recover({ ...loss, version: "2025-06-18" }, never)).toMatchObject({ kind: "recovered" });
    expect((await listener.called("ping")).headers["mcp-protocol-version"]).toBe("2025-06-18");
  });

  test("is told of no version where the backend names none", async () => {
    const initialize = { ...RESTARTED.initialize, status: 200, body: '{"result":{}}' };
    const { recovery, loss, listener } = await open({ answers: { initialize } });
    expect(await recovery.recover({ ...loss, version: "2025-06-18" }, never)).toMatchObject({ kind: "recovered" });
    expect((await listener.called("notifications/initialized")).headers).not.toHaveProperty("mcp-protocol-version");
  });

  test("is begun anew by an answer that is an event stream, which need not end", async () => {
    const initialize: Handler = ({ response }) => {
      response.writeHead(200, { ...RESTARTED.initialize?.headers, "content-type": "text/event-stream" });
      response.write(`: hello\n\nevent: message\ndata: ${RESTARTED.initialize?.body}\n\n`);
      return undefined;
    };
    const { recovery, loss } = await open({ answers: { initialize } });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered", binding: NEW });
  });

  test("whose endpoint is gone is not asked for, and is ended once there is another: it may live on there", async () => {
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

  test("is told of by how its ping was answered", async () => {
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

  test("is asked for at the endpoint that answered, and ended at its own, where it may live on", async () => {
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

  test("that was parked is begun anew at once: it is neither asked for, nor ended once more", async () => {
    const { recovery, loss, listener, events } = await open({ session: { bindings: { one: parkedBinding(USED) } } });
    const parked = {
      ...loss,
      suspicion: "parked",
      used: parkedBinding(USED),
      answeredBy: parkedBinding(USED).endpoint,
    } as const;
    expect(await recovery.recover(parked, never)).toMatchObject({ kind: "recovered", binding: NEW });
    expect(listener.calls.map(({ name }) => name)).toEqual(STEPS);
    expect(events).toMatchObject([{ suspicion: "parked", outcome: "recovered", from: "parked" }]);
  });

  test("goes on though the backend does not take again what it had been told", async () => {
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

  test("is told of its subscriptions a few at once, after its level", async () => {
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

  test("is told of by one event, with where it was and where it is", async () => {
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

function rpcError(status: number, code: number, message: string): Answer {
  return { status, body: JSON.stringify({ jsonrpc: "2.0", id: "mcp-router", error: { code, message } }) };
}

function inEvents({ status, body }: Answer): Answer {
  return { status, headers: { "content-type": "text/event-stream" }, body: `: hello\n\ndata: ${body}\n\n` };
}

describe("a session whose requests are answered 401 or 403", () => {
  const inWords = { status: 401, body: "Unauthorized: Session not found" };

  test.each<[number, Answer]>([
    [401, { status: 401 }],
    [403, rpcError(403, -32001, "Mcp-Session-Id principal mismatch")],
    [401, inWords],
    [403, { status: 404 }],
  ])("%i is lost where its ping is, and a session begins with its client's credentials", async (status, ping) => {
    const { recovery, loss, names } = await open({ answers: { ping } });
    const asked = { ...loss, suspicion: "probe-and-log-in", status } as const;
    expect(await recovery.recover(asked, never)).toMatchObject({ kind: "recovered", binding: NEW });
    expect(names()).toEqual(["ping", ...STEPS]);
  });

  test.each<[string, Answers, string[]]>([
    ["initialize", { initialize: { status: 401 } }, ["initialize"]],
    ["initialize, by 403", { initialize: { status: 403 } }, ["initialize"]],
    ["all but initialize", { "notifications/initialized": { status: 401 } }, STEPS],
  ])(
    "is left as it is where a login is asked for to %s too, and what was begun is ended",
    async (_, refused, steps) => {
      for (const ping of [{ status: 401 }, inWords]) {
        const { recovery, loss, names, events, abandoned, store, key } = await open({ answers: { ping, ...refused } });
        const asked = { ...loss, suspicion: "probe-and-log-in", status: 401 } as const;
        expect(await recovery.recover(asked, never)).toEqual({ kind: "alive", by: "login" });
        expect(names().filter((name) => name !== "DELETE")).toEqual(["ping", ...steps]);
        expect(abandoned).toEqual(steps.length > 1 ? ["new"] : []);
        expect(events).toMatchObject([{ outcome: "alive" }]);
        expect(await store.find(key, "one")).toMatchObject({ session: { binding: USED } });
      }
    },
  );

  test.each<[string, Answer]>([
    ["the other of the two", { status: 403 }],
    ["200", { status: 200 }],
    ["503", { status: 503 }],
  ])("is left as it is where its ping is answered %s", async (_, ping) => {
    const { recovery, loss, names } = await open({ answers: { ping } });
    const asked = { ...loss, suspicion: "probe-and-log-in", status: 401 } as const;
    expect(await recovery.recover(asked, never)).toEqual({ kind: "alive", by: "ping" });
    expect(names()).toEqual(["ping"]);
  });
});

describe("a session that was found alive after an answer that seldom means a loss", () => {
  const asked = { suspicion: "probe-and-log-in", status: 401 } as const;

  test("is not asked for again at once after the same answer", async () => {
    const { recovery, loss, names } = await open({ answers: { ping: { status: 200 } } });
    for (let n = 0; n < 10; n++)
      expect(await recovery.recover({ ...loss, ...asked }, never)).toEqual({ kind: "alive", by: "ping" });
    expect(names()).toEqual(["ping"]);
    await recovery.recover({ ...loss, ...asked, status: 403 }, never);
    await recovery.recover({ ...loss, ...asked, used: NEW }, never);
    expect(names()).toEqual(["ping", "ping", "ping"]);
  });

  test("is asked for each time after one that often does", async () => {
    const { recovery, loss, names } = await open({ answers: { ping: { status: 200 } } });
    for (let n = 0; n < 3; n++) await recovery.recover(loss, never);
    expect(names()).toEqual(["ping", "ping", "ping"]);
  });

  test("is asked for again with other credentials, where its client was to log in", async () => {
    const refuses: Handler = ({ name, headers }) =>
      name === "initialize" && headers.authorization === "Bearer new" ? RESTARTED.initialize : { status: 401 };
    const { recovery, loss, names } = await open({ answers: { ping: refuses, initialize: refuses } });
    for (let n = 0; n < 3; n++)
      expect(await recovery.recover({ ...loss, ...asked }, never)).toEqual({ kind: "alive", by: "login" });
    expect(names()).toEqual(["ping", "initialize"]);
    const headers: readonly Header[] = [["authorization", "Bearer new"]];
    expect(await recovery.recover({ ...loss, ...asked, headers }, never)).toMatchObject({ kind: "recovered" });
  });
});

describe("a session that its backend knows", () => {
  test.each<[string, Answer]>([
    ["503 of its own, which says nothing", { status: 503, body: "overloaded" }],
    ["200", { status: 200, headers: { "content-type": "application/json" }, body: '{"result":{}}' }],
    ["an error", { status: 200, body: '{"error":{"code":-32601,"message":"session not found"}}' }],
    ["202", { status: 202 }],
    ["400 in other words", { status: 400, body: '{"error":{"message":"Bad Request"}}' }],
    ["400 in endless words", { status: 400, body: `${"x".repeat(4 * 1024 * 1024)} session not found` }],
    ["401", { status: 401 }],
    ["500", { status: 500, body: "the session, and its file" }],
    ["404 of a method that it does not have", rpcError(404, -32601, "Method not found")],
    ["404 of JSON-RPC about something else", rpcError(404, -32602, "Repository not found")],
    ["410 of JSON-RPC about something else", rpcError(410, -32000, "That tool is gone")],
    ["404 of JSON-RPC in an event stream", inEvents(rpcError(404, -32601, "Method not found"))],
  ])("is alive where its ping is answered by %s", async (_, ping) => {
    const { recovery, loss, names, events } = await open({ answers: { ping } });
    expect(await recovery.recover(loss, never)).toEqual({ kind: "alive", by: "ping" });
    expect(names()).toEqual(["ping"]);
    expect(events).toMatchObject([{ outcome: "alive", why: undefined, to: undefined }]);
  });

  test("is alive by the head of an answer whose body never comes", async () => {
    const ping: Handler = ({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      return undefined;
    };
    const { recovery, loss } = await open({ answers: { ping } });
    expect(await recovery.recover(loss, never)).toEqual({ kind: "alive", by: "ping" });
  });
});

describe("a session that was recovered meanwhile", () => {
  test("is used as it is where the lost one is not known any more, which alone is asked", async () => {
    const { recovery, loss, store, key, names } = await open();
    await store.bind(key, "one", 1, NEW);
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "joined", binding: NEW });
    expect(names()).toEqual(["ping"]);
  });

  test("is not, where the lost one still serves what was sent to it: the request has run there", async () => {
    const { recovery, loss, store, key } = await open({ answers: { ping: { status: 200 } } });
    await store.bind(key, "one", 1, NEW);
    expect(await recovery.recover(loss, never)).toEqual({ kind: "alive", by: "ping" });
  });

  test("is used as it is, and nobody is asked, where nothing was sent", async () => {
    const { recovery, loss, store, key, names } = await open();
    await store.bind(key, "one", 1, NEW);
    expect(await recovery.recover({ ...loss, suspicion: "unreachable" }, never)).toMatchObject({ binding: NEW });
    expect(names()).toEqual([]);
  });

  test("is used as it is also where that was found while the backend was asked", async () => {
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

  test("is used as it is where the other router was done just before it gave the lock back", async () => {
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

  test("by a router that took our lock for lost is used as that has it, and ours is ended", async () => {
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

describe("a recovery fails, and says why,", () => {
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
      { answers: { initialize: NOBODY_THERE }, bound: 100 },
      { reason: "timeout" },
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
    expect(listener.calls.map(({ name }) => name)).not.toContain("DELETE");
    expect(await store.load(key)).not.toMatchObject({ session: { bindings: { one: { generation: 2 } } } });
  });

  test("where nobody says which endpoint answered, and its session is ended where the lost one was", async () => {
    const { recovery, loss, listener, events } = await open({
      answers: { initialize: { ...opening, headers: withoutEndpoint } },
    });
    const why = { reason: "no-endpoint" };
    expect(await recovery.recover(loss, never)).toEqual({ kind: "failed", why, passes: false });
    expect(events).toMatchObject([{ why: expect.stringContaining("add x-mcp-endpoint") }]);
    await listener.called("DELETE");
    const ended = listener.calls.find(({ name }) => name === "DELETE");
    expect(ended?.headers).toMatchObject({ "mcp-session-id": "new", "x-mcp-endpoint": loss.used.endpoint });
  });

  test.each<[string, OpenOptions, readonly string[]]>([
    ["the store is away", { store: () => ({ load: unavailable }) }, []],
    ["the store goes away", { store: () => ({ bind: unavailable }) }, ["new"]],
    ["the store goes away when the new session is counted", { store: () => ({ brake: unavailable }) }, []],
    ["the locks are away", { locks: { acquire: unavailable } }, []],
  ])("for the store's sake, where %s", async (_, options, ended) => {
    const { recovery, loss, events, listener, store, key } = await open(options);
    expect(await recovery.recover(loss, never)).toEqual({ kind: "store-away" });
    expect(events).toMatchObject([{ outcome: "store-away" }]);
    if (ended.length > 0) await listener.called("DELETE");
    const deleted = listener.calls.filter(({ name }) => name === "DELETE");
    expect(deleted.map(({ headers }) => headers["mcp-session-id"])).toEqual(ended);
    expect(await store.load(key)).not.toMatchObject({ session: { bindings: { one: { generation: 2 } } } });
  });

  test("where Envoy's egress listener is away", async () => {
    const { recovery, loss, listener } = await open();
    await listener.close();
    expect(await recovery.recover(loss, never)).toMatchObject({
      kind: "failed",
      why: { reason: "broken", error: expect.stringContaining("ECONN") },
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

  test("by whatever is thrown, and never rejects", async () => {
    const load = () => Promise.reject("not even an Error");
    const { recovery, loss } = await open({ store: () => ({ load }) });
    expect(await recovery.recover(loss, never)).toMatchObject({
      kind: "failed",
      why: { reason: "broken", error: "not even an Error" },
    });
  });
});

describe("of many who meet the loss of one session at once", () => {
  test("sixty have it recovered once", async () => {
    const { recovery, loss, names, events } = await open();
    const outcomes = await Promise.all(Array.from({ length: 60 }, () => recovery.recover(loss, never)));
    expect(outcomes).toMatchObject(Array(60).fill({ kind: "recovered", binding: NEW }));
    expect(names()).toEqual(["ping", ...STEPS]);
    expect(events).toHaveLength(1);
  });

  test("sixty at two routers have it begun anew once, and one of the two says so", async () => {
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

  test("one with good credentials is not answered by what is found for one that is to log in", async () => {
    const refuses: Handler = ({ name, headers }) =>
      name === "initialize" && headers.authorization === "Bearer new" ? RESTARTED.initialize : { status: 401 };
    const { recovery, loss } = await open({ answers: { ping: refuses, initialize: refuses } });
    const asked = { ...loss, suspicion: "probe-and-log-in", status: 401 } as const;
    const headers: readonly Header[] = [["authorization", "Bearer new"]];
    const outcomes = await Promise.all([
      recovery.recover(asked, never),
      recovery.recover({ ...asked, headers }, never),
    ]);
    expect(outcomes).toMatchObject([{ kind: "alive", by: "login" }, { kind: "recovered" }]);
  });

  test("one whose request may have run is not answered by what is found for one whose was not sent", async () => {
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

  test("one is not answered by what another endpoint says than that which answered it", async () => {
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

  test("one that has lost the next session already is not answered by what is found for the one before", async () => {
    const { recovery, loss, store, key } = await open();
    await store.bind(key, "one", 1, NEW);
    const [, next] = await Promise.all([
      recovery.recover(loss, never),
      recovery.recover({ ...loss, used: NEW }, never),
    ]);
    expect(next).toMatchObject({ kind: "recovered", binding: { generation: 3 } });
  });

  test("one who leaves does not hold up the others, nor is held up", async () => {
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

  test("the last who leaves during the ping ends it, and the backend sees that", async () => {
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
    "all who leave during %s have it seen through: the session is bound, and whoever comes joins it",
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

  test("all who leave while nobody is there to begin a session end it: nothing has begun", async () => {
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

  test("what begins after all have left, and cannot be used, is ended at its backend", async () => {
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

  test("one who comes when all others have left has it recovered", async () => {
    const { recovery, loss, listener } = await open({ answers: { ping: first(1, RESTARTED.ping as Answer) } });
    const leaves = new AbortController();
    const left = recovery.recover(loss, leaves.signal);
    await listener.called("ping");
    leaves.abort();
    await left;
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered", binding: NEW });
  });

  test("one who has left before it begins is let go, and the backend is not told to begin a session", async () => {
    const { recovery, loss, events, names } = await open();
    expect(await recovery.recover(loss, AbortSignal.abort())).toEqual({ kind: "left" });
    await vi.waitFor(() => expect(events).toHaveLength(1));
    expect(names()).not.toContain("initialize");
  });
});

describe("the brake on recovery", () => {
  const LOST: Answer = { status: 404, body: "Session not found" };

  test("begins two sessions at most for one request, where each is lost at once, and ends both", async () => {
    const { recovery, loss, names } = await open({ answers: { "notifications/initialized": LOST } });
    expect(await recovery.recover(loss, never)).toMatchObject({
      kind: "failed",
      why: { reason: "lost-at-once" },
    });
    await vi.waitFor(() => expect(names().filter((name) => name === "DELETE")).toHaveLength(2));
    expect(names().filter((name) => name !== "DELETE")).toEqual(["ping", ...STEPS, ...STEPS]);
  });

  test("lets a backend be for a while that loses each session at once, and leaves the request its first answer", async () => {
    const { recovery, loss, store, key, names } = await open({ answers: { "notifications/initialized": LOST } });
    await store.brake(key, "one", MOST_DEBT_MS);
    expect(await recovery.recover(loss, never)).toEqual({
      kind: "braked",
      why: "lost again",
      wait: expect.any(Number),
    });
    expect(names()).toEqual(["ping"]);
  });

  test("has a request wait a moment where that is all it takes", async () => {
    const { recovery, loss, store, key, names } = await open();
    await store.brake(key, "one", FREE_DEBT_MS);
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered" });
    expect(names()).toEqual(["ping", ...STEPS]);
  });

  test("lets others at the backend go ahead meanwhile", async () => {
    const asked: string[] = [];
    const waits = Promise.withResolvers<void>();
    const opened = await open({
      store: (store) => ({
        async brake(key, ...of) {
          asked.push(key);
          // As often as there are places, all of one session.
          if (key === opened.key) return store.brake(key, ...of);
          if (asked.length === 128) waits.resolve();
          return { kind: "early", wait: 1_500 };
        },
        load: async (key) => store.load(key === opened.key ? key : opened.key),
      }),
    });
    const leaves = new AbortController();
    const others = Array.from({ length: 128 }, () =>
      opened.recovery.recover(
        { ...opened.loss, suspicion: "unreachable", key: sessionKey(mintSessionId()) },
        leaves.signal,
      ),
    );
    await waits.promise;
    expect(await opened.recovery.recover(opened.loss, never)).toMatchObject({ kind: "recovered" });
    leaves.abort();
    await Promise.all(others);
  });

  test("counts no session where nobody was there to begin one", async () => {
    const { recovery, loss, store, key } = await open({ answers: { initialize: NOBODY_THERE }, bound: 100 });
    for (let n = 0; n < 3; n++) await recovery.recover(loss, never);
    expect(await store.brake(key, "one", 0)).toEqual({ kind: "granted", debt: 0 });
  });

  test("has a client listen again later and later", async () => {
    const { recovery, loss, store, key } = await open();
    const times: number[] = [];
    for (let n = 0; n < 3; n++) {
      const used = { ...USED, generation: n + 1 };
      const outcome = await recovery.recover({ ...loss, used }, never);
      times.push(outcome.kind === "recovered" ? outcome.listenAgain : 0);
    }
    expect(times).toEqual([100, 200, 400]);
    expect(await store.load(key)).toMatchObject({ session: { bindings: { one: { generation: 4 } } } });
  });

  /** Another session that was lost, beside the one of `open`. */
  const anotherLost = async (store: SessionStore) => {
    const key = sessionKey(mintSessionId());
    await store.create(key, {
      owner: ANONYMOUS,
      route: "/public",
      protocolVersion: undefined,
      initializeParams: PARAMS,
      bindings: { one: USED },
    });
    return { key, suspicion: "unreachable" as const };
  };

  test("asks a backend that refuses by 503 once, and lets it be for as long as it says, for all its sessions", async () => {
    const initialize = { status: 503, headers: { "retry-after": "5" } };
    const { recovery, loss, names, store } = await open({ answers: { initialize } });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "failed" });
    const braked = { kind: "braked", why: "retry-after" };
    expect(await recovery.recover({ ...loss, ...(await anotherLost(store)) }, never)).toMatchObject(braked);
    expect(await recovery.recover({ ...loss, suspicion: "unreachable" }, never)).toMatchObject(braked);
    expect(names()).toEqual(["ping", "initialize"]);
  });

  test.each([[403], [429]])(
    "asks a backend no more for the one session that it refuses by %i, and goes on to for others",
    async (status) => {
      const initialize = first(1, { status, headers: { "retry-after": "5" } });
      const { recovery, loss, names, store } = await open({ answers: { initialize } });
      const gone = { ...loss, suspicion: "unreachable" as const };
      expect(await recovery.recover(gone, never)).toMatchObject({ kind: "failed" });
      expect(await recovery.recover(gone, never)).toMatchObject({ kind: "braked", why: "retry-after" });
      expect(names()).toEqual(["initialize"]);
      const another = { ...loss, ...(await anotherLost(store)) };
      expect(await recovery.recover(another, never)).toMatchObject({ kind: "recovered" });
    },
  );

  test("does not hold where the refusal names no time, or another one comes through", async () => {
    const { recovery, loss } = await open({ answers: { initialize: first(1, { status: 503 }) } });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "failed" });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered" });
  });

  test.each<["probe" | "unreachable"]>([["probe"], ["unreachable"]])(
    "has what is replaced told that it has ended, wherever it was: %s",
    async (suspicion) => {
      const { recovery, loss, listener } = await open();
      expect(await recovery.recover({ ...loss, suspicion }, never)).toMatchObject({ kind: "recovered" });
      expect((await listener.called("DELETE")).headers).toMatchObject({
        "mcp-session-id": "old",
        "x-mcp-endpoint": USED.endpoint,
        ...Object.fromEntries(HEADERS),
      });
    },
  );
});

test("a backend whose sessions take their turns does not hold up those of another", async () => {
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

test("a lock is renewed for as long as its recovery takes, and not thereafter", async () => {
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
