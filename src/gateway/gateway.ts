/**
 * A request's life (docs/architecture.md, "One request"), top to bottom: its head, its body, its answer.
 *
 * One `Exchange` is one HTTP request. It holds what the phases must remember of each other, and the configuration that
 * the request started with. It decides nothing itself: the core does, and the store knows the sessions.
 */

import type { Admission, NotCommitted, Reserved, Slot } from "../admission/admission.ts";
import type { InUse } from "../admission/in-use.ts";
import { extendLease, returnToSlot } from "../admission/lease.ts";
import type { CapName, Ledger } from "../admission/ledger.ts";
import {
  type EndpointFault,
  headForClient,
  isRedirect,
  readInitializeAnswer,
  readRedirect,
} from "../core/answer-head.ts";
import { assertNever } from "../core/assert-never.ts";
import { classifyHead, type RequestKind } from "../core/classify-head.ts";
import { classifyMessage, type Labels, type MessageKind } from "../core/classify-message.ts";
import { REPLY_DETAILS } from "../core/codes.ts";
import { type Destination, forward, staleResumption, strip, watchedHeaders } from "../core/forward.ts";
import { COOKIE, MCP_SESSION_ID } from "../core/headers.ts";
import {
  CONTINUE,
  type Decision,
  type DeferredVerdict,
  DROP_BODY,
  type HeaderFields,
  isSuccess,
  type Reply,
  type RequestHead,
  type ResponseHead,
  type Verdict,
} from "../core/http.ts";
import { mustAuthenticate, principalNames } from "../core/identity.ts";
import { textOf } from "../core/json/span.ts";
import { mayUse } from "../core/ownership.ts";
import { answer, type Reject, type RejectReason } from "../core/reject.ts";
import { isUnanswered } from "../core/response-flags.ts";
import {
  longestWaitOf,
  type RequestPolicy,
  resumptionMessageTimeout,
  type TransparentRoute,
  waitMessageTimeout,
} from "../core/routes.ts";
import type { BackendSession } from "../core/session.ts";
import { readSessionHeader } from "../core/session-header.ts";
import type { NotReplayable, ReplayableRequest, ReplayableRequests, SentMessage } from "../recovery/replayable.ts";
import type { Resume } from "../recovery/resume.ts";
import {
  mintSessionId,
  parseSessionId,
  principalDigest,
  principalTag,
  type SessionId,
  type SessionKey,
  sessionKey,
  sessionTag,
} from "../sessions/id.ts";
import {
  ANONYMOUS,
  type Binding,
  bindingOf,
  FIRST_GENERATION,
  isParked,
  type Patience,
  type SessionStore,
} from "../sessions/store.ts";
import { abortSignalOf, HttpRequestScope } from "./scope.ts";

export interface Gateway {
  /** Starts the exchange of one HTTP request. */
  open(): Exchange;
}

export interface Exchange {
  /** Decides a bodyless request, or asks for the body. */
  requestHeaders(head: RequestHead): Decision;
  /** Decides a POST. */
  requestBody(body: Uint8Array): Decision;
  /** Sees the head of the answer, whoever gave it. */
  responseHeaders(head: ResponseHead): Decision;
  /** The request has ended, in whatever way; nothing more is asked. */
  closed(): void;
  /** The answer after an error that should not have happened: never lets the request through. */
  fault(): Reply;
}

/** What happened to a request, for metrics and logs. */
export type RequestEvent =
  | {
      readonly kind: "forwarded";
      readonly route: TransparentRoute;
      readonly how: "initialize" | "session" | "sessionless" | "modern";
    }
  | { readonly kind: "rejected"; readonly reason: RejectReason; readonly route: TransparentRoute | undefined }
  /** Should its session turn out to be lost, it is not recovered for this request. */
  | { readonly kind: "not-replayable"; readonly reason: NotReplayable; readonly route: TransparentRoute }
  | {
      readonly kind: "session-created";
      readonly route: TransparentRoute;
      readonly tag: string;
      readonly endpoint: string;
    }
  | { readonly kind: "session-ended"; readonly route: TransparentRoute; readonly tag: string }
  /** Envoy is held to take no streamed answers, since it missed so many in a row: those of this backend are sent whole. */
  | { readonly kind: "override-refused"; readonly route: TransparentRoute; readonly missed: number }
  /** A backend's answer shows that its MCP endpoint is not where the configuration says. */
  | {
      readonly kind: "endpoint-doubtful";
      readonly route: TransparentRoute;
      readonly method: string;
      readonly fault: EndpointFault;
    };

