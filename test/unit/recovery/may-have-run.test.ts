import { describe, expect, test } from "vitest";
import { lengthOf, mayHaveRun } from "../../../src/recovery/may-have-run.ts";
import { fields } from "../core/fields.ts";

/** Of a server that words a lost session by so many bytes, the id among them. */
const PING = { status: 404, namesSession: false, length: 100, ids: 1, idLength: 12 };

function head(status: number, headers: Readonly<Record<string, string>> = {}) {
  return { headers: fields({ ":status": String(status), ...headers }), endOfStream: false };
}
const ofLength = (length: number, status = 404) => head(status, { "content-length": String(length) });

describe("a call of a tool may have run", () => {
  test.each<[string, ReturnType<typeof head>]>([
    ["in other words, which are longer", ofLength(100 - 11 + 3)],
    ["in other words, which are shorter", ofLength(100 - 11 - 3)],
    ["by another status, in as many words", ofLength(89, 400)],
    ["by nothing", { ...head(404), endOfStream: true }],
    ["in words of which nobody knows how many", head(404)],
    ["in as many words, and with the session's id", head(404, { "content-length": "89", "mcp-session-id": "old" })],
  ])("where it was answered %s than a ping in the lost session", (_, first) => {
    expect(mayHaveRun("tools/call", "7", first, PING)).toBe(true);
  });

  test.each(["tools/call", "batch", "tasks/cancel", "vendor/does", ""])("and so may %s", (method) => {
    expect(mayHaveRun(method, "7", ofLength(500), PING)).toBe(true);
  });
});

describe("a call of a tool has not run", () => {
  test.each<[string, string | undefined, ReturnType<typeof head>]>([
    ["with its id in place of the ping's", "7", ofLength(89)],
    ["with a longer id", '"\u00e9aaaaaaaaaaaaaaaaaaaaaaaaa"', ofLength(100 - 12 + 29)],
    ["with null in place of an id", undefined, ofLength(92)],
    ["with some digits more", "7", ofLength(91)],
    ["with some digits less", "7", ofLength(87)],
  ])("where it was answered as a ping in the lost session, %s", (_, id, first) => {
    expect(mayHaveRun("tools/call", id, first, PING)).toBe(false);
  });

  test("where both were answered by nothing", () => {
    const nothing = { ...PING, length: 0, ids: 0 };
    expect(mayHaveRun("tools/call", "7", { ...head(404), endOfStream: true }, nothing)).toBe(false);
  });

  test("where nothing tells the answers apart", () => {
    expect(mayHaveRun("tools/call", "7", head(404), { ...PING, length: "unsaid" })).toBe(false);
    expect(mayHaveRun("tools/call", "7", ofLength(500), { ...PING, length: "encoded" })).toBe(false);
    const named = head(404, { "content-length": "89", "mcp-session-id": "old" });
    expect(mayHaveRun("tools/call", "7", named, { ...PING, namesSession: true })).toBe(false);
    const gzip = head(404, { "content-length": "9", "content-encoding": "gzip" });
    expect(mayHaveRun("tools/call", "7", gzip, PING)).toBe(false);
  });

  test("where it was not sent at all", () => {
    expect(mayHaveRun("tools/call", "7", ofLength(500, 503), undefined)).toBe(false);
  });
});

test.each([
  undefined,
  "ping",
  "tools/list",
  "resources/read",
  "prompts/get",
  "completion/complete",
  "logging/setLevel",
  "resources/subscribe",
  "notifications/cancelled",
])("%s does nothing that it has not done, where it has run", (method) => {
  expect(mayHaveRun(method, "7", ofLength(500), PING)).toBe(false);
});

test("a length is that of a body that is not encoded", () => {
  const of = (headers: Readonly<Record<string, string>>) => lengthOf((name) => headers[name]);
  expect(of({ "content-length": "5" })).toBe(5);
  expect(of({ "content-length": "5", "content-encoding": "identity" })).toBe(5);
  expect(of({ "content-length": "5", "content-encoding": "br" })).toBe("encoded");
  expect(of({})).toBe("unsaid");
});
