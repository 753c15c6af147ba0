/**
 * Requests of a route that leads to several backends. What each method comes to stands in docs/internals/mcp-methods.md: the
 * gateway answers it, one backend gets it, or all do.
 */
import type { Ledger } from "../admission/ledger.ts";
import { assertNever } from "../core/assert-never.ts";
import type { Labels } from "../core/classify-message.ts";
import { readEventId } from "../core/federation/event-ids.ts";
import { listKindOf } from "../core/federation/kinds.ts";
import { toOwnStream } from "../core/forward.ts";
import { LAST_EVENT_ID } from "../core/headers.ts";
import type { RequestHead } from "../core/http.ts";
import { textAt } from "../core/json/text-at.ts";
import { isLogLevel } from "../core/mcp/log-levels.ts";
import { stateChangeOf } from "../core/mcp/session-state.ts";
import { treatmentOf } from "../core/mcp/treatments.ts";
import type { Reject } from "../core/reject.ts";
import { type FederatedRoute, memberMessageTimeout, type RequestPolicy, TELL_TIMEOUT_MS } from "../core/routes.ts";
import type { Message } from "../core/rpc/message.ts";
import type { Catalogue } from "../federation/catalogue.ts";
import type { FanOut } from "../federation/fan-out.ts";
import type { RouteCatalogue } from "../federation/route-view.ts";
import { type SessionKey, sessionTag } from "../sessions/id.ts";
import { heldBy, type SessionStore } from "../sessions/store.ts";
import type { MessageOf, RequestsOn } from "./accepted.ts";
import {
  ACCEPTED,
  answered,
  type DeferredStep,
  type EndedDependencies,
  type NextStep,
  NOT_SENT,
  replied,
  SESSION_ENDED,
  type Step,
} from "./answers.ts";
import { askerOf, asksByPrincipal } from "./asker.ts";
import { type BeginFederatedDependencies, createBeginFederated, responseText } from "./begin-federated.ts";
import { type ClaimDependencies, type ClaimSession, createClaim } from "./claim.ts";
import { FOR_LISTS, FOR_NAMES, knowing } from "./knowing.ts";
import { listReply } from "./list-reply.ts";
import { createMemberStreams, type MemberStreams } from "./member-stream.ts";
import { createModernFederated, type ModernFederatedDependencies } from "./modern-federated.ts";
import { isAloneAndGuarded } from "./only-backend.ts";
import { notClaimed, owning } from "./owning.ts";
import { rememberState } from "./remember.ts";
import { type AcceptedHead, acceptRequest, type GatewayRequest, refuse } from "./request.ts";
import type { RequestScope } from "./scope.ts";
import { isModernAlone, ONLY, ToMember, type ToMemberDependencies } from "./to-member.ts";

export interface FederatedDependencies
  extends BeginFederatedDependencies,
    ClaimDependencies,
    EndedDependencies,
    ToMemberDependencies,
    ModernFederatedDependencies {
  readonly rpc: ModernFederatedDependencies["rpc"];
  readonly store: SessionStore;
  readonly ledger: Ledger;
  readonly catalogue: Catalogue;
  readonly fanOut: FanOut;
  /** Ends the session's stream of the gateway's own, where this process writes it. */
  readonly endStream: (key: SessionKey) => void;
}

type Request = GatewayRequest<FederatedRoute>;

/** A message other than a response, and the bytes that it is. */
interface Called {
  readonly called: Exclude<Message, { kind: "response" }>;
  readonly bytes: Uint8Array;
}

export class FederatedRequests implements RequestsOn<FederatedRoute> {
  readonly #dependencies: FederatedDependencies;
  readonly #claim: ClaimSession;
  readonly #toMember: ToMember;
  readonly #streams: MemberStreams;
  readonly initialize: RequestsOn<FederatedRoute>["initialize"];
  readonly modern: RequestsOn<FederatedRoute>["modern"];

