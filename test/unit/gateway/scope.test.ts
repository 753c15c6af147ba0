import { expect, test } from "vitest";
import { abortSignalOf, HttpRequestScope } from "../../../src/gateway/scope.ts";

test("what a request holds is given back when it ends, in the order in which it was taken", () => {
  const scope = new HttpRequestScope();
  const released: string[] = [];
  for (const name of ["slot", "use"]) scope.onEnd(() => released.push(name));
  expect([scope.over, released]).toEqual([false, []]);
  scope.end();
  expect([scope.over, released]).toEqual([true, ["slot", "use"]]);
});

test("what is taken after the end is given back at once", () => {
  const scope = new HttpRequestScope();
  scope.end();
  const released: string[] = [];
  scope.onEnd(() => released.push("slot"));
  expect(released).toEqual(["slot"]);
});

test("what is taken while others are given back is given back at once", () => {
  const scope = new HttpRequestScope();
  const released: string[] = [];
  scope.onEnd(() => scope.onEnd(() => released.push("late")));
  scope.end();
  expect(released).toEqual(["late"]);
});

test("a request ends once", () => {
  const scope = new HttpRequestScope();
  let released = 0;
  scope.onEnd(() => released++);
  scope.end();
  scope.end();
  expect(released).toBe(1);
});

test("a scope that ends with nothing held ends all the same", () => {
  const scope = new HttpRequestScope();
  scope.end();
  expect(scope.over).toBe(true);
});

test("a signal of a request aborts at its end", () => {
  const scope = new HttpRequestScope();
  const signal = abortSignalOf(scope);
  expect(signal.aborted).toBe(false);
  scope.end();
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toEqual(new Error("the request has ended"));
});

test("a signal that is asked for after the end is aborted", () => {
  const scope = new HttpRequestScope();
  scope.end();
  expect(abortSignalOf(scope).aborted).toBe(true);
});
