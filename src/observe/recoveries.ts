/** Metrics and log lines about recoveries. */
import { assertNever } from "../core/assert-never.ts";
import type { RecoveryEvent } from "../recovery/recover.ts";
import { sessionTag } from "../sessions/id.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { seldom } from "../telemetry/seldom.ts";

/** Values of the log field `suspicion`. Users filter by them. */
const LOGGED_SUSPICION = {
  unreachable: "gone",
  probe: "ask",
  "probe-and-log-in": "ask-and-log-in",
  parked: "parked",
} as const satisfies Record<RecoveryEvent["suspicion"], string>;

export function recoveryObserver(metrics: Metrics, log: Logger): (event: RecoveryEvent) => void {
  const isDue = seldom();
  return ({ key, backend, suspicion, outcome, why, from, to, ms }) => {
    metrics.recovered(backend, outcome, ms / 1000);
    const logged = LOGGED_SUSPICION[suspicion];
    const line = { session: sessionTag(key), backend, suspicion: logged, outcome, why, from, to, ms: Math.round(ms) };
    switch (outcome) {
      case "recovered":
        return log.info(line, suspicion === "parked" ? "a parked session was resumed" : "a lost session was recovered");
      case "joined":
        return log.debug(line, "a lost session had been recovered already");
      case "alive":
        // The 404 was a tool's own answer, for example.
        return log.debug(line, "a backend session was probed, and is alive");
      case "left":
        return log.debug(line, "every client that waited for a lost session has left");
      case "braked":
        if (!isDue(`${backend} ${why}`)) return log.debug(line, "a lost session is not recovered for a while");
        return log.warn(
          line,
          why === "retry-after"
            ? "a backend that refused to begin a session has said when to ask again (Retry-After): until then clients get the first answer of a lost session"
            : "a session is lost again soon after each recovery, so it is not recovered for a while: does an endpoint lead to " +
                "several servers (name each), or does the server forget its sessions?",
        );
      case "store-away":
        if (!isDue(`${backend} ${outcome}`))
          return log.debug(line, "a lost session is not recovered: the session store is unavailable");
        return log.warn(line, "a lost session was not recovered: the session store is unavailable");
      case "no-credential":
        // The line about the exchange or the file says why.
        return log.debug(line, "a lost session was not recovered: there is no credential for its backend");
      case "failed":
        return log.warn(line, "a lost session was not recovered");
      default:
        return assertNever(outcome);
    }
  };
}
