import { expect, test, vi } from "vitest";

/** What a program loads that starts anew. */
async function program(): Promise<typeof import("../../../harness/ports.ts")> {
  vi.resetModules();
  return import("../../../harness/ports.ts");
}

test("programs that run side by side are given no port twice, though nothing listens there yet", async () => {
  const given: number[] = [];
  for (let n = 0; n < 8; n++) {
    const { freePort } = await program();
    given.push(...(await Promise.all(Array.from({ length: 100 }, freePort))));
  }
  expect(new Set(given).size).toBe(800);
});
