import { describe, expect, test } from "vitest";
import { cookieName, keptCookies, withCookies } from "../../../src/backends/cookies.ts";

describe("of the cookies that an answer sets are kept", () => {
  const set = (...texts: string[]) => texts.map((text) => ["set-cookie", text] as const);

  test("those that have a name, as they are", () => {
    const texts = ["LB=1; Path=/; HttpOnly", "b=", "c==; Max-Age=0"];
    expect(keptCookies([["content-type", "x"], ...set(...texts, "=1", "nothing", "")])).toEqual(texts);
  });

  test("no more than twenty, and none that is over 4 KiB", () => {
    const many = Array.from({ length: 30 }, (_, n) => `c${n}=1`);
    expect(keptCookies(set(`long=${"x".repeat(4096)}`, ...many))).toEqual(many.slice(0, 20));
  });
});

describe("calls of a session carry its cookies", () => {
  const mine = [
    ["cookie", "a=1; LB=old;b=x=y"],
    ["x-user", "ada"],
    ["cookie", "c=3"],
  ] as const;

  test.each<[string, string[], string]>([
    ["in place of the client's of the same names", ["LB=new; Path=/"], "a=1; LB=new; b=x=y; c=3"],
    ["beside the client's of other names", ["d=4", "e=5"], "a=1; LB=old; b=x=y; c=3; d=4; e=5"],
    ["by the last that sets one", ["d=4", "d=5"], "a=1; LB=old; b=x=y; c=3; d=5"],
    ["without those that it ends", ["LB=; Max-Age=0", "a=gone; max-age = -1"], "b=x=y; c=3"],
  ])("%s", (_, setCookies, cookie) => {
    expect(withCookies(mine, setCookies)).toEqual([
      ["x-user", "ada"],
      ["cookie", cookie],
    ]);
  });

  test("where the client has none", () => {
    expect(withCookies([], ["a=1; Secure"])).toEqual([["cookie", "a=1"]]);
    expect(withCookies([["cookie", "a=1"]], ["a=; Max-Age=0"])).toEqual([]);
  });

  test("and the client's as they are where it has set none", () => {
    expect(withCookies(mine, [])).toBe(mine);
  });
});

test("a cookie is told by its name", () => {
  expect(["a=1; b=2", " a =1", "=1", "a"].map(cookieName)).toEqual(["a", "a", undefined, undefined]);
});
