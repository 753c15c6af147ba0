/**
 * Subscriptions to resources in clients' sessions (MCP 2025-11-25, "Subscriptions"), at backends that speak the modern era alone. The
 * session remembers them, and the client's stream listens for them (federation/session-subscriptions.ts), whichever router has it.
 */
import { callerOf, type Rpc } from "../backends/rpc.ts";
import { assertNever } from "../core/assert-never.ts";
import { type Envelope, printed } from "../core/federation/envelope.ts";
import { textOf } from "../core/json/span.ts";
import type { StateChangeAt } from "../core/mcp/session-state.ts";
import { memberMessageTimeout } from "../core/routes.ts";
import { SYSTEM_CLOCK } from "../federation/clock.ts";
import { AGREE_MS, agreedAt } from "../federation/member-subscription.ts";
import type { SessionKey } from "../sessions/id.ts";
import type { SessionStore } from "../sessions/store.ts";
import { answered, type DeferredStep, replied, type Step } from "./answers.ts";
import { responseText } from "./begin-federated.ts";
import { failedAt, type MemberRequest } from "./member-failure.ts";
import { notClaimed } from "./owning.ts";
import { abortSignalOf } from "./scope.ts";

export interface SubscribeModernDependencies {
  readonly store: Pick<SessionStore, "remember">;
  readonly rpc: Pick<Rpc, "subscribe">;
}

/** A message that subscribes to a resource, or takes a subscription back. */
export interface Subscribing {
  readonly change: StateChangeAt & { readonly kind: "subscribe" | "unsubscribe" };
  readonly bytes: Uint8Array;
  /** The client's own. */
  readonly envelope: Envelope;
}

const NOT_AGREED = "it has not agreed to tell of updates of the resource";
const TOO_MANY = "the session has as many subscriptions as it can remember";

/** A backend that does not agree fails the request. To one that does the session's subscription is made. */
export function subscribeModern(
  dependencies: SubscribeModernDependencies,
  request: MemberRequest,
  key: SessionKey,
  subscribing: Subscribing,
): DeferredStep {
  const step = subscribe(dependencies, request, key, subscribing);
  return { kind: "deferred", messageTimeout: memberMessageTimeout(AGREE_MS), step };
}

async function subscribe(
  { store, rpc }: SubscribeModernDependencies,
  request: MemberRequest,
  key: SessionKey,
  { change: { kind, uri, params }, bytes, envelope }: Subscribing,
): Promise<Step> {
  const { route, policy, scope, id } = request;
  if (kind === "subscribe") {
    const asked = {
      rpc,
      clock: SYSTEM_CLOCK,
      depth: policy.limits.depth,
      caller: callerOf(route.backend, request, key),
      envelope: printed(envelope),
      resources: [uri],
    };
    const agreed = await agreedAt(asked, abortSignalOf(scope));
    if (agreed.length === 0) return replied(failedAt(request, NOT_AGREED));
  }
  const change = kind === "subscribe" ? { kind, uri, params: textOf(bytes, params) } : { kind, uri };
  const outcome = await store.remember(key, route.backend.name, change);
  switch (outcome.kind) {
    case "remembered":
      return replied(answered(responseText(id, "{}")));
    case "full":
      return replied(failedAt(request, TOO_MANY));
    case "unknown":
    case "unavailable":
      return notClaimed(request, outcome.kind);
    default:
      return assertNever(outcome);
  }
}
