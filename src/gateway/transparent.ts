/** Requests of a route that leads to one backend: initialize, in a session, outside sessions, GET and DELETE. */
import { assertNever } from "../core/assert-never.ts";
import type { Labels } from "../core/classify-message.ts";
import type { RequestHead } from "../core/http.ts";
import type { Reject } from "../core/reject.ts";
import { type RequestPolicy, resumptionMessageTimeout, type TransparentRoute } from "../core/routes.ts";
import { timed } from "../core/tool-timeouts.ts";
import type { SentMessage } from "../recovery/replayable.ts";
import type { Resume } from "../recovery/resume.ts";
import { sessionTag } from "../sessions/id.ts";
import { bindingOf, isParked } from "../sessions/store.ts";
import type { MessageOf, RequestsOn } from "./accepted.ts";
import { type DeferredStep, Ended, replied, SESSION_ENDED, type Step, Unpinned, withCookie } from "./answers.ts";
import { type BeginDependencies, type BeginSession, createBegin } from "./begin.ts";
import { type ClaimDependencies, type ClaimSession, createClaim, type OwnSession } from "./claim.ts";
import { createSendInSession, type InSessionDependencies, type SendInSession } from "./in-session.ts";
import { notClaimed } from "./owning.ts";
import { type AcceptedHead, acceptRequest, forwardRequest, type GatewayRequest, refuse } from "./request.ts";
import { abortSignalOf, type RequestScope } from "./scope.ts";

export interface TransparentDependencies extends BeginDependencies, ClaimDependencies, InSessionDependencies {
  /** Begins another backend session for one that was parked. */
  readonly resume: Resume;
}

export class TransparentRequests implements RequestsOn<TransparentRoute> {
  readonly #dependencies: TransparentDependencies;
  readonly #claim: ClaimSession;
  readonly #send: SendInSession;
  /** An initialize: begins a session. */
  readonly initialize: BeginSession;

  constructor(dependencies: TransparentDependencies) {
    this.#dependencies = dependencies;
    this.#claim = createClaim(dependencies);
    this.#send = createSendInSession(dependencies);
    this.initialize = createBegin(dependencies);
  }

  /** Takes an accepted head, and starts to look for the session that it names. */
  accept(head: RequestHead, accepted: AcceptedHead<TransparentRoute>, policy: RequestPolicy, scope: RequestScope) {
    const { backend } = accepted.route;
    return acceptRequest(head, accepted, policy, scope, (key) => this.#dependencies.store.find(key, backend.name));
  }

  /** A legacy message other than initialize. */
  message(
    of: GatewayRequest,
    { labels, stateChanges }: MessageOf<"legacy">,
    body: Uint8Array,
  ): Step | Promise<Step | DeferredStep> {
    const request = inTime(of);
    if (request.session.kind === "none") return this.#outside(request, labels);
    return this.#inSession(request, { body, labels, stateChanges });
  }

  /** A message of MCP 2026-07-28, which has no sessions. */
  modern(request: GatewayRequest, { labels }: MessageOf<"modern">): Step {
    return this.#unpinned(inTime(request), "modern", labels);
  }

  /** A GET, which opens a stream. */
  listen(request: GatewayRequest): Step | Promise<Step | DeferredStep> {
    if (request.session.kind === "none") return this.#outside(request, undefined);
    return this.#inSession(request, undefined);
  }

  /** A DELETE: ends the session at once, whatever the backend will say, and tells the backend. */
  end(request: GatewayRequest): Step | Promise<Step> {
    if (request.session.kind === "none") return this.#outside(request, undefined);
    return this.#endSession(request);
  }

  /** A stateless server needs no sessions, so the backend decides, unless the route says no. */
  #outside(request: GatewayRequest, labels: Labels | undefined): Step {
    if (request.route.sessions === "required")
      return this.#refused(request, { reason: "session-required", id: request.id });
    return this.#unpinned(request, "sessionless", labels);
  }

  #unpinned(request: GatewayRequest, how: "sessionless" | "modern", labels: Labels | undefined): Step {
    request.observe({ kind: "forwarded", route: request.route, how });
    const verdict = forwardRequest(request, { labels, sessionTag: undefined, binding: undefined });
    return { kind: "step", verdict, answer: new Unpinned(request) };
  }

  /** @param message undefined for a GET */
  async #inSession(request: GatewayRequest, message: SentMessage | undefined): Promise<Step | DeferredStep> {
    const { name } = request.route.backend;
    const claimed = await this.#claim(request, name, message ? "when-due" : "always", message?.body.length ?? 0);
    switch (claimed.kind) {
      case "live":
        return this.#send(request, claimed, message);
      case "parked":
        return this.#resume(request, claimed, message);
      case "unknown":
      case "unavailable":
        return notClaimed(request, claimed.kind);
      case "unbound":
        return notClaimed(request, "unknown");
      default:
        return assertNever(claimed);
    }
  }

  /** Sends a request into a session that was parked, once that has another backend session. */
  #resume(request: GatewayRequest, own: OwnSession, message: SentMessage | undefined): Step | DeferredStep {
    const { route, headers, id, scope } = request;
    if (route.backend.onSessionLost === "surface") return notClaimed(request, "unknown");
    const { key, binding } = own;
    const resumed = this.#dependencies.resume({ route, headers, key, binding, why: "parked" }, abortSignalOf(scope));
    const step = resumed.then((outcome): Step => {
      switch (outcome.kind) {
        case "resumed": {
          const live: OwnSession = { ...own, kind: "live", binding: outcome.binding };
          return withCookie(this.#send(request, live, message), outcome.cookie);
        }
        case "none":
          return notClaimed(request, "unknown");
        case "store-away":
          return notClaimed(request, "unavailable");
        case "no-credential":
          return this.#refused(request, {
            reason: "credential-unavailable",
            retryAfter: outcome.retryAfter,
            id,
            inBand: true,
          });
        case "backend-away":
          return this.#refused(request, { reason: "backend-unavailable", id, inBand: true });
        default:
          return assertNever(outcome);
      }
    });
    return { kind: "deferred", messageTimeout: resumptionMessageTimeout(route.backend.timeouts), step };
  }

  async #endSession(request: GatewayRequest): Promise<Step> {
    const { store, ledger } = this.#dependencies;
    const { route, principal, scope, observe } = request;
    const own = await this.#claim(request, route.backend.name, "never", 0);
    if (own.kind === "unavailable") return notClaimed(request, "unavailable");
    if (own.kind === "unknown" || own.kind === "unbound") return notClaimed(request, "unknown");
    const { id, key } = own;
    const removed = await store.remove(key);
    if (removed.kind !== "removed") return notClaimed(request, removed.kind);
    await ledger.release({ key, principal: principal.digest });
    const tag = sessionTag(key);
    observe({ kind: "session-ended", route, tag });
    // A recovery may have moved the session since it was found.
    const pin = bindingOf(removed.session, route.backend.name) ?? own.binding;
    // The backend of a parked session was told already.
    if (isParked(pin)) return replied(SESSION_ENDED);
    const answer = new Ended(this.#dependencies, request, id, pin);
    scope.onEnd(() => answer.left());
    const verdict = forwardRequest(request, { labels: undefined, sessionTag: tag, binding: pin });
    return { kind: "step", verdict, answer };
  }

  #refused(request: GatewayRequest, reject: Reject): Step {
    return replied(refuse(reject, request));
  }
}

/** On its route, with the time of the tools that it calls. */
function inTime(request: GatewayRequest): GatewayRequest {
  const { route, timeout } = request;
  return timeout === undefined ? request : { ...request, route: timed(route, timeout) };
}
