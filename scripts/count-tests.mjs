/**
 * Says in one plain line what a test run came to: `N passed, N failed`.
 *
 *     node scripts/count-tests.mjs REPORT   (Vitest's JSON report)
 *
 * A file that could not be loaded has no tests in the report, and counts as one that failed.
 */
import { readFileSync } from "node:fs";

const [file = ""] = process.argv.slice(2);
try {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    readFileSync(file, "utf8"),
  );
  const unloaded = testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  );
  const skipped = numPendingTests + numTodoTests;
  if (skipped > 0) process.stdout.write(`${skipped} skipped\n`);
  process.stdout.write(`${numPassedTests} passed, ${numFailedTests + unloaded.length} failed\n`);
} catch (error) {
  process.stderr.write(`no report of the tests: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
