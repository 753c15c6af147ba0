/** What is made of texts that are too long, and of keys: nothing. Counted by what is encoded and decoded. */
import { afterEach, expect, test, vi } from "vitest";
import { classifyMessage } from "../../../src/core/classify-message.ts";
import { headerValue } from "../../../src/core/header-value.ts";
import { fields } from "./fields.ts";
import { POLICY } from "./policy.ts";

vi.mock("../../../src/core/header-value.ts", async (original) => {
  const names = await original<typeof import("../../../src/core/header-value.ts")>();
  return { ...names, headerValue: vi.fn(names.headerValue) };
});

afterEach(() => {
  vi.mocked(headerValue).mockClear();
  vi.restoreAllMocks();
});

const LONG = 100_000;
const limits = { ...POLICY.limits, body: 20 * LONG, batch: 100, name: 50, initialize: 1_000 };
const call = (name: string, method = "tools/call") => ({ jsonrpc: "2.0", id: 1, method, params: { name, uri: name } });
const decideOn = (body: unknown, headers: Record<string, string> = {}) =>
  classifyMessage(Buffer.from(JSON.stringify(body)), fields(headers), limits);

test.each([
  ["a name of %", call("%".repeat(LONG))],
  ["a name of spaces", call(" ".repeat(LONG))],
  ["a name of é", call("é".repeat(LONG))],
  ["a uri", call("%".repeat(LONG), "resources/subscribe")],
  ["a method of %", call("x", "%".repeat(LONG))],
  ["a method of spaces", call("x", " ".repeat(LONG))],
  ["a notification's method", { jsonrpc: "2.0", method: "%".repeat(LONG) }],
  ["a name just above the limit", call("%".repeat(limits.name + 1))],
  ["a batch whose last method is too long", [...Array(99).fill(call("%".repeat(10))), call("x", "%".repeat(LONG))]],
])("%s that is too long is refused, and nothing of the message is encoded", (_, body) => {
  expect(decideOn(body)).toMatchObject({ kind: "reject", reject: { reason: "invalid-request" } });
  expect(headerValue).not.toHaveBeenCalled();
});

test("a batch's labels are made once, and not at all where its messages differ", () => {
  const same = Array.from({ length: 100 }, () => call("%%"));
  expect(decideOn(same)).toMatchObject({ labels: { method: "tools/call", name: "%25%25" } });
  expect(headerValue).toHaveBeenCalledTimes(2);
  vi.mocked(headerValue).mockClear();
  expect(decideOn(same.with(50, call("%")))).toMatchObject({ labels: { method: "batch" } });
  expect(headerValue).not.toHaveBeenCalled();
});

test("a text whose encoding is too long is encoded up to the limit and no further", () => {
  const written = vi.spyOn(String.prototype, "codePointAt");
  expect(decideOn(call("%".repeat(limits.name)))).toMatchObject({ reject: { reason: "invalid-request" } });
  expect(written.mock.calls.length).toBeLessThanOrEqual(Math.ceil(limits.name / 3));
});

test("an Mcp-Name that is longer than a name may be is not decoded", () => {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const body = Buffer.from(
    JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "x", _meta: meta } }),
  );
  const headers = fields({
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": `=?base64?${"AAAA".repeat(10_000)}?=`,
  });
  const made = vi.spyOn(Buffer, "from");
  expect(classifyMessage(body, headers, limits)).toMatchObject({
    reject: { reason: "header-mismatch", detail: "Mcp-Name is longer than a name may be" },
  });
  expect(made.mock.calls.filter(([from]) => typeof from === "string")).toEqual([]);
});

test.each([
  ["%", "%"],
  ["escaped letters", "\\u0061"],
  ["half surrogates", "\\ud800"],
  ["line breaks", "\\n"],
  ["é", "é"],
  ["emoji", "😀"],
])("of a text of %s that is too long no more is decoded than shows that it is", (_, unit) => {
  const long = unit.repeat(LONG);
  const parsed = vi.spyOn(JSON, "parse");
  const texts = vi.spyOn(Buffer.prototype, "toString");
  for (const message of [
    `{"jsonrpc":"2.0","id":1,"method":"${long}"}`,
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${long}"}}`,
    `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"${long}"}}`,
  ]) {
    expect(classifyMessage(Buffer.from(message), fields({}), limits)).toMatchObject({
      reject: { reason: "invalid-request", id: "1" },
    });
  }
  const most = (limits.name + 2) * 6;
  for (const { value } of texts.mock.results) expect(String(value).length).toBeLessThanOrEqual(most);
  for (const [text] of parsed.mock.calls) expect(text.length).toBeLessThanOrEqual(most);
});

test("keys are told from those that are read without decoding them, and what is read twice is not decoded twice", () => {
  const parsed = vi.spyOn(JSON, "parse");
  const texts = vi.spyOn(Buffer.prototype, "toString");
  const members = (key: string) => `${`"${key}":"\\u0061",`.repeat(1_000)}"z":1`;
  const bodies = ["\\u0061", "n\\u0061mf", "n\\u0061me", "NAME", "name\\u0000", "ä", "a"].map((key) =>
    Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"m","params":{${members(key)}},${members(key)}}`),
  );
  for (const body of bodies) classifyMessage(body, fields({}), limits);
  // Of a body the method, the id, and of keys that are refused the first one and its value.
  expect(parsed.mock.calls.length + texts.mock.calls.length).toBeLessThanOrEqual(bodies.length * 6);
});
