import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readStreamOf, readSubscriber, writeStreamOf, writeSubscriber } from "../../../src/core/streams.ts";

describe("the session whose stream is asked for", () => {
  test("is read as it was written", () => {
    const digest = fc.stringMatching(/^[\w-]{1,43}$/);
    const owner = fc.oneof(digest, fc.constant(""));
    const path = fc.oneof(fc.webPath(), fc.constantFrom("/", "/mcp", "/ä b", "/a.b")).filter((text) => text !== "");
    fc.assert(
      fc.property(digest, owner, path, fc.option(digest), (key, of, at, outcome) => {
        const stream = { key, owner: of, path: decodeURI(encodeURI(at)), ...(outcome !== null && { outcome }) };
        expect(readStreamOf(writeStreamOf(stream))).toEqual(stream);
        expect(readSubscriber(writeStreamOf(stream))).toBeUndefined();
        const subscriber = { owner: of, path: stream.path, ...(outcome !== null && { outcome }) };
        expect(readSubscriber(writeSubscriber(subscriber))).toEqual(subscriber);
        expect(readStreamOf(writeSubscriber(subscriber))).toBeUndefined();
      }),
    );
  });

  test.each([undefined, "", "x", "a.b", "a.b.", "a b.c./mcp", ".b./mcp", "a.b./%zz"])("is none in %j", (text) => {
    expect(readStreamOf(text)).toBeUndefined();
    expect(readSubscriber(text)).toBeUndefined();
  });
});
