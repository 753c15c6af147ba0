import { describe, expect, test } from "vitest";
import type { ResponseHead, Verdict } from "../../../src/core/http.ts";
import { answer as replyTo } from "../../../src/core/reject.ts";
import { createBudget } from "../../../src/recovery/budget.ts";
import type { ListensAgain } from "../../../src/recovery/listened.ts";
import { createModeOverrideHealth, MISSES } from "../../../src/recovery/mode-override.ts";
import type { Recovery } from "../../../src/recovery/recover.ts";
import { createRecoveredAnswers, suspectAnswer } from "../../../src/recovery/recovered-answer.ts";
import { createReplayableRequests, type ReplayableRequest } from "../../../src/recovery/replayable.ts";
import { mintSessionId, sessionKey, sessionTag } from "../../../src/sessions/id.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";
import { fields } from "../core/fields.ts";
import { POLICY, ROUTE } from "../core/policy.ts";
import { type AnswerOptions, answerWith, egressWith } from "./answers.ts";

const BODY = '{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}';
const USED = { sessionId: "old", endpoint: "10.0.0.1:80", generation: 1 };
const NEW = { sessionId: "new", endpoint: "10.0.0.2:80", generation: 2 };
const HEADERS = {
  ":path": "/public?a=1",
  authorization: "Bearer ada",
  "content-type": "application/json",
  "mcp-protocol-version": "2025-06-18",
};
const AS_IT_IS: Verdict = { kind: "mutate", set: [["mcp-session-id", "client-id"]], remove: [], clearRoute: false };

interface Options {
  /** As Envoy is told it. */
  readonly method?: string;
  /** True: the message has no id. */
  readonly withoutId?: boolean;
  readonly recover?: Recovery["recover"];
  readonly answer?: AnswerOptions | Error;
  /** Default: nobody waits for that. */
  readonly listensAgain?: ListensAgain;
}

type Recovered = Parameters<Recovery["recover"]>;

const recovered = async () => ({ kind: "recovered", binding: NEW, listenAgain: 100 }) as const;

/** Requests of a session, and the answers to them once it is lost. */
async function open({
  method = "logging/setLevel",
  withoutId = false,
  recover = recovered,
  answer = { headers: { "content-length": "2" }, body: "{}" },
  listensAgain = async () => undefined,
}: Options = {}) {
  const total = 100_000;
  const key = sessionKey(mintSessionId());
  const budget = createBudget(total);
  const { egress, sent } = egressWith(answer instanceof Error ? answer : answerWith(answer));
  const recoveries: Recovered[] = [];
  const overridesRefused: string[] = [];
  const answers = createRecoveredAnswers({
    recovery: {
      recover: (...of) => {
        recoveries.push(of);
        return recover(...of);
      },
    },
    egress,
    listensAgain,
    overrides: createModeOverrideHealth(),
    answers: createBudget(1e9),
    overrideRefused: (missed, { path }) => overridesRefused.push(`${missed} ${path}`),
  });
  const id = withoutId ? undefined : "7";
  const request = {
    route: ROUTE,
    query: "?a=1",
    headers: fields(HEADERS),
    principal: { digest: ANONYMOUS },
    id,
    policy: POLICY,
  };
  const message = { body: Buffer.from(BODY), labels: { method, name: undefined }, stateChanges: undefined };
  const requests = createReplayableRequests(budget);
  /** Keeps a POST, or a GET. */
  const keep = (kind: "POST" | "GET" = "POST", more: Readonly<Record<string, string>> = {}) => {
    const kept = requests.keep(
      { ...request, headers: fields({ ...HEADERS, ...more }) },
      { id: "client-id", key, binding: USED, listening: 1 },
      kind === "POST" ? message : undefined,
    );
    if (kept.kind !== "replayable") throw new Error(`the request was not kept: ${kept.reason}`);
    return kept;
  };
  const refused: string[] = [];
  const client = new AbortController();
  /** The client leaves. */
  const leave = (kept: ReplayableRequest) => {
    client.abort();
    kept.forget();
  };
  /** The client's answer, after one that raised a suspicion. */
  const answerTo = async (kept: ReplayableRequest, first: ResponseHead): Promise<Verdict> => {
    const suspicion = suspectAnswer(first);
    if (!suspicion) throw new Error("the answer raises no suspicion");
    const recovered = await answers.answer(kept, first, suspicion, client.signal);
    if (recovered.kind === "first") return AS_IT_IS;
    if (recovered.kind !== "refused") return recovered.answer;
    refused.push(recovered.reject.reason);
    return replyTo(recovered.reject);
  };
  const lost = (kept: ReplayableRequest, over: Partial<ResponseHead> = {}) => answerTo(kept, head("404", over));
  /** Whether the budget has given nothing out. */
  const isWhole = () => {
    const holder = { key, principal: ANONYMOUS };
    if (budget.take(holder, total) !== undefined) return false;
    budget.give(holder, total);
    return true;
  };
  return { keep, sent, recoveries, key, lost, answerTo, leave, refused, overridesRefused, isWhole };
}

