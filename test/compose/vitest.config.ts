import { defineConfig } from "vitest/config";

/** Apart from the other projects: it runs inside the namespaces of run.sh alone. */
export default defineConfig({
  test: {
    name: "compose",
    include: ["test/compose/**/*.test.ts"],
    testTimeout: 120_000,
    // Images are built in it.
    hookTimeout: 600_000,
    expect: { poll: { timeout: 30_000, interval: 100 } },
  },
});
