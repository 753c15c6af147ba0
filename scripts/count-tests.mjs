/**
 * Says in one plain line what test runs came to, all together: `N passed, N failed`.
 *
 *     node scripts/count-tests.mjs REPORT...   (Vitest's JSON reports)
 *
 * A file that could not be loaded has no tests in the report, and counts as one that failed. So does a report that is not there.
 */
import { readFileSync } from "node:fs";

const count = { passed: 0, failed: 0, skipped: 0 };
for (const file of process.argv.slice(2)) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      readFileSync(file, "utf8"),
    );
    const unloaded = testResults.filter(
      ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
    );
    count.passed += numPassedTests;
    count.failed += numFailedTests + unloaded.length;
    count.skipped += numPendingTests + numTodoTests;
  } catch (error) {
    process.stderr.write(`no report of the tests: ${error instanceof Error ? error.message : String(error)}\n`);
    count.failed++;
    process.exitCode = 1;
  }
}
if (count.skipped > 0) process.stdout.write(`${count.skipped} skipped\n`);
process.stdout.write(`${count.passed} passed, ${count.failed} failed\n`);
