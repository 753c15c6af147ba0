import { afterEach, describe, expect, test } from "vitest";
import { CONTINUE, type DeferredVerdict, type ResponseHead, type Verdict } from "../../../src/core/http.ts";
import type { StateChangeAt } from "../../../src/core/mcp/session-state.ts";
import { recoveryMessageTimeout } from "../../../src/core/routes.ts";
import { createBudget } from "../../../src/recovery/budget.ts";
import { createModeOverrideHealth, MISSES } from "../../../src/recovery/mode-override.ts";
import type { Recovery } from "../../../src/recovery/recover.ts";
import {
  createReplayableRequests,
  type NotRemembered,
  type NotReplayable,
  type ReplayableRequest,
  type ReplayableRequests,
  type SentMessage,
} from "../../../src/recovery/replayable.ts";
import { mintSessionId, sessionKey, sessionTag } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS, MAX_STATE_BYTES, NO_STATE, type SessionStore } from "../../../src/sessions/store.ts";
import { fields } from "../core/fields.ts";
import { POLICY, ROUTE } from "../core/policy.ts";
import { type AnswerOptions, answerWith, egressWith } from "./answers.ts";

const BODY = '{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}';
const START = BODY.indexOf('{"level"');
const LEVEL: StateChangeAt = { kind: "level", params: { start: START, end: BODY.length - 1 }, uri: "" };
const USED = { sessionId: "old", endpoint: "10.0.0.1:80", generation: 1 };
const NEW = { sessionId: "new", endpoint: "10.0.0.2:80", generation: 2 };
const HEADERS = {
  ":path": "/public?a=1",
  authorization: "Bearer ada",
  "content-type": "application/json",
  "mcp-protocol-version": "2025-06-18",
};
/** Bytes of what is kept of a request. */
const SIZE = BODY.length + fields(HEADERS).size;
const AS_IT_IS: Verdict = { kind: "mutate", set: [["mcp-session-id", "client-id"]], remove: [], clearRoute: false };

let close: () => Promise<void> = async () => undefined;
afterEach(() => close());

interface Options {
  readonly message?: SentMessage | undefined;
  /** As Envoy is told it. */
  readonly method?: string;
  readonly limit?: number;
  readonly budget?: number;
  readonly recover?: Recovery["recover"];
  readonly answer?: AnswerOptions | Error;
  /** Operations of the store that do something else. */
  readonly store?: Partial<SessionStore>;
}

type Recovered = Parameters<Recovery["recover"]>;

const recovered = async () => ({ kind: "recovered", binding: NEW, listenAgain: 100 }) as const;

/** A keeper, and a request of a session that it is asked to keep. */
async function open({
  message = { id: "7", body: Buffer.from(BODY) },
  method = "logging/setLevel",
  limit = 1_000,
  budget: total = 100_000,
  recover = recovered,
  answer = { headers: { "content-length": "2" }, body: "{}" },
  store: failing = {},
}: Options = {}) {
  const store = memoryStore({ idle: 60_000, lifetime: 60_000, unused: 60_000 });
  close = () => store.close();
  const key = sessionKey(mintSessionId());
  await store.create(key, {
    owner: ANONYMOUS,
    route: "/public",
    protocolVersion: undefined,
    initializeParams: "{}",
    bindings: { one: USED },
  });
  const budget = createBudget(total);
  const { egress, sent } = egressWith(answer instanceof Error ? answer : answerWith(answer));
  const recoveries: Recovered[] = [];
  const recovery: Recovery = {
    recover: (...of) => {
      recoveries.push(of);
      return recover(...of);
    },
  };
  const notRemembered: NotRemembered[] = [];
  const refused: string[] = [];
  const overridesRefused: string[] = [];
  const keeper = createReplayableRequests({
    store: { ...store, ...failing },
    recovery,
    egress,
    overrides: createModeOverrideHealth(),
    budget,
    answers: createBudget(1e9),
    notRemembered: (why) => notRemembered.push(why),
    refused: (reason, { path }) => refused.push(`${reason} ${path}`),
    overrideRefused: (missed, { path }) => overridesRefused.push(`${missed} ${path}`),
  });
  const request = {
    route: ROUTE,
    query: "?a=1",
    headers: fields(HEADERS),
    labels: { method, name: undefined },
    message,
    sessionId: "client-id",
    key,
    principal: ANONYMOUS,
    binding: USED,
    limits: { ...POLICY.limits, replayBody: limit },
  };
  const keep = (over: Partial<Parameters<ReplayableRequests["keep"]>[0]> = {}) => keeper.keep({ ...request, ...over });
  const remembered = async () => {
    const loaded = await store.load(key);
    return loaded.kind === "loaded" ? loaded.session.remembered?.get("one") : loaded;
  };
  /** Whether the budget has given nothing out. */
  const isWhole = () => {
    if (budget.take(request, total) !== undefined) return false;
    budget.give(request, total);
    return true;
  };
  return { keep, sent, recoveries, key, remembered, notRemembered, refused, overridesRefused, isWhole };
}

