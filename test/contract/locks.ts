/** What locks over routers must do (src/locks/locks.ts), whichever they are. Each implementation runs all of it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Lock, Locks } from "../../src/locks/locks.ts";

export interface LocksUnderTest {
  /** Of two routers. */
  readonly locks: readonly [Locks, Locks];
  /** Lets this much of the locks' own time (ms) go by. */
  advance(ms: number): Promise<void>;
  /** ms that a test keeps away from an instant of the locks' own clock: 1 where that stands still between advances. */
  readonly grain: number;
  close(): Promise<void>;
}

/** ms. */
const LASTS = 10_000;

export function describeLocks(name: string, open: () => Promise<LocksUnderTest>): void {
  describe(name, () => {
    let opened: LocksUnderTest;
    let one: Locks;
    let other: Locks;

    beforeEach(async () => {
      opened = await open();
      [one, other] = opened.locks;
    });
    afterEach(() => opened.close());

    const taken = { kind: "taken" };
    const acquire = async (by: Locks, lock = "a"): Promise<Lock> => {
      const outcome = await by.acquire(lock, LASTS);
      if (outcome.kind !== "acquired") throw new Error(outcome.kind);
      return outcome.lock;
    };

    test("of many at once exactly one acquires a lock", async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 60 }, (_, at) => (at % 2 === 0 ? one : other).acquire("a", LASTS)),
      );
      expect(outcomes.map(({ kind }) => kind).sort()).toEqual(["acquired", ...Array(59).fill("taken")]);
    });

    test("a lock is held by its name alone", async () => {
      await acquire(one, "a");
      await acquire(one, "b");
      await acquire(other, "a/b c}{:é");
      expect(await other.acquire("a", LASTS)).toEqual(taken);
      expect(await one.acquire("a/b c}{:é", LASTS)).toEqual(taken);
    });

    test("a lock is held until it is released", async () => {
      const lock = await acquire(one);
      expect(await other.acquire("a", LASTS)).toEqual(taken);
      await lock.release();
      await acquire(other);
      expect(await one.acquire("a", LASTS)).toEqual(taken);
    });

    test("a lock is held until its time is over, and that instant is not held", async () => {
      await acquire(one);
      await opened.advance(LASTS - opened.grain);
      expect(await other.acquire("a", LASTS)).toEqual(taken);
      await opened.advance(opened.grain);
      await acquire(other);
    });

    test("to ask for a lock that is taken changes nothing", async () => {
      await acquire(one);
      expect(await other.acquire("a", 10 * LASTS)).toEqual(taken);
      await opened.advance(LASTS);
      await acquire(other);
    });

    test("a lock lasts from its extension on, longer or shorter than before", async () => {
      const lock = await acquire(one);
      await opened.advance(LASTS - opened.grain);
      await lock.extend(LASTS);
      await opened.advance(LASTS - opened.grain);
      expect(await other.acquire("a", LASTS)).toEqual(taken);
      await lock.extend(opened.grain);
      await opened.advance(opened.grain);
      await acquire(other);
    });

    test("who has lost a lock to its time changes nothing by extending it, held or not", async () => {
      const lost = await acquire(one);
      await opened.advance(LASTS);
      await lost.extend(LASTS);
      await acquire(other);
      await lost.extend(10 * LASTS);
      await opened.advance(LASTS);
      await acquire(one);
    });

    test("who has lost a lock changes nothing by releasing it", async () => {
      const lost = await acquire(one);
      await opened.advance(LASTS);
      const held = await acquire(other);
      await lost.release();
      expect(await one.acquire("a", LASTS)).toEqual(taken);
      await held.release();
      await acquire(one);
    });

    test("to release a lock twice is to release it once", async () => {
      const lock = await acquire(one);
      await lock.release();
      await acquire(other);
      await lock.release();
      await lock.extend(0);
      expect(await one.acquire("a", LASTS)).toEqual(taken);
    });
  });
}
