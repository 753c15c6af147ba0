/** What is counted and logged of errors that nothing caught. */
import { assertNever } from "../core/assert-never.ts";
import type { Untaken } from "../last-net.ts";
import { errorLine } from "../telemetry/error-line.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";

export function untakenObserver(metrics: Metrics, log: Logger): (error: unknown, how: Untaken) => void {
  return (error, how) => {
    metrics.untaken(how);
    switch (how) {
      case "rejection":
        return log.error(errorLine(error), "an error that nobody waited for: the router goes on");
      case "exception":
        return log.fatal(
          errorLine(error),
          "an error that nobody caught: the router finishes what is under way, and ends",
        );
      default:
        return assertNever(how);
    }
  };
}
