import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { idForClient, MOST_PLACES, ownerOfId } from "../../../../src/core/federation/ids.ts";

const place = fc.integer({ min: 0, max: MOST_PLACES - 1 });
const id = fc.oneof(
  fc.integer().map(String),
  fc.maxSafeInteger().map(String),
  fc.constantFrom(
    "-1",
    "1.0",
    "1e3",
    "-0",
    "9007199254740993",
    '""',
    '"0"',
    '"\\u0061"',
    '"s1-"',
    "0",
    "35184372088831",
  ),
  fc.string({ unit: "binary", maxLength: 300 }).map((text) => JSON.stringify(text)),
  fc.constant(JSON.stringify("long".repeat(50_000))),
);

describe("the id of a backend's request, as a client gets it", () => {
  test("says whose it is, and gives the backend's own back, as it was written", () => {
    fc.assert(
      fc.property(place, id, (of, own) => void expect(ownerOfId(idForClient(of, own))).toEqual({ place: of, id: own })),
    );
  });

  test("is another one for each backend and each of its ids", () => {
    const pairs = fc.uniqueArray(fc.tuple(place, id), { selector: ([of, own]) => `${of} ${own}` });
    fc.assert(
      fc.property(pairs, (all) => {
        expect(new Set(all.map(([of, own]) => idForClient(of, own))).size).toBe(all.length);
      }),
    );
  });

  test("stays an integer while there is room, and is else a text that the Ruby SDK takes", () => {
    fc.assert(
      fc.property(place, id, (of, own) => void expect(idForClient(of, own)).toMatch(/^(?:\d+|"[A-Za-z0-9_-]+")$/)),
    );
    expect(idForClient(3, "0")).toBe("3");
    expect(idForClient(255, "35184372088831")).toBe(String(Number.MAX_SAFE_INTEGER));
    expect(idForClient(0, "35184372088832")).toMatch(/^"/);
  });

  test.each(["-1", "1.5", '"x"', '"s1-!"', '"s999-MA"', '"s1-MA=="', "null", "9007199254740993", '"s01-MQ"'])(
    "is never %s",
    (other) => {
      expect(ownerOfId(other)).toBeUndefined();
    },
  );
});
