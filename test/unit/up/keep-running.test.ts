import { expect, test } from "vitest";
import { keepRunning } from "../../../src/up/keep-running.ts";

test("a program that cannot be started is stopped at once", async () => {
  const kept = keepRunning({ path: "/nowhere/program", args: [], onEnd: () => undefined });
  await expect(kept.stop()).resolves.toBeUndefined();
});