function head(status: string, over: Partial<ResponseHead> = {}): ResponseHead {
  return { headers: fields({ ":status": status }), endpoint: USED.endpoint, flags: 0, endOfStream: false, ...over };
}

function mustKeep(kept: ReplayableRequest | NotReplayable): ReplayableRequest {
  if (typeof kept === "string") throw new Error(`the request was not kept: ${kept}`);
  return kept;
}

/** The verdict on an answer that raises a suspicion. */
function laterOf(verdict: Verdict | Promise<Verdict> | DeferredVerdict): DeferredVerdict {
  if (verdict instanceof Promise || verdict.kind !== "deferred") throw new Error("the verdict does not come later");
  return verdict;
}

const lost = (kept: ReplayableRequest, over: Partial<ResponseHead> = {}) =>
  laterOf(kept.answer(head("404", over), AS_IT_IS)).verdict;

describe("a request is kept", () => {
  test("up to the limit of one body, and no further", async () => {
    const { keep, isWhole } = await open({ limit: BODY.length });
    expect(keep({ message: { id: "7", body: Buffer.from(`${BODY} `) } })).toBe("too-large");
    expect(isWhole()).toBe(true);
    expect(keep()).toBeTypeOf("object");
  });

  test("while the budget lasts, for bodies and headers, and what ends gives back", async () => {
    const { keep, isWhole } = await open({ budget: 3 * SIZE - 1 });
    const another = () => keep({ key: sessionKey(mintSessionId()) });
    const first = mustKeep(another());
    const second = mustKeep(another());
    expect(another()).toBe("budget");
    first.drop();
    const third = mustKeep(another());
    for (const kept of [second, third, first]) kept.drop();
    expect(isWhole()).toBe(true);
  });

  test("while its session and its principal have not used up their shares of it", async () => {
    const { keep, isWhole } = await open({ budget: 32 * SIZE });
    const kept = [mustKeep(keep()), mustKeep(keep())];
    expect(keep()).toBe("session-share");
    const ada = () => keep({ key: sessionKey(mintSessionId()), principal: "ada" });
    for (let n = 0; n < 8; n++) kept.push(mustKeep(ada()));
    expect(ada()).toBe("principal-share");
    for (const one of kept) one.drop();
    expect(isWhole()).toBe(true);
  });

  test("by its headers alone, where it is a GET", async () => {
    const { keep } = await open({ budget: fields(HEADERS).size });
    mustKeep(keep({ message: undefined }));
    expect(keep({ message: undefined })).toBe("budget");
  });

  test("until its answer is there, if that is none of a lost session, and is given back once", async () => {
    const { keep, isWhole } = await open({ budget: SIZE });
    const kept = mustKeep(keep());
    expect(kept.answer(head("200"), AS_IT_IS)).toBe(AS_IT_IS);
    expect(isWhole()).toBe(true);
    kept.drop();
    expect(isWhole()).toBe(true);
    mustKeep(keep());
    expect(keep()).toBe("budget");
  });

  test("while its session is recovered, and until it was sent again", async () => {
    const { keep, isWhole } = await open();
    const kept = mustKeep(keep());
    const verdict = lost(kept);
    expect(isWhole()).toBe(false);
    await verdict;
    expect(isWhole()).toBe(true);
    kept.drop();
    expect(isWhole()).toBe(true);
  });
});

