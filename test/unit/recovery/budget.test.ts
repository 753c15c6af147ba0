import { describe, expect, test } from "vitest";
import { createBudget, type Holder, PRINCIPAL_SHARE, SESSION_SHARE } from "../../../src/recovery/budget.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";

/** A session of its own. */
const holder = (principal: string = ANONYMOUS): Holder => ({ key: sessionKey(mintSessionId()), principal });

const TOTAL = 1_600;
const SHARE = TOTAL * SESSION_SHARE;

test("a budget gives no more than it has, and takes back", () => {
  const budget = createBudget(10);
  const [one, two, three] = [holder(), holder(), holder()];
  expect(budget.take(one, 7)).toBeUndefined();
  expect(budget.take(two, 4)).toBe("budget");
  // What was refused was not taken.
  expect(budget.take(two, 3)).toBeUndefined();
  expect(budget.take(three, 1)).toBe("budget");
  budget.give(one, 7);
  expect(budget.take(three, 8)).toBe("budget");
  expect(budget.take(three, 7)).toBeUndefined();
});

describe("a session", () => {
  test("takes no more than its share from the others, and what it gives back it may take again", () => {
    const budget = createBudget(TOTAL);
    const [greedy, other] = [holder(), holder()];
    for (let n = 0; n < SHARE; n++) expect(budget.take(greedy, 1)).toBeUndefined();
    expect(budget.take(greedy, 1)).toBe("session-share");
    expect(budget.take(other, SHARE)).toBeUndefined();
    budget.give(greedy, 10);
    expect(budget.take(greedy, 11)).toBe("session-share");
    expect(budget.take(greedy, 10)).toBeUndefined();
  });

  test("has one alone that is larger than its share, and no second one beside it", () => {
    const budget = createBudget(TOTAL);
    const large = holder();
    expect(budget.take(large, 2 * SHARE)).toBeUndefined();
    expect(budget.take(large, 1)).toBe("session-share");
    // It grows, as an answer does.
    expect(budget.take(large, SHARE, 2 * SHARE)).toBeUndefined();
  });
});

describe("a principal", () => {
  test("takes no more than its share from the others, by however many sessions", () => {
    const budget = createBudget(TOTAL);
    const sessions = (TOTAL * PRINCIPAL_SHARE) / SHARE;
    for (let n = 0; n < sessions; n++) expect(budget.take(holder("ada"), SHARE)).toBeUndefined();
    expect(budget.take(holder("ada"), 1)).toBe("principal-share");
    expect(budget.take(holder("bob"), 1)).toBeUndefined();
  });

  test("is none where nobody has a name: what anonymous sessions take is one another's", () => {
    const budget = createBudget(TOTAL);
    for (let n = 0; n < 1 / SESSION_SHARE; n++) expect(budget.take(holder(), SHARE)).toBeUndefined();
    expect(budget.take(holder(), 1)).toBe("budget");
  });

  test("has taken nothing by what was refused to a session of its", () => {
    const budget = createBudget(TOTAL);
    const ada = holder("ada");
    budget.take(ada, SHARE);
    for (let n = 0; n < 100; n++) expect(budget.take(ada, SHARE)).toBe("session-share");
    expect(budget.take(holder("ada"), SHARE)).toBeUndefined();
  });
});
