import { expect, test } from "vitest";
import { type BackendEras, crosses, eraAt, servesModern } from "../../../../src/core/federation/era.ts";
import type { Member } from "../../../../src/core/routes.ts";
import { federatedRoute, memberOf } from "../../core/federated.ts";

const BOTH = { speaksModern: true, inSession: true };
const LEGACY = { speaksModern: false, inSession: true };
const MODERN = { speaksModern: true, inSession: false };

test.each([
  ["legacy", LEGACY, "legacy"],
  ["legacy", BOTH, "legacy"],
  ["legacy", MODERN, "modern"],
  ["modern", LEGACY, "legacy"],
  ["modern", BOTH, "modern"],
  ["modern", MODERN, "modern"],
] as const)("the era of a %s client's request at a backend of %j is %s", (client, backend, era) => {
  expect(eraAt(client, backend)).toBe(era);
});

test.each([
  ["legacy", LEGACY, false],
  ["legacy", BOTH, false],
  ["legacy", MODERN, true],
  ["modern", LEGACY, true],
  ["modern", BOTH, false],
  ["modern", MODERN, false],
] as const)(
  "whether a %s client's request crosses to the other era at a backend of %j: %s",
  (client, backend, does) => {
    expect(crosses(client, backend, true)).toBe(does);
    expect(crosses(client, backend, false)).toBe(false);
  },
);

test("a backend that speaks the modern era no more is sent requests in sessions", () => {
  expect(eraAt("legacy", { speaksModern: false, inSession: false })).toBe("legacy");
});

const SHARED = memberOf("one");
const OWN = memberOf("two", { lists: "principal" });

test.each<[string, { members: Member[]; eras: BackendEras[]; bridges?: boolean }, boolean]>([
  ["every backend speaks it", { members: [SHARED, SHARED], eras: [BOTH, MODERN] }, true],
  ["one backend speaks it not", { members: [SHARED, SHARED], eras: [BOTH, LEGACY] }, false],
  [
    "one backend speaks it not, and the route bridges",
    { members: [SHARED, SHARED], eras: [BOTH, LEGACY], bridges: true },
    true,
  ],
  ["one backend has said nothing", { members: [SHARED, SHARED], eras: [BOTH] }, false],
  ["what one backend lists depends on who asks", { members: [SHARED, OWN], eras: [BOTH, BOTH], bridges: true }, false],
])("whether a route serves the modern era: %s", (_, { members, eras, bridges = false }, serves) => {
  expect(servesModern(federatedRoute(members, { bridges }), eras)).toBe(serves);
});
