import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dataOf, dataSpans, endOfReadLines, MOST_LINES } from "../../../../src/core/sse/fields.ts";
import { EventReader, type SseEvent } from "../../../../src/core/sse/reader.ts";

const BOM = "\ufeff";
const LIMIT = 1_000;

/** Every way to write a stream that HTML, "Server-sent events", allows, and what a browser makes of it. */
const STREAMS: readonly [string, string, string[]][] = [
  ["the data of an event", "event: message\nid: 1\ndata: a\n\n", ["a"]],
  ["lines of data, joined", "data:a\r\ndata:b\r\n\r\n", ["a\nb"]],
  ["each event", "data:a\n\n: ping\n\nretry: 5\n\n\n\ndata:b\n\n", ["a", "b"]],
  ["nothing of an event that has not ended", "data:a\n", []],
  ["lines that end in CR", "event: x\rdata: a\r\rdata: b\r\r", ["a", "b"]],
  ["lines that end in each way", "data:a\rdata:b\ndata:c\r\n\rdata:d\n\r\n", ["a\nb\nc", "d"]],
  ["CRLF before LF as two line ends", "data:a\r\n\ndata:b\r\n\r\n\ndata:c\n\n", ["a", "b", "c"]],
  ["a stream with a byte order mark", `${BOM}data: a\n\n`, ["a"]],
  ["a byte order mark that is not the first character as part of a name", `\n${BOM}data: a\n\n`, []],
  ["a byte order mark in data as data", `data:${BOM}a\n\ndata:${BOM}b\n\n`, [`${BOM}a`, `${BOM}b`]],
  ["one space less after the colon", "data:  a \n\n", [" a "]],
  ["data without a colon as an empty line", "data\n\ndata\ndata\n\ndata:", ["", "\n"]],
  ["nothing of fields with other names", "dat: a\ndatax: b\nDATA: c\n data: d\nda\n\n", []],
  ["nothing of comments, a colon among them", ": data: a\n:\n::data:b\n\n", []],
  ["data with colons in it", 'data:{"a":1}\n\n', ['{"a":1}']],
  ["characters of several bytes", "data: é😀\n\n", ["é😀"]],
];

interface Read {
  readonly events: readonly SseEvent[];
  readonly rest: SseEvent | undefined;
  /** Which chunk showed that an event is too long. */
  readonly tooLongAt?: number;
}

function readChunks(chunks: readonly Uint8Array[], limit = LIMIT): Read {
  const reader = new EventReader(limit);
  const events: SseEvent[] = [];
  for (const [at, chunk] of chunks.entries()) {
    const read = reader.read(chunk);
    if (read === "too-long") return { events, rest: reader.end(), tooLongAt: at };
    events.push(...read);
  }
  return { events, rest: reader.end() };
}

const dataIn = ({ events }: Read) => events.map(dataOf).filter((data) => data !== undefined);
const bytesIn = ({ events, rest }: Read) =>
  Buffer.concat([...events, ...(rest ? [rest] : [])].map(({ bytes }) => bytes));

describe("an event stream is read as clients read it:", () => {
  test.each(STREAMS)("%s, wherever the bytes are cut, and none is lost", (_, text, data) => {
    const bytes = Buffer.from(text);
    for (let first = 0; first <= bytes.length; first++)
      for (let second = first; second <= bytes.length; second++) {
        const read = readChunks([bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]);
        expect(dataIn(read)).toEqual(data);
        expect(bytesIn(read).equals(bytes)).toBe(true);
      }
  });
});

/** What HTML has a client do with the whole of a stream. */
function dataByTheStandard(text: string): string[] {
  const events: string[] = [];
  let data: string[] = [];
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/);
  // What stands behind the last line end is no line yet.
  for (const line of lines.slice(0, -1)) {
    if (line === "") {
      if (data.length > 0) events.push(data.join("\n"));
      data = [];
    } else if (line === "data") data.push("");
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return events;
}

