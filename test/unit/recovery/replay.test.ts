import { Readable } from "node:stream";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Reply, StreamedAnswer } from "../../../src/core/http.ts";
import { MOST_LINES } from "../../../src/core/sse/fields.ts";
import { type Budget, createBudget, type Holder } from "../../../src/recovery/budget.ts";
import { replay } from "../../../src/recovery/replay.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";
import { notificationMessage, requestMessage, resultMessage } from "../../support/messages.ts";
import { fields } from "../core/fields.ts";
import { BACKEND } from "../core/policy.ts";
import { type AnswerOptions, answerWith, egressWith } from "./answers.ts";

/** Bytes of an answer that is sent whole, at most. */
const WHOLE = 64 * 1024;
const BINDING = { sessionId: "new", endpoint: "10.0.0.2:80", generation: 2 };
const never = new AbortController().signal;
const newHolder = (): Holder => ({ key: sessionKey(mintSessionId()), principal: ANONYMOUS });

interface Options extends AnswerOptions {
  /** Of the first answer. */
  readonly first?: Readonly<Record<string, string>>;
  readonly endOfStream?: boolean;
  readonly mayStream?: boolean;
  readonly answerLimit?: number;
  readonly answers?: Budget;
  readonly holder?: Holder;
}

function open(options: Options) {
  const {
    first = {},
    endOfStream = false,
    mayStream = true,
    answerLimit = 1_000_000,
    answers = createBudget(1e9),
    holder = newHolder(),
    ...answer
  } = options;
  const { egress, sent } = egressWith(answerWith(answer));
  const request = {
    to: { backend: BACKEND, query: "?a=1" },
    binding: BINDING,
    headers: [["x-a", "1"]] as const,
    body: Buffer.from("{}"),
    sessionId: "client-id",
    setCookies: [],
    first: { headers: fields(first), endOfStream },
    mayStream: () => mayStream,
    onModeOverride: () => undefined,
    answerLimit,
    answers,
    holder,
  };
  return { sent, answered: () => replay(egress, request, never) };
}

const length = (bytes: number) => ({ "content-length": String(bytes) });
const json = { "content-type": "application/json" };
const events = { "content-type": "text/event-stream; charset=utf-8" };