describe("an answer that is none of a lost session goes on as it is", () => {
  test.each(["200", "405", "409", "429", "500", "502", "504"])("%s", async (status) => {
    const { keep, recoveries } = await open();
    expect(mustKeep(keep()).answer(head(status), AS_IT_IS)).toBe(AS_IT_IS);
    expect(recoveries).toEqual([]);
  });

  test.each(["401", "403", "404", "503"])("%s of one of Envoy's filters", async (status) => {
    const { keep, recoveries } = await open();
    expect(mustKeep(keep()).answer(head(status, { endpoint: undefined }), AS_IT_IS)).toBe(AS_IT_IS);
    expect(recoveries).toEqual([]);
  });
});

describe("what a backend is told of its session is remembered", () => {
  const noted = { message: { id: "7", body: Buffer.from(BODY), stateChanges: [LEVEL] } };

  test.each(["200", "202"])("once it has taken it, before the client knows: %s", async (status) => {
    const { keep, remembered } = await open(noted);
    const verdict = mustKeep(keep()).answer(head(status), CONTINUE);
    expect(verdict).toBeInstanceOf(Promise);
    expect(await verdict).toBe(CONTINUE);
    expect(await remembered()).toEqual({ ...NO_STATE, level: '{"level":"debug"}' });
  });

  test.each(["429", "500"])("but not where it did not take it: %s", async (status) => {
    const { keep, remembered } = await open(noted);
    expect(mustKeep(keep()).answer(head(status), CONTINUE)).toBe(CONTINUE);
    expect(await remembered()).toBeUndefined();
  });

  test("also where the session was recovered for it", async () => {
    const { keep, remembered } = await open(noted);
    expect(await lost(mustKeep(keep()))).toMatchObject({ kind: "reply", status: 200 });
    expect(await remembered()).toMatchObject({ level: '{"level":"debug"}' });
  });

  test("but not where the recovered session does not take it", async () => {
    const { keep, remembered } = await open({ ...noted, answer: { status: 400, headers: { "content-length": "0" } } });
    expect(await lost(mustKeep(keep()))).toMatchObject({ status: 400 });
    expect(await remembered()).toBeUndefined();
  });

  test("nor where the session was not recovered", async () => {
    const { keep, remembered } = await open({ ...noted, recover: async () => ({ kind: "alive", by: "ping" }) });
    await lost(mustKeep(keep()));
    expect(await remembered()).toBeUndefined();
  });

  test("by the resource of a subscription, until that ends", async () => {
    const { keep, remembered } = await open();
    const body = Buffer.from('{"uri":"a:b"}');
    const params = { start: 0, end: body.length };
    const subscribe = { id: "7", body, stateChanges: [{ kind: "subscribe", params, uri: "a:b" }] } as const;
    await mustKeep(keep({ message: subscribe })).answer(head("200"), CONTINUE);
    expect(await remembered()).toEqual({ ...NO_STATE, subscriptions: new Map([["a:b", '{"uri":"a:b"}']]) });
    const unsubscribe = { id: "7", body, stateChanges: [{ kind: "unsubscribe", params, uri: "a:b" }] } as const;
    await mustKeep(keep({ message: unsubscribe })).answer(head("200"), CONTINUE);
    expect(await remembered()).toBeUndefined();
  });

  test("and what does not fit is told, and costs the client nothing", async () => {
    const { keep, remembered, notRemembered } = await open({ limit: 1e6, budget: 1e6 });
    const body = Buffer.from(`{"uri":"a:b","pad":"${"x".repeat(MAX_STATE_BYTES)}"}`);
    const change = { kind: "subscribe", params: { start: 0, end: body.length }, uri: "a:b" } as const;
    const verdict = mustKeep(keep({ message: { id: "7", body, stateChanges: [change] } })).answer(
      head("200"),
      CONTINUE,
    );
    expect(await verdict).toBe(CONTINUE);
    expect(notRemembered).toEqual(["bytes"]);
    expect(await remembered()).toBeUndefined();
  });

  test("and so is what a store that is away does not remember", async () => {
    const store = { remember: async () => ({ kind: "unavailable" as const }) };
    const { keep, notRemembered } = await open({ ...noted, store });
    expect(await mustKeep(keep()).answer(head("200"), CONTINUE)).toBe(CONTINUE);
    expect(notRemembered).toEqual(["unavailable"]);
  });

  test("by each message of a batch, the last one of its kind", async () => {
    const { keep, remembered } = await open();
    const body = Buffer.from('[{"a":1},{"b":2},{"c":3}]');
    const at = (start: number) => ({ start, end: start + 7 });
    const stateChanges: StateChangeAt[] = [
      { kind: "level", params: at(1), uri: "" },
      { kind: "subscribe", params: at(9), uri: "b" },
      { kind: "level", params: at(17), uri: "" },
    ];
    await mustKeep(keep({ message: { id: undefined, body, stateChanges } })).answer(head("200"), CONTINUE);
    expect(await remembered()).toEqual({
      ...NO_STATE,
      level: '{"c":3}',
      subscriptions: new Map([["b", '{"b":2}']]),
    });
  });
});

