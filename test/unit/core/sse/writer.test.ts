import { expect, test } from "vitest";
import { retryEvent } from "../../../../src/core/sse/writer.ts";

test("a client is told in whole ms when to come again", () => {
  expect(retryEvent(99.2)).toBe("retry: 100\n\n");
  expect(retryEvent(99.2, "x")).toBe("id: x\nretry: 100\n\n");
});
