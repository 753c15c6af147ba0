import { expect, test } from "vitest";
import { nearest } from "../../../src/config/nearest.ts";

test.each([
  ["gatway", ["egress", "gateway"], "gateway"],
  ["lisen", ["lister", "listen"], "listen"],
  ["TIMEOUTS", ["timeouts"], "timeouts"],
  ["cal", ["call", "cell"], "call"],
  ["lisen", ["lesson", "listen"], "listen"],
  ["port", ["listen", "hosts", "origins", "tls"], undefined],
  ["x", [], undefined],
  ["", ["path"], undefined],
])("%j among %j is %j", (written, words, meant) => {
  expect(nearest(written, words)).toBe(meant);
});