  constructor(dependencies: FederatedDependencies) {
    this.#dependencies = dependencies;
    this.#claim = createClaim(dependencies);
    this.#toMember = new ToMember(dependencies, this.#claim);
    this.#streams = createMemberStreams(dependencies, this.#claim, this.#toMember.sessions);
    this.initialize = createBeginFederated(dependencies);
    this.modern = createModernFederated(dependencies, this.#claim, this.#toMember.sessions);
  }

  accept(head: RequestHead, accepted: AcceptedHead<FederatedRoute>, policy: RequestPolicy, scope: RequestScope) {
    return acceptRequest(head, accepted, policy, scope, undefined);
  }

  message(request: Request, { body, labels }: MessageOf<"legacy">, bytes: Uint8Array): NextStep {
    if (request.session.kind === "none") return refused(request, { reason: "session-required", id: request.id });
    if (body.kind === "batch")
      return this.#knowing(request, (lists) => this.#toMember.batch(request, body, lists, labels, bytes));
    const called = body.message;
    if (called.kind === "response") return this.#toMember.response(request, bytes);
    const treatment = treatmentOf(called.method, "legacy");
    switch (treatment) {
      case "ours":
        return this.#ours(request, { called, bytes }, labels);
      case "all":
        return this.#all(request, { called, bytes });
      case "one":
        return this.#knowing(request, (lists) => this.#toMember.call(request, called, lists, labels, bytes));
      case "drop":
        return owning(this.#claim, request, () => replied(ACCEPTED));
      case "unknown":
        return this.#unknown(request, { called, bytes }, labels);
      default:
        return assertNever(treatment);
    }
  }

  listen(request: Request): NextStep {
    if (request.session.kind === "none") return refused(request, { reason: "session-required" });
    const streams = this.#streams;
    const hasSessionAt = (member: number) =>
      !isModernAlone(this.#dependencies.catalogue.view(request.route, undefined), member);
    const last = readEventId(request.headers.get(LAST_EVENT_ID) ?? "");
    if (request.route.stream === "backend") {
      if (!hasSessionAt(ONLY.member)) return refused(request, { reason: "no-stream" });
      // Elsewhere a backend that is alone has its events under its own ids, which may look like ours.
      const isCall = last?.kind === "call" && isAloneAndGuarded(request) && streams.isOurs(request, last);
      return isCall ? streams.resume(request, last) : streams.listen(request);
    }
    if (last?.kind === "call" && hasSessionAt(last.place.place)) return streams.resume(request, last);
    switch (request.route.stream) {
      case "own":
        return this.#listen(request);
      case "none":
        return refused(request, { reason: "no-stream" });
      default:
        return assertNever(request.route.stream);
    }
  }

  /** Envoy sends the GET to a processor, which writes the stream (http/streams.ts). */
  async #listen(request: Request): Promise<Step> {
    const { route, query, principal, headersToRemove, observe } = request;
    const claimed = await this.#claim(request, undefined, "always", 0);
    if (claimed.kind === "unknown" || claimed.kind === "unavailable") return notClaimed(request, claimed.kind);
    const { key } = claimed;
    observe({ kind: "forwarded", route, how: "session" });
    const outcome = request.policy.access?.on(route.path).of(principal).outcome;
    const of = { key, owner: principal.digest, path: route.path, outcome };
    const verdict = toOwnStream(of, query, sessionTag(key), headersToRemove);
    return { kind: "step", verdict, answer: NOT_SENT };
  }

  async end(request: Request): Promise<Step> {
    const { store, ledger, endStream, abandon } = this.#dependencies;
    const { route, principal, headers, observe } = request;
    const own = await this.#claim(request, undefined, "never", 0);
    if (own.kind === "unknown" || own.kind === "unavailable") return notClaimed(request, own.kind);
    const removed = await store.remove(own.key);
    if (removed.kind !== "removed") return notClaimed(request, removed.kind);
    await ledger.release({ key: own.key, principal: principal.digest });
    observe({ kind: "session-ended", route, tag: sessionTag(own.key) });
    endStream(own.key);
    // Not waited for: the client's session has ended, whatever a backend says.
    for (const [backend, binding] of Object.entries(removed.session.bindings))
      if (heldBy(binding)) void abandon(backend, binding, headers);
    return replied(SESSION_ENDED);
  }

  /** What the gateway answers itself, from what it knows of the backends. */
  #ours(request: Request, { called, bytes }: Called, labels: Labels): NextStep {
    // Nobody waits for the answer to a notification.
    if (called.kind === "notification") return owning(this.#claim, request, () => replied(ACCEPTED));
    const kind = listKindOf(called.method);
    if (kind)
      return this.#knowing(
        request,
        (lists) => owning(this.#claim, request, () => replied(listReply(request, lists[kind], bytes))),
        FOR_LISTS,
      );
    if (called.method !== "ping") return this.#unknown(request, { called, bytes }, labels);
    return owning(this.#claim, request, () => replied(answered(responseText(request.id, "{}"))));
  }

  /** What every backend gets that holds a session of the client's. Others learn what they must know when theirs is opened. */
  #all(request: Request, message: Called): NextStep {
    const { called } = message;
    if (called.kind === "request") return this.#setLevel(request, message);
    return owning(this.#claim, request, ({ key }) => {
      // Each backend was told when its session was opened.
      if (called.method !== "notifications/initialized") void this.#tell(request, key, message);
      return replied(ACCEPTED);
    });
  }

  async #setLevel(request: Request, message: Called): Promise<Step | DeferredStep> {
    const { route, id, policy } = request;
    const { called, bytes } = message;
    const level = textAt(bytes, ["params", "level"], policy.limits.depth);
    const claimed = await this.#claim(request, undefined, "when-due", bytes.length);
    if (claimed.kind === "unknown" || claimed.kind === "unavailable") return notClaimed(request, claimed.kind);
    if (level.kind !== "text" || !isLogLevel(level.text.value))
      return refused(request, { reason: "invalid-params", detail: UNKNOWN_LEVEL, id });
    const change = stateChangeOf(called);
    const sent = { body: bytes, stateChanges: change && [change] };
    const { key } = claimed;
    const remembered = Promise.all(
      route.members.map((member) =>
        rememberState(this.#dependencies, { route: member.route, observe: request.observe }, key, sent),
      ),
    );
    // In this order: a session that is opened meanwhile, and so is not told, finds it remembered once it is bound.
    const told = remembered.then(() => this.#tell(request, key, message));
    const step = told.then(() => replied(answered(responseText(id, "{}"))));
    return { kind: "deferred", messageTimeout: memberMessageTimeout(TELL_TIMEOUT_MS), step };
  }

  #tell({ route, query, headers }: Request, key: Parameters<FanOut["tell"]>[0]["key"], { called, bytes }: Called) {
    return this.#dependencies.fanOut.tell({ route, key, query, headers, method: called.method, body: bytes });
  }

  /** A method that only a backend which is alone may have. */
  #unknown(request: Request, { called, bytes }: Called, labels: Labels): NextStep {
    return this.#knowing(request, (lists) => this.#toMember.unknown(request, called, lists, labels, bytes));
  }

  /** Goes on with what the backends offer, once they have said so, or the time for that is over. */
  #knowing(request: Request, go: (lists: RouteCatalogue) => NextStep, wait = FOR_NAMES): NextStep {
    const { route } = request;
    const { catalogue } = this.#dependencies;
    if (!asksByPrincipal(route)) return knowing(catalogue, route, undefined, { era: "legacy", wait }, go);
    return this.#claim(request, undefined, "never", 0).then((claimed) => {
      if (claimed.kind === "unknown" || claimed.kind === "unavailable") return notClaimed(request, claimed.kind);
      const asker = askerOf(request, claimed.key, this.#toMember.sessions);
      return knowing(catalogue, route, asker, { era: "legacy", wait }, go);
    });
  }
}

const UNKNOWN_LEVEL = "params.level must be one of debug, info, notice, warning, error, critical, alert, emergency";

function refused(request: Request, reject: Reject): Step {
  return replied(refuse(reject, request));
}
