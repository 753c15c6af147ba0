/** What the gateway keeps of a request in case its session is lost, and when it lets go of that. */
import { describe, expect, test } from "vitest";
import { createAdmission } from "../../../src/admission/admission.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import type { DeferredVerdict, ResponseHead, Verdict } from "../../../src/core/http.ts";
import type { RequestPolicy } from "../../../src/core/routes.ts";
import type { RequestEvent } from "../../../src/gateway/events.ts";
import type { Exchange } from "../../../src/gateway/exchange.ts";
import { createGateway } from "../../../src/gateway/gateway.ts";
import type { ReplayableRequest, ReplayableRequests } from "../../../src/recovery/replayable.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS, type SessionStore, type StateChange } from "../../../src/sessions/store.ts";
import { fields } from "../core/fields.ts";
import { BACKEND, POLICY, ROUTE } from "../core/policy.ts";

const BINDING = { sessionId: "backend-id", endpoint: "10.0.0.1:80", generation: 1 };
const CALL = '{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a"}}';
const LEVEL = '{"jsonrpc":"2.0","id":"x","method":"logging/setLevel","params":{"level":"debug"}}';
const INITIALIZE = '{"jsonrpc":"2.0","id":"x","method":"initialize","params":{"protocolVersion":"2025-11-25"}}';
const INSTEAD: DeferredVerdict = {
  kind: "deferred",
  messageTimeout: 1,
  verdict: Promise.resolve({ kind: "continue" }),
};
const SURFACE: RequestPolicy = {
  ...POLICY,
  routes: new Map([["/mcp", { ...ROUTE, backend: { ...BACKEND, onSessionLost: "surface" } }]]),
};

interface Options {
  readonly policy?: RequestPolicy;
  readonly over?: Partial<SessionStore>;
  /** False: nothing is kept. */
  readonly keeps?: boolean;
}

/** A gateway with one session, whose keeper tells what it was asked. */
async function open({ policy = POLICY, over = {}, keeps = true }: Options = {}) {
  const store = memoryStore({ idle: 60_000, lifetime: 60_000, unused: 60_000 });
  const id = mintSessionId();
  const key = sessionKey(id);
  const session = { owner: ANONYMOUS, route: "/mcp", protocolVersion: undefined, initializeParams: "{}" };
  await store.create(key, { ...session, bindings: { one: BINDING } });
  const asked: Parameters<ReplayableRequests["keep"]>[0][] = [];
  const answered: [ResponseHead, Verdict][] = [];
  let dropped = 0;
  const kept: ReplayableRequest = {
    answer: (head, asItIs) => {
      answered.push([head, asItIs]);
      return INSTEAD;
    },
    drop: () => void dropped++,
  };
  const events: RequestEvent[] = [];
  const remarks: StateChange[] = [];
  const remember: SessionStore["remember"] = (of, backend, change) => {
    remarks.push(change);
    return store.remember(of, backend, change);
  };
  const ledger = memoryLedger();
  const gateway = createGateway({
    policy: () => policy,
    store: { ...store, remember, ...over },
    ledger,
    admission: createAdmission(ledger),
    keeper: {
      keep: (request) => {
        asked.push(request);
        return keeps ? kept : "budget";
      },
    },
    inUse: { begin: () => undefined, end: () => undefined, stop: async () => undefined },
    resume: async () => ({ kind: "none" }),
    abandon: async () => true,
    observe: (event) => void events.push(event),
  });
  const headers = (method: string, sessionId: string | undefined) => ({
    ":method": method,
    ":path": "/mcp?a=1",
    ":authority": "gw",
    "content-type": "application/json",
    accept: "text/event-stream",
    ...(sessionId !== undefined && { "mcp-session-id": sessionId }),
  });
  /** Sends a request; a body makes it a POST. */
  const send = async (method: string, body?: string, sessionId: string | undefined = id): Promise<Exchange> => {
    const exchange = gateway.open();
    const head = { headers: fields(headers(method, sessionId)), endOfStream: body === undefined };
    await exchange.requestHeaders(head);
    if (body !== undefined) await exchange.requestBody(Buffer.from(body));
    return exchange;
  };
  return {
    gateway,
    store,
    remarks,
    send,
    asked,
    answered,
    dropped: () => dropped,
    events,
    id,
    key,
    headers,
  };
}

