/** What happens in the catalogue, for observers, and why a backend has not said what it offers. */
import type { ListKind } from "../core/federation/kinds.ts";

/** Why a backend has not answered a request for its lists. */
export type AskFailure =
  /** Not done within `lists.timeout`. */
  | { readonly reason: "timeout" }
  /** `retryAfter`: ms for which the backend wants not to be asked. */
  | { readonly reason: "status"; readonly status: number; readonly retryAfter: number | undefined }
  /** The answer is no JSON-RPC, or no answer to this request. */
  | { readonly reason: "unreadable"; readonly why: string }
  /** One page alone is larger than `lists.bytes`, or the answer to initialize is too large. */
  | { readonly reason: "too-large" }
  /** The backend answers with a JSON-RPC error. */
  | { readonly reason: "error"; readonly code: number | undefined; readonly message: string }
  /** Its session was lost, and so was the one after it. */
  | { readonly reason: "lost-at-once" }
  /** Envoy's egress listener does not say which endpoint answered. */
  | { readonly reason: "no-endpoint" }
  | { readonly reason: "several-sessions" }
  /** Its lists depend on who asks, and the client has no session there. */
  | { readonly reason: "no-session" }
  /** There is no whole answer. */
  | { readonly reason: "broken"; readonly error: string };

/**
 * Why not all of a list was read: a cursor came again, or a bound was reached (`lists.pages`, `lists.bytes`, MOST_ITEMS). What came
 * before is offered.
 */
export type Cut = "cursor" | "pages" | "bytes" | "items";

/** Why a list was not answered again: the backend fails, or no client has needed the list. */
export type Expiry = "failing" | "unused";

/** `shared`: of lists that are everybody's, and not one principal's. */
export type CatalogueEvent =
  /** A backend was asked, and has answered everything. */
  | { readonly kind: "asked"; readonly backend: string; readonly shared: boolean; readonly ms: number }
  /** `list`: the first one that failed; undefined where no session could be begun. */
  | {
      readonly kind: "failed";
      readonly backend: string;
      readonly shared: boolean;
      readonly list: ListKind | undefined;
      readonly failure: AskFailure;
      readonly ms: number;
    }
  /** One list was answered. Only of lists that are everybody's. */
  | ({ readonly kind: "listed" } & ListCounts)
  /** What a backend offers is another than before. */
  | {
      readonly kind: "changed";
      readonly backend: string;
      readonly shared: boolean;
      readonly list: ListKind;
      readonly items: number;
      /** Of the list as it is now; "" where it is no longer offered. */
      readonly digest: string;
    }
  /** A backend's list is no longer offered, since it was not answered again within `lists.stale`. */
  | {
      readonly kind: "expired";
      readonly backend: string;
      readonly shared: boolean;
      readonly list: ListKind;
      readonly why: Expiry;
    }
  /** Items of one name or URI, of two backends of a route: the first backend's is offered. `number`: 0 where there are none any more. */
  | {
      readonly kind: "collisions";
      readonly route: string;
      readonly shared: boolean;
      readonly list: ListKind;
      readonly number: number;
      readonly first: { readonly key: string; readonly kept: string; readonly leftOut: string } | undefined;
    }
  /** Tools of a route that were not accepted as they are. */
  | ({ readonly kind: "pins" } & PinsSeen)
  /** The tools of a route are pinned no more. */
  | { readonly kind: "unpinned"; readonly route: string }
  /** The catalogue has let go of a backend that no route leads to, or that nobody has used for long. */
  | { readonly kind: "released"; readonly backend: string }
  /** There is no such route any more. */
  | { readonly kind: "route-gone"; readonly route: string };

interface PinsSeen {
  readonly route: string;
  readonly shared: boolean;
  readonly onChange: "hide" | "warn";
  /** Number of tools that were accepted otherwise, and of those that never were. */
  readonly changed: number;
  readonly unknown: number;
  /** What has not been told before. */
  readonly news: readonly UnacceptedTool[];
}

/** `accepted`: digests; none where the tool is new. */
export interface UnacceptedTool {
  readonly tool: string;
  readonly backend: string;
  readonly digest: string;
  readonly accepted: readonly string[];
}

interface ListCounts {
  readonly backend: string;
  readonly list: ListKind;
  readonly items: number;
  /** Number of items that nothing could name. */
  readonly leftOut: number;
  /** Number of items that have another one's name. */
  readonly duplicates: number;
  readonly cut: Cut | undefined;
}

/** For the log and the operators' page. */
export function describeAskFailure(failure: AskFailure): string {
  switch (failure.reason) {
    case "timeout":
      return "not answered within lists.timeout";
    case "status":
      return `the backend answers ${failure.status}`;
    case "unreadable":
      return `the answer cannot be read: ${failure.why}`;
    case "too-large":
      return "an answer is larger than lists.bytes";
    case "error":
      return `the backend refuses: ${failure.code ?? "no code"} ${failure.message}`;
    case "lost-at-once":
      return "the backend loses each new session at once";
    case "no-endpoint":
      return (
        "Envoy's egress listener does not say which endpoint answered: add x-mcp-endpoint to its answers " +
        "(`mcp-router check --envoy` tells how)"
      );
    case "several-sessions":
      return "the backend gives different session ids";
    case "no-session":
      return "the client has no session at the backend";
    case "broken":
      return failure.error;
    default:
      return failure satisfies never;
  }
}