export interface GatewayDependencies {
  /** The configuration in force; an exchange asks once and keeps it. */
  readonly policy: () => RequestPolicy;
  readonly store: SessionStore;
  readonly ledger: Ledger;
  readonly admission: Admission;
  /** Told of each request in a session while that is under way. */
  readonly inUse: InUse;
  /** Keeps what must be sent again if its session is lost. */
  readonly keeper: ReplayableRequests;
  /** Begins another backend session for one that was parked. */
  readonly resume: Resume;
  /**
   * Tells a backend that a session which it has just begun will never be used, with the credentials among the headers of the
   * request that it was begun for. Resolves to whether it was told; never rejects.
   */
  readonly abandon: (backend: string, begun: Binding, headers: HeaderFields) => Promise<boolean>;
  readonly observe: (event: RequestEvent) => void;
}

export function createGateway(dependencies: GatewayDependencies): Gateway {
  return { open: () => new HttpExchange(dependencies) };
}

/** A request whose head was accepted. */
interface AcceptedRequest {
  readonly kind: Exclude<RequestKind["kind"], "reject">;
  readonly headers: HeaderFields;
  /**
   * Names of the headers that must not go on as the client sent them. Of a message the spoofed ones are not among them:
   * they are removed while its head is dealt with, before the body comes.
   */
  readonly headersToRemove: readonly string[];
  readonly route: TransparentRoute;
  readonly query: string;
}

/** A session as one request found it. */
type Found = Awaited<ReturnType<SessionStore["find"]>>;

/** What the request carried in `mcp-session-id`, and what the store said of it. */
interface ClaimedSession {
  readonly id: SessionId;
  readonly key: SessionKey;
  readonly found: Promise<Found>;
}

/** A session that is live, of this route and of this principal. */
interface OwnSession {
  readonly id: SessionId;
  readonly key: SessionKey;
  readonly binding: Binding;
  /** Generation of the binding that the client last opened its GET stream by, where that is remembered. */
  readonly listening: number | undefined;
}

/** The session that an initialize asks for: it begins if the backend begins one. */
interface NewSession {
  readonly id: SessionId;
  readonly key: SessionKey;
  readonly initializeParams: string;
  readonly protocolVersion: string | undefined;
  readonly slot: Slot;
}

/** By the cap that refuses. */
const EXHAUSTED = {
  sessions: "sessions-exhausted",
  perPrincipal: "principal-exhausted",
  anonymous: "anonymous-exhausted",
  waiting: "initializes-exhausted",
} as const satisfies Record<CapName | "waiting", RejectReason>;

const UNKNOWN: Found = { kind: "unknown" };
const UNAVAILABLE = { kind: "unavailable" } as const;
const NO_UPSTREAM_ADDRESS =
  "Envoy does not say which endpoint answered an initialize: " +
  "add upstream.address to response_attributes (`mcp-router check --envoy` tells more)";

const SESSION_ENDED: Reply = { kind: "reply", status: 204, headers: [], body: "", details: REPLY_DETAILS.sessionEnded };

class HttpExchange implements Exchange {
  readonly #dependencies: GatewayDependencies;
  readonly #policy: RequestPolicy;
  #request: AcceptedRequest | undefined;
  /** Digest of who sent the request. */
  #principal = ANONYMOUS;
  #claimed: ClaimedSession | "malformed" | undefined;
  /** The session that the answer belongs to, by the id that the client knows. */
  #sessionId: SessionId | undefined;
  #initializing: NewSession | undefined;
  /** Where the session was that this DELETE has ended. */
  #ended: Binding | undefined;
  /** The session in which this is the client's first GET since it was recovered. */
  #listensAnew: OwnSession | undefined;
  /** What is sent again if its session turns out to be lost. */
  #kept: ReplayableRequest | undefined;
  /** JSON text of the request's id, once it was read: every refusal from then on carries it. */
  #requestId: string | undefined;
  /** How it waits for a store that is away; undefined until it is. */
  #patience: Patience | undefined;
  readonly #scope = new HttpRequestScope();