const LOST: ResponseHead = {
  headers: fields({ ":status": "404", "mcp-session-id": "backend-id" }),
  endpoint: BINDING.endpoint,
  flags: 0,
  endOfStream: false,
};

describe("a request of a session is kept", () => {
  test("with all that it takes to send it again", async () => {
    const { send, asked, id, key, headers } = await open();
    await send("POST", CALL);
    expect(asked).toEqual([
      {
        route: ROUTE,
        query: "?a=1",
        headers: expect.anything(),
        labels: { method: "tools/call", name: "a" },
        message: { id: '"x"', body: Buffer.from(CALL), notes: undefined },
        sessionId: id,
        key,
        principal: ANONYMOUS,
        binding: BINDING,
        limits: POLICY.limits,
      },
    ]);
    expect([...(asked[0]?.headers.entries() ?? [])]).toEqual(Object.entries(headers("POST", id)));
  });

  test("with what it tells the backend to remember", async () => {
    const { send, asked } = await open();
    await send("POST", LEVEL);
    expect(asked).toMatchObject([{ message: { stateChanges: [{ kind: "level" }] } }]);
  });

  test("without a message where it is a GET", async () => {
    const { send, asked } = await open();
    await send("GET");
    expect(asked).toMatchObject([{ message: undefined, labels: undefined, binding: BINDING }]);
  });
});

describe("nothing is kept", () => {
  test.each([
    ["of an initialize, also one with a session id", "POST", INITIALIZE],
    ["of a DELETE", "DELETE", undefined],
  ])("%s", async (_, method, body) => {
    const { send, asked } = await open();
    const exchange = await send(method, body);
    expect(asked).toEqual([]);
    expect(exchange.responseHeaders(LOST)).not.toBe(INSTEAD);
  });

  test("of a request without a session, or with one that nobody knows", async () => {
    const { send, asked } = await open();
    await send("POST", CALL, mintSessionId());
    await send("POST", CALL, "");
    expect(asked).toEqual([]);
  });

  test.each(["POST", "GET"])("on a route that passes losses on: %s", async (method) => {
    const { send, asked, id } = await open({ policy: SURFACE });
    const exchange = await send(method, method === "POST" ? CALL : undefined);
    expect(asked).toEqual([]);
    expect(exchange.responseHeaders(LOST)).toEqual({
      kind: "mutate",
      set: [["mcp-session-id", id]],
      remove: [],
      clearRoute: false,
    });
  });

  test("of a request that has ended before its session was found", async () => {
    const { gateway, asked, headers, id } = await open();
    const exchange = gateway.open();
    exchange.requestHeaders({ headers: fields(headers("POST", id)), endOfStream: false });
    const verdict = exchange.requestBody(Buffer.from(CALL));
    exchange.closed();
    await verdict;
    expect(asked).toEqual([]);
  });
});

