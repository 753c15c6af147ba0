/** The slot of a session that is to begin: reserved, waited for at a cap, or refused. */
import type { Admission, NotCommitted, Reserved, Slot } from "../admission/admission.ts";
import type { CapName } from "../admission/ledger.ts";
import type { Reject, RejectReason } from "../core/reject.ts";
import { type PublicPath, waitMessageTimeout } from "../core/routes.ts";
import type { SessionKey } from "../sessions/id.ts";
import { type DeferredStep, replied, type Step } from "./answers.ts";
import { type GatewayRequest, refuse } from "./request.ts";

interface Wanted {
  /** Of the session that is to begin. */
  readonly key: SessionKey;
  /** Whose answer the initialize will wait for: the name of a backend, or the path of a route that answers itself. */
  readonly at: string;
  /** ms that it may wait for a slot. undefined: it does not wait. */
  readonly longest: number | undefined;
  /** A refusal is that of one request, and no initialize's. Default: it is an initialize's. */
  readonly inBand?: boolean;
}

/** Why an initialize is refused, by the cap that refuses it. */
const EXHAUSTED = {
  sessions: "sessions-exhausted",
  perPrincipal: "principal-exhausted",
  anonymous: "anonymous-exhausted",
  waiting: "initializes-exhausted",
} as const satisfies Record<CapName | "waiting", RejectReason>;

/** Has an initialize go on once there is a slot for its session. */
export async function withSlot(
  admission: Admission,
  request: GatewayRequest<PublicPath>,
  { key, at, longest, inBand = false }: Wanted,
  go: (slot: Slot) => Step | Promise<Step>,
): Promise<Step | DeferredStep> {
  const { principal, policy, scope } = request;
  const caps = { ...policy.admission, wait: longest };
  const lease = { key, principal: principal.digest };
  const take = (reserved: Reserved) =>
    reserved.kind === "reserved" ? go(reserved.slot) : replied(refuse(notAdmitted(reserved, request, inBand), request));
  const reserved = await admission.reserve(lease, at, caps);
  if (reserved.kind !== "exhausted" || scope.over) return take(reserved);
  const wait = admission.wait(lease, at, caps, reserved);
  if (!wait) return take(reserved);
  scope.onEnd(() => wait.leave());
  return { kind: "deferred", messageTimeout: waitMessageTimeout(wait.longest), step: wait.outcome.then(take) };
}

export function notAdmitted(why: NotCommitted, { id, policy }: GatewayRequest<PublicPath>, inBand = false): Reject {
  if (why.kind !== "exhausted") return { reason: "store-unavailable", id, inBand };
  return { reason: EXHAUSTED[why.by], retryAfter: retryAfter(why.freeIn, policy.admission.retryAfter), id, inBand };
}

/**
 * Seconds until there may be a slot, at least one.
 * @param freeIn ms until then; undefined where nobody knows
 * @param longest `admission.retryAfter`
 */
function retryAfter(freeIn: number | undefined, longest: number): number {
  return freeIn === undefined ? longest : Math.min(longest, Math.max(1, Math.ceil(freeIn / 1_000)));
}
