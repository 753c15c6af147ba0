import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: ["text", "html"],
      thresholds: { lines: 90, "src/core/**": { lines: 98 } },
    },
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        test: {
          name: "contract",
          include: ["test/contract/**/*.test.ts"],
          setupFiles: ["test/support/failures.ts"],
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts", "test/k8s/**/*.test.ts"],
          setupFiles: ["test/support/failures.ts"],
          // Real servers and a real Envoy start for each file; two cores share them.
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          // Not vitest's 1 s, which a busy machine takes now and then.
          expect: { poll: { timeout: 10_000 } },
        },
      },
    ],
  },
});
