import { expect, test } from "vitest";
import { createPauses, LONGEST_RETRY_AFTER_MS, retryAfter } from "../../../src/recovery/retry-after.ts";

const NOW = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");

test.each<[string | undefined, number | undefined]>([
  [undefined, undefined],
  ["", undefined],
  ["soon", undefined],
  ["-5", undefined],
  ["1.5", undefined],
  ["0", 0],
  [" 5 ", 5_000],
  ["Wed, 21 Oct 2026 07:28:30 GMT", 30_000],
  ["Wed, 21 Oct 2026 07:27:00 GMT", 0],
  ["Wed, 21 Oct 2099 07:28:30 GMT", LONGEST_RETRY_AFTER_MS],
  ["999999999999999999999999", LONGEST_RETRY_AFTER_MS],
])("Retry-After %j is %s ms", (header, ms) => {
  expect(retryAfter(header, NOW)).toBe(ms);
});

test("a backend is let be for the longest time that it said, and no other one is", () => {
  let at = 0;
  const pauses = createPauses(() => at);
  expect(pauses.left("one")).toBe(0);
  pauses.pause("one", 5_000);
  pauses.pause("one", 1_000);
  expect([pauses.left("one"), pauses.left("two")]).toEqual([5_000, 0]);
  at = 4_000;
  expect(pauses.left("one")).toBe(1_000);
  at = 5_000;
  expect(pauses.left("one")).toBe(0);
});
