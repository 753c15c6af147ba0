/** What the gateway keeps of a request in case its session is lost, and when it lets go of that. */
import { describe, expect, test } from "vitest";
import { createAdmission } from "../../../src/admission/admission.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import type { DeferredVerdict, ResponseHead, Verdict } from "../../../src/core/http.ts";
import type { RequestPolicy } from "../../../src/core/routes.ts";
import { createGateway, type Exchange, type RequestEvent } from "../../../src/gateway/gateway.ts";
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