describe("where a lost session cannot be looked after, for the store is away", () => {
  const recover = async () => ({ kind: "store-away" }) as const;

  test("a request is told so in band, and not that its session is lost", async () => {
    const { keep, sent, refused } = await open({ recover });
    expect(await lost(mustKeep(keep()))).toMatchObject({
      kind: "reply",
      status: 200,
      body: expect.stringMatching(/^\{"jsonrpc":"2.0","id":7,"error":\{"code":-32603,.*"retryAfterMs":1000/),
    });
    expect(sent).toEqual([]);
    expect(refused).toEqual([`store-unavailable ${ROUTE.path}`]);
  });

  test("what has no id gets 503", async () => {
    const { keep } = await open({ recover });
    const kept = mustKeep(keep({ message: { id: undefined, body: Buffer.from("{}") } }));
    expect(await lost(kept)).toMatchObject({ kind: "reply", status: 503 });
  });

  test("a GET comes again in a second", async () => {
    const { keep } = await open({ recover });
    expect(await lost(mustKeep(keep({ message: undefined })))).toMatchObject({ status: 200, body: "retry: 1000\n\n" });
  });
});

describe("the answer of a lost session", () => {
  test("has Envoy wait for a recovery and the backend's answer", async () => {
    const { keep } = await open();
    const { messageTimeout, verdict } = laterOf(mustKeep(keep()).answer(head("404"), AS_IT_IS));
    expect(messageTimeout).toBe(recoveryMessageTimeout(ROUTE.backend.timeouts));
    await verdict;
  });

  test.each([
    ["probe", head("404"), USED.endpoint],
    ["probe", head("400", { endpoint: "10.0.0.9:80" }), "10.0.0.9:80"],
    ["probe-and-log-in", head("401"), USED.endpoint],
    ["unreachable", head("503", { flags: 0x20, endpoint: undefined }), USED.endpoint],
  ])("has its session recovered: %s", async (suspicion, answer, answeredBy) => {
    const { keep, recoveries, key } = await open();
    await laterOf(mustKeep(keep()).answer(answer, AS_IT_IS)).verdict;
    expect(recoveries.map(([loss]) => loss)).toEqual([
      {
        suspicion,
        status: Number(answer.headers.get(":status")),
        key,
        backend: ROUTE.backend,
        query: "?a=1",
        used: USED,
        answeredBy,
        headers: [["authorization", "Bearer ada"]],
        version: "2025-06-18",
      },
    ]);
  });

  test("is replaced by that of the request, sent once more in the new session", async () => {
    const { keep, sent, key } = await open();
    expect(await lost(mustKeep(keep()))).toMatchObject({ kind: "reply", status: 200 });
    expect(sent).toEqual([
      {
        purpose: "recovery",
        to: { backend: ROUTE.backend, query: "?a=1" },
        session: NEW,
        method: "POST",
        headers: [
          ["authorization", "Bearer ada"],
          ["content-type", "application/json"],
          ["mcp-protocol-version", "2025-06-18"],
          ["x-mcp-session", sessionTag(key)],
          ["x-mcp-method", "logging/setLevel"],
        ],
        body: Buffer.from(BODY),
      },
    ]);
  });

  test("is sent once more with the cookies that the new session was given", async () => {
    const setCookies = ["LB=2; Path=/"];
    const { keep, sent } = await open({
      recover: async () => ({ kind: "recovered", binding: NEW, listenAgain: 100, setCookies }),
    });
    await lost(mustKeep(keep()));
    expect(sent[0]?.headers).toContainEqual(["cookie", "LB=2"]);
  });

  test("goes on as it is where the request may have run", async () => {
    const ping = { status: 404, namesSession: false, length: 100, ids: 0, idLength: 12 };
    const { keep, sent } = await open({
      recover: async () => ({ kind: "recovered", binding: NEW, ping, listenAgain: 100 }),
      method: "tools/call",
    });
    const ofLength = (length: string) => ({ headers: fields({ ":status": "404", "content-length": length }) });
    expect(await lost(mustKeep(keep()), ofLength("10"))).toBe(AS_IT_IS);
    expect(sent).toEqual([]);
    expect(await lost(mustKeep(keep()), ofLength("100"))).toMatchObject({ kind: "reply" });
  });

  test("is replaced also where somebody else has recovered the session", async () => {
    const { keep } = await open({ recover: async () => ({ kind: "joined", binding: NEW }) });
    expect(await lost(mustKeep(keep()))).toMatchObject({ kind: "reply", status: 200 });
  });

  test("is replaced also by that of a session lost again: there is no third time", async () => {
    const answer = { status: 404, headers: { "content-length": "4" }, body: "gone" };
    const { keep, sent, recoveries } = await open({ answer });
    expect(await lost(mustKeep(keep()))).toMatchObject({ status: 404, body: Buffer.from("gone") });
    expect([sent.length, recoveries.length]).toEqual([1, 1]);
  });

  test("is replaced whole where it has no body to be replaced", async () => {
    const { keep } = await open({ answer: { headers: { "content-type": "text/event-stream" }, body: "data: 1\n\n" } });
    expect(await lost(mustKeep(keep()))).toMatchObject({ kind: "stream" });
    expect(await lost(mustKeep(keep()), { endOfStream: true })).toMatchObject({ kind: "reply" });
  });

  test("is replaced whole too, and its session recovered, once Envoy is held to refuse what is streamed", async () => {
    const { keep, overridesRefused } = await open({
      answer: { headers: { "content-type": "text/event-stream" }, body: "data: 1\n\n" },
    });
    const stream = async () => {
      const verdict = await lost(mustKeep(keep()));
      if (verdict.kind !== "stream") throw new Error(`not streamed but ${verdict.kind}`);
      return verdict;
    };
    const first = await stream();
    for (let n = 1; n < MISSES; n++) first.onModeOverride("ignored");
    expect(overridesRefused).toEqual([]);
    const last = await stream();
    last.onModeOverride("ignored");
    expect(overridesRefused).toEqual([`${MISSES} ${ROUTE.path}`]);
    expect(await lost(mustKeep(keep()))).toMatchObject({ kind: "reply", status: 200 });
    last.onModeOverride("accepted");
    await stream();
  });

  test("of a GET becomes an event stream that has the client connect again", async () => {
    const { keep, sent } = await open();
    expect(await lost(mustKeep(keep({ message: undefined })))).toEqual({
      kind: "reply",
      status: 200,
      headers: [
        ["content-type", "text/event-stream"],
        ["cache-control", "no-cache"],
        ["mcp-session-id", "client-id"],
      ],
      body: "retry: 100\n\n",
      details: "mcp_reconnect",
    });
    expect(sent).toEqual([]);
  });

  test("of a GET tells the client the cookies that the new session was given", async () => {
    const setCookies = ["LB=2; Path=/"];
    const { keep } = await open({
      recover: async () => ({ kind: "recovered", binding: NEW, listenAgain: 100, setCookies }),
    });
    expect(await lost(mustKeep(keep({ message: undefined })))).toMatchObject({
      headers: expect.arrayContaining([["set-cookie", "LB=2; Path=/"]]),
    });
  });

  test.each<[string, Awaited<ReturnType<Recovery["recover"]>>, string]>([
    ["as soon as its recovery says", { kind: "recovered", binding: NEW, listenAgain: 6_400 }, "retry: 6400\n\n"],
    ["soon where another one recovered it", { kind: "joined", binding: NEW }, "retry: 100\n\n"],
    ["when the brake lets go", { kind: "braked", why: "lost again", wait: 12_345.6 }, "retry: 12346\n\n"],
  ])("of a GET has the client connect again %s", async (_, outcome, body) => {
    const { keep } = await open({ recover: async () => outcome });
    expect(await lost(mustKeep(keep({ message: undefined })))).toMatchObject({ kind: "reply", status: 200, body });
  });

  test("of a GET whose backend nobody reaches is an event stream at once, and a recovery is left to who comes again", async () => {
    const { keep, recoveries } = await open();
    const gone = head("503", { flags: 0x20, endpoint: undefined });
    const { verdict } = laterOf(mustKeep(keep({ message: undefined })).answer(gone, AS_IT_IS));
    expect(await verdict).toMatchObject({ kind: "reply", status: 200, body: "retry: 2000\n\n" });
    expect(recoveries).toEqual([]);
  });

  test("goes on as it is while the brake holds", async () => {
    const { keep, sent } = await open({ recover: async () => ({ kind: "braked", why: "retry-after", wait: 5_000 }) });
    expect(await lost(mustKeep(keep()))).toBe(AS_IT_IS);
    expect(sent).toEqual([]);
  });

  test.each(["POST", "GET"])("goes on as it is where the session lives, or is not recovered: %s", async (method) => {
    for (const outcome of [
      { kind: "alive", by: "ping" },
      { kind: "failed", why: { reason: "session-ended" }, passes: false },
    ] as const) {
      const { keep, sent } = await open({ recover: async () => outcome });
      const kept = mustKeep(method === "GET" ? keep({ message: undefined }) : keep());
      expect(await lost(kept)).toBe(AS_IT_IS);
      expect(sent).toEqual([]);
    }
  });

  test("is a 502 where the request may have run and its answer is lost: by a 404 the client would send it again", async () => {
    const { keep, refused } = await open({ answer: new Error("reset") });
    expect(await lost(mustKeep(keep()))).toMatchObject({ kind: "reply", status: 502, details: "mcp_answer_lost" });
    expect(refused).toEqual([`answer-lost ${ROUTE.path}`]);
    const tooLong = await open({ answer: { headers: { "content-length": "20000" }, body: "x".repeat(20_000) } });
    expect(await lost(mustKeep(tooLong.keep()))).toMatchObject({ status: 502 });
  });
});

test("a redirect that answers a request which was sent again reaches no client", async () => {
  const { keep, refused } = await open({ answer: { status: 307, headers: { location: "http://10.0.0.1/mcp/" } } });
  const verdict = await lost(mustKeep(keep()));
  expect(verdict).toMatchObject({ kind: "reply", status: 502, body: expect.stringContaining('"id":7,') });
  expect(JSON.stringify(verdict)).not.toContain("10.0.0.1");
  expect(refused).toEqual([`backend-redirects ${ROUTE.path}`]);
});

describe("a request that has ended", () => {
  test("is told to its recovery, and is not sent again", async () => {
    const { keep, sent } = await open({
      recover: (_, signal) =>
        new Promise((resolve) =>
          signal.addEventListener("abort", () => resolve({ kind: "recovered", binding: NEW, listenAgain: 100 })),
        ),
    });
    const kept = mustKeep(keep());
    const verdict = lost(kept);
    kept.drop();
    expect(await verdict).toBe(AS_IT_IS);
    expect(sent).toEqual([]);
  });

  test("is told to its recovery also where it has ended before that began", async () => {
    const { keep, recoveries } = await open();
    const kept = mustKeep(keep());
    kept.drop();
    await lost(kept);
    expect(recoveries.map(([, signal]) => signal.aborted)).toEqual([true]);
  });

  test("is no fault where it has ended before its second answer came", async () => {
    let kept: ReplayableRequest | undefined;
    const { keep, isWhole } = await open({
      answer: new Error("aborted"),
      recover: async () => {
        // As soon as it is sent.
        queueMicrotask(() => kept?.drop());
        return { kind: "recovered", binding: NEW, listenAgain: 100 };
      },
    });
    kept = mustKeep(keep());
    expect(await lost(kept)).toBe(AS_IT_IS);
    expect(isWhole()).toBe(true);
  });
});
