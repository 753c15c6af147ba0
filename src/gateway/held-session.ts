/**
 * Sessions that the gateway holds for clients of the modern era (MCP 2026-07-28), which have none, at backends that need one: one for
 * each principal and route. It has a slot, slides and ends like a client's own. What nobody in particular asks has one for itself alone.
 */
import type { Admission } from "../admission/admission.ts";
import type { Ledger } from "../admission/ledger.ts";
import { assertNever } from "../core/assert-never.ts";
import { initializeParamsOf } from "../core/federation/envelope.ts";
import { type Backend, type FederatedRoute, longestWaitOf, memberMessageTimeout } from "../core/routes.ts";
import { heldSessionKey, mintSessionId, type SessionKey, sessionKey, sessionTag } from "../sessions/id.ts";
import { ANONYMOUS, heldBy, type Session, type SessionStore } from "../sessions/store.ts";
import { type DeferredStep, type EndedDependencies, replied, type Step, settledStep } from "./answers.ts";
import type { ClaimSession, OwnSession, UnboundSession } from "./claim.ts";
import { type GatewayRequest, refuse } from "./request.ts";
import { notAdmitted, withSlot } from "./slot.ts";

export interface HeldSessionDependencies extends EndedDependencies {
  readonly store: SessionStore;
  readonly ledger: Ledger;
  readonly admission: Admission;
}

type Request = GatewayRequest<FederatedRoute>;
type Claimed = OwnSession | UnboundSession;

/** The session of one request. */
export interface HeldSession {
  readonly key: SessionKey;
  /** Whether it ends with the request. */
  readonly isNobodys: boolean;
  /**
   * Goes on in the session, which is begun where there is none.
   * @param bytes of the request, which the session does not keep
   * @param backend whose binding is needed; undefined: that of none
   */
  within(bytes: Uint8Array, backend: Backend | undefined, go: Go): Promise<Step | DeferredStep>;
}

type Go = (claimed: Claimed) => Step | DeferredStep | Promise<Step | DeferredStep>;

export type HoldSession = (request: Request) => HeldSession;

export function createHeldSessions(dependencies: HeldSessionDependencies, claim: ClaimSession): HoldSession {
  return (request) => new SessionOfRequest(dependencies, claim, request);
}

class SessionOfRequest implements HeldSession {
  readonly #dependencies: HeldSessionDependencies;
  readonly #claim: ClaimSession;
  readonly #request: Request;
  readonly key: SessionKey;

  constructor(dependencies: HeldSessionDependencies, claim: ClaimSession, request: Request) {
    const { principal, route } = request;
    this.#dependencies = dependencies;
    this.#claim = claim;
    this.key =
      principal.digest === ANONYMOUS ? sessionKey(mintSessionId()) : heldSessionKey(principal.digest, route.path);
    this.#request = { ...request, session: { kind: "named", id: undefined, key: this.key, found: undefined } };
  }

  get isNobodys(): boolean {
    return this.#request.principal.digest === ANONYMOUS;
  }

  async within(bytes: Uint8Array, backend: Backend | undefined, go: Go): Promise<Step | DeferredStep> {
    const claimed = await this.#claim(this.#request, backend?.name, "when-due", bytes.length);
    if (claimed.kind === "unavailable") return this.#unavailable();
    return claimed.kind === "unknown" ? this.#begin(this.#session(bytes), backend, go) : go(claimed);
  }

  #begin(session: Session, backend: Backend | undefined, go: Go): DeferredStep {
    const { admission } = this.#dependencies;
    const { route, policy } = this.#request;
    const { wait } = policy.admission;
    const longest = backend && wait && longestWaitOf(wait, backend.timeouts);
    const wanted = { key: this.key, at: route.path, longest, inBand: true };
    const begun = withSlot(admission, this.#request, wanted, async (slot): Promise<Step> => {
      await this.#endExpired();
      const created = await this.#dependencies.store.create(this.key, session);
      switch (created.kind) {
        case "unavailable":
          // It may have been created, by this request or another one.
          slot.leave();
          return this.#unavailable();
        case "exists":
          // Another request of the principal's was first. The slot is that session's.
          slot.leave();
          return this.#join(backend, go);
        case "created": {
          const outcome = await slot.commit(created.expiresIn);
          if (outcome.kind === "committed") return this.#go(go);
          await this.#dependencies.store.remove(this.key);
          slot.release();
          return replied(refuse(notAdmitted(outcome, this.#request, true), this.#request));
        }
        default:
          return assertNever(created);
      }
    });
    const opening = backend?.timeouts.initialize ?? 0;
    return {
      kind: "deferred",
      messageTimeout: memberMessageTimeout(opening + (longest ?? 0)),
      step: settledStep(begun),
    };
  }

  #session(bytes: Uint8Array): Session {
    const { principal, route, policy } = this.#request;
    const { name, version } = route.serverInfo;
    const { initialize, depth } = policy.limits;
    return {
      owner: principal.digest,
      route: route.path,
      protocolVersion: undefined,
      initializeParams: initializeParamsOf(bytes, JSON.stringify({ name, version }), initialize, depth),
      bindings: {},
    };
  }

  #go(go: Go): Promise<Step> {
    const { route, scope, observe } = this.#request;
    observe({ kind: "session-created", route, tag: sessionTag(this.key), endpoint: undefined });
    if (this.isNobodys) scope.onEnd(() => void this.#end());
    return settledStep(go({ kind: "unbound", id: undefined, key: this.key }));
  }

  async #join(backend: Backend | undefined, go: Go): Promise<Step> {
    const claimed = await this.#claim(this.#request, backend?.name, "always", 0);
    // It has ended again at once: the one who began it had no slot for it.
    if (claimed.kind === "unknown" || claimed.kind === "unavailable") return this.#unavailable();
    return settledStep(go(claimed));
  }

  /** A session before this one may have expired, and not been ended at its backends yet. */
  async #endExpired(): Promise<void> {
    if (this.isNobodys) return;
    const reaped = await this.#dependencies.store.reap(this.key);
    if (reaped.kind === "reaped") this.#abandon(reaped.session);
  }

  async #end(): Promise<void> {
    const { store, ledger } = this.#dependencies;
    const { route, principal, observe } = this.#request;
    const removed = await store.remove(this.key);
    await ledger.release({ key: this.key, principal: principal.digest });
    if (removed.kind !== "removed") return;
    observe({ kind: "session-ended", route, tag: sessionTag(this.key) });
    this.#abandon(removed.session);
  }

  #abandon({ bindings }: Session): void {
    const { headers } = this.#request;
    for (const [backend, binding] of Object.entries(bindings))
      if (heldBy(binding)) void this.#dependencies.abandon(backend, binding, headers);
  }

  #unavailable(): Step {
    const { id } = this.#request;
    return replied(refuse({ reason: "store-unavailable", id, inBand: id !== undefined }, this.#request));
  }
}
