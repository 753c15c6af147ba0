import { expect, test } from "vitest";
import { createTurns } from "../../../src/admission/turns.ts";

test("so many tasks run at once, the others in their order, also where one fails", async () => {
  const turns = createTurns(2);
  const begun: number[] = [];
  const ends: ((error?: Error) => void)[] = [];
  const outcomes = [0, 1, 2, 3].map((n) =>
    turns
      .take(() => {
        begun.push(n);
        return new Promise<number>((resolve, reject) => {
          ends[n] = (error) => (error ? reject(error) : resolve(n));
        });
      })
      .catch(String),
  );
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  await settled();
  expect(begun).toEqual([0, 1]);
  expect(turns.size).toBe(4);
  ends[1]?.(new Error("down"));
  await settled();
  expect(begun).toEqual([0, 1, 2]);
  ends[0]?.();
  ends[2]?.();
  await settled();
  expect(begun).toEqual([0, 1, 2, 3]);
  ends[3]?.();
  expect(await Promise.all(outcomes)).toEqual([0, "Error: down", 2, 3]);
  expect(turns.size).toBe(0);
});
