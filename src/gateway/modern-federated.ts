/**
 * Requests of the modern era (MCP 2026-07-28) on a route to several backends. There are no sessions: each request goes to any endpoint
 * of its backend, and all that a retry or a task needs is in its own bytes. Those for backends that need a session: to-legacy-member.ts.
 */
import type { Labels } from "../core/classify-message.ts";
import { discoverResult, endOfModernList } from "../core/federation/discover.ts";
import { askedInNameOf } from "../core/federation/envelope.ts";
import { eraAt, servesModern, UNKNOWN_ERA } from "../core/federation/era.ts";
import { listKindOf } from "../core/federation/kinds.ts";
import { LARGEST_LISTEN } from "../core/federation/listen-request.ts";
import { type Lead, leadOfCall, type Owner, ownerAsked, type Sender } from "../core/federation/owner.ts";
import { readSubscription } from "../core/federation/subscription.ts";
import { toOwnSubscription } from "../core/forward.ts";
import { MCP_NAME } from "../core/headers.ts";
import type { Header, Verdict } from "../core/http.ts";
import { rewrite } from "../core/json/rewrite.ts";
import { DISCOVER, LISTEN } from "../core/mcp/methods.ts";
import { encodedName } from "../core/mcp/name-header.ts";
import { SUBJECTS } from "../core/mcp/subjects.ts";
import { treatmentOf } from "../core/mcp/treatments.ts";
import { MODERN_VERSION, SESSION_VERSIONS } from "../core/mcp/versions.ts";
import type { Reject } from "../core/reject.ts";
import { type FederatedRoute, longestOpening, memberMessageTimeout } from "../core/routes.ts";
import type { Message } from "../core/rpc/message.ts";
import { timed } from "../core/tool-timeouts.ts";
import type { Catalogue } from "../federation/catalogue.ts";
import type { RouteCatalogue } from "../federation/route-view.ts";
import type { SessionStore } from "../sessions/store.ts";
import type { RequestsOn } from "./accepted.ts";
import {
  ACCEPTED,
  answered,
  type DeferredStep,
  type NextStep,
  NOT_SENT,
  replied,
  type Step,
  settledStep,
  Unpinned,
} from "./answers.ts";
import { type AskAt, askModern, askOwner, withoutOwner } from "./ask-owner.ts";
import { responseText } from "./begin-federated.ts";
import type { ClaimSession } from "./claim.ts";
import { createHeldSessions, type HeldSession, type HeldSessionDependencies } from "./held-session.ts";
import { FOR_LISTS, FOR_NAMES, knowing } from "./knowing.ts";
import { listReply } from "./list-reply.ts";
import { MemberAnswer } from "./member-answer.ts";
import { modernRelayOf, uncompressed } from "./member-events.ts";
import type { MemberSessions } from "./member-session.ts";
import { isAloneAndGuarded } from "./only-backend.ts";
import { forwardRequest, type GatewayRequest, principalTagOf, refuse } from "./request.ts";
import { abortSignalOf } from "./scope.ts";
import { createToLegacyMember, type ToLegacyMember, type ToLegacyMemberDependencies } from "./to-legacy-member.ts";
import { labelsAt, memberAt, ONLY } from "./to-member.ts";

export interface ModernFederatedDependencies extends ToLegacyMemberDependencies, HeldSessionDependencies {
  readonly store: SessionStore;
  readonly catalogue: Catalogue;
}

/** The steps of each request. */
interface Steps {
  readonly dependencies: ModernFederatedDependencies;
  readonly toLegacy: ToLegacyMember;
}

type Request = GatewayRequest<FederatedRoute>;
type Called = Extract<Message, { kind: "request" }>;

/** A request of the client's, and what is known of it. */
interface Asked {
  readonly called: Called;
  readonly labels: Labels;
  readonly bytes: Uint8Array;
  /** For backends that need a session. */
  readonly held: HeldSession;
}

/** With them a server of the modern era refuses a request by an error that its client acts on: -32020 to -32022, -32601. */
const OWN_STATUSES: ReadonlySet<number> = new Set([400, 404]);

export function createModernFederated(
  dependencies: ModernFederatedDependencies,
  claim: ClaimSession,
  sessions: MemberSessions,
): RequestsOn<FederatedRoute>["modern"] {
  const hold = createHeldSessions(dependencies, claim);
  const steps = { dependencies, toLegacy: createToLegacyMember(dependencies, sessions) };
  return (request, { body, labels }, bytes) => {
    // Neither is ever modern.
    if (body.kind === "batch" || body.message.kind === "response") return refused(request, { reason: "internal" });
    const called = body.message;
    const requested = called.params?.meta?.protocolVersion ?? undefined;
    const { route, id } = request;
    const unsupported = (supported: readonly string[]): Step =>
      refused(request, { reason: "version-unsupported", supported, requested, id });
    const wait = listKindOf(called.method) ? FOR_LISTS : FOR_NAMES;
    return knowing(dependencies.catalogue, route, undefined, { era: "modern", wait }, (lists) => {
      if (!servesModern(route, lists.eras)) return unsupported(SESSION_VERSIONS);
      // A client sends no notification of the modern era that a backend acts on.
      if (called.kind === "notification") return replied(ACCEPTED);
      if (requested !== MODERN_VERSION) return unsupported([MODERN_VERSION]);
      return answer(steps, request, { called, labels, bytes, held: hold(request) }, lists);
    });
  };
}

