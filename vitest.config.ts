import { defineConfig } from "vitest/config";

/**
 * A test fails by what it saw, not by how long that took: on a busy machine vitest's own limits (5 s a test, 10 s a hook, 1 s a
 * poll) end sound tests. These end only a test that hangs.
 */
const UNHURRIED = { testTimeout: 60_000, hookTimeout: 60_000, expect: { poll: { timeout: 20_000 } } } as const;

export default defineConfig({
  test: {
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: ["text", "html"],
      thresholds: { lines: 90, "src/core/**": { lines: 98 } },
    },
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"], ...UNHURRIED } },
      {
        test: {
          name: "contract",
          include: ["test/contract/**/*.test.ts"],
          ...UNHURRIED,
          setupFiles: ["test/support/failures.ts"],
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts", "test/k8s/**/*.test.ts"],
          setupFiles: ["test/support/failures.ts"],
          ...UNHURRIED,
          // Real servers and a real Envoy start for each file; two cores share them.
          maxWorkers: 2,
        },
      },
    ],
  },
});
