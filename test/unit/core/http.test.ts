import { expect, test } from "vitest";
import { isSuccess } from "../../../src/core/http.ts";

test.each(["200", "202", "204", "299", 200, 299])("%j says that a request was taken", (status) => {
  expect(isSuccess(status)).toBe(true);
});

test.each([undefined, "", "100", "199", "300", "404", "2xx", 199, 300, 503])("%j does not say so", (status) => {
  expect(isSuccess(status)).toBe(false);
});