test("any text, cut in any way, is read as the standard says, and none of its bytes is lost", () => {
  const token = fc.constantFrom("\r", "\n", "\r\n", "data", "data:", ":", " ", "a", "é", "id: 1", BOM);
  const cut = fc.array(fc.nat(200), { maxLength: 12 });
  fc.assert(
    fc.property(fc.array(token, { maxLength: 60 }), cut, (tokens, cuts) => {
      const text = tokens.join("");
      const bytes = Buffer.from(text);
      const at = [0, ...cuts.map((one) => Math.min(one, bytes.length)).toSorted((a, b) => a - b), bytes.length];
      const read = readChunks(at.slice(1).map((end, n) => bytes.subarray(at[n], end)));
      expect(dataIn(read)).toEqual(dataByTheStandard(text));
      expect(bytesIn(read).equals(bytes)).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test("an event that the end of the stream cut off is told as the rest, once", () => {
  const reader = new EventReader(LIMIT);
  expect(reader.read(Buffer.from("data: a\n\ndata: b"))).toHaveLength(1);
  const rest = reader.end();
  expect(rest && dataOf(rest)).toBe("b");
  expect(reader.end()).toBeUndefined();
});

test("data is told by its places in the event too", () => {
  const [event] = readChunks([Buffer.from(`${BOM}id: 1\ndata: ab\ndata\n\n`)]).events;
  if (!event) throw new Error("no event");
  expect(event.start).toBe(3);
  expect(dataSpans(event)).toEqual([
    { start: 15, end: 17, line: { start: 9, end: 18 } },
    { start: 22, end: 22, line: { start: 18, end: 23 } },
  ]);
});

describe("the lines of an event that are looked at", () => {
  test.each(["\n", "\r", "\r\n"])("are its first ones, each ended by %j", (end) => {
    const line = `id${end}`;
    const of = (lines: number) => ({ bytes: Buffer.from(` ${line.repeat(lines - 1)}${end}`), start: 1 });
    expect(endOfReadLines(of(MOST_LINES))).toBe(of(MOST_LINES).bytes.length);
    expect(endOfReadLines(of(MOST_LINES + 2))).toBe(1 + MOST_LINES * line.length);
  });

  test("are all of an event of few lines, however long it is", () => {
    const bytes = Buffer.from(`data: ${"x".repeat(2 * MOST_LINES)}`);
    expect(endOfReadLines({ bytes, start: 0 })).toBe(bytes.length);
    expect(endOfReadLines({ bytes: bytes.subarray(0, 0), start: 0 })).toBe(0);
  });
});

describe("an event that is longer than the limit", () => {
  const long = `data: ${"x".repeat(LIMIT)}\n\n`;

  test("is not held, and nothing after it is read, however it is cut", () => {
    const bytes = Buffer.from(`data: a\n\n${long}data: b\n\n`);
    for (const size of [1, 7, 500, 2_000]) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
        bytes.subarray(n * size, (n + 1) * size),
      );
      const read = readChunks([...chunks, Buffer.from("data: c\n\n")]);
      expect(dataIn(read)).toEqual(["a"]);
      expect(read.tooLongAt).toBeDefined();
      expect(read.rest).toBeUndefined();
    }
  });

  test("is given in parts where it may pass, the last of which says so", () => {
    const reader = new EventReader(LIMIT, "pass");
    const bytes = Buffer.from(`${long}${long}data: b\n\n`);
    const events = [500, 1_500, bytes.length].flatMap((end, n) => {
      const read = reader.read(bytes.subarray([0, 500, 1_500][n], end));
      return read === "too-long" ? [] : read;
    });
    expect(events.map(({ part }) => part)).toEqual(["more", "last", "more", "last", undefined]);
    expect(bytesIn({ events, rest: undefined }).equals(bytes)).toBe(true);
  });

  test("is none where it has just as many bytes", () => {
    expect(readChunks([Buffer.from(long)], long.length).events).toHaveLength(1);
    expect(readChunks([Buffer.from(long)], long.length - 1).tooLongAt).toBe(0);
  });
});

test("a long event that comes in many pieces is read whole", () => {
  const reader = new EventReader(30_000_000);
  const piece = Buffer.alloc(1_000, "x");
  reader.read(Buffer.from("data:"));
  // Looked at again with each piece, this would take minutes.
  for (let n = 0; n < 20_000; n++) reader.read(piece);
  const events = reader.read(Buffer.from("\n\n"));
  if (events === "too-long" || !events[0]) throw new Error("no event");
  expect(dataOf(events[0])).toHaveLength(20_000_000);
});
