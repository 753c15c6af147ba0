/** Events of requests, for metrics, logs and traces (observe/). */
import type { EndpointFault } from "../core/answer-head.ts";
import type { RequestHead } from "../core/http.ts";
import type { RejectReason } from "../core/reject.ts";
import type { PublicPath, RouteToBackend } from "../core/routes.ts";
import type { NotReplayable } from "../recovery/replayable.ts";

export type RequestEvent =
  | {
      readonly kind: "forwarded";
      readonly route: PublicPath;
      readonly how: "initialize" | "session" | "sessionless" | "modern";
    }
  | { readonly kind: "rejected"; readonly reason: RejectReason; readonly route: PublicPath | undefined }
  /** Should the backend lose the session, this request is not sent again. */
  | { readonly kind: "not-replayable"; readonly reason: NotReplayable; readonly route: RouteToBackend }
  /**
   * A backend was told something of its session that another session in its place will not be told: the session remembers too many
   * subscriptions, or too many bytes, or the store is away.
   */
  | {
      readonly kind: "state-not-remembered";
      readonly reason: "subscriptions" | "bytes" | "unavailable";
      readonly route: RouteToBackend;
    }
  | {
      readonly kind: "session-created";
      readonly route: PublicPath;
      readonly tag: string;
      /** undefined: on a route to several backends, none of them has begun a session yet. */
      readonly endpoint: string | undefined;
    }
  | { readonly kind: "session-ended"; readonly route: PublicPath; readonly tag: string }
  /** Envoy ignored so many mode_overrides in a row (`missed`) that answers of this backend are sent whole from now on. */
  | { readonly kind: "override-refused"; readonly route: RouteToBackend; readonly missed: number }
  /** The same of answers that `policy` filters: those of this backend are refused from now on. */
  | { readonly kind: "rewrite-refused"; readonly route: RouteToBackend; readonly missed: number }
  /** A backend's answer shows that its MCP endpoint is not where the configuration says. */
  | {
      readonly kind: "endpoint-doubtful";
      readonly route: RouteToBackend;
      readonly method: string;
      readonly fault: EndpointFault;
    };

/** Receives the events of one request. */
export type RequestObserver = (event: RequestEvent) => void;

export interface Observe {
  /**
   * Asked once per request, so that an observer can relate the events of one request. Observers without such state share one.
   * @param head undefined if the request failed before its head was read
   */
  request(head: RequestHead | undefined): RequestObserver;
}
