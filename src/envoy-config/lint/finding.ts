/** What the lint finds. */
import type { ProtoView } from "./proto-view.ts";

export type Rule =
  /** The document is not a bootstrap that can be checked. */
  | "bootstrap"
  /** A part comes over xDS or from elsewhere, so it cannot be seen. */
  | "not-visible"
  | "ext-proc-missing"
  | "request-body-mode"
  | "response-body-mode"
  | "header-modes"
  | "mode-override"
  /** An error of the processor, or a setting, lets requests through unchecked. */
  | "fail-open"
  | "message-timeout"
  | "mutation-rules"
  | "response-attributes"
  /** The processor's choice of route is ignored. */
  | "route-cache"
  /** Who calls does not reach the processor. */
  | "identity"
  /** What opens sessions is not bounded as admission.guard says, or more is than that. */
  | "guard"
  | "graceful-close"
  | "processor-cluster"
  | "processor-circuit-breakers"
  | "processor-retry"
  | "processor-ejection"
  | "body-limit"
  /** A backend's requests reach no route, or the wrong one. */
  | "backend-route"
  | "backend-cluster"
  | "route-timeout"
  /** Retries, hedging, mirroring: a call may run twice. */
  | "repeated-requests"
  | "fail-closed"
  /** Envoy and the processor take a path for two, or two for one. */
  | "paths"
  | "local-replies"
  /** Clients decide how much Envoy holds. */
  | "overload"
  /** What a connection may hold, and what the log says of its client. */
  | "edge"
  /** A way to a backend that does not pass the processor. */
  | "bypass"
  /** The processor's own calls reach no backend. */
  | "egress"
  /** Routes beside MCP's, which the processor answers in their place. */
  | "other-routes";

export interface Finding {
  readonly rule: Rule;
  /** `error`: requests fail, go astray, or pass unchecked. `warning`: they may, under load or when something is lost. */
  readonly severity: "error" | "warning";
  /** Where in the bootstrap, as `static_resources.listeners[0]…`. */
  readonly path: string;
  /** What is wrong, and what to write instead. */
  readonly message: string;
}

export function error(rule: Rule, at: ProtoView, message: string): Finding {
  return { rule, severity: "error", path: at.path, message };
}

export function warning(rule: Rule, at: ProtoView, message: string): Finding {
  return { rule, severity: "warning", path: at.path, message };
}
