import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

/**
 * A test fails by what it saw, not by how long that took: on a busy machine vitest's own limits (5 s a test, 10 s a hook, 1 s a
 * poll) end sound tests. These end only a test that hangs.
 */
const UNHURRIED = { testTimeout: 60_000, hookTimeout: 60_000, expect: { poll: { timeout: 20_000 } } } as const;

/** Tests that start programs. Node starts ours in half the time when it keeps what it compiled. */
const WITH_PROGRAMS = {
  ...UNHURRIED,
  setupFiles: ["test/support/failures.ts"],
  env: { NODE_COMPILE_CACHE: join(import.meta.dirname, ".tmp/node-compile-cache") },
};

/** Tests that start a real Envoy and real servers for each file: two cores share them. They run after the quick ones. */
const WITH_ENVOY = { ...WITH_PROGRAMS, maxWorkers: 2, sequence: { groupOrder: 1 } };

const UNIT = "test/unit/**/*.test.ts";

/** A module that one test file mocks is the mock for all files that share its modules, so these share none. */
const MOCKING = globSync(UNIT, { cwd: import.meta.dirname }).filter((file) =>
  readFileSync(join(import.meta.dirname, file), "utf8").includes("vi.mock("),
);

/** `make test` runs unit, contract and e2e; `make test-platforms` the other three. test/compose has a configuration of its own. */
export default defineConfig({
  test: {
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: ["text", "html"],
      thresholds: { lines: 90, "src/core/**": { lines: 98 } },
    },
    projects: [
      // To load the same modules again for each file would take as long as the tests.
      { test: { name: "unit", include: [UNIT], exclude: MOCKING, isolate: false, ...UNHURRIED, maxWorkers: 2 } },
      { test: { name: "unit-mocks", include: MOCKING, ...UNHURRIED, maxWorkers: 2 } },
      { test: { name: "contract", include: ["test/contract/**/*.test.ts"], ...WITH_PROGRAMS, maxWorkers: 2 } },
      { test: { name: "e2e", include: ["test/e2e/**/*.test.ts"], ...WITH_ENVOY } },
      // As those of e2e, but each takes long by what it is about: crowds, chaos, or silence.
      { test: { name: "long", include: ["test/long/**/*.test.ts"], ...WITH_ENVOY } },
      { test: { name: "platforms", include: ["test/{clients,istio,k8s}/**/*.test.ts"], ...WITH_ENVOY } },
      {
        test: {
          name: "chaos",
          include: ["test/e2e/recovery-chaos.test.ts"],
          ...WITH_ENVOY,
          env: { CHAOS_SECONDS: process.env.CHAOS_SECONDS ?? "60" },
          // By itself: it takes both cores.
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
