import { expect, test } from "vitest";
import { createBreaker } from "../../../src/redis/breaker.ts";

function open() {
  let now = 0;
  const changes: boolean[] = [];
  const breaker = createBreaker({
    failures: 3,
    cooldown: 100,
    now: () => now,
    onChange: (is) => void changes.push(is),
  });
  return { breaker, changes, advance: (ms: number) => (now += ms) };
}

function fail(breaker: ReturnType<typeof open>["breaker"], times: number): void {
  for (let n = 0; n < times; n++) breaker.failed();
}

test("failures below the limit, or with a success between them, leave it closed", () => {
  const { breaker, changes } = open();
  fail(breaker, 2);
  breaker.succeeded();
  fail(breaker, 2);
  expect(breaker.allows()).toBe(true);
  expect(changes).toEqual([]);
});

test("as many failures in a row as the limit open it, and it tells so once", () => {
  const { breaker, changes } = open();
  fail(breaker, 5);
  expect(breaker.allows()).toBe(false);
  expect(changes).toEqual([true]);
});

test("once the cooldown has gone by, one caller may try, and no other until the next", () => {
  const { breaker, advance } = open();
  fail(breaker, 3);
  advance(99);
  expect(breaker.allows()).toBe(false);
  advance(1);
  expect([breaker.allows(), breaker.allows()]).toEqual([true, false]);
  advance(100);
  expect([breaker.allows(), breaker.allows()]).toEqual([true, false]);
});

test("a try that fails keeps it open for another cooldown", () => {
  const { breaker, advance, changes } = open();
  fail(breaker, 3);
  advance(150);
  expect(breaker.allows()).toBe(true);
  advance(50);
  breaker.failed();
  advance(99);
  expect(breaker.allows()).toBe(false);
  expect(changes).toEqual([true]);
});

test("a try that succeeds closes it, and the count begins anew", () => {
  const { breaker, advance, changes } = open();
  fail(breaker, 3);
  advance(100);
  breaker.allows();
  breaker.succeeded();
  fail(breaker, 2);
  expect(breaker.allows()).toBe(true);
  expect(changes).toEqual([true, false]);
});
