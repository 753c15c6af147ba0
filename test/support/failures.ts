/** Shows what Envoy and the other servers said when a test has failed. A setup file of the e2e project. */
import { afterEach } from "vitest";
import { outputOfRunning } from "../../harness/child.ts";

afterEach(({ task }) => {
  if (task.result?.state === "fail") process.stderr.write(`${outputOfRunning(8_000)}\n`);
});
