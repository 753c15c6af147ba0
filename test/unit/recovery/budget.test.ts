import { expect, test } from "vitest";
import { createBudget } from "../../../src/recovery/budget.ts";

test("a budget gives no more than it has, and takes back", () => {
  const budget = createBudget(10);
  expect(budget.take(7)).toBe(true);
  expect(budget.take(4)).toBe(false);
  // What was refused was not taken.
  expect(budget.take(3)).toBe(true);
  expect(budget.take(1)).toBe(false);
  expect(budget.take(0)).toBe(true);
  budget.give(7);
  expect(budget.take(8)).toBe(false);
  expect(budget.take(7)).toBe(true);
});
