import fc from "fast-check";
import { expect, test } from "vitest";
import { compileGlob, matchesGlob } from "../../../../src/core/federation/glob.ts";
import { Patterns } from "../../../../src/core/policy/patterns.ts";

const PATTERNS = fc.array(fc.stringMatching(/^[ab*]{0,4}$/), { maxLength: 12 });
const NAMES = fc.stringMatching(/^[ab*]{0,6}$/);

test("all patterns are found that match a name, and the first of them that counts", () => {
  fc.assert(
    fc.property(PATTERNS, NAMES, fc.func(fc.boolean()), (patterns, name, counts) => {
      const placed = patterns.map((pattern, place) => ({ glob: compileGlob(pattern), place: Math.floor(place / 2) }));
      const matching = placed.filter(({ glob }) => matchesGlob(glob, name)).map(({ place }) => place);
      const found = new Patterns(placed);
      expect([...new Set(found.all(name))]).toEqual([...new Set(matching)]);
      const of = (place: number) => counts(place);
      expect(found.first(name, of)).toBe(matching.find(of) ?? -1);
    }),
    { numRuns: 1_000 },
  );
});