/** An event stream that has its client connect again after so many ms. */
function again(ms: number): unknown {
  return expect.stringMatching(new RegExp(`^id: mcp-router\\.again\\.\\S+\nretry: ${ms}\n\n$`));
}

function head(status: string, over: Partial<ResponseHead> = {}): ResponseHead {
  return { headers: fields({ ":status": status }), endpoint: USED.endpoint, flags: 0, endOfStream: false, ...over };
}

test("a request is kept while its session is recovered, and until it was sent again", async () => {
  const { keep, lost, leave, isWhole } = await open();
  const kept = keep();
  const verdict = lost(kept);
  expect(isWhole()).toBe(false);
  await verdict;
  expect(isWhole()).toBe(true);
  leave(kept);
  expect(isWhole()).toBe(true);
});

describe("an answer raises no suspicion", () => {
  test.each(["200", "405", "409", "429", "500", "502", "504"])("by its status: %s", (status) => {
    expect(suspectAnswer(head(status))).toBeUndefined();
  });

  test.each(["401", "403", "404", "503"])("where one of Envoy's filters gave it: %s", (status) => {
    expect(suspectAnswer(head(status, { endpoint: undefined }))).toBeUndefined();
  });

  test("Envoy's flags are read with a 503 only: most answers are not searched for them", () => {
    const reads: string[] = [];
    const headOf = (status: string): ResponseHead => ({
      ...head(status),
      get flags() {
        reads.push(status);
        return 0;
      },
    });

    for (const status of ["200", "404", "502", "503"]) suspectAnswer(headOf(status));

    expect(reads).toEqual(["503"]);
  });
});

