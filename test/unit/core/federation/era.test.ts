import { expect, test } from "vitest";
import { servesModern } from "../../../../src/core/federation/era.ts";
import { federatedRoute, memberOf } from "../../core/federated.ts";

const SHARED = memberOf("one");
const OWN = memberOf("two", { lists: "principal" });

test.each([
  ["the only backend speaks it", [SHARED], [true], true],
  ["each backend speaks it", [SHARED, SHARED], [true, true], true],
  ["one backend does not", [SHARED, SHARED], [true, false], false],
  ["no backend does", [SHARED, SHARED], [false, false], false],
  ["a backend is not known to", [SHARED, SHARED], [true], false],
  ["what one backend lists depends on who asks", [SHARED, OWN], [true, true], false],
])("whether a route serves the modern era: %s", (_, members, speaksModern, serves) => {
  expect(servesModern(federatedRoute(members), speaksModern)).toBe(serves);
});