  constructor(dependencies: GatewayDependencies) {
    this.#dependencies = dependencies;
    this.#policy = dependencies.policy();
  }

  requestHeaders(head: RequestHead): Decision {
    const opening = classifyHead(head, this.#policy);
    if (opening.kind === "reject") return this.#refuse(opening.reject);
    const { kind, route, query } = opening;
    // The check of the configuration refuses federated routes.
    if (route.kind === "federated") return this.#refuse({ reason: "no-route" });
    const { identity } = this.#policy;
    const names = principalNames(head.headers, head.claims, identity);
    if (mustAuthenticate(identity, names, head.headers, query)) return this.#refuse({ reason: "unauthenticated" });
    this.#principal = names ? principalDigest(names) : ANONYMOUS;
    const { spoofed, page } = watchedHeaders(head.headers);
    const sessionIds = head.headers.get(MCP_SESSION_ID);
    this.#claimed = this.#lookUp(sessionIds, route.backend.name);
    const headersToRemove = kind === "message" ? [] : [...spoofed];
    if (sessionIds !== undefined) headersToRemove.push(MCP_SESSION_ID);
    if (route.backend.origin === "remove") headersToRemove.push(...page);
    this.#request = { kind, headers: head.headers, headersToRemove, route, query };
    switch (kind) {
      case "message":
        // The session is looked for while the body arrives.
        return strip(spoofed);
      case "listen":
        return this.#forwardInSession(undefined, undefined);
      case "end":
        return this.#endSession();
      default:
        return assertNever(kind);
    }
  }

  requestBody(body: Uint8Array): Decision {
    const { kind, headers } = this.#accepted();
    // A GET or DELETE was decided by its head. What it carries is no message, and no server shall take it for one.
    if (kind !== "message") return body.length === 0 ? CONTINUE : DROP_BODY;
    const intent = classifyMessage(body, headers, this.#policy.limits);
    this.#requestId = intent.id;
    switch (intent.kind) {
      case "reject":
        return this.#refuse(intent.reject);
      case "modern":
        return this.#forwardUnpinned("modern", intent.labels);
      case "initialize":
        return this.#initialize(intent, body);
      case "legacy":
        return this.#forwardInSession(intent.labels, { id: intent.id, body, stateChanges: intent.stateChanges });
      default:
        return assertNever(intent);
    }
  }

  responseHeaders(head: ResponseHead): Decision {
    const { headers, endpoint } = head;
    if (this.#ended) return this.#confirmEnd(this.#ended, head);
    // Envoy's own answers have no endpoint; a redirect among them is of a filter that the operator has set up.
    if (endpoint !== undefined && isRedirect(headers.get(":status"))) return this.#refuseRedirect(head);
    if (!this.#initializing) return this.#passOn(head);
    this.#doubt(readInitializeAnswer(head));
    const begun = isSuccess(headers.get(":status")) ? readSessionHeader(headers.get(MCP_SESSION_ID)) : undefined;
    if (begun === undefined || begun.kind === "none") {
      giveBack(this.#initializing.slot, head);
      return this.#passOn(head);
    }
    if (begun.kind === "several") {
      // It holds one all the same, or several, which nobody can name: its slot is left to its reservation.
      this.#doubt({ kind: "several-sessions", status: headers.get(":status") ?? "" });
      return this.#refuse({ reason: "session-ambiguous", id: this.#requestId });
    }
    // Without it the session could not be pinned: better no session than one that works by chance.
    if (endpoint === undefined) throw new Error(NO_UPSTREAM_ADDRESS);
    return this.#beginSession(this.#initializing, { sessionId: begun.id, endpoint }, head);
  }

  /**
   * The session has ended, so a client that ended it hears of a success: some take anything else for a failure of their own
   * (MCP lets a server refuse by 405 to end sessions). A backend that has not heard of it is told once more.
   */
  #confirmEnd(ended: Binding, head: ResponseHead): Decision {
    const { headers, endpoint } = head;
    const status = headers.get(":status");
    if (isSuccess(status)) return this.#passOn(head);
    const { route, headers: requested } = this.#accepted();
    if (endpoint !== undefined && isRedirect(status)) this.#doubt(readRedirect(headers, route.backend.path, endpoint));
    if (status !== "404" && status !== "405") void this.#dependencies.abandon(route.backend.name, ended, requested);
    return SESSION_ENDED;
  }

  /** A client that followed it would meet the backend, past every check. */
  #refuseRedirect(head: ResponseHead): Reply {
    const { headers, endpoint } = head;
    this.#doubt(readRedirect(headers, this.#accepted().route.backend.path, endpoint));
    if (this.#initializing) giveBack(this.#initializing.slot, head);
    return this.#refuse({ reason: "backend-redirects", id: this.#requestId });
  }

  #doubt(fault: EndpointFault | undefined): void {
    if (!fault) return;
    const { route, headers } = this.#accepted();
    const method = this.#initializing ? "initialize" : (headers.get(":method") ?? "");
    this.#dependencies.observe({ kind: "endpoint-doubtful", route, method, fault });
  }

  /** The answer goes on as it is, unless it is that of a lost session. */
  #passOn(head: ResponseHead): Decision {
    const asItIs = headForClient(this.#sessionId, head);
    if (this.#listensAnew && isSuccess(head.headers.get(":status"))) this.#rememberListening(this.#listensAnew);
    return this.#kept?.answer(head, asItIs) ?? asItIs;
  }

  /** What the client hears from now on is of the session as it is: its next GET may go on from there. */
  #rememberListening({ key, binding: { generation } }: OwnSession): void {
    const { backend } = this.#accepted().route;
    // Not waited for: where it is not remembered, the next GET begins anew as this one does.
    void this.#dependencies.store.remember(key, backend.name, { kind: "listening", generation });
  }

  fault(): Reply {
    return this.#refuse({ reason: "internal", id: this.#requestId });
  }

  closed(): void {
    this.#scope.end();
  }

  /** Starts to look for the session that the request names. An id that cannot be ours costs no look-up. */
  #lookUp(text: string | undefined, backend: string): ClaimedSession | "malformed" | undefined {
    if (text === undefined) return undefined;
    let id = parseSessionId(text);
    if (id === undefined) {
      const read = readSessionHeader(text);
      if (read.kind === "none") return undefined;
      if (read.kind === "one") id = parseSessionId(read.id);
    }
    if (id === undefined) return "malformed";
    const key = sessionKey(id);
    const found = this.#dependencies.store.find(key, backend);
    // A store does not reject. Should one all the same, and nobody wait for it any more, the process must not end by it.
    found.catch(() => undefined);
    return { id, key, found };
  }

  /** Sends a message into the session that it names, or to any endpoint where it names none. */
  async #forwardInSession(
    labels: Labels | undefined,
    message: SentMessage | undefined,
  ): Promise<Verdict | DeferredVerdict> {
    if (this.#claimed === undefined) return this.#forwardOutsideSessions(labels);
    const own = await this.#ownSession(message === undefined ? "always" : "when-due", message);
    if ("reason" in own) return this.#refuse(own);
    return isParked(own.binding) ? this.#resume(own, labels, message) : this.#send(own, labels, message);
  }

  /** The session's backend has been told to end it there: nothing is sent before there is another one. */
  #resume(own: OwnSession, labels: Labels | undefined, message: SentMessage | undefined): Verdict | DeferredVerdict {
    const { route, headers } = this.#accepted();
    const { key, binding } = own;
    const id = this.#requestId;
    if (route.backend.onSessionLost === "surface") return this.#refuse({ reason: "session-unknown", id });
    const resumed = this.#dependencies.resume({ route, headers, key, binding }, abortSignalOf(this.#scope));
    const verdict = resumed.then((outcome) => {
      switch (outcome.kind) {
        case "resumed":
          return withCookie(this.#send({ ...own, binding: outcome.binding }, labels, message), outcome.cookie);
        case "none":
          return this.#refuse({ reason: "session-unknown", id });
        case "store-away":
          return this.#refuse({ reason: "store-unavailable", id, inBand: message?.id !== undefined });
        case "backend-away":
          return this.#refuse({ reason: "backend-unavailable", id });
        default:
          return assertNever(outcome);
      }
    });
    return { kind: "deferred", messageTimeout: resumptionMessageTimeout(route.backend.timeouts), verdict };
  }

  #send(own: OwnSession, labels: Labels | undefined, message: SentMessage | undefined): Verdict {
    const { route, query, headersToRemove, headers } = this.#accepted();
    const { id: sessionId, key, binding, listening = FIRST_GENERATION } = own;
    this.#sessionId = sessionId;
    if (message === undefined && binding.generation > listening) this.#listensAnew = own;
    if (!this.#scope.over) {
      const { inUse } = this.#dependencies;
      const use = { key, principal: this.#principal, backend: route.backend.name };
      inUse.begin(use);
      this.#scope.onEnd(() => inUse.end(use));
    }
    if (route.backend.onSessionLost === "recover" && !this.#scope.over) {
      const { limits } = this.#policy;
      const { keeper } = this.#dependencies;
      const principal = this.#principal;
      const kept = keeper.keep({ route, query, headers, labels, message, sessionId, key, principal, binding, limits });
      if (typeof kept === "string") this.#dependencies.observe({ kind: "not-replayable", reason: kept, route });
      else {
        this.#kept = kept;
        this.#scope.onEnd(() => kept.drop());
      }
    }
    this.#dependencies.observe({ kind: "forwarded", route, how: "session" });
    const destination = this.#destination(labels, sessionTag(key), binding);
    return forward(
      destination,
      this.#listensAnew ? [...headersToRemove, ...staleResumption(headers)] : headersToRemove,
    );
  }

  /** Ends the session at once, whatever the backend will say, and tells the backend. */
  async #endSession(): Promise<Verdict> {
    const { route, headersToRemove } = this.#accepted();
    if (this.#claimed === undefined) return this.#forwardOutsideSessions(undefined);
    const own = await this.#ownSession("never");
    if ("reason" in own) return this.#refuse(own);
    const removed = await this.#dependencies.store.remove(own.key);
    if (removed.kind === "unavailable") return this.#refuse({ reason: "store-unavailable" });
    if (removed.kind === "unknown") return this.#refuse({ reason: "session-unknown" });
    await this.#dependencies.ledger.release({ key: own.key, principal: this.#principal });
    this.#sessionId = own.id;
    const tag = sessionTag(own.key);
    this.#dependencies.observe({ kind: "session-ended", route, tag });
    // A recovery may have moved the session since it was found.
    const pin = bindingOf(removed.session, route.backend.name) ?? own.binding;
    // Its backend was told then.
    if (isParked(pin)) return SESSION_ENDED;
    this.#ended = pin;
    return forward(this.#destination(undefined, tag, pin), headersToRemove);
  }

  /**
   * Sends an initialize to any endpoint, if there is a slot for its session. A session id that came with it is dropped: stale
   * ones are normal after a loss.
   */
  async #initialize(
    intent: Extract<MessageKind, { kind: "initialize" }>,
    body: Uint8Array,
  ): Promise<Verdict | DeferredVerdict> {
    const { route, headersToRemove } = this.#accepted();
    const id = mintSessionId();
    const key = sessionKey(id);
    const { params, protocolVersion, labels } = intent;
    const initializeParams = textOf(body, params);
    const goOn = (reserved: Reserved): Verdict => {
      if (reserved.kind !== "reserved") return this.#refuse(this.#notAdmitted(reserved));
      const { slot } = reserved;
      // The backend has the initialize by then, and may begin a session all the same. Where the client has left before that,
      // none is sent.
      if (this.#scope.over) slot.release();
      else this.#scope.onEnd(() => slot.leave());
      this.#initializing = { id, key, initializeParams, protocolVersion, slot };
      this.#dependencies.observe({ kind: "forwarded", route, how: "initialize" });
      return forward(this.#destination(labels, sessionTag(key), undefined), headersToRemove);
    };
    const lease = { key, principal: this.#principal };
    const { admission } = this.#dependencies;
    const caps = this.#policy.admission;
    const reserved = await admission.reserve(lease, route.backend.name, caps);
    if (reserved.kind !== "exhausted" || this.#scope.over) return goOn(reserved);
    const longest = caps.wait && longestWaitOf(caps.wait, route.backend.timeouts);
    const wait = admission.wait(lease, route.backend.name, { ...caps, wait: longest }, reserved);
    if (!wait) return goOn(reserved);
    this.#scope.onEnd(() => wait.leave());
    return { kind: "deferred", messageTimeout: waitMessageTimeout(wait.longest), verdict: wait.outcome.then(goOn) };
  }

  /** The backend began a session: store it with the endpoint that holds it, and give the client our id for it. */
  async #beginSession(
    { id, key, initializeParams, protocolVersion, slot }: NewSession,
    begun: BackendSession,
    head: ResponseHead,
  ): Promise<Verdict> {
    const { route, headers: requested } = this.#accepted();
    const { store, abandon } = this.#dependencies;
    const binding = { ...begun, generation: FIRST_GENERATION };
    const owner = this.#principal;
    const bindings = { [route.backend.name]: binding };
    const session = { owner, route: route.path, protocolVersion, initializeParams, bindings };
    const created = await store.create(key, session);
    const outcome =
      created.kind === "created" ? await slot.commit(created.expiresIn) : { kind: "unavailable" as const };
    if (outcome.kind !== "committed") {
      slot.leave();
      if (created.kind === "created") await store.remove(key);
      void abandon(route.backend.name, binding, requested).then((told) => {
        if (told) slot.release();
      });
      return this.#refuse(this.#notAdmitted(outcome));
    }
    this.#dependencies.observe({ kind: "session-created", route, tag: sessionTag(key), endpoint: binding.endpoint });
    return headForClient(id, head);
  }

  #notAdmitted(why: NotCommitted): Reject {
    const id = this.#requestId;
    if (why.kind !== "exhausted") return { reason: "store-unavailable", id };
    return { reason: EXHAUSTED[why.by], retryAfter: retryAfter(why.freeIn, this.#policy.admission.retryAfter), id };
  }

  /** A legacy message without a session: stateless servers exist, so the backend decides, unless the route says no. */
  #forwardOutsideSessions(labels: Labels | undefined): Verdict {
    if (this.#accepted().route.sessions === "required")
      return this.#refuse({ reason: "session-required", id: this.#requestId });
    return this.#forwardUnpinned("sessionless", labels);
  }

  #forwardUnpinned(how: "sessionless" | "modern", labels: Labels | undefined): Verdict {
    const { route, headersToRemove } = this.#accepted();
    this.#dependencies.observe({ kind: "forwarded", route, how });
    return forward(this.#destination(labels, undefined, undefined), headersToRemove);
  }

  #destination(labels: Labels | undefined, tag: string | undefined, pin: Binding | undefined): Destination {
    const { route, query } = this.#accepted();
    const principal = this.#principal === ANONYMOUS ? undefined : principalTag(this.#principal);
    return { backend: route.backend, query, labels, sessionTag: tag, principalTag: principal, pin };
  }

  /**
   * The claimed session, if it is live, of this route and of this principal; anything else is the same "unknown".
   * @param slides whether its expiry does. A GET's always: for as long as its stream is open nothing else may use the session.
   */
  async #ownSession(slides: "always" | "when-due" | "never", message?: SentMessage): Promise<OwnSession | Reject> {
    const { route } = this.#accepted();
    const { store } = this.#dependencies;
    const claimed = this.#claimed === "malformed" ? undefined : this.#claimed;
    // Of a batch there is no one id to answer by.
    const inBand = message?.id !== undefined;
    const unavailable = { reason: "store-unavailable", id: this.#requestId, inBand } as const;
    const unknown = { reason: "session-unknown", id: this.#requestId } as const;
    let found = await (claimed?.found ?? UNKNOWN);
    if (claimed && found.kind === "unavailable")
      found = await this.#askAgain(() => store.find(claimed.key, route.backend.name), message);
    if (found.kind === "unavailable") return unavailable;
    if (!claimed || found.kind === "unknown") return unknown;
    const { session } = found;
    const { listening } = session;
    let { binding } = session;
    if (!mayUse(session, route, this.#principal)) return unknown;
    const isDue = slides === "always" || (slides === "when-due" && (found.touchDue || (binding && isParked(binding))));
    if (binding && isDue) {
      const touch = () => store.touch(claimed.key, route.backend.name);
      let touched = await touch();
      if (touched.kind === "unavailable") touched = await this.#askAgain(touch, message);
      if (touched.kind === "unknown") return unknown;
      // Nor is it refused where the store takes no writes: the session lives for about idle yet, and its next request tries again.
      if (touched.kind === "touched") {
        // It may have been parked since it was found. After this touch it is not.
        binding = touched.binding;
        const lease = { key: claimed.key, principal: session.owner };
        const { ledger } = this.#dependencies;
        // Not waited for: a lease that runs out early is taken anew by the sweeper.
        if (!binding || !isParked(binding)) void extendLease(ledger, store, lease, touched.expiresIn);
        else {
          const { kind } = await returnToSlot(ledger, store, lease, touched.expiresIn, this.#policy.admission);
          if (kind !== "returned") return kind === "ended" ? unknown : unavailable;
        }
      } else if (isParked(binding)) return unavailable;
    }
    if (!binding) return unknown;
    return { id: claimed.id, key: claimed.key, binding, listening };
  }

  /** What the store answers once it is there again, where that is soon: its blip is no request's failure. */
  async #askAgain<Outcome extends { readonly kind: string }>(
    ask: () => Promise<Outcome>,
    message: SentMessage | undefined,
  ): Promise<Outcome | typeof UNAVAILABLE> {
    if (!this.#patience) {
      const patience = this.#dependencies.store.patience(message?.body.length ?? 0);
      this.#patience = patience;
      this.#scope.onEnd(() => patience.leave());
    }
    let outcome: Outcome | typeof UNAVAILABLE = UNAVAILABLE;
    while (outcome.kind === "unavailable" && !this.#scope.over && (await this.#patience.again())) outcome = await ask();
    return outcome;
  }

  #accepted(): AcceptedRequest {
    // Only phases after an accepted head get here; anything else is a fault, and answered as one.
    if (!this.#request) throw new Error("a phase without an accepted request head");
    return this.#request;
  }

  #refuse(reject: Reject): Reply {
    // Nobody is refused any more: the client has left.
    if (!this.#scope.over)
      this.#dependencies.observe({ kind: "rejected", reason: reject.reason, route: this.#request?.route });
    return answer(reject);
  }
}

/** Seconds: as long as it takes for a slot to be free, and no longer than that; where nobody knows, as long as that. */
function retryAfter(freeIn: number | undefined, longest: number): number {
  return freeIn === undefined ? longest : Math.min(longest, Math.max(1, Math.ceil(freeIn / 1_000)));
}

function withCookie(verdict: Verdict, cookie: string | undefined): Verdict {
  if (verdict.kind !== "mutate" || cookie === undefined) return verdict;
  return { ...verdict, set: [...verdict.set, [COOKIE, cookie]] };
}

/** No session begins: the backend refused, failed, or has none to give. One that has not answered may have begun it all the same. */
function giveBack(slot: Slot, { headers, flags }: ResponseHead): void {
  if (isUnanswered(headers.get(":status"), flags)) slot.leave();
  else slot.release();
}
