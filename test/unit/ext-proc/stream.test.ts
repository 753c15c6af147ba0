import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test, vi } from "vitest";
import type { BodyRewriter, ModeOverrideOutcome, Reply, StreamedAnswer, Verdict } from "../../../src/core/http.ts";
import type { EnvoyMessage, Phase } from "../../../src/ext-proc/decode.ts";
import { type Channel, openStream } from "../../../src/ext-proc/stream.ts";
import type { Exchange } from "../../../src/gateway/exchange.ts";
import { fields } from "../core/fields.ts";

const headers = fields({});
const requestHeaders: EnvoyMessage = { phase: "request_headers", headers, endOfStream: false };
const requestBody: EnvoyMessage = { phase: "request_body", body: new Uint8Array() };
const responseHeaders = {
  phase: "response_headers" as const,
  headers,
  endOfStream: false,
  endpoint: undefined,
  flags: 0,
};
const PIECE = { phase: "response_body", body: Buffer.from("x"), endOfStream: false } as const;
const go: Verdict = { kind: "continue" };
const reply: Reply = { kind: "reply", status: 404, headers: [], body: "", details: "mcp_x" };
const fault: Reply = { ...reply, status: 500, details: "mcp_internal" };

function drive(
  over: Partial<Exchange> = {},
  channelOver: Partial<Channel> = {},
  reportFault?: (error: unknown) => void,
) {
  const answers: [Phase, Verdict][] = [];
  const faults: unknown[] = [];
  let ended = 0;
  let aborted = 0;
  let closed = 0;
  const exchange: Exchange = {
    closed: () => void closed++,
    requestHeaders: () => go,
    requestBody: () => go,
    responseHeaders: () => go,
    fault: () => fault,
    ...over,
  };
  const channel = {
    answer: (phase: Phase, verdict: Verdict) => void answers.push([phase, verdict]),
    extend: () => undefined,
    send: async () => undefined,
    pause: () => undefined,
    end: () => void ended++,
    abort: () => void aborted++,
    ...channelOver,
  };
  const stream = openStream(exchange, channel, reportFault ?? ((error) => void faults.push(error)));
  return { stream, answers, faults, ended: () => ended, aborted: () => aborted, closed: () => closed };
}

