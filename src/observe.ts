/** What is counted and logged of what happens: the one place that maps events to metrics and lines. */
import type { ParkingEvent } from "./admission/parking.ts";
import type { SweepEvent } from "./admission/sweeper.ts";
import { assertNever } from "./core/assert-never.ts";
import type { RequestEvent } from "./gateway/gateway.ts";
import type { Untaken } from "./last-net.ts";
import type { RecoveryEvent } from "./recovery/recover.ts";
import { sessionTag } from "./sessions/id.ts";
import { errorLine } from "./telemetry/error-line.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { REFUSAL_CAUSES } from "./telemetry/refusal-causes.ts";
import { seldom, seldomCounted } from "./telemetry/seldom.ts";

export function requestObserver(metrics: Metrics, log: Logger, atCap: AtCap): (event: RequestEvent) => void {
  const isDue = seldom();
  const countUntilDue = seldomCounted();
  return (event) => {
    switch (event.kind) {
      case "forwarded":
        return metrics.forwarded(event.route.path, event.how);
      case "rejected": {
        const { reason, route } = event;
        metrics.rejected(reason);
        if (reason === "sessions-exhausted") atCap("refused");
        const refused = countUntilDue(`${reason} ${route?.path ?? ""}`);
        if (refused > 0) return log.info({ reason, route: route?.path, refused }, `refused: ${REFUSAL_CAUSES[reason]}`);
        return log.debug({ reason, route: route?.path }, "refused");
      }
      case "not-replayable":
        log.debug({ reason: event.reason, route: event.route.path }, "not kept for a loss of its session");
        return metrics.requestNotKept(event.reason);
      case "session-created":
        log.debug({ session: event.tag, route: event.route.path, endpoint: event.endpoint }, "session created");
        return metrics.sessionCreated(event.route.path);
      case "endpoint-doubtful": {
        const { route, fault } = event;
        if (!isDue(`${route.backend.name} ${fault.kind}`)) return;
        return log.warn({ backend: route.backend.name, path: route.backend.path, ...fault }, doubtOf(event));
      }
      case "override-refused":
        metrics.overrideRefused();
        log.error(
          { route: event.route.path, backend: event.route.backend.name, missed: event.missed },
          "Envoy ended streamed answers to recovered requests of this backend, one after another, without taking their bodies, " +
            "so clients may have got wrong ones: such answers are sent whole from now on, and one in a minute is streamed " +
            "again to see; if they all end so, allow the mode_override in Envoy (mcp-router check --envoy tells how); " +
            "clients that leave in that very moment look the same",
        );
        return;
      case "session-ended":
        log.debug({ session: event.tag, route: event.route.path }, "session ended");
        return metrics.sessionEnded(event.route.path);
      default:
        return assertNever(event);
    }
  };
}

/** What a backend's answer shows of its endpoint, and which setting to look at. */
function doubtOf({ route, method, fault }: Extract<RequestEvent, { kind: "endpoint-doubtful" }>): string {
  const setting = `backends.${route.backend.name}`;
  switch (fault.kind) {
    case "redirects": {
      const answers = `backend ${route.backend.name} answers ${fault.status} to ${method} at ${route.backend.path}`;
      if (fault.pathThere !== undefined) return `${answers}: set ${setting}.path: ${fault.pathThere}`;
      return `${answers}, and no client is sent on: configure ${setting} with where its MCP endpoint is`;
    }
    case "nothing-there":
      // A server of MCP 2026-07-28 alone answers 404 to a method that it does not know.
      return (
        `backend ${route.backend.name} answers ${fault.status} to ${method} at ${route.backend.path}: set ${setting}.path, ` +
        "unless it knows no initialize by design"
      );
    case "no-mcp":
      return (
        `backend ${route.backend.name} answers ${method} at ${route.backend.path} by neither JSON nor an event stream: ` +
        `set ${setting}.path`
      );
    case "unreachable":
      return `backend ${route.backend.name} takes no connections, at none of its endpoints: see ${setting}.endpoints`;
    case "several-sessions":
      return `backend ${route.backend.name} answers ${method} with different session ids in mcp-session-id: no session begins`;
    default:
      return assertNever(fault);
  }
}

export function recoveryObserver(metrics: Metrics, log: Logger): (event: RecoveryEvent) => void {
  const isDue = seldom();
  return ({ key, backend, suspicion, outcome, why, from, to, ms }) => {
    metrics.recovered(backend, outcome, ms / 1000);
    const line = { session: sessionTag(key), backend, suspicion, outcome, why, from, to, ms: Math.round(ms) };
    switch (outcome) {
      case "recovered":
        return log.info(line, suspicion === "parked" ? "a parked session goes on" : "a lost session was recovered");
      case "joined":
        return log.debug(line, "a lost session had been recovered already");
      case "alive":
        // What a tool's own 404 comes to.
        return log.debug(line, "a backend's session was asked for, and lives");
      case "left":
        return log.debug(line, "nobody waits for a lost session any more");
      case "braked":
        if (!isDue(`${backend} ${why}`)) return log.debug(line, "a lost session is not recovered for a while");
        return log.warn(
          line,
          why === "retry-after"
            ? "a backend that refused to begin a session has said when to ask again (Retry-After): until then a lost session gets its first answer"
            : "a session is lost again soon after each recovery, so it is not recovered for a while: does an endpoint lead to " +
                "several servers (name each), or does the server forget its sessions?",
        );
      case "store-away":
        if (!isDue(`${backend} ${outcome}`))
          return log.debug(line, "a lost session is not recovered: the store is away");
        return log.warn(line, "a lost session was not recovered, for the session store is away");
      case "failed":
        return log.warn(line, "a lost session was not recovered");
      default:
        return assertNever(outcome);
    }
  };
}

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

/** Says at warn, once in a while, that sessions are at their cap; `slot` says what came of the initialize. */
export type AtCap = (slot: "taken over" | "refused") => void;

export function capObserver(log: Logger, cap: () => number | undefined): AtCap {
  const isDue = seldomCounted();
  return (slot) => {
    const times = isDue(slot);
    if (times === 0) return;
    const line = { sessions: cap(), slot, times };
    log.warn(
      line,
      slot === "refused"
        ? "sessions are at admission.sessions, and new ones are refused: none of the others is idle for admission.park"
        : "sessions are at a cap of admission, and new ones take the slots of idle ones: do clients not end their sessions?",
    );
  };
}

export function sweepObserver(metrics: Metrics, log: Logger, atCap: AtCap): (event: SweepEvent | ParkingEvent) => void {
  /** Backends whose failure was logged: once, until one of them is told again. */
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
          "a backend cannot be told that sessions of it have ended: it keeps them until they expire there",
        );
        return;
      default:
        return assertNever(event);
    }
  };
}