async function bodyOf(answer: Reply | StreamedAnswer): Promise<string> {
  if (answer.kind === "reply") return Buffer.from(answer.body).toString();
  const pieces: Uint8Array[] = [];
  for await (const piece of answer.body) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

test("a request is sent once more as it was, pinned to the new session", async () => {
  const { sent, answered } = open({ headers: length(2), body: "{}" });
  await answered();
  expect(sent).toEqual([
    {
      purpose: "recovery",
      to: { backend: BACKEND, query: "?a=1" },
      session: BINDING,
      method: "POST",
      headers: [["x-a", "1"]],
      body: Buffer.from("{}"),
    },
  ]);
});

describe("an answer is sent whole", () => {
  test.each<[string, Options]>([
    ["that is short", { headers: { ...json, ...length(WHOLE) }, body: "x".repeat(WHOLE) }],
    ["that has nothing in it", { status: 500, headers: length(0) }],
    ["202 without a length", { status: 202 }],
    ["204 without a length", { status: 204 }],
    ["of any length in place of one without a body", { endOfStream: true, headers: json, body: "x".repeat(WHOLE + 1) }],
    [
      "of any length where Envoy takes none that is streamed",
      { mayStream: false, headers: events, body: "data: 1\n\n" },
    ],
    ["of events in place of one without a body", { endOfStream: true, headers: events, body: "data: 1\n\n" }],
  ])("%s", async (_, options) => {
    const { answered } = open(options);
    const answer = await answered();
    expect(answer).toMatchObject({ kind: "reply", status: options.status ?? 200, details: "mcp_recovered" });
    expect(await bodyOf(answer)).toBe(options.body ?? "");
  });
});

describe("an event stream that must be sent whole", () => {
  const event = (...messages: object[]) => messages.map((message) => `data: ${JSON.stringify(message)}\n\n`).join("");
  const note = notificationMessage("notifications/progress", { text: "é" });
  const asks = requestMessage("sampling/createMessage");
  const result = resultMessage(1, { method: "x", id: 1 });

  /** Of an answer that does not end: it comes in pieces of one byte. */
  function unending(text: string) {
    const body = new Readable({ read: () => undefined });
    for (const byte of Buffer.from(text)) body.push(Buffer.of(byte));
    return { body, ...open({ endOfStream: true, headers: events, body }) };
  }

  test.each([
    ["at once", event(asks)],
    ["after other events", `: hello\r\n\r\n${event(note)}${event(asks)}`],
    ["in a batch", `data: ${JSON.stringify([note, asks])}\n\n`],
    ["in an event of many lines", `data: {"id":1,\n${"data\n".repeat(MOST_LINES)}data: "method":"ping"}\n\n`],
    ["in as few bytes as it takes", 'data:{"id":1,"method":""}\n\n'],
  ])("is given up where the server asks the client something in it, %s, and let go of", async (_, text) => {
    const { body, answered } = unending(text);
    await expect(answered()).rejects.toThrow("sends a request to a client");
    expect(body.destroyed).toBe(true);
  });

  test("is no request of the server's by what else is in it", async () => {
    const long = `data: {"id":1,\n${"data\n".repeat(MOST_LINES)}data: "result":{"method":"x"}}\n\n`;
    const other = event(note, result, { jsonrpc: "2.0", id: 1, error: {} }, [], [1]);
    const text = `${long}${other}data: null\n\ndata: {\n\n`;
    const { body, answered } = unending(text);
    body.push(null);
    expect(await bodyOf(await answered())).toBe(text);
  });

  test("costs no parse for each event that is too short to be a request, since a stream may be made of them", async () => {
    const text = "\n".repeat(1_000) + "data:1\n\ndata:{}\n\n".repeat(1_000);
    const { answered } = open({ endOfStream: true, headers: events, body: text });
    const parse = vi.spyOn(JSON, "parse");
    onTestFinished(() => parse.mockRestore());
    const answer = await answered();
    expect(parse).not.toHaveBeenCalled();
    expect(await bodyOf(answer)).toBe(text);
  });
});

test("JSON that must be sent whole is not looked into", async () => {
  const text = '{"jsonrpc":"2.0","id":1,"method":"x"}\n\n';
  expect(await bodyOf(await open({ endOfStream: true, headers: json, body: text }).answered())).toBe(text);
});

describe("an answer is streamed", () => {
  test.each<[string, Options]>([
    ["that is long", { headers: { ...json, ...length(WHOLE + 1) }, body: "x".repeat(WHOLE + 1) }],
    ["whose length nobody knows", { status: 500, headers: json, body: "{}" }],
    ["whose length is no number", { headers: { ...json, "content-length": "?" }, body: "{}" }],
    ["of events", { headers: { ...events, ...length(9) }, body: "data: 1\n\n" }],
  ])("%s", async (_, options) => {
    const { answered } = open(options);
    const answer = await answered();
    expect(answer).toMatchObject({ kind: "stream", status: options.status ?? 200 });
    expect(await bodyOf(answer)).toBe(options.body);
  });

  test("as it comes", async () => {
    const body = new Readable({ read: () => undefined });
    const { answered } = open({ headers: events, body });
    const answer = await answered();
    if (answer.kind !== "stream") throw new Error(answer.kind);
    const pieces = answer.body[Symbol.asyncIterator]();
    for (const text of ["a", "b"]) {
      const piece = pieces.next();
      body.push(text);
      expect(await piece).toEqual({ done: false, value: Buffer.from(text) });
    }
    body.push(null);
    expect(await pieces.next()).toEqual({ done: true, value: undefined });
  });

  test("and let go of when nobody wants it any more", async () => {
    const body = Readable.from([Buffer.from("a"), Buffer.from("b")]);
    const { answered } = open({ headers: events, body });
    const answer = await answered();
    if (answer.kind !== "stream") throw new Error(answer.kind);
    for await (const _ of answer.body) break;
    expect(body.destroyed).toBe(true);
  });
});

describe("the head of an answer", () => {
  test.each([
    ["whole", length(2)],
    ["streamed", {}],
  ])("is what its backend says, with the client's session: %s", async (_, size) => {
    const headers = { ...json, "x-own": "1", "mcp-session-id": "new", ...size };
    const answer = await open({ headers, setCookies: ["a=1", "b=2"], body: "{}" }).answered();
    expect(answer.kind === "reply" ? answer.headers : answer.set).toEqual([
      ...Object.entries(json),
      ["x-own", "1"],
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
      ["mcp-session-id", "client-id"],
    ]);
  });

  test("keeps nothing of the first answer's that this one does not say", async () => {
    const first = { ...json, "mcp-session-id": "old", "content-length": "9", "set-cookie": "a=old", "x-other": "1" };
    const answer = await open({ first, headers: events, body: "{}" }).answered();
    expect(answer).toMatchObject({
      kind: "stream",
      set: Object.entries(events),
      remove: ["mcp-session-id", "content-length", "set-cookie", "x-other"],
    });
  });

  test("removes nothing that is not there", async () => {
    expect(await open({ headers: events, body: "{}" }).answered()).toMatchObject({ remove: [] });
  });
});

describe("an answer over the limit is cut off", () => {
  const long = { body: "x".repeat(11), answerLimit: 10 };
  const said = "longer than 10 bytes";

  test("before what is too much, where it is streamed", async () => {
    const body = Readable.from([Buffer.from("x".repeat(10)), Buffer.from("y")]);
    const { answered } = open({ ...long, headers: events, body });
    const answer = await answered();
    if (answer.kind !== "stream") throw new Error(answer.kind);
    const pieces: string[] = [];
    const all = async () => {
      for await (const piece of answer.body) pieces.push(Buffer.from(piece).toString());
    };
    await expect(all()).rejects.toThrow(said);
    expect(pieces).toEqual(["x".repeat(10)]);
    expect(body.destroyed).toBe(true);
  });

  test("and is none, where it is sent whole", async () => {
    await expect(open({ ...long, headers: length(11) }).answered()).rejects.toThrow(said);
  });

  test("but not at the limit", async () => {
    expect(await bodyOf(await open({ ...long, answerLimit: 11, headers: length(11) }).answered())).toBe(long.body);
  });
});

describe("of all answers at once", () => {
  const TOTAL = 20;
  const half = { headers: events, body: "x".repeat(TOTAL / 2) };

  async function streamed(answers: Budget): Promise<StreamedAnswer> {
    const answer = await open({ ...half, answers }).answered();
    if (answer.kind !== "stream") throw new Error(answer.kind);
    return answer;
  }

  test("those that are too many bytes are cut off, until others have ended", async () => {
    const answers = createBudget(TOTAL);
    const underway = [(await streamed(answers)).body, (await streamed(answers)).body].map((body) =>
      body[Symbol.asyncIterator](),
    );
    for (const answer of underway) expect((await answer.next()).value).toHaveLength(TOTAL / 2);
    await expect(bodyOf(await streamed(answers))).rejects.toThrow("too many bytes at once");
    for (const answer of underway) expect((await answer.next()).done).toBe(true);
    expect(await bodyOf(await streamed(answers))).toBe(half.body);
  });

  test("one that nobody wants any more counts no longer", async () => {
    const answers = createBudget(TOTAL);
    for await (const _ of (await streamed(answers)).body) break;
    expect(answers.take(newHolder(), TOTAL)).toBeUndefined();
  });

  test("one session's take no more than its share of them, be one of them as long as it may", async () => {
    const answers = createBudget(TOTAL);
    const holder = newHolder();
    const answer = async () => {
      const opened = await open({ ...half, answers, holder }).answered();
      if (opened.kind !== "stream") throw new Error(opened.kind);
      return opened.body[Symbol.asyncIterator]();
    };
    const [first, second] = [await answer(), await answer()];
    expect((await first.next()).value).toHaveLength(TOTAL / 2);
    await expect(second.next()).rejects.toThrow("session-share");
    expect((await (await streamed(answers)).body[Symbol.asyncIterator]().next()).value).toHaveLength(TOTAL / 2);
  });
});