/** Lets promises that are settled run their course. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("each message is answered once, in its own phase, and the end is answered by an end", () => {
  const { stream, answers, ended, closed } = drive();
  for (const message of [requestHeaders, requestBody, responseHeaders]) stream.message(message);
  expect(answers).toEqual([
    ["request_headers", go],
    ["request_body", go],
    ["response_headers", go],
  ]);
  expect(ended()).toBe(0);
  expect(closed()).toBe(0);
  stream.finished();
  stream.finished();
  expect(ended()).toBe(1);
  expect(closed()).toBe(1);
});

test("a request's body is not kept while its verdict is being made", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const never = new Promise<Verdict>(() => undefined);
  const { stream } = drive({ requestBody: () => ({ kind: "deferred", messageTimeout: 1, verdict: never }) });
  stream.message(requestHeaders);
  const body = (() => {
    const message = { phase: "request_body", body: new Uint8Array(1024) } as const;
    stream.message(message);
    return new WeakRef(message.body);
  })();
  // A WeakRef keeps its target until the job has ended that made it.
  await settled();
  collectGarbage();
  expect(body.deref()).toBeUndefined();
});

test("a message that comes while another is decided waits for its turn", async () => {
  let decide: (verdict: Verdict) => void = () => undefined;
  const { stream, answers } = drive({ requestHeaders: () => new Promise((resolve) => (decide = resolve)) });
  stream.message(requestHeaders);
  stream.message(requestBody);
  stream.message(responseHeaders);
  await settled();
  expect(answers).toEqual([]);
  decide(go);
  await settled();
  expect(answers.map(([phase]) => phase)).toEqual(["request_headers", "request_body", "response_headers"]);
});

describe("phases that we do not ask for, and an answer that comes first", () => {
  test.each([[PIECE], [{ phase: "request_trailers" }], [{ phase: "response_trailers" }], [responseHeaders]] as [
    EnvoyMessage,
  ][])("%j goes on", (message) => {
    const { stream, answers } = drive();
    stream.message(message);
    expect(answers).toEqual([[message.phase, go]]);
  });
});

describe("trailers of a request", () => {
  const trailers = { phase: "request_trailers" } as const;

  test("stand for a body that is empty, of which Envoy says nothing", () => {
    const bodies: Uint8Array[] = [];
    const requestBody = (body: Uint8Array) => {
      bodies.push(body);
      return reply;
    };
    const { stream, answers } = drive({ requestBody });
    for (const message of [requestHeaders, trailers]) stream.message(message);
    expect(bodies.map(({ length }) => length)).toEqual([0]);
    expect(answers).toEqual([
      ["request_headers", go],
      ["request_trailers", reply],
    ]);
  });

  test("go on after a body", () => {
    const { stream, answers } = drive();
    for (const message of [requestHeaders, requestBody, trailers]) stream.message(message);
    expect(answers.at(-1)).toEqual(["request_trailers", go]);
    expect(answers).toHaveLength(3);
  });
});

describe("a reply in place of the backend's answer", () => {
  test("ends the stream, and what comes after it is not answered", async () => {
    const { stream, answers, ended, closed } = drive({ requestBody: async () => reply });
    for (const message of [requestHeaders, requestBody, responseHeaders]) stream.message(message);
    await settled();
    stream.finished();
    expect(closed()).toBe(1);
    expect(answers).toEqual([
      ["request_headers", go],
      ["request_body", reply],
    ]);
    expect(ended()).toBe(1);
  });
});

test("the head of an event stream releases the ext_proc stream", () => {
  const { stream, answers, ended, closed } = drive();
  stream.message(requestHeaders);
  expect([ended(), closed()]).toEqual([0, 0]);
  stream.message({ ...responseHeaders, headers: fields({ "content-type": "text/event-stream" }) });
  expect(answers).toHaveLength(2);
  expect([ended(), closed()]).toEqual([1, 1]);
  stream.finished();
  expect([ended(), closed()]).toEqual([1, 1]);
});

describe("what should not happen is answered by 500 and reported, never let through", () => {
  const broken = new Error("broken");
  const throws = () => {
    throw broken;
  };
  test.each<[string, Partial<Exchange>, EnvoyMessage[]]>([
    ["an error", { requestHeaders: throws }, [requestHeaders]],
    ["a rejection", { requestBody: () => Promise.reject(broken) }, [requestHeaders, requestBody]],
    ["an error over the answer", { responseHeaders: throws }, [requestHeaders, responseHeaders]],
    ["a body before its head", {}, [requestBody]],
    ["two heads", {}, [requestHeaders, requestHeaders]],
    ["two bodies", {}, [requestHeaders, requestBody, requestBody]],
    ["a body after trailers", {}, [requestHeaders, { phase: "request_trailers" }, requestBody]],
    ["a message that is none", {}, [{ phase: "unreadable", error: broken }]],
    ["a phase that nobody mapped", {}, [{ phase: "new" } as unknown as EnvoyMessage]],
  ])("%s", async (_, over, messages) => {
    const { stream, answers, faults, ended, closed } = drive(over);
    for (const message of messages) stream.message(message);
    await settled();
    stream.finished();
    expect(closed()).toBe(1);
    expect(answers.at(-1)?.[1]).toEqual(fault);
    expect(answers).toHaveLength(messages.length);
    expect(faults).toHaveLength(1);
    expect(ended()).toBe(1);
  });
});

test("Envoy gone while its answer is made: nothing is written, and the end is no OK", async () => {
  const { stream, answers, ended, aborted, closed, faults } = drive({ requestHeaders: async () => go });
  stream.message(requestHeaders);
  stream.message(requestBody);
  stream.finished();
  expect(closed()).toBe(1);
  await settled();
  stream.finished();
  expect(closed()).toBe(1);
  expect(answers).toEqual([]);
  expect([ended(), aborted()]).toEqual([0, 1]);
  expect(faults).toEqual([]);
});

describe("where even the 500 cannot be given, the stream ends with an error and the process goes on", () => {
  const throws = () => {
    throw new Error("broken");
  };
  test.each<[string, Partial<Exchange>, Partial<Channel>]>([
    ["the answer cannot be written", {}, { answer: throws }],
    ["the answer cannot be written, later", { requestHeaders: async () => go }, { answer: throws }],
    ["there is no reply for a fault", { requestHeaders: throws, fault: throws }, {}],
    ["the stream does not end after it", { requestHeaders: throws }, { end: throws }],
  ])("%s", async (_, over, channelOver) => {
    const { stream, ended, aborted, closed, faults } = drive(over, channelOver);
    stream.message(requestHeaders);
    stream.message(requestBody);
    await settled();
    stream.finished();
    expect(closed()).toBe(1);
    expect([ended(), aborted()]).toEqual([0, 1]);
    expect(faults.length).toBeGreaterThan(0);
  });
});

describe("a verdict that comes later", () => {
  test("has Envoy wait first, and then answers", async () => {
    const told: string[] = [];
    let decide: (verdict: Verdict) => void = () => undefined;
    const verdict = new Promise<Verdict>((resolve) => (decide = resolve));
    const { stream } = drive(
      { responseHeaders: () => ({ kind: "deferred", messageTimeout: 71_000, verdict }) },
      {
        answer: (phase, { kind }) => void told.push(`${phase} ${kind}`),
        extend: (ms) => void told.push(`wait ${ms}`),
      },
    );
    stream.message(responseHeaders);
    expect(told).toEqual(["wait 71000"]);
    decide(go);
    await settled();
    expect(told).toEqual(["wait 71000", "response_headers continue"]);
  });

  test("has Envoy wait for it in any phase, also where that is not known at once", async () => {
    const told: string[] = [];
    const later = async () => ({ kind: "deferred" as const, messageTimeout: 11_000, verdict: Promise.resolve(go) });
    const { stream } = drive(
      { requestHeaders: later, requestBody: later },
      {
        answer: (phase, { kind }) => void told.push(`${phase} ${kind}`),
        extend: (ms) => void told.push(`wait ${ms}`),
      },
    );
    stream.message(requestHeaders);
    stream.message(requestBody);
    await settled();
    expect(told).toEqual(["wait 11000", "request_headers continue", "wait 11000", "request_body continue"]);
  });

  test("has an Envoy that has gone meanwhile not wait", async () => {
    const told: string[] = [];
    const later = async () => ({ kind: "deferred" as const, messageTimeout: 1, verdict: Promise.resolve(go) });
    const { stream, aborted } = drive({ requestHeaders: later }, { extend: (ms) => void told.push(`wait ${ms}`) });
    stream.message(requestHeaders);
    stream.finished();
    await settled();
    expect([told, aborted()]).toEqual([[], 1]);
  });

  test("of a fault is 500", async () => {
    const verdict = Promise.reject(new Error("broken"));
    const { stream, answers, faults, ended } = drive({
      responseHeaders: () => ({ kind: "deferred", messageTimeout: 1, verdict }),
    });
    stream.message(responseHeaders);
    await settled();
    expect(answers).toEqual([["response_headers", fault]]);
    expect([faults.length, ended()]).toEqual([1, 1]);
  });

  test("is of no use to an Envoy that has gone meanwhile, and a body is not begun", async () => {
    let decide: (verdict: Verdict) => void = () => undefined;
    const verdict = new Promise<Verdict>((resolve) => (decide = resolve));
    const { stream, answers, aborted, closed } = drive({
      responseHeaders: () => ({ kind: "deferred", messageTimeout: 1, verdict }),
    });
    stream.message(responseHeaders);
    stream.finished();
    let begun = false;
    decide(
      streamed(
        (async function* () {
          begun = true;
          yield Buffer.from("a");
        })(),
      ),
    );
    await settled();
    expect(answers).toEqual([]);
    expect([aborted(), closed(), begun]).toEqual([1, 1, false]);
  });
});

function streamed(
  body: AsyncIterable<Uint8Array>,
  onModeOverride: StreamedAnswer["onModeOverride"] = () => undefined,
): StreamedAnswer {
  return { kind: "stream", status: 200, set: [], remove: [], body, onModeOverride };
}

describe("an answer that is streamed in place of another", () => {
  const responseBody: EnvoyMessage = PIECE;

  /** Its pieces come when they are given, and end when it is told so. */
  function open(
    channelOver: Partial<Channel> = {},
    reportFault?: (error: unknown) => void,
    { taken: isTaken = true } = {},
  ) {
    const given: (Uint8Array | Error | undefined)[] = [];
    let wake: () => void = () => undefined;
    let letGo = 0;
    const give = (piece: string | Error | undefined) => {
      given.push(typeof piece === "string" ? Buffer.from(piece) : piece);
      wake();
    };
    async function* body() {
      try {
        for (;;) {
          while (given.length === 0) await new Promise<void>((resolve) => (wake = resolve));
          const piece = given.shift();
          if (piece instanceof Error) throw piece;
          if (piece === undefined) return;
          yield piece;
        }
      } finally {
        letGo++;
      }
    }
    const sent: [string, boolean][] = [];
    const outcomes = { accepted: 0, ignored: 0 };
    const send = async (piece: Uint8Array, last: boolean) => void sent.push([Buffer.from(piece).toString(), last]);
    const driven = drive(
      {
        responseHeaders: () => streamed(body(), (outcome) => void outcomes[outcome]++),
      },
      { send, ...channelOver },
      reportFault,
    );
    driven.stream.message(requestHeaders);
    driven.stream.message(responseHeaders);
    if (isTaken) driven.stream.message(responseBody);
    return {
      ...driven,
      give,
      sent,
      left: () => given.length,
      letGo: () => letGo,
      override: () => outcomes,
    };
  }

  test("begins by its head, then its pieces go in their order, then an empty one that ends it", async () => {
    const { answers, give, sent, ended, stream, closed, aborted } = open();
    expect(answers.at(-1)).toMatchObject(["response_headers", { kind: "stream" }]);
    give("a");
    await settled();
    expect(sent).toEqual([["a", false]]);
    give("b");
    give(undefined);
    await settled();
    expect(sent).toEqual([
      ["a", false],
      ["b", false],
      ["", true],
    ]);
    // Envoy has yet to say that it is done.
    expect([ended(), closed()]).toEqual([0, 0]);
    stream.finished();
    expect([ended(), closed(), aborted()]).toEqual([1, 1, 0]);
  });

  test("waits for room before the next piece is taken", async () => {
    let makeRoom: () => void = () => undefined;
    const pieces: string[] = [];
    const { give, left } = open({
      send: (piece) => {
        pieces.push(Buffer.from(piece).toString());
        return new Promise<void>((resolve) => (makeRoom = resolve));
      },
    });
    for (const piece of ["a", "b", "c"]) give(piece);
    await settled();
    expect([pieces, left()]).toEqual([["a"], 2]);
    makeRoom();
    await settled();
    expect([pieces, left()]).toEqual([["a", "b"], 1]);
  });

  test("that breaks off is broken off for the client too, and reported", async () => {
    const { give, sent, faults, ended, aborted, closed, stream } = open();
    const broken = new Error("broken");
    give("a");
    give(broken);
    await settled();
    stream.finished();
    expect(sent).toEqual([["a", false]]);
    expect(faults).toEqual([broken]);
    expect([ended(), aborted(), closed()]).toEqual([0, 1, 1]);
  });

  test("is broken off also where the report of it fails", async () => {
    const { give, aborted, closed } = open({}, () => {
      throw new Error("no log");
    });
    give(new Error("broken"));
    await settled();
    expect([aborted(), closed()]).toEqual([1, 1]);
  });

  test("that cannot be sent is a fault", async () => {
    const { give, faults, aborted, letGo } = open({ send: () => Promise.reject(new Error("no channel")) });
    give("a");
    await settled();
    expect([faults.length, aborted(), letGo()]).toEqual([1, 1, 1]);
  });

  test("ends with Envoy: no piece more, no fault, and its source is let go of", async () => {
    const { give, sent, stream, ended, aborted, closed, faults, letGo } = open();
    give("a");
    await settled();
    stream.finished();
    give("b");
    await settled();
    expect(sent).toEqual([["a", false]]);
    expect([ended(), aborted(), closed(), letGo()]).toEqual([1, 0, 1, 1]);
    expect(faults).toEqual([]);
  });

  test.each([undefined, new Error("aborted")])(
    "ends with Envoy also where its source ends just then: %s",
    async (end) => {
      const { give, sent, stream, faults, ended, aborted } = open();
      stream.finished();
      give(end);
      await settled();
      expect(sent).toEqual([]);
      expect(faults).toEqual([]);
      expect([ended(), aborted()]).toEqual([1, 0]);
    },
  );

  test("takes no notice of what Envoy says of the other body", async () => {
    const { answers, give, stream, sent } = open();
    for (const message of [responseBody, responseBody, { phase: "response_trailers" } as const])
      stream.message(message);
    give("a");
    await settled();
    expect(answers).toHaveLength(2);
    expect(sent).toEqual([["a", false]]);
  });

  test("has a mebibyte of the other body read over at once, and then one a second", async () => {
    const pauses: number[] = [];
    const { give, stream, sent } = open({ pause: (ms) => void pauses.push(ms) });
    const MIB = 1024 * 1024;
    // One byte has come already.
    for (const bytes of [MIB - 2, 1]) stream.message({ ...PIECE, body: new Uint8Array(bytes) });
    expect(pauses).toEqual([]);
    for (const bytes of [MIB / 8, MIB]) stream.message({ ...PIECE, body: new Uint8Array(bytes) });
    expect(pauses).toEqual([125, 1_000]);
    give("a");
    await settled();
    expect(sent).toEqual([["a", false]]);
  });

  describe("is taken or refused by Envoy, without a word:", () => {
    const unknown = () => open({}, undefined, { taken: false });

    test("nothing is sent before something of the other body came, which Envoy would take for an answer to nothing", async () => {
      const { give, stream, sent, override } = unknown();
      give("a");
      await settled();
      expect(sent).toEqual([]);
      for (const message of [responseBody, responseBody]) stream.message(message);
      await settled();
      expect(sent).toEqual([["a", false]]);
      stream.finished();
      expect(override()).toEqual({ accepted: 1, ignored: 0 });
    });

    test("nobody knows where nothing of the other body came for a second, and then the answer goes all the same", async () => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      try {
        const { give, stream, sent, override } = unknown();
        give("a");
        await vi.advanceTimersByTimeAsync(999);
        expect(sent).toEqual([]);
        await vi.advanceTimersByTimeAsync(1);
        await settled();
        expect(sent).toEqual([["a", false]]);
        stream.finished();
        expect(override()).toEqual({ accepted: 0, ignored: 0 });
      } finally {
        vi.useRealTimers();
      }
    });

    test("nothing is offered where the end has arrived with the answer: its client has left", async () => {
      const told: string[] = [];
      let letGo: (verdict: Verdict) => void = () => undefined;
      const verdict = new Promise<Verdict>((resolve) => (letGo = resolve));
      const { stream, answers } = drive({
        responseHeaders: () => ({ kind: "deferred", messageTimeout: 1, verdict }),
      });
      stream.message(requestHeaders);
      stream.message(responseHeaders);
      letGo(streamed((async function* () {})(), (outcome) => void told.push(outcome)));
      await new Promise((resolve) => setImmediate(resolve));
      stream.finished();
      await settled();
      await settled();
      expect(told).toEqual([]);
      expect(answers.map(([phase]) => phase)).toEqual(["request_headers"]);
    });

    test("nobody knows where the end came long after the answer: its client would not wait for a body that did not come", async () => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
      try {
        const { stream, override } = unknown();
        await vi.advanceTimersByTimeAsync(251);
        stream.finished();
        expect(override()).toEqual({ accepted: 0, ignored: 0 });
      } finally {
        vi.useRealTimers();
      }
    });

    test("missed where the end came before anything of the other body, as it does of a refusal", async () => {
      const { give, stream, sent, override, closed } = unknown();
      give("a");
      stream.finished();
      stream.finished();
      await settled();
      expect(sent).toEqual([]);
      expect(override()).toEqual({ accepted: 0, ignored: 1 });
      expect(closed()).toBe(1);
    });
  });
});

