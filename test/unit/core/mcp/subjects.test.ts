import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { headerValue, SUBJECTS, subjectOf } from "../../../../src/core/mcp/subjects.ts";
import type { Message, Params } from "../../../../src/core/rpc/message.ts";

/** Bytes that any of these texts has room in. */
const ROOM = 10_000;
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });

const params: Params = {
  start: 0,
  end: 0,
  name: { start: 1, end: 2, value: "the name" },
  uri: { start: 3, end: 4, value: "the uri" },
  taskId: { start: 5, end: 6, value: "the task" },
  protocolVersion: undefined,
  meta: undefined,
};

function request(method: string, about = params): Message {
  return { kind: "request", id: "1", method, params: about };
}

describe("what a message is about", () => {
  test.each([
    ["tools/call", "the name"],
    ["prompts/get", "the name"],
    ["resources/read", "the uri"],
    ["resources/subscribe", "the uri"],
    ["resources/unsubscribe", "the uri"],
    ["tasks/get", "the task"],
    ["tasks/update", "the task"],
    ["tasks/cancel", "the task"],
    ["tasks/result", "the task"],
    ["tools/list", undefined],
    ["initialize", undefined],
    ["constructor", undefined],
    ["__proto__", undefined],
  ])("%s: %s", (method, subject) => {
    expect(subjectOf(request(method))?.value).toBe(subject);
  });

  test("a request without params names nothing", () => {
    expect(subjectOf({ kind: "request", id: "1", method: "tools/call", params: undefined })).toBeUndefined();
  });

  test("params without the member name nothing", () => {
    expect(subjectOf(request("tools/call", { ...params, name: undefined }))).toBeUndefined();
  });

  test("a response names nothing", () => {
    expect(subjectOf({ kind: "response", id: "1" })).toBeUndefined();
  });

  test("only the methods of SEP-2243 and SEP-2663 are mirrored by Mcp-Name", () => {
    const mirrored = [...SUBJECTS].filter(([, subject]) => subject.mirrored).map(([method]) => method);
    expect(mirrored).toEqual([
      "tools/call",
      "prompts/get",
      "resources/read",
      "tasks/get",
      "tasks/update",
      "tasks/cancel",
    ]);
  });
});

describe("a name as a header value", () => {
  test.each([
    ["tools/call", "tools/call"],
    ["a,b", "a,b"],
    ["100%", "100%25"],
    ["two words", "two%20words"],
    ["a\r\nx-admin: 1", "a%0D%0Ax-admin:%201"],
    ["é", "%C3%A9"],
    ["😀", "%F0%9F%98%80"],
    ["\ud800", "%ED%A0%80"],
    ["\udfff", "%ED%BF%BF"],
    ["\x7f", "%7F"],
    ["", ""],
  ])("%j becomes %s", (text, value) => {
    expect(headerValue(text, ROOM)).toBe(value);
  });

  test.each([
    ["abc", 3, "abc"],
    ["abc", 2, undefined],
    ["a%", 4, "a%25"],
    ["a%", 3, undefined],
    ["%a", 3, undefined],
    ["é", 6, "%C3%A9"],
    ["é", 5, undefined],
    ["😀", 12, "%F0%9F%98%80"],
    ["😀", 11, undefined],
    ["", 0, ""],
  ])("%j within %i bytes is %j", (text, longest, value) => {
    expect(headerValue(text, longest)).toBe(value);
  });

  test("is as Buffer and encodeURIComponent have it, where the name is well-formed", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const encoded = [...Buffer.from(text)].map((byte) =>
          byte > 0x20 && byte < 0x7f && byte !== 0x25
            ? String.fromCharCode(byte)
            : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
        );
        expect(headerValue(text, ROOM)).toBe(encoded.join(""));
      }),
    );
  });

  test("is visible ASCII", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(headerValue(text, ROOM)).toMatch(/^[\x21-\x7e]*$/);
      }),
    );
  });

  test("is decoded by decodeURIComponent, where the name is well-formed", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(decodeURIComponent(headerValue(text, ROOM) ?? "too long")).toBe(text);
      }),
    );
  });

  test("differs for different names", () => {
    // Few characters, so that collisions would be likely if they could be.
    const close = fc.string({
      unit: fc.constantFrom("%", "2", "5", " ", "\ufffd", "\ud800", "\udc00", "😀"),
      maxLength: 3,
    });
    fc.assert(
      fc.property(close, close, (a, b) => {
        expect(headerValue(a, ROOM) === headerValue(b, ROOM)).toBe(a === b);
      }),
    );
  });
});
