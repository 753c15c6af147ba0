import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type IdOwner, idForClient, MOST_PLACES, ownerOfId, TAG_BITS } from "../../../../src/core/federation/ids.ts";

const owner: fc.Arbitrary<IdOwner> = fc.record({
  place: fc.integer({ min: 0, max: MOST_PLACES - 1 }),
  tag: fc.integer({ min: 0, max: 2 ** TAG_BITS - 1 }),
});
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
    "33554431",
    "33554432",
  ),
  fc.string({ unit: "binary", maxLength: 300 }).map((text) => JSON.stringify(text)),
  fc.constant(JSON.stringify("long".repeat(50_000))),
);

describe("the id of a backend's request, as a client gets it", () => {
  test("says whose it is, and gives the backend's own back, as it was written", () => {
    fc.assert(
      fc.property(owner, id, (of, own) => void expect(ownerOfId(idForClient(of, own))).toEqual({ ...of, id: own })),
    );
  });

  test("is another one for each backend and each of its ids", () => {
    const pairs = fc.uniqueArray(fc.tuple(owner, id), { selector: ([of, own]) => `${of.place} ${of.tag} ${own}` });
    fc.assert(
      fc.property(pairs, (all) => {
        expect(new Set(all.map(([of, own]) => idForClient(of, own))).size).toBe(all.length);
      }),
    );
  });

  test("stays an integer while there is room, and is else a text that the Ruby SDK takes", () => {
    fc.assert(
      fc.property(owner, id, (of, own) => void expect(idForClient(of, own)).toMatch(/^(?:\d+|"[A-Za-z0-9_-]+")$/)),
    );
    expect(idForClient({ place: 3, tag: 0 }, "0")).toBe("3");
    expect(idForClient({ place: 255, tag: 2 ** TAG_BITS - 1 }, "33554431")).toBe(String(Number.MAX_SAFE_INTEGER));
    expect(idForClient({ place: 0, tag: 0 }, "33554432")).toMatch(/^"/);
  });

  test.each(["-1", "1.5", '"x"', '"s1-!"', '"s268435456-MA"', '"s1-MA=="', "null", "9007199254740993", '"s01-MQ"'])(
    "is never %s",
    (other) => {
      expect(ownerOfId(other)).toBeUndefined();
    },
  );
});
