/**
 * Shows what Envoy and the other servers said when a test has failed, and lets none of them live on. A setup file of the
 * projects whose tests start programs.
 */
import { afterEach } from "vitest";
import { outputOfRunning } from "../../harness/child.ts";

afterEach(({ task }) => {
  if (task.result?.state === "fail") process.stderr.write(`${outputOfRunning(8_000)}\n`);
});

// By which Vitest ends a worker: without `exit`, at which harness/child.ts ends what a test has left.
process.once("SIGTERM", () => process.exit(143));
