/** Metrics and log lines about unhandled errors. */
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
        return log.error(errorLine(error), "unhandled promise rejection: the router goes on");
      case "exception":
        return log.fatal(errorLine(error), "uncaught exception: the router finishes requests under way, and exits");
      default:
        return assertNever(how);
    }
  };
}
