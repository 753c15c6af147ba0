import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventReader } from "../../../../src/core/sse/reader.ts";

const BOM = "\ufeff";

/** Every way to write a stream that HTML, "Server-sent events", allows, and what a browser makes of it. */
const STREAMS: readonly [string, string, string[]][] = [
  ["the data of an event", "event: message\nid: 1\ndata: a\n\n", ["a"]],
  ["lines of data, joined", "data:a\r\ndata:b\r\n\r\n", ["a\nb"]],
  ["each event", "data:a\n\n: ping\n\nretry: 5\n\n\n\ndata:b\n\n", ["a", "b"]],
  ["nothing of an event that has not ended", "data:a\n", []],
  ["lines that end in CR", "event: x\rdata: a\r\rdata: b\r\r", ["a", "b"]],
  ["lines that end in each way", "data:a\rdata:b\ndata:c\r\n\rdata:d\n\r\n", ["a\nb\nc", "d"]],
  ["a stream with a byte order mark", `${BOM}data: a\n\n`, ["a"]],
  ["a byte order mark that is not the first character as part of a name", `\n${BOM}data: a\n\n`, []],
  ["one space less after the colon", "data:  a \n\n", [" a "]],
  ["data without a colon as an empty line", "data\n\ndata\ndata\n\ndata:", ["", "\n"]],
  ["nothing of fields with other names", "dat: a\ndatax: b\nDATA: c\n data: d\nda\n\n", []],
  ["nothing of comments, a colon among them", ": data: a\n:\n::data:b\n\n", []],
  ["data with colons in it", 'data:{"a":1}\n\n', ['{"a":1}']],
];

describe("an event stream is read as clients read it:", () => {
  test.each(STREAMS)("%s, wherever the text is cut", (_, text, events) => {
    for (let first = 0; first <= text.length; first++)
      for (let second = first; second <= text.length; second++) {
        const read = eventReader();
        const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)];
        expect(pieces.flatMap((piece) => read(piece))).toEqual(events);
      }
  });
});

test("how the text is cut changes nothing of what is read", () => {
  const token = fc.constantFrom("\r", "\n", "\r\n", "data", "data:", ":", " ", "a", "id: 1", BOM);
  fc.assert(
    fc.property(fc.array(fc.array(token, { maxLength: 6 }), { maxLength: 12 }), (pieces) => {
      const texts = pieces.map((piece) => piece.join(""));
      const whole = eventReader()(texts.join(""));
      const read = eventReader();
      expect(texts.flatMap((text) => read(text))).toEqual(whole);
    }),
    { numRuns: 500 },
  );
});

test("a long line that comes in many pieces is read whole", () => {
  const read = eventReader();
  const piece = "x".repeat(1_000);
  read("data:");
  // Looked at again with each piece, this would take minutes.
  for (let n = 0; n < 20_000; n++) read(piece);
  expect(read("\n\n")[0]).toHaveLength(20_000_000);
});
