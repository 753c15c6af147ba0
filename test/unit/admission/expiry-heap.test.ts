import fc from "fast-check";
import { expect, test } from "vitest";
import { type Expiring, ExpiryHeap } from "../../../src/admission/expiry-heap.ts";

/** Few enough times that some are equal. */
const time = fc.nat(20);
const which = fc.nat();
const change = fc.oneof(
  { arbitrary: fc.record({ kind: fc.constant("add" as const), time }), weight: 3 },
  fc.record({ kind: fc.constant("move" as const), which, time }),
  fc.record({ kind: fc.constant("remove" as const), which }),
);

test("what expires first comes first, whatever is added, moved or taken out", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 100 }), (changes) => {
      const heap = new ExpiryHeap<Expiring>();
      const things: Expiring[] = [];
      for (const change of changes) {
        if (change.kind === "add") {
          const thing = { expires: change.time, place: 0 };
          things.push(thing);
          heap.add(thing);
        } else {
          const at = change.which % things.length;
          const thing = things[at];
          if (!thing) continue;
          if (change.kind === "move") heap.move(thing, change.time);
          else {
            heap.remove(thing);
            things.splice(at, 1);
          }
        }
        expect(heap.size).toBe(things.length);
        expect(heap.first?.expires).toBe(things.map(({ expires }) => expires).sort((one, other) => one - other)[0]);
      }

      const drained: Expiring[] = [];
      for (let first = heap.first; first; first = heap.first) {
        heap.remove(first);
        drained.push(first);
      }
      expect(drained.map(({ expires }) => expires)).toEqual(
        things.map(({ expires }) => expires).sort((one, other) => one - other),
      );
      expect(new Set(drained)).toEqual(new Set(things));
    }),
  );
});

test("an empty heap has no first", () => {
  expect(new ExpiryHeap().first).toBeUndefined();
});