describe("the answer to a request that was kept", () => {
  test("is what the keeper makes of it, given the verdict that would pass it on", async () => {
    const { send, answered, id } = await open();
    const exchange = await send("POST", CALL);
    expect(exchange.responseHeaders(LOST)).toBe(INSTEAD);
    expect(answered).toEqual([
      [LOST, { kind: "mutate", set: [["mcp-session-id", id]], remove: [], clearRoute: false }],
    ]);
  });

  test("goes on as it is where the request could not be kept, which is told of", async () => {
    const { send, events } = await open({ keeps: false });
    const exchange = await send("POST", CALL);
    expect(exchange.responseHeaders(LOST)).toMatchObject({ kind: "mutate" });
    expect(events).toContainEqual({ kind: "not-replayable", reason: "budget", route: ROUTE });
  });

  test("is dropped when the request ends", async () => {
    const { send, dropped } = await open();
    const exchange = await send("POST", CALL);
    expect(dropped()).toBe(0);
    exchange.closed();
    expect(dropped()).toBe(1);
  });
});
describe("a GET that says what its client heard last", () => {
  const STREAM: ResponseHead = {
    headers: fields({ ":status": "200", "content-type": "text/event-stream" }),
    endpoint: BINDING.endpoint,
    flags: 0,
    endOfStream: false,
  };

  /** A session that was recovered so many times. */
  async function recovered(times: number, options: Options = {}) {
    const opened = await open(options);
    const { store, key, gateway, headers, id } = opened;
    const recover = (generation: number) => store.bind(key, "one", generation, BINDING);
    for (let generation = 1; generation <= times; generation++) await recover(generation);
    /** Sends it, and gives what goes on of it. */
    const listen = async (over: Readonly<Record<string, string>> = { "last-event-id": "e1" }) => {
      const exchange = gateway.open();
      const head = { headers: fields({ ...headers("GET", id), ...over }), endOfStream: true };
      return { exchange, verdict: await exchange.requestHeaders(head) };
    };
    return { ...opened, listen, recover };
  }

  const goesOn = { kind: "mutate", remove: [] };
  const beginsAnew = { kind: "mutate", remove: ["last-event-id"] };

  test("goes on with it where its session was never lost, and nothing is written", async () => {
    const { listen, remarks } = await recovered(0);
    const { exchange, verdict } = await listen();
    expect(verdict).toMatchObject(goesOn);
    exchange.responseHeaders(STREAM);
    expect(remarks).toEqual([]);
  });

  test("goes on without it after a recovery, and the next one with it: that is one write", async () => {
    const { listen, remarks } = await recovered(1);
    const { exchange, verdict } = await listen();
    expect(verdict).toMatchObject(beginsAnew);
    exchange.responseHeaders(STREAM);
    for (let n = 0; n < 2; n++) {
      const next = await listen();
      expect(next.verdict).toMatchObject(goesOn);
      next.exchange.responseHeaders(STREAM);
    }
    expect(remarks).toEqual([{ kind: "listening", generation: 2 }]);
  });

  test("goes on without it after each further recovery", async () => {
    const { listen, recover } = await recovered(3);
    (await listen()).exchange.responseHeaders(STREAM);
    expect((await listen()).verdict).toMatchObject(goesOn);
    await recover(4);
    expect((await listen()).verdict).toMatchObject(beginsAnew);
  });

  test("goes on with it where the client has opened a stream since, in which it had nothing to say", async () => {
    const { listen } = await recovered(1);
    const { exchange, verdict } = await listen({});
    expect(verdict).toMatchObject(goesOn);
    exchange.responseHeaders(STREAM);
    expect((await listen()).verdict).toMatchObject(goesOn);
  });

  test.each(["404", "503"])("goes on without it until a stream was opened: %s", async (status) => {
    const { listen, remarks } = await recovered(1);
    (await listen()).exchange.responseHeaders({ ...STREAM, headers: fields({ ":status": status }) });
    expect((await listen()).verdict).toMatchObject(beginsAnew);
    expect(remarks).toEqual([]);
  });

  test("goes on without it where the store could not remember the one before", async () => {
    const remember = async () => ({ kind: "unavailable" }) as const;
    const { listen } = await recovered(1, { over: { remember } });
    const { exchange } = await listen();
    exchange.responseHeaders(STREAM);
    expect((await listen()).verdict).toMatchObject(beginsAnew);
  });

  test("is no POST, whose header of that name means nothing and goes on", async () => {
    const { gateway, headers, id, remarks } = await recovered(1);
    const exchange = gateway.open();
    const head = { headers: fields({ ...headers("POST", id), "last-event-id": "e1" }), endOfStream: false };
    await exchange.requestHeaders(head);
    expect(await exchange.requestBody(Buffer.from(CALL))).toMatchObject(goesOn);
    exchange.responseHeaders(STREAM);
    expect(remarks).toEqual([]);
  });
});

test("a session that was recovered while its DELETE came is ended where it is by now", async () => {
  const moved = { sessionId: "new", endpoint: "10.0.0.2:80", generation: 2 };
  const session = { owner: ANONYMOUS, route: "/mcp", protocolVersion: undefined, initializeParams: "{}" };
  const remove = async () => ({ kind: "removed", session: { ...session, bindings: { one: moved } } }) as const;
  const { gateway, headers, id } = await open({ over: { remove } });
  const verdict = await gateway.open().requestHeaders({ headers: fields(headers("DELETE", id)), endOfStream: true });
  expect(verdict).toMatchObject({
    kind: "mutate",
    set: expect.arrayContaining([
      ["x-mcp-endpoint", moved.endpoint],
      ["mcp-session-id", moved.sessionId],
    ]),
  });
});
