/** The session that a request names: found, live, of this route and this principal, and touched where that is due. */
import { extendLease, returnToSlot } from "../admission/lease.ts";
import type { Ledger } from "../admission/ledger.ts";
import type { OutageWait } from "../core/outage-wait.ts";
import { mayUse } from "../core/ownership.ts";
import type { PublicPath } from "../core/routes.ts";
import type { SessionId, SessionKey } from "../sessions/id.ts";
import { type Binding, heldBy, isParked, type SessionStore } from "../sessions/store.ts";
import type { GatewayRequest } from "./request.ts";
import type { RequestScope } from "./scope.ts";

/** A session that the request may use. */
export interface OwnSession {
  /** `parked`: the backend was told to end its session, so nothing is sent before there is another one. */
  readonly kind: "live" | "parked";
  /** As the client knows it; undefined: the gateway holds it, and the client knows of none. */
  readonly id: SessionId | undefined;
  readonly key: SessionKey;
  readonly binding: Binding;
  /** Generation of the binding that the client last opened its GET stream by, where that is remembered. */
  readonly listening: number | undefined;
}

/** A session that the request may use, and that has no binding to the backend that was asked for. */
export interface UnboundSession extends Pick<OwnSession, "id" | "key"> {
  readonly kind: "unbound";
}

/** `unknown`: there is no such session, or it is of another route or principal: a leaked id must not tell which. */
type Claim = OwnSession | UnboundSession | { readonly kind: "unknown" } | { readonly kind: "unavailable" };

const UNKNOWN = { kind: "unknown" } as const;
const UNAVAILABLE = { kind: "unavailable" } as const;

/**
 * When a claim slides the session's expiry. A GET's always does: for as long as its stream is open nothing else may use the
 * session.
 */
type Slides = "always" | "when-due" | "never";

export interface ClaimDependencies {
  readonly store: SessionStore;
  readonly ledger: Ledger;
}

/**
 * @param backend whose binding the request needs; undefined: it goes to none
 * @param bytes that the request keeps in memory while it waits for a store that is away
 */
export type ClaimSession = (
  request: GatewayRequest<PublicPath>,
  backend: string | undefined,
  slides: Slides,
  bytes: number,
) => Promise<Claim>;

export function createClaim({ store, ledger }: ClaimDependencies): ClaimSession {
  return async (request, backend, slides, bytes) => {
    const { session: named, route, principal, scope } = request;
    if (named.kind !== "named") return UNKNOWN;
    const { id, key } = named;
    const find = () => store.find(key, backend);
    let found = await (named.found ?? find());
    let wait: OutageWait | undefined;
    if (found.kind === "unavailable") {
      wait = waitFor(scope, store, bytes);
      found = await askAgain(scope, wait, find);
    }
    if (found.kind !== "found") return found;
    const { session, touchDue } = found;
    if (!mayUse(session, route, principal.digest)) return UNKNOWN;
    let { binding } = session;
    if (slides === "always" || (slides === "when-due" && (touchDue || (binding && isParked(binding))))) {
      const touched = await touch(request, { key, owner: session.owner, backend, binding, wait, bytes });
      if (touched.kind !== "touched") return touched;
      binding = touched.binding;
    }
    if (!binding) return { kind: "unbound", id, key };
    return { kind: isParked(binding) ? "parked" : "live", id, key, binding, listening: session.listening };
  };

  /** Slides the session's expiry, and gives one that was parked a slot again. Returns the binding as it is now. */
  async function touch(
    { policy, scope }: GatewayRequest<PublicPath>,
    { key, owner, backend, binding: found, wait, bytes }: Touched,
  ): Promise<
    { readonly kind: "touched"; readonly binding: Binding | undefined } | typeof UNKNOWN | typeof UNAVAILABLE
  > {
    const ask = () => store.touch(key, backend);
    let touched = await ask();
    if (touched.kind === "unavailable") touched = await askAgain(scope, wait ?? waitFor(scope, store, bytes), ask);
    if (touched.kind === "unknown") return UNKNOWN;
    // A store that takes no writes costs a live session nothing: it lives for about idle yet, and its next request tries again.
    if (touched.kind === "unavailable")
      return found && isParked(found) ? UNAVAILABLE : { kind: "touched", binding: found };
    // The session may have been parked since it was found. After this touch it is not.
    const { binding, expiresIn } = touched;
    const lease = { key, principal: owner };
    if (binding && heldBy(binding)) {
      // Not waited for: the sweeper takes a lease again that runs out early.
      void extendLease(ledger, store, lease, expiresIn);
      return touched;
    }
    // Of a session without a backend session here only the ledger knows whether it was parked.
    const { kind } = await returnToSlot(ledger, store, lease, expiresIn, policy.admission);
    if (kind === "ended") return UNKNOWN;
    return kind === "unavailable" && binding && isParked(binding) ? UNAVAILABLE : touched;
  }
}

/** A session that was found, and is to be touched. */
interface Touched {
  readonly key: SessionKey;
  readonly owner: string;
  readonly backend: string | undefined;
  readonly binding: Binding | undefined;
  /** The one that the search for the session has used. */
  readonly wait: OutageWait | undefined;
  readonly bytes: number;
}

function waitFor(scope: RequestScope, store: Pick<SessionStore, "outageWait">, bytes: number): OutageWait {
  const wait = store.outageWait(bytes);
  scope.onEnd(() => wait.cancel());
  return wait;
}

/** Asks a store that is away until it answers, for as long as a request waits: a blip of the store fails no request. */
async function askAgain<Outcome extends { readonly kind: string }>(
  scope: RequestScope,
  wait: OutageWait,
  ask: () => Promise<Outcome>,
): Promise<Outcome | typeof UNAVAILABLE> {
  let outcome: Outcome | typeof UNAVAILABLE = UNAVAILABLE;
  while (outcome.kind === "unavailable" && !scope.over && (await wait.retry())) outcome = await ask();
  return outcome;
}