describe("an answer that is rewritten as it passes", () => {
  /** Holds back what stands behind the last ".". */
  function rewriter(): BodyRewriter {
    let held = "";
    return {
      write(chunk) {
        const text = held + Buffer.from(chunk).toString();
        const end = text.lastIndexOf(".") + 1;
        held = text.slice(end);
        return Buffer.from(text.slice(0, end).toUpperCase());
      },
      end: () => Buffer.from(`${held}!`),
    };
  }

  function open(over: Partial<BodyRewriter> = {}) {
    const taken: ModeOverrideOutcome[] = [];
    const driven = drive({
      responseHeaders: () => ({
        kind: "rewrite",
        set: [],
        remove: [],
        rewriter: { ...rewriter(), ...over },
        onModeOverride: (outcome) => void taken.push(outcome),
      }),
    });
    const events = fields({ "content-type": "text/event-stream" });
    driven.stream.message(requestHeaders);
    driven.stream.message({ ...responseHeaders, headers: events });
    const write = (text: string, endOfStream = false) =>
      driven.stream.message({ phase: "response_body", body: Buffer.from(text), endOfStream });
    const written = () =>
      driven.answers
        .slice(2)
        .map(([phase, verdict]) => [phase, verdict.kind === "mutate" && Buffer.from(verdict.body ?? []).toString()]);
    return { ...driven, write, written, taken };
  }

  test("shows by the first piece of its body that Envoy has taken the override, and by an end before that that it has not", () => {
    const one = open();
    one.write("a.");
    one.write("b.");
    one.stream.finished();
    expect(one.taken).toEqual(["accepted"]);
    const other = open();
    other.stream.finished();
    other.stream.finished();
    expect(other.taken).toEqual(["ignored"]);
  });

  test("has each of its pieces answered by what the rewriter makes of it, and its end by the rest", () => {
    const { write, written, ended, aborted } = open();
    write("a.b");
    write("");
    write("c.d");
    write("e", true);
    expect(written()).toEqual([
      ["response_body", "A."],
      ["response_body", ""],
      ["response_body", "BC."],
      ["response_body", "de!"],
    ]);
    expect([ended(), aborted()]).toEqual([0, 0]);
  });

  test("holds the ext_proc stream, of an event stream too, until Envoy ends it", () => {
    const { stream, write, ended, closed } = open();
    write("a.");
    expect([ended(), closed()]).toEqual([0, 0]);
    stream.finished();
    expect([ended(), closed()]).toEqual([1, 1]);
  });

  test("lets trailers pass", () => {
    const { stream, answers } = open();
    stream.message({ phase: "response_trailers" });
    expect(answers.at(-1)).toEqual(["response_trailers", go]);
  });

  test.each(["write", "end"] as const)(
    "is cut off, and never passed on as it was, where its rewriter fails in %s",
    (method) => {
      const broken = new Error("broken");
      const { write, written, faults, aborted, closed } = open({
        [method]: () => {
          throw broken;
        },
      });
      write("a.", true);
      write("b.");
      expect(written()).toEqual([]);
      expect(faults).toEqual([broken]);
      expect([aborted(), closed()]).toEqual([1, 1]);
    },
  );

  test("is cut off where a message cannot be read", () => {
    const broken = new Error("broken");
    const { stream, write, written, faults, aborted, closed } = open();
    write("a.");
    stream.message({ phase: "unreadable", error: broken });
    write("b.");
    expect(written()).toEqual([["response_body", "A."]]);
    expect(faults).toEqual([broken]);
    expect([aborted(), closed()]).toEqual([1, 1]);
  });
});
