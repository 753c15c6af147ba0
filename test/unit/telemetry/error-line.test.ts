import { expect, test } from "vitest";
import { errorLine } from "../../../src/telemetry/error-line.ts";

test("an error is told by what it is called and says, and where it comes from", () => {
  const error = Object.assign(new TypeError("broken"), { code: "EPIPE" });
  expect(errorLine(error)).toEqual({
    error: "TypeError",
    code: "EPIPE",
    why: "broken",
    at: expect.arrayContaining([expect.stringContaining("error-line.test.ts")]),
  });
});

test("nothing is told of the command that an error of Redis holds, nor of what Redis repeats of it", () => {
  const error = Object.assign(new Error("ERR unknown command `EVAL`, with args beginning with: `secret` "), {
    command: { name: "auth", args: ["secret"] },
  });
  expect(JSON.stringify(errorLine(error))).not.toContain("secret");
  expect(errorLine(error)).toMatchObject({ why: "ERR unknown command `EVAL`" });
});

test("what is no error is told as it is", () => {
  expect(errorLine("reason")).toEqual({ error: "string", why: "reason" });
});
