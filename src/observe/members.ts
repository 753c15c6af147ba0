/** Metrics and log lines about the backends of a route to several: sessions that are opened there, and messages that all get. */
import type { FirstSessionEvent } from "../backends/first-session.ts";
import { describeFailure, type Opened } from "../backends/opened.ts";
import type { FanOutEvent } from "../federation/fan-out.ts";
import { sessionTag } from "../sessions/id.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { seldom } from "../telemetry/seldom.ts";

export function memberObserver(metrics: Metrics, log: Logger): (event: FirstSessionEvent | FanOutEvent) => void {
  const isDue = seldom();
  return (event) => {
    const { backend } = event;
    if (event.kind === "not-told-of-message") {
      const line = { backend, method: event.method, why: event.why };
      if (isDue(`message ${backend}`))
        return log.warn(line, "a backend was not told of a message that all backends get");
      return log.debug(line, "a backend was not told of a message");
    }
    const { key, outcome, ms } = event;
    metrics.memberSession(backend, outcome.kind);
    const line = { session: sessionTag(key), backend, outcome: outcome.kind, why: whyOf(outcome), ms: Math.round(ms) };
    // A client that has left is no fault of the backend's.
    const isFine = outcome.kind === "opened" || outcome.kind === "joined" || outcome.kind === "aborted";
    if (isFine) return log.debug(line, "a backend session was opened");
    if (isDue(`session ${backend} ${line.why}`)) return log.warn(line, "a backend session was not opened");
    return log.debug(line, "a backend session was not opened");
  };
}

function whyOf(opened: Opened): string | undefined {
  switch (opened.kind) {
    case "refused":
      return describeFailure(opened.why);
    case "unavailable":
      return opened.what === "store" ? "the session store is unavailable" : describeFailure(opened.why);
    case "braked":
      return opened.why;
    case "broken":
      return opened.error;
    default:
      return undefined;
  }
}
