import { describe, expect, test } from "vitest";
import type { Use } from "../../../src/admission/in-use.ts";
import type { Decision, Reply, Verdict } from "../../../src/core/http.ts";
import type { StateChangeAt } from "../../../src/core/mcp/session-state.ts";
import { type Backend, recoveryMessageTimeout } from "../../../src/core/routes.ts";
import { createSendInSession } from "../../../src/gateway/in-session.ts";
import { createBudget } from "../../../src/recovery/budget.ts";
import type { RecoveredAnswer } from "../../../src/recovery/recovered-answer.ts";
import { createReplayableRequests, type SentMessage } from "../../../src/recovery/replayable.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS, MAX_STATE_BYTES, NO_STATE, type SessionStore } from "../../../src/sessions/store.ts";
import { unavailable } from "../../support/unavailable.ts";
import { BACKEND, POLICY, ROUTE } from "../core/policy.ts";
import { answerHead, BINDING } from "./open.ts";
import { gatewayRequest, observed } from "./requests.ts";

const BODY = '{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}';
const START = BODY.indexOf('{"level"');
const LEVEL: StateChangeAt = { kind: "level", params: { start: START, end: BODY.length - 1 }, uri: "" };

function messageOf(body: string, stateChanges?: readonly StateChangeAt[]): SentMessage {
  return { body: Buffer.from(body), labels: { method: undefined, name: undefined }, stateChanges };
}

const REPLAYED: Reply = { kind: "reply", status: 200, headers: [], body: "{}", details: "mcp_recovered" };

interface Options {
  readonly backend?: Partial<Backend>;
  readonly budget?: number;
  /** Operations of the store that do something else. */
  readonly store?: Partial<SessionStore>;
  /** What the client gets in place of an answer that raises a suspicion. */
  readonly recovered?: (message: SentMessage | undefined, signal: AbortSignal) => RecoveredAnswer;
}

/** Sends requests into a session. */
async function open({
  backend,
  budget: total = 1e6,
  store: over,
  recovered = () => ({ kind: "first" }),
}: Options = {}) {
  const store = memoryStore({ idle: 60_000, lifetime: 60_000, unused: 60_000 });
  const id = mintSessionId();
  const key = sessionKey(id);
  const session = { owner: ANONYMOUS, route: "/mcp", protocolVersion: undefined, initializeParams: "{}" };
  await store.create(key, { ...session, bindings: { one: BINDING } });
  const { events, observe } = observed();
  const uses = new Set<Use>();
  const budget = createBudget(total);
  const sendInSession = createSendInSession({
    store: { ...store, ...over },
    inUse: { begin: (use) => void uses.add(use), end: (use) => void uses.delete(use), stop: async () => undefined },
    replayable: createReplayableRequests(budget),
    recovered: { answer: async (kept, _head, _suspicion, signal) => recovered(kept.message, signal) },
  });
  const route = { ...ROUTE, backend: { ...BACKEND, ...backend } };
  const policy = { ...POLICY, limits: { ...POLICY.limits, replayBody: 1e6 } };
  const { request, scope } = gatewayRequest({ observe, route, policy });
  const own = { kind: "live", id, key, binding: BINDING, listening: undefined } as const;
  const send = (message: SentMessage | undefined = messageOf(BODY)) => sendInSession(request, own, message);
  const remembered = async () => {
    const loaded = await store.load(key);
    return loaded.kind === "loaded" ? loaded.session.remembered?.get("one") : loaded;
  };
  /** Whether nothing is kept. */
  const isWhole = () => {
    const holder = { key, principal: ANONYMOUS };
    if (budget.take(holder, total) !== undefined) return false;
    budget.give(holder, total);
    return true;
  };
  return { send, scope, events, uses, remembered, isWhole, id };
}

const status = (code: string) => answerHead({ ":status": code });

/** The verdict on an answer that raises a suspicion. */
async function deferred(decision: Decision): Promise<Verdict> {
  if (decision instanceof Promise || decision.kind !== "deferred") throw new Error("the verdict is not deferred");
  return decision.verdict;
}

describe("a request in a session", () => {
  test("holds its session and its message until it ends", async () => {
    const { send, scope, uses, isWhole } = await open();
    send();
    expect([uses.size, isWhole()]).toEqual([1, false]);
    scope.end();
    expect([uses.size, isWhole()]).toEqual([0, true]);
  });

  test("holds nothing where the client has left before it is sent", async () => {
    const { send, scope, uses, isWhole } = await open();
    scope.end();
    send();
    expect([uses.size, isWhole()]).toEqual([0, true]);
  });

  test("is kept until its answer is there, if that raises no suspicion", async () => {
    const { send, isWhole } = await open();
    const { answer } = send();
    expect(answer.head(status("200"))).toEqual({ kind: "continue" });
    expect(isWhole()).toBe(true);
  });

  test("whose body is not kept is told of, and its answers pass", async () => {
    const { send, events } = await open({ budget: 10 });
    const { answer } = send();
    expect(events).toContainEqual(expect.objectContaining({ kind: "not-replayable", reason: "budget" }));
    expect(answer.head(status("404"))).toEqual({ kind: "continue" });
  });
});

