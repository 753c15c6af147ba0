/** The rules of `policy` while they change. */
import { expect, test } from "vitest";
import { type Access, createAccess, permitsInForce } from "../../../../src/core/policy/access.ts";
import { allow, caller } from "./rules.ts";

test("what goes on while rules change is judged by those that are in force at the time", () => {
  const rules = (...tools: string[]) => createAccess([allow({ tools })], ["/mcp"], 1_000);
  let inForce: Access | undefined = rules("one", "two");
  const permits = permitsInForce(() => inForce, "/mcp", caller({}));
  const may = () => ["one", "two", "three"].filter((name) => permits.permits("tools", name));
  expect(may()).toEqual(["one", "two"]);
  inForce = rules("two");
  expect(may()).toEqual(["two"]);
  inForce = undefined;
  expect(may()).toEqual(["one", "two", "three"]);
  inForce = rules("three");
  expect(may()).toEqual(["three"]);
});
