import { Readable } from "node:stream";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { firstResponse, responseBytes } from "../../../src/backends/first-response.ts";
import { MOST_LINES } from "../../../src/core/sse/fields.ts";

const JSON_TYPE = "application/json";
const EVENTS = "text/event-stream; charset=utf-8";
const LIMIT = 1_000;
const RESULT = '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","é":1}}';
const READ = { result: { protocolVersion: "2025-06-18" } };

const body = (...chunks: readonly (string | Uint8Array)[]) =>
  Readable.from(chunks.map((chunk) => Buffer.from(chunk as string)));
const read = (type: string | undefined, ...chunks: readonly (string | Uint8Array)[]) =>
  firstResponse(type, body(...chunks), LIMIT);

describe("the answer is found", () => {
  test.each<[string, string | undefined, string[]]>([
    ["in JSON", JSON_TYPE, [RESULT]],
    ["in JSON of no type", undefined, [RESULT]],
    ["in JSON with a byte order mark", JSON_TYPE, [`\ufeff${RESULT}`]],
    ["in events whose lines end in CR", EVENTS, [`event: message\rdata: ${RESULT}\r\r`]],
    ["in events with a byte order mark", EVENTS, [`\ufeffdata: ${RESULT}\n\n`]],
    ["in an event", EVENTS, [`event: message\nid: 1\ndata: ${RESULT}\n\n`]],
    ["in an event with CRLF", EVENTS, [`event: message\r\ndata: ${RESULT}\r\n\r\n`]],
    ["in an event without a space", EVENTS, [`data:${RESULT}\n\n`]],
    [
      "in an event of several lines",
      EVENTS,
      [`data: {"id":1,\ndata: "result":\ndata: {"protocolVersion":"2025-06-18"}}\n\n`],
    ],
    ["after comments and pings", EVENTS, [`: hello\n\n: ping\n\nretry: 5\n\ndata: \n\ndata: ${RESULT}\n\n`]],
    [
      "after notifications and requests of the server",
      EVENTS,
      [
        'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n',
        'data: {"jsonrpc":"2.0","id":1,"method":"ping"}\n\n',
        `data: ${RESULT}\n\n`,
      ],
    ],
    ["in the last event, which nothing ends", EVENTS, [`data: ${RESULT}`]],
  ])("%s", async (_, type, chunks) => {
    expect(await read(type, ...chunks)).toEqual(READ);
  });

  test.each([
    [JSON_TYPE, RESULT],
    [EVENTS, `: hello\r\n\r\ndata: ${RESULT}\r\n\r\n`],
  ])("wherever the body is cut, also within a character: %s", async (type, text) => {
    const bytes = Buffer.from(text);
    for (let at = 0; at <= bytes.length; at++)
      expect(await read(type, bytes.subarray(0, at), bytes.subarray(at))).toEqual(READ);
  });

  test("and in no event of more lines than are looked at", async () => {
    const lines = (number: number) => `data: {"id":1,\n${"data\n".repeat(number)}data: "result":{}}\n\n`;
    const found = (text: string) => firstResponse(EVENTS, body(text, `data: ${RESULT}\n\n`), 1024 * 1024);
    expect(await found(lines(MOST_LINES))).toEqual(READ);
    expect(await found(lines(MOST_LINES - 3))).toEqual({ result: {} });
  });

  test("and without a result where it is an error", async () => {
    const error = '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}';
    expect(await read(JSON_TYPE, error)).toEqual({});
    expect(await read(EVENTS, `data: ${error}\n\n`)).toEqual({});
  });
});

test.each(['data:{"error":0}', 'data:{"error":0}\r\r'])(
  "a response of as few bytes as it takes is one: %j",
  async (text) => {
    expect(await read(EVENTS, text)).toEqual({});
  },
);