describe("an answer that raises a suspicion", () => {
  test("has Envoy wait for a recovery and the backend's answer", async () => {
    const { send } = await open();
    expect(send().answer.head(status("404"))).toMatchObject({
      kind: "deferred",
      messageTimeout: recoveryMessageTimeout(BACKEND),
    });
  });

  test("is refused where the recovery says so, which is told of", async () => {
    const { send, events } = await open({
      recovered: () => ({ kind: "refused", reject: { reason: "answer-lost", id: "7" } }),
    });
    expect(await deferred(send().answer.head(status("404")))).toMatchObject({ kind: "reply", status: 502 });
    expect(events).toContainEqual({ kind: "rejected", reason: "answer-lost", route: ROUTE });
  });

  test("is waited for no longer than the request", async () => {
    let waiting: AbortSignal | undefined;
    const { send, scope } = await open({
      recovered: (_, signal) => {
        waiting = signal;
        return { kind: "first" };
      },
    });
    await deferred(send().answer.head(status("404")));
    expect(waiting?.aborted).toBe(false);
    scope.end();
    expect(waiting?.aborted).toBe(true);
  });

  test("is the client's on a route that passes losses on", async () => {
    const { send } = await open({ backend: { onSessionLost: "surface" } });
    expect(send().answer.head(status("404"))).toEqual({ kind: "continue" });
  });
});

describe("what a backend is told of its session is remembered", () => {
  const changing = messageOf(BODY, [LEVEL]);
  const replayed = (code: number) => (message: SentMessage | undefined) => {
    if (!message) throw new Error("no message was kept");
    return { kind: "replayed", answer: { ...REPLAYED, status: code }, message } as const;
  };

  test.each(["200", "202"])("once it has taken it, before the client knows: %s", async (code) => {
    const { send, remembered } = await open();
    const verdict = send(changing).answer.head(status(code));
    expect(verdict).toBeInstanceOf(Promise);
    expect(await verdict).toEqual({ kind: "continue" });
    expect(await remembered()).toEqual({ ...NO_STATE, level: '{"level":"debug"}' });
  });

  test.each(["429", "500"])("but not where it did not take it: %s", async (code) => {
    const { send, remembered } = await open();
    expect(send(changing).answer.head(status(code))).toEqual({ kind: "continue" });
    expect(await remembered()).toBeUndefined();
  });

  test("also where the session was recovered for it", async () => {
    const { send, remembered } = await open({ recovered: replayed(200) });
    expect(await deferred(send(changing).answer.head(status("404")))).toMatchObject({ kind: "reply", status: 200 });
    expect(await remembered()).toMatchObject({ level: '{"level":"debug"}' });
  });

  test("but not where the recovered session does not take it", async () => {
    const { send, remembered } = await open({ recovered: replayed(400) });
    expect(await deferred(send(changing).answer.head(status("404")))).toMatchObject({ status: 400 });
    expect(await remembered()).toBeUndefined();
  });

  test("nor where the session was not recovered", async () => {
    const { send, remembered } = await open();
    await deferred(send(changing).answer.head(status("404")));
    expect(await remembered()).toBeUndefined();
  });

  test("by the resource of a subscription, until that ends", async () => {
    const { send, remembered } = await open();
    const params = { start: 0, end: '{"uri":"a:b"}'.length };
    const told = (kind: "subscribe" | "unsubscribe") => messageOf('{"uri":"a:b"}', [{ kind, params, uri: "a:b" }]);
    await send(told("subscribe")).answer.head(status("200"));
    expect(await remembered()).toEqual({ ...NO_STATE, subscriptions: new Map([["a:b", '{"uri":"a:b"}']]) });
    await send(told("unsubscribe")).answer.head(status("200"));
    expect(await remembered()).toBeUndefined();
  });

  test("and what does not fit is told, and costs the client nothing", async () => {
    const { send, remembered, events } = await open();
    const body = `{"uri":"a:b","pad":"${"x".repeat(MAX_STATE_BYTES)}"}`;
    const change = { kind: "subscribe", params: { start: 0, end: body.length }, uri: "a:b" } as const;
    expect(await send(messageOf(body, [change])).answer.head(status("200"))).toEqual({ kind: "continue" });
    expect(events).toContainEqual({ kind: "state-not-remembered", reason: "bytes", route: ROUTE });
    expect(await remembered()).toBeUndefined();
  });

  test("and so is what a store that is away does not remember", async () => {
    const store = { remember: unavailable };
    const { send, events } = await open({ store });
    expect(await send(changing).answer.head(status("200"))).toEqual({ kind: "continue" });
    expect(events).toContainEqual({ kind: "state-not-remembered", reason: "unavailable", route: ROUTE });
  });

  test("by each message of a batch, the last one of its kind", async () => {
    const { send, remembered } = await open();
    const at = (start: number) => ({ start, end: start + 7 });
    const changes: StateChangeAt[] = [
      { kind: "level", params: at(1), uri: "" },
      { kind: "subscribe", params: at(9), uri: "b" },
      { kind: "level", params: at(17), uri: "" },
    ];
    await send(messageOf('[{"a":1},{"b":2},{"c":3}]', changes)).answer.head(status("200"));
    expect(await remembered()).toEqual({
      ...NO_STATE,
      level: '{"c":3}',
      subscriptions: new Map([["b", '{"b":2}']]),
    });
  });
});
