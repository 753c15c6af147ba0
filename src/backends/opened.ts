/** What the opening of a session at a backend comes to. Pure. */
import type { Binding } from "../sessions/store.ts";
import type { NoAnswer } from "./rpc.ts";

export type Opened =
  /**
   * We opened it, and the client's session is bound to it. `debt`: ms of the brake (core/brake.ts), this opening included.
   * `setCookies`: values of `set-cookie` in the answer to its initialize.
   */
  | {
      readonly kind: "opened";
      readonly binding: Binding;
      readonly setCookies: readonly string[];
      readonly debt: number;
    }
  /** Another router, or an earlier call, was first. */
  | { readonly kind: "joined"; readonly binding: Binding }
  | NotOpened;

export type NotOpened =
  /** No session is to be begun for `wait` ms. */
  | { readonly kind: "braked"; readonly why: Brake; readonly wait: number }
  /** The backend asks the client for a login. Only where the caller wants to know. */
  | { readonly kind: "login" }
  | { readonly kind: "refused"; readonly why: Failure }
  /** The session store, the locks or the backend is away: a later call may open the session. */
  | { readonly kind: "unavailable"; readonly what: "store" }
  | { readonly kind: "unavailable"; readonly what: "backend"; readonly why: Failure }
  | NoAnswer;

/** `lost again`: those before were lost too soon after they had begun. `retry-after`: the backend has asked for a pause. */
export type Brake = "lost again" | "retry-after";

/** Why there is no session. */
export type Failure =
  | {
      readonly reason:
        | "session-ended"
        | "no-binding"
        | "no-session"
        | "several-sessions"
        | "no-endpoint"
        | "lost-at-once"
        /** No endpoint has taken a connection within timeouts.initialize. */
        | "no-connection"
        | "timeout";
    }
  | { readonly reason: "status"; readonly status: number }
  | { readonly reason: "version"; readonly backend: string; readonly client: string }
  | { readonly reason: "broken"; readonly error: string };

/** For the log. */
export function describeFailure(failure: Failure): string {
  switch (failure.reason) {
    case "session-ended":
      return "the session has ended";
    case "no-binding":
      return "the session has no binding to the backend";
    case "no-session":
      return "the backend begins no session";
    case "several-sessions":
      return "the backend gives different session ids";
    case "no-endpoint":
      return (
        "Envoy's egress listener does not say which endpoint answered: add x-mcp-endpoint to its answers " +
        "(`mcp-router check --envoy` tells how)"
      );
    case "lost-at-once":
      return "the backend loses each new session at once";
    case "no-connection":
      return "no endpoint of the backend takes a connection";
    case "timeout":
      return "not done within timeouts.initialize";
    case "status":
      return `the backend refuses to initialize: ${failure.status}`;
    case "version":
      return `the backend now speaks ${failure.backend}, and the client ${failure.client}`;
    case "broken":
      return failure.error;
    default:
      return failure satisfies never;
  }
}
