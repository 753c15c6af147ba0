import { describe, expect, test } from "vitest";
import type { Reply, Verdict } from "../../../src/core/http.ts";
import type { EnvoyMessage, Phase } from "../../../src/ext-proc/codec.ts";
import { type Channel, openStream } from "../../../src/ext-proc/stream.ts";
import type { Exchange } from "../../../src/gateway.ts";
import { fields } from "../core/fields.ts";

const headers = fields({});
const requestHeaders: EnvoyMessage = { phase: "request_headers", headers, endOfStream: false };
const requestBody: EnvoyMessage = { phase: "request_body", body: new Uint8Array() };
const responseHeaders: EnvoyMessage = {
  phase: "response_headers",
  headers,
  endOfStream: false,
  upstreamAddress: undefined,
  flags: 0,
};
const go: Verdict = { kind: "continue" };
const reply: Reply = { kind: "reply", status: 404, headers: [], body: "", details: "mcp_x" };
const fault: Reply = { ...reply, status: 500, details: "mcp_internal" };

function drive(over: Partial<Exchange> = {}, channelOver: Partial<Channel> = {}) {
  const answers: [Phase, Verdict][] = [];
  const faults: unknown[] = [];
  let ended = 0;
  let aborted = 0;
  let closed = 0;
  const exchange: Exchange = {
    closed: () => void closed++,
    overrideTaken: () => undefined,
    overrideRefused: () => undefined,
    requestHeaders: () => go,
    requestBody: () => go,
    responseHeaders: () => go,
    answersWithEvents: false,
    fault: () => fault,
    ...over,
  };
  const channel = {
    answer: (phase: Phase, verdict: Verdict) => void answers.push([phase, verdict]),
    extend: () => undefined,
    send: async () => undefined,
    end: () => void ended++,
    abort: () => void aborted++,
    ...channelOver,
  };
  const stream = openStream(exchange, channel, (error) => void faults.push(error));
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
  test.each([
    [{ phase: "response_body" }],
    [{ phase: "request_trailers" }],
    [{ phase: "response_trailers" }],
    [responseHeaders],
  ] as [EnvoyMessage][])("%j goes on", (message) => {
    const { stream, answers } = drive();
    stream.message(message);
    expect(answers).toEqual([[message.phase, go]]);
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
  const { stream, answers, ended, closed } = drive({ answersWithEvents: true });
  stream.message(requestHeaders);
  expect([ended(), closed()]).toEqual([0, 0]);
  stream.message(responseHeaders);
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

describe("an answer that is streamed in place of another", () => {
  const responseBody: EnvoyMessage = { phase: "response_body" };

  function stream() {
    const said: string[] = [];
    const body = async function* () {
      yield Buffer.from("piece");
    };
    const verdict: Verdict = { kind: "stream", status: 200, set: [], remove: [], body: body() };
    const driven = drive(
      {
        responseHeaders: () => verdict,
        overrideTaken: () => void said.push("taken"),
        overrideRefused: () => void said.push("refused"),
      },
      { send: async (piece, last) => void said.push(last ? "end" : Buffer.from(piece).toString()) },
    );
    driven.stream.message(responseHeaders);
    return { ...driven, said };
  }

  test("waits until Envoy sends the other's body", async () => {
    const { stream: it, said } = stream();
    await settled();
    expect(said).toEqual([]);
    it.message(responseBody);
    it.message(responseBody);
    await settled();
    expect(said).toEqual(["taken", "piece", "end"]);
    it.finished();
    expect(said).toHaveLength(3);
  });

  test("is refused where Envoy ends without sending it", async () => {
    const { stream: it, said, ended, closed } = stream();
    it.finished();
    await settled();
    expect(said).toEqual(["refused"]);
    expect([ended(), closed()]).toEqual([1, 1]);
  });
});
