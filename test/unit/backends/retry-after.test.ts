import { expect, test } from "vitest";
import { LONGEST_RETRY_AFTER_MS, retryAfter } from "../../../src/backends/retry-after.ts";

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
