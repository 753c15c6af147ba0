/** Metrics and log lines about requests. */
import { assertNever } from "../core/assert-never.ts";
import type { RequestEvent } from "../gateway/events.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { REFUSAL_CAUSES } from "../telemetry/refusal-causes.ts";
import { seldom, seldomCounted } from "../telemetry/seldom.ts";
import type { AtCap } from "./cap.ts";

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
        log.debug({ reason: event.reason, route: event.route.path }, "request not replayable");
        return metrics.requestNotKept(event.reason);
      case "state-not-remembered":
        return metrics.notRemembered(event.reason);
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
          "Envoy ended streamed answers to recovered requests of this backend, one after another, without accepting their " +
            "bodies, so clients may have received wrong ones: from now on such answers are sent whole, and one a minute is " +
            "streamed as a trial; if every trial fails, allow the mode_override in Envoy (mcp-router check --envoy tells how); " +
            "clients that disconnect at that moment look the same",
        );
        return;
      case "rewrite-refused":
        metrics.overrideRefused();
        log.error(
          { route: event.route.path, backend: event.route.backend.name, missed: event.missed },
          "Envoy passed answers of this backend without letting them be filtered, one after another, so clients may have seen what " +
            "policy hides: from now on such answers are refused, and one a minute passes as a trial; allow the mode_override in " +
            "Envoy (mcp-router check --envoy tells how); clients that disconnect at that moment look the same",
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

/** The fault of the endpoint that a backend's answer shows, and the setting to check. */
function doubtOf({ route, method, fault }: Extract<RequestEvent, { kind: "endpoint-doubtful" }>): string {
  const setting = `backends.${route.backend.name}`;
  switch (fault.kind) {
    case "redirects": {
      const answers = `backend ${route.backend.name} answers ${fault.status} to ${method} at ${route.backend.path}`;
      if (fault.pathThere !== undefined) return `${answers}: set ${setting}.path: ${fault.pathThere}`;
      return `${answers}, and no client is redirected: configure ${setting} with the address of its MCP endpoint`;
    }
    case "nothing-there":
      // A server that speaks only MCP 2026-07-28 answers 404 to a method that it does not know.
      return (
        `backend ${route.backend.name} answers ${fault.status} to ${method} at ${route.backend.path}: set ${setting}.path, ` +
        "unless the server has no initialize by design"
      );
    case "no-mcp":
      return (
        `backend ${route.backend.name} answers ${method} at ${route.backend.path} with neither JSON nor an event stream: ` +
        `set ${setting}.path`
      );
    case "unreachable":
      return `backend ${route.backend.name} accepts connections at none of its endpoints: see ${setting}.endpoints`;
    case "several-sessions":
      return `backend ${route.backend.name} answers ${method} with different session ids in mcp-session-id: no session begins`;
    default:
      return assertNever(fault);
  }
}
