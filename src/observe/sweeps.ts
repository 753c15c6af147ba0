/** Metrics and log lines about sessions that expire, are parked, lose their route, or are ended at their backends. */
import type { DismissEvent } from "../admission/dismiss.ts";
import type { ParkingEvent } from "../admission/parking.ts";
import type { SweepEvent } from "../admission/sweeper.ts";
import type { EndEvent } from "../backends/end.ts";
import { assertNever } from "../core/assert-never.ts";
import { sessionTag } from "../sessions/id.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { AtCap } from "./cap.ts";

export function sweepObserver(
  metrics: Metrics,
  log: Logger,
  atCap: AtCap,
): (event: SweepEvent | ParkingEvent | DismissEvent | EndEvent) => void {
  /** Backends whose failure was logged. A success removes the backend, so that its next failure is logged again. */
  const failing = new Set<string>();
  return (event) => {
    switch (event.kind) {
      case "expired":
        log.debug({ session: sessionTag(event.lease.key), route: event.session.route }, "session expired");
        return metrics.sessionExpired(event.session.route);
      case "parked":
        log.debug(
          { session: sessionTag(event.lease.key), route: event.session.route, ended: event.ended },
          "session parked",
        );
        atCap("taken over");
        metrics.sessionParked(event.session.route);
        if (event.ended) metrics.sessionExpired(event.session.route);
        return;
      case "parked-ended":
        log.debug({ session: sessionTag(event.lease.key), route: event.session.route }, "parked session ended");
        return metrics.sessionExpired(event.session.route);
      case "dismissed":
        log.debug(
          { session: sessionTag(event.lease.key), route: event.session.route },
          "session ended: its route leads to its backend no more",
        );
        return metrics.sessionDismissed(event.session.route);
      case "dismissal-waits":
        log.warn(
          { routes: event.routes },
          "these routes lead to other backends now, and the store is away: sessions of the old ones end when it is back",
        );
        return;
      case "counted":
        return metrics.sessions(event.live, event.parked);
      case "told":
        failing.delete(event.backend);
        return;
      case "not-told":
        metrics.backendNotTold(event.backend);
        if (failing.has(event.backend)) return;
        failing.add(event.backend);
        log.warn(
          { backend: event.backend, why: event.why instanceof Error ? event.why.message : event.why },
          "a backend cannot be told that its sessions have ended: it keeps them until they expire there",
        );
        return;
      default:
        return assertNever(event);
    }
  };
}