function answer(steps: Steps, request: Request, asked: Asked, lists: RouteCatalogue): NextStep {
  const { route, id, policy } = request;
  const { called, bytes } = asked;
  const { method } = called;
  if (method === DISCOVER) return replied(answered(responseText(id, discoverResult(route, lists))));
  const kind = listKindOf(method);
  if (kind) return replied(listReply(request, lists[kind], bytes, endOfModernList(route)));
  if (method === LISTEN && route.stream === "own") return listen(request, asked);
  // What nobody here carries to several, a backend that is alone gets.
  if (treatmentOf(method, "modern") !== "one") return toOnly(steps, request, asked, lists);
  const lead = leadOfCall(called, bytes, route, lists, SENDER, policy.limits.depth);
  switch (lead.kind) {
    case "owner":
      return toOwner(steps, request, lead.owner, asked, lists);
    case "ask":
      return ask(steps, request, lead, asked, lists);
    case "refused":
      return refused(request, inModernWords(lead.reject, id));
    default:
      return lead satisfies never;
  }
}

/** Ids of servers' requests hold tags. A server of the modern era asks its client nothing. */
const SENDER: Sender = { era: "modern", tagOf: () => 0 };

function inModernWords(reject: Extract<Lead, { kind: "refused" }>["reject"], id: string | undefined): Reject {
  return reject.reason === "method-not-offered" ? { reason: "method-unknown", id } : { ...reject, id };
}

function toOnly(steps: Steps, request: Request, asked: Asked, lists: RouteCatalogue): NextStep {
  if (request.route.members.length === 1) return toOwner(steps, request, ONLY, asked, lists);
  return refused(request, { reason: "method-unknown", id: request.id });
}

/** Envoy sends it to a processor, which writes the stream (http/streams.ts). */
function listen(request: Request, { called, labels, bytes }: Asked): Step {
  const { route, query, principal, headersToRemove, observe, policy, id } = request;
  if (bytes.length > LARGEST_LISTEN) {
    const detail = `a ${LISTEN} may have at most ${LARGEST_LISTEN} bytes`;
    return refused(request, { reason: "invalid-params", detail, id });
  }
  if (!readSubscription(bytes, called.params, policy.limits.depth))
    return refused(request, { reason: "invalid-params", detail: "params.notifications must be a filter", id });
  observe({ kind: "forwarded", route, how: "modern" });
  const outcome = policy.access?.on(route.path).of(principal).outcome;
  const of = { owner: principal.digest, path: route.path, outcome };
  const sent = { query, labels, principalTag: principalTagOf(request) };
  return { kind: "step", verdict: toOwnSubscription(of, sent, headersToRemove), answer: NOT_SENT };
}

function toOwner(
  { toLegacy }: Steps,
  request: Request,
  owner: Owner,
  { called, labels, bytes, held }: Asked,
  lists: RouteCatalogue,
): NextStep {
  const member = memberAt(request.route, owner);
  const sent = labelsAt(owner, labels, request.policy.limits.name);
  if (needsSession(lists, owner.member))
    return toLegacy.send(request, member, owner, { called, bytes, labels: sent }, held);
  // Its client acts on the words of a 400 or 404, and they must be read.
  const at = uncompressed({ ...request, route: timed(member.route, request.timeout) });
  request.observe({ kind: "forwarded", route: at.route, how: "modern" });
  const verdict = forwardRequest(at, { labels: sent, sessionTag: undefined, binding: undefined });
  const relay = owner.relays || isAloneAndGuarded(request) ? modernRelayOf(at) : undefined;
  return {
    kind: "step",
    verdict: renamed(verdict, owner, called.method, bytes),
    answer: new MemberAnswer(at, new Unpinned(at), relay, OWN_STATUSES),
  };
}

function needsSession({ eras }: RouteCatalogue, member: number): boolean {
  return eraAt("modern", eras[member] ?? UNKNOWN_ERA) === "legacy";
}

/** Puts the backend's own name in place of the public one: in the body, and in the header that repeats it. */
function renamed(verdict: Verdict, { own, edits }: Owner, method: string, bytes: Uint8Array): Verdict {
  if (verdict.kind !== "mutate" || edits.length === 0) return verdict;
  const isMirrored = own !== undefined && SUBJECTS.get(method)?.mirrored === true;
  const name: readonly Header[] = isMirrored ? [[MCP_NAME, encodedName(own)]] : [];
  return { ...verdict, set: [...verdict.set, ...name], body: rewrite(bytes, edits) };
}

/** Sends a request to the backend that has its resource or task, once one has said so. */
function ask(
  steps: Steps,
  request: Request,
  { question, members }: Extract<Lead, { kind: "ask" }>,
  asked: Asked,
  lists: RouteCatalogue,
): NextStep {
  const { route, scope, policy } = request;
  const sent = askedInNameOf(asked.bytes, question, policy.limits.depth);
  const inModernEra = askModern(steps.dependencies, request, async () => sent, question);
  const inSession = steps.toLegacy.ask(request, question, asked.held);
  const askAt: AskAt = (member, until) =>
    needsSession(lists, route.members.indexOf(member)) ? inSession(member, until) : inModernEra(member, until);
  const longest = longestOpening(route);
  const signal = AbortSignal.any([abortSignalOf(scope), AbortSignal.timeout(longest)]);
  const find = async (): Promise<Step | DeferredStep> => {
    const asking = await askOwner(request, members, question, askAt, signal);
    if (asking.kind !== "found") return replied(withoutOwner(request, question, asking));
    return toOwner(steps, request, ownerAsked(route, asking.member, question), asked, lists);
  };
  const isInSession = members.some((member) => needsSession(lists, member));
  const found = isInSession ? asked.held.within(asked.bytes, undefined, find) : find();
  return { kind: "deferred", messageTimeout: memberMessageTimeout(longest), step: settledStep(found) };
}

function refused(request: Request, reject: Reject): Step {
  return replied(refuse(reject, request));
}