describe("where a lost session cannot be looked after, for want of a credential", () => {
  const recover = async () => ({ kind: "no-credential", retryAfter: 4 }) as const;

  test("a request is told so in band, and not that its session is lost", async () => {
    const { keep, lost, sent } = await open({ recover });
    expect(await lost(keep())).toMatchObject({
      kind: "reply",
      status: 200,
      body: expect.stringMatching(/"id":7,"error":\{"code":-32603,.*"credential-unavailable","retryAfterMs":4000/),
    });
    expect(sent).toEqual([]);
  });

  test("a GET comes again when there may be one", async () => {
    const { keep, lost } = await open({ recover });
    expect(await lost(keep("GET"))).toMatchObject({ status: 200, body: again(4_000) });
  });
});

describe("where a lost session cannot be looked after, for the store is away", () => {
  const recover = async () => ({ kind: "store-away" }) as const;

  test("a request is told so in band, and not that its session is lost", async () => {
    const { keep, lost, sent, refused } = await open({ recover });
    expect(await lost(keep())).toMatchObject({
      kind: "reply",
      status: 200,
      body: expect.stringMatching(/^\{"jsonrpc":"2.0","id":7,"error":\{"code":-32603,.*"retryAfterMs":1000/),
    });
    expect(sent).toEqual([]);
    expect(refused).toEqual(["store-unavailable"]);
  });

  test("what has no id gets 503", async () => {
    const { keep, lost } = await open({ recover, withoutId: true });
    expect(await lost(keep())).toMatchObject({ kind: "reply", status: 503 });
  });

  test("a GET comes again in a second", async () => {
    const { keep, lost } = await open({ recover });
    expect(await lost(keep("GET"))).toMatchObject({ status: 200, body: again(1_000) });
  });
});

describe("the answer of a lost session", () => {
  test.each([
    ["probe", head("404"), USED.endpoint],
    ["probe", head("400", { endpoint: "10.0.0.9:80" }), "10.0.0.9:80"],
    ["probe-and-log-in", head("401"), USED.endpoint],
    ["unreachable", head("503", { flags: 0x20, endpoint: undefined }), USED.endpoint],
  ])("has its session recovered: %s", async (suspicion, answer, answeredBy) => {
    const { keep, answerTo, recoveries, key } = await open();
    await answerTo(keep(), answer);
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
        ofSeveral: false,
      },
    ]);
  });

  test("is replaced by that of the request, sent once more in the new session", async () => {
    const { keep, lost, sent, key } = await open();
    expect(await lost(keep())).toMatchObject({ kind: "reply", status: 200 });
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
    const { keep, lost, sent } = await open({
      recover: async () => ({ kind: "recovered", binding: NEW, listenAgain: 100, setCookies }),
    });
    await lost(keep());
    expect(sent[0]?.headers).toContainEqual(["cookie", "LB=2"]);
  });

  test("goes on as it is where the request may have run", async () => {
    const ping = { status: 404, namesSession: false, length: 100, ids: 0, idLength: 12 };
    const { keep, lost, sent } = await open({
      recover: async () => ({ kind: "recovered", binding: NEW, ping, listenAgain: 100 }),
      method: "tools/call",
    });
    const ofLength = (length: string) => ({ headers: fields({ ":status": "404", "content-length": length }) });
    expect(await lost(keep(), ofLength("10"))).toBe(AS_IT_IS);
    expect(sent).toEqual([]);
    expect(await lost(keep(), ofLength("100"))).toMatchObject({ kind: "reply" });
  });

  test("is replaced also where somebody else has recovered the session", async () => {
    const { keep, lost } = await open({ recover: async () => ({ kind: "joined", binding: NEW }) });
    expect(await lost(keep())).toMatchObject({ kind: "reply", status: 200 });
  });

  test("is replaced also by that of a session lost again: there is no third time", async () => {
    const answer = { status: 404, headers: { "content-length": "4" }, body: "gone" };
    const { keep, lost, sent, recoveries } = await open({ answer });
    expect(await lost(keep())).toMatchObject({ status: 404, body: Buffer.from("gone") });
    expect([sent.length, recoveries.length]).toEqual([1, 1]);
  });

  test("is replaced whole where it has no body to be replaced", async () => {
    const { keep, lost } = await open({
      answer: { headers: { "content-type": "text/event-stream" }, body: "data: 1\n\n" },
    });
    expect(await lost(keep())).toMatchObject({ kind: "stream" });
    expect(await lost(keep(), { endOfStream: true })).toMatchObject({ kind: "reply" });
  });

  test("is replaced whole too, and its session recovered, once Envoy is held to refuse what is streamed", async () => {
    const { keep, lost, overridesRefused } = await open({
      answer: { headers: { "content-type": "text/event-stream" }, body: "data: 1\n\n" },
    });
    const stream = async () => {
      const verdict = await lost(keep());
      if (verdict.kind !== "stream") throw new Error(`not streamed but ${verdict.kind}`);
      return verdict;
    };
    const first = await stream();
    for (let n = 1; n < MISSES; n++) first.onModeOverride("ignored");
    expect(overridesRefused).toEqual([]);
    const last = await stream();
    last.onModeOverride("ignored");
    expect(overridesRefused).toEqual([`${MISSES} ${ROUTE.path}`]);
    expect(await lost(keep())).toMatchObject({ kind: "reply", status: 200 });
    last.onModeOverride("accepted");
    await stream();
  });

  test("of a GET becomes an event stream that has the client connect again", async () => {
    const { keep, lost, sent } = await open();
    expect(await lost(keep("GET"))).toEqual({
      kind: "reply",
      status: 200,
      headers: [
        ["content-type", "text/event-stream"],
        ["cache-control", "no-cache"],
        ["mcp-session-id", "client-id"],
      ],
      body: again(100),
      details: "mcp_reconnect",
    });
    expect(sent).toEqual([]);
  });

  test("of a GET tells the client the cookies that the new session was given", async () => {
    const setCookies = ["LB=2; Path=/"];
    const { keep, lost } = await open({
      recover: async () => ({ kind: "recovered", binding: NEW, listenAgain: 100, setCookies }),
    });
    expect(await lost(keep("GET"))).toMatchObject({
      headers: expect.arrayContaining([["set-cookie", "LB=2; Path=/"]]),
    });
  });

  test.each<[string, Awaited<ReturnType<Recovery["recover"]>>, number]>([
    ["as soon as its recovery says", { kind: "recovered", binding: NEW, listenAgain: 6_400 }, 6_400],
    ["soon where another one recovered it", { kind: "joined", binding: NEW }, 100],
    ["when the brake lets go", { kind: "braked", why: "lost again", wait: 12_345.6 }, 12_346],
  ])("of a GET has the client connect again %s", async (_, outcome, ms) => {
    const { keep, lost } = await open({ recover: async () => outcome });
    expect(await lost(keep("GET"))).toMatchObject({ kind: "reply", status: 200, body: again(ms) });
  });

  test("of a GET whose backend nobody reaches is an event stream at once, and a recovery is left to who comes again", async () => {
    const { keep, answerTo, recoveries } = await open();
    const gone = head("503", { flags: 0x20, endpoint: undefined });
    expect(await answerTo(keep("GET"), gone)).toMatchObject({ kind: "reply", status: 200, body: again(2_000) });
    expect(recoveries).toEqual([]);
  });

  test("of a GET names another event each time, but to a client that may resume from one of its backend's", async () => {
    const { keep, lost } = await open();
    const bodyOf = async (last?: string) => {
      const answer = await lost(keep("GET", last === undefined ? {} : { "last-event-id": last }));
      return answer?.kind === "reply" && String(answer.body);
    };
    const first = await bodyOf();
    const [, id] = /^id: (.+)$/m.exec(String(first)) ?? [];
    expect(id).toBeDefined();
    const next = await bodyOf(id);
    expect(next).toEqual(again(100));
    expect(next).not.toBe(first);
    expect(await bodyOf("of the backend")).toBe("retry: 100\n\n");
  });

  describe("whose backend nobody reaches, and that is not recovered", () => {
    const nobodyThere = head("503", { flags: 0x20, endpoint: undefined });
    const recover: Recovery["recover"] = async () => ({ kind: "failed", why: { reason: "timeout" }, passes: true });

    test("is an error of the request in band, since some clients end at a 503", async () => {
      const { keep, answerTo, refused } = await open({ recover });
      expect(await answerTo(keep(), nobodyThere)).toMatchObject({
        kind: "reply",
        status: 200,
        body: expect.stringMatching(
          /^\{"jsonrpc":"2.0","id":7,"error":\{"code":-32603,"message":"Backend unavailable"/,
        ),
      });
      expect(refused).toEqual(["backend-unavailable"]);
    });

    test("is a 503 where there is no id", async () => {
      const { keep, answerTo } = await open({ recover, withoutId: true });
      expect(await answerTo(keep(), nobodyThere)).toMatchObject({ kind: "reply", status: 503 });
    });
  });

  test("goes on as it is while the brake holds", async () => {
    const { keep, lost, sent } = await open({
      recover: async () => ({ kind: "braked", why: "retry-after", wait: 5_000 }),
    });
    expect(await lost(keep())).toBe(AS_IT_IS);
    expect(sent).toEqual([]);
  });

  test.each(["POST", "GET"])("goes on as it is where the session lives, or is not recovered: %s", async (method) => {
    for (const outcome of [
      { kind: "alive", by: "ping" },
      { kind: "failed", why: { reason: "session-ended" }, passes: false },
    ] as const) {
      const { keep, lost, sent } = await open({ recover: async () => outcome });
      const kept = keep(method === "GET" ? "GET" : "POST");
      expect(await lost(kept)).toBe(AS_IT_IS);
      expect(sent).toEqual([]);
    }
  });

  test("is a 502 where the request may have run and its answer is lost: by a 404 the client would send it again", async () => {
    const { keep, lost, refused } = await open({ answer: new Error("reset") });
    expect(await lost(keep())).toMatchObject({ kind: "reply", status: 502, details: "mcp_answer_lost" });
    expect(refused).toEqual(["answer-lost"]);
    const tooLong = await open({ answer: { headers: { "content-length": "20000" }, body: "x".repeat(20_000) } });
    expect(await tooLong.lost(tooLong.keep())).toMatchObject({ status: 502 });
  });
});

test("a redirect that answers a request which was sent again reaches no client", async () => {
  const { keep, lost, refused } = await open({
    answer: { status: 307, headers: { location: "http://10.0.0.1/mcp/" } },
  });
  const verdict = await lost(keep());
  expect(verdict).toMatchObject({ kind: "reply", status: 502, body: expect.stringContaining('"id":7,') });
  expect(JSON.stringify(verdict)).not.toContain("10.0.0.1");
  expect(refused).toEqual(["backend-redirects"]);
});

describe("a request that has ended", () => {
  test("is told to its recovery, and is not sent again", async () => {
    const { keep, lost, leave, sent } = await open({
      recover: (_, signal) =>
        new Promise((resolve) =>
          signal.addEventListener("abort", () => resolve({ kind: "recovered", binding: NEW, listenAgain: 100 })),
        ),
    });
    const kept = keep();
    const verdict = lost(kept);
    leave(kept);
    expect(await verdict).toBe(AS_IT_IS);
    expect(sent).toEqual([]);
  });

  test("is told to its recovery also where it has ended before that began", async () => {
    const { keep, lost, leave, recoveries } = await open();
    const kept = keep();
    leave(kept);
    await lost(kept);
    expect(recoveries.map(([, signal]) => signal.aborted)).toEqual([true]);
  });

  test("is no fault where it has ended before its second answer came", async () => {
    let end = () => {};
    const { keep, lost, leave, isWhole } = await open({
      answer: new Error("aborted"),
      recover: async () => {
        // As soon as it is sent.
        queueMicrotask(() => end());
        return { kind: "recovered", binding: NEW, listenAgain: 100 };
      },
    });
    const kept = keep();
    end = () => leave(kept);
    expect(await lost(kept)).toBe(AS_IT_IS);
    expect(isWhole()).toBe(true);
  });
});

test("a request is sent again once its client listens again, and a GET waits for nothing", async () => {
  const listens = Promise.withResolvers<void>();
  const waited: number[] = [];
  const { keep, lost, sent } = await open({
    listensAgain(_, { generation }) {
      waited.push(generation);
      return listens.promise;
    },
  });
  await lost(keep("GET"));
  expect(waited).toEqual([]);
  const verdict = lost(keep());
  await new Promise((resolve) => setImmediate(resolve));
  expect(waited).toEqual([NEW.generation]);
  expect(sent).toEqual([]);
  listens.resolve();
  expect(await verdict).toMatchObject({ status: 200 });
  expect(sent).toHaveLength(1);
});
