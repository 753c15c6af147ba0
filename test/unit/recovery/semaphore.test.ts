import { expect, test } from "vitest";
import { createSemaphore } from "../../../src/recovery/semaphore.ts";

const never = new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("so many are inside at once, and the others follow in their order", async () => {
  const gate = createSemaphore(2);
  const inside: string[] = [];
  const leaves: (() => void)[] = [];
  for (const name of ["a", "b", "c", "d"])
    void gate.enter(never).then((leave) => {
      inside.push(name);
      leaves.push(leave);
    });
  await settled();
  expect(inside).toEqual(["a", "b"]);
  leaves[0]?.();
  await settled();
  expect(inside).toEqual(["a", "b", "c"]);
  for (const leave of leaves.slice(1)) leave();
  await settled();
  expect(inside).toEqual(["a", "b", "c", "d"]);
});

test("who gives up waiting takes no place, and keeps none", async () => {
  const gate = createSemaphore(1);
  const leave = await gate.enter(never);
  const impatient = new AbortController();
  const waiting = gate.enter(impatient.signal);
  impatient.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
  await expect(gate.enter(impatient.signal)).rejects.toThrow("enough");
  leave();
  await expect(gate.enter(never)).resolves.toBeTypeOf("function");
});
