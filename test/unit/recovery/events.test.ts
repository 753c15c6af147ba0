import { expect, test } from "vitest";
import { eventReader } from "../../../src/recovery/events.ts";

test.each<[string, string, string[]]>([
  ["the data of an event", "event: message\nid: 1\ndata: a\n\n", [" a"]],
  ["lines of data, joined", "data:a\r\ndata:b\r\n\r\n", ["a\nb"]],
  ["each event", "data:a\n\n: ping\n\nretry: 5\n\n\n\ndata:b\n\n", ["a", "b"]],
  ["nothing of an event that has not ended", "data:a\n", []],
])("%s is read, wherever the text is cut", (_, text, events) => {
  for (let at = 0; at <= text.length; at++) {
    const read = eventReader();
    expect([...read(text.slice(0, at)), ...read(text.slice(at))]).toEqual(events);
  }
});

test("a long line that comes in many pieces is not looked at again with each", () => {
  const read = eventReader();
  const piece = "x".repeat(1_000);
  const started = performance.now();
  read("data:");
  for (let n = 0; n < 20_000; n++) read(piece);
  expect(read("\n\n")[0]).toHaveLength(20_000_000);
  // Seen: tens of ms; with each piece looked at again it is minutes.
  expect(performance.now() - started).toBeLessThan(5_000);
});
