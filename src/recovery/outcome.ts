/** What the recovery of a session comes to. Pure. */
import { type Brake, describeFailure, type Failure, type Opened } from "../backends/opened.ts";
import type { NoAnswer } from "../backends/rpc.ts";
import { listenAgainAfter } from "../core/brake.ts";
import type { Binding } from "../sessions/store.ts";
import type { AliveBy } from "./alive.ts";
import type { PingAnswer } from "./may-have-run.ts";

export type Outcome =
  /**
   * The session goes on, by this binding, which we made. `setCookies`: what its initialize was given to go with its calls.
   * `ping`: how the backend said that it does not know the session before, where it was asked.
   * `listenAgain`: ms after which a client that only listens is to come again. It grows, or a client whose every session is lost
   * would have sessions made without end.
   */
  | {
      readonly kind: "recovered";
      readonly binding: Binding;
      readonly setCookies?: readonly string[];
      readonly ping?: PingAnswer;
      readonly listenAgain: number;
    }
  /** The session goes on, by a binding that another router made, or an earlier recovery. */
  | { readonly kind: "joined"; readonly binding: Binding; readonly setCookies?: never; readonly ping?: PingAnswer }
  /** No recovery was tried: no session is to be begun there for `wait` ms. */
  | { readonly kind: "braked"; readonly why: Brake; readonly wait: number }
  /** Nothing says that the session is lost: the answer was about something else. */
  | { readonly kind: "alive"; readonly by: AliveBy }
  /** The clients that waited for it have left, so it was not seen through: nothing is wrong with the backend. */
  | { readonly kind: "left" }
  /** The store was away. The session is lost, and a later request may recover it. */
  | { readonly kind: "store-away" }
  /** Nothing was sent, since the backend's credential cannot be had. `retryAfter`: seconds; undefined: a retry is of no use. */
  | { readonly kind: "no-credential"; readonly retryAfter: number | undefined }
  /**
   * `passes`: the backend was away, or has said so by a 5xx, or Envoy's egress listener was. A later request may recover the session.
   */
  | { readonly kind: "failed"; readonly why: Failure; readonly passes: boolean };

export const LEFT: Outcome = { kind: "left" };

/** An outcome, unless the attempt got no answer. */
export type Attempted = Outcome | NoAnswer;

/** @param left aborted where every client has left */
export function settle(attempted: Attempted, left: AbortSignal): Outcome {
  switch (attempted.kind) {
    case "aborted":
      return left.aborted ? LEFT : { kind: "failed", why: { reason: "timeout" }, passes: true };
    case "broken":
      if (left.aborted) return LEFT;
      if (attempted.credential) return { kind: "no-credential", retryAfter: attempted.credential.retryAfter };
      return { kind: "failed", why: { reason: "broken", error: attempted.error }, passes: attempted.passes };
    case "failed":
    case "store-away":
      return left.aborted ? LEFT : attempted;
    default:
      return attempted;
  }
}

export function outcomeOf(opened: Opened): Attempted {
  switch (opened.kind) {
    case "opened": {
      const { binding, setCookies, debt } = opened;
      const listenAgain = listenAgainAfter(debt);
      return { kind: "recovered", binding, listenAgain, ...(setCookies.length > 0 && { setCookies }) };
    }
    case "joined":
    case "braked":
    case "aborted":
    case "broken":
      return opened;
    case "login":
      return { kind: "alive", by: "login" };
    case "refused":
      return { kind: "failed", why: opened.why, passes: false };
    case "unavailable":
      if (opened.what === "store") return { kind: "store-away" };
      return { kind: "failed", why: opened.why, passes: true };
    default:
      return opened satisfies never;
  }
}

/** Why there was no recovery, for the log. */
export function whyOf(outcome: Outcome): string | undefined {
  switch (outcome.kind) {
    case "braked":
      return outcome.why;
    case "failed":
      return describeFailure(outcome.why);
    default:
      return undefined;
  }
}