test("an event that is too short to be a response costs no parse, since a stream may be made of them", async () => {
  const text = "\n".repeat(100) + "data:1\n\ndata:{}\n\n".repeat(20);
  const parse = vi.spyOn(JSON, "parse");
  onTestFinished(() => parse.mockRestore());
  expect(await read(EVENTS, text)).toBeUndefined();
  expect(parse).not.toHaveBeenCalled();
});

test("an event stream is read no further than the answer, and let go of", async () => {
  let pulled = 0;
  async function* endless() {
    yield Buffer.from(`data: ${RESULT}\n\n`);
    for (;;) {
      pulled++;
      yield Buffer.from(": more\n\n");
    }
  }
  const stream = Readable.from(endless(), { objectMode: false, highWaterMark: 1 });
  expect(await firstResponse(EVENTS, stream, LIMIT)).toEqual(READ);
  expect(stream.destroyed).toBe(true);
  expect(pulled).toBeLessThan(10);
});

describe("there is no answer in", () => {
  test.each<[string, string, string[]]>([
    ["nothing", JSON_TYPE, []],
    ["an event stream without events", EVENTS, []],
    ["what is not JSON", JSON_TYPE, ["<html>"]],
    ["what is not JSON, as an event", EVENTS, ["data: <html>\n\n"]],
    ["null", JSON_TYPE, ["null"]],
    ["a batch", JSON_TYPE, [`[${RESULT}]`]],
    ["a notification alone", EVENTS, ['data: {"jsonrpc":"2.0","method":"x"}\n\n']],
    ["a result that is no object", JSON_TYPE, ['{"jsonrpc":"2.0","id":1,"result":null}']],
    ["a version that is no text", JSON_TYPE, ['{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}']],
    ["a version that is no header", JSON_TYPE, ['{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"a\\r\\nb: c"}}']],
    ["a version without end", JSON_TYPE, [`{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"${"1".repeat(33)}"}}`]],
    ["JSON that is too long", JSON_TYPE, [" ".repeat(LIMIT), RESULT]],
    ["an event that is too long", EVENTS, [`data: ${" ".repeat(LIMIT)}`, `${RESULT}\n\n`]],
    ["more events than the limit holds", EVENTS, [": ping\n\n".repeat(LIMIT / 8 + 1), `data: ${RESULT}\n\n`]],
  ])("%s", async (_, type, chunks) => {
    expect(await read(type, ...chunks)).toBeUndefined();
  });
});

test("a body that breaks off is an error of the caller's", async () => {
  async function* broken() {
    yield Buffer.from(": hello\n\n");
    throw new Error("reset");
  }
  await expect(firstResponse(EVENTS, Readable.from(broken()), LIMIT)).rejects.toThrow("reset");
});

describe("the bytes of a response are read", () => {
  const LIMITS = { bytes: LIMIT, depth: 8 };
  const bytesOf = async (...chunks: readonly string[]) => {
    const read = await responseBytes(EVENTS, body(...chunks), LIMITS);
    return read.kind === "response" ? Buffer.from(read.bytes).toString() : read.kind;
  };

  test.each([
    ["an event without data, by whose id a client may resume", "id: 1\ndata: \n\n"],
    ["a ping of any text", "event: ping\ndata: 2026-01-01T00:00:00Z\n\n"],
    ["a ping that is JSON", 'data: {"type":"heartbeat"}\n\n'],
    ["a notification", 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n'],
  ])("after %s", async (_, event) => {
    expect(await bytesOf(event, `data:  ${RESULT}\n\n`)).toBe(` ${RESULT}`);
  });

  test("though it cannot be read: whoever reads it says why", async () => {
    const deep = `{"result":${"[".repeat(9)}${"]".repeat(9)}}`;
    expect(await bytesOf(`data: ${deep}\n\n`)).toBe(deep);
  });

  test("and there is none in a stream of other events", async () => {
    expect(await bytesOf("data: \n\n", "data: waiting for it\n\n")).toBe("none");
  });
});
