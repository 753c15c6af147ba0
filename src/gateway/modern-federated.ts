/**
 * Requests of the modern era (MCP 2026-07-28) on a route to several backends. There are no sessions: each request goes to any endpoint
 * of its backend, and all that a retry or a task needs is in its own bytes.
 */
import { credentialHeaders } from "../backends/credentials.ts";
import type { Labels } from "../core/classify-message.ts";
import { discoverResult, endOfModernList } from "../core/federation/discover.ts";
import { servesModern } from "../core/federation/era.ts";
import { listKindOf } from "../core/federation/kinds.ts";
import { type Lead, leadOfCall, type Owner, ownerByUri } from "../core/federation/owner.ts";
import { readSubscription } from "../core/federation/subscription.ts";
import { toOwnSubscription } from "../core/forward.ts";
import { MCP_NAME } from "../core/headers.ts";
import type { Header, Verdict } from "../core/http.ts";
import { rewrite } from "../core/json/rewrite.ts";
import { textOf } from "../core/json/span.ts";
import { DISCOVER, LISTEN } from "../core/mcp/methods.ts";
import { encodedName } from "../core/mcp/name-header.ts";
import { SUBJECTS } from "../core/mcp/subjects.ts";
import { treatmentOf } from "../core/mcp/treatments.ts";
import { MODERN_VERSION, SESSION_VERSIONS } from "../core/mcp/versions.ts";
import type { Reject } from "../core/reject.ts";
import { type FederatedRoute, longestOpening, memberMessageTimeout } from "../core/routes.ts";
import type { Message } from "../core/rpc/message.ts";
import type { Catalogue } from "../federation/catalogue.ts";
import type { RouteCatalogue } from "../federation/route-view.ts";
import type { RequestsOn } from "./accepted.ts";
import { ACCEPTED, answered, type NextStep, NOT_SENT, replied, type Step, Unpinned } from "./answers.ts";
import { type AskOwnerDependencies, askOwner, READ, type ReadAt } from "./ask-owner.ts";
import { asksByPrincipal } from "./asker.ts";
import { responseText } from "./begin-federated.ts";
import { FOR_LISTS, FOR_NAMES, knowing } from "./knowing.ts";
import { listReply } from "./list-reply.ts";
import { MemberAnswer } from "./member-answer.ts";
import { failedAt, type MemberRequest } from "./member-failure.ts";
import { forwardRequest, type GatewayRequest, principalTagOf, refuse } from "./request.ts";
import { abortSignalOf } from "./scope.ts";
import { labelsAt, MAY_HAVE_IT, memberAt, ONLY } from "./to-member.ts";

export interface ModernFederatedDependencies extends AskOwnerDependencies {
  readonly catalogue: Catalogue;
}

type Request = GatewayRequest<FederatedRoute>;
type Called = Extract<Message, { kind: "request" }>;

/** A request of the client's, and what is known of it. */
interface Asked {
  readonly called: Called;
  readonly labels: Labels;
  readonly bytes: Uint8Array;
}

/** With them a server of the modern era refuses a request by an error that its client acts on: -32020 to -32022, -32601. */
const OWN_STATUSES: ReadonlySet<number> = new Set([400, 404]);

export function createModernFederated(dependencies: ModernFederatedDependencies): RequestsOn<FederatedRoute>["modern"] {
  return (request, { body, labels }, bytes) => {
    // Neither is ever modern.
    if (body.kind === "batch" || body.message.kind === "response") return refused(request, { reason: "internal" });
    const called = body.message;
    const requested = called.params?.meta?.protocolVersion ?? undefined;
    const { route, id } = request;
    const unsupported = (supported: readonly string[]): Step =>
      refused(request, { reason: "version-unsupported", supported, requested, id });
    // Lists of a principal are asked for in its session, so nothing that the backends say would change this.
    if (asksByPrincipal(route)) return unsupported(SESSION_VERSIONS);
    const wait = listKindOf(called.method) ? FOR_LISTS : FOR_NAMES;
    return knowing(dependencies.catalogue, route, undefined, "modern", wait, (lists) => {
      if (!servesModern(route, lists.speaksModern)) return unsupported(SESSION_VERSIONS);
      // A client sends no notification of the modern era that a backend acts on.
      if (called.kind === "notification") return replied(ACCEPTED);
      if (requested !== MODERN_VERSION) return unsupported([MODERN_VERSION]);
      return answer(dependencies, request, { called, labels, bytes }, lists);
    });
  };
}

function answer(
  dependencies: ModernFederatedDependencies,
  request: Request,
  asked: Asked,
  lists: RouteCatalogue,
): NextStep {
  const { route, id, policy } = request;
  const { called, bytes } = asked;
  const { method } = called;
  if (method === DISCOVER) return replied(answered(responseText(id, discoverResult(route, lists.offers))));
  const kind = listKindOf(method);
  if (kind) return replied(listReply(request, lists[kind], bytes, endOfModernList(route)));
  if (method === LISTEN && route.stream === "own") return listen(request, asked);
  // What nobody here carries to several, a backend that is alone gets.
  if (treatmentOf(method, "modern") !== "one") return toOnly(request, asked);
  const lead = leadOfCall(called, bytes, route, lists, NO_TAG, policy.limits.depth);
  switch (lead.kind) {
    case "owner":
      return toOwner(request, lead.owner, asked);
    case "ask":
      return ask(dependencies, request, lead, asked);
    case "refused":
      return refused(request, inModernWords(lead.reject, id));
    default:
      return lead satisfies never;
  }
}

/** Ids of servers' requests hold tags. A server of the modern era asks its client nothing. */
const NO_TAG = () => 0;

function inModernWords(reject: Extract<Lead, { kind: "refused" }>["reject"], id: string | undefined): Reject {
  return reject.reason === "method-not-offered" ? { reason: "method-unknown", id } : { ...reject, id };
}

function toOnly(request: Request, asked: Asked): Step {
  if (request.route.members.length === 1) return toOwner(request, ONLY, asked);
  return refused(request, { reason: "method-unknown", id: request.id });
}

/** Envoy sends it to a processor, which writes the stream (http/streams.ts). */
function listen(request: Request, { called, labels, bytes }: Asked): Step {
  const { route, query, principal, headersToRemove, observe, policy, id } = request;
  if (!readSubscription(bytes, called.params, policy.limits.depth))
    return refused(request, { reason: "invalid-params", detail: "params.notifications must be a filter", id });
  observe({ kind: "forwarded", route, how: "modern" });
  const of = { owner: principal.digest, path: route.path };
  const sent = { query, labels, principalTag: principalTagOf(request) };
  return { kind: "step", verdict: toOwnSubscription(of, sent, headersToRemove), answer: NOT_SENT };
}

function toOwner(request: Request, owner: Owner, { called, labels, bytes }: Asked): Step {
  const at: MemberRequest = { ...request, route: memberAt(request.route, owner).route, batch: undefined };
  request.observe({ kind: "forwarded", route: at.route, how: "modern" });
  const sent = labelsAt(owner, labels, request.policy.limits.name);
  const verdict = forwardRequest(at, { labels: sent, sessionTag: undefined, binding: undefined });
  return {
    kind: "step",
    verdict: renamed(verdict, owner, called.method, bytes),
    answer: new MemberAnswer(at, new Unpinned(at), undefined, OWN_STATUSES),
  };
}

/** Puts the backend's own name in place of the public one: in the body, and in the header that repeats it. */
function renamed(verdict: Verdict, { own, edits }: Owner, method: string, bytes: Uint8Array): Verdict {
  if (verdict.kind !== "mutate" || edits.length === 0) return verdict;
  const isMirrored = own !== undefined && SUBJECTS.get(method)?.mirrored === true;
  const name: readonly Header[] = isMirrored ? [[MCP_NAME, encodedName(own)]] : [];
  return { ...verdict, set: [...verdict.set, ...name], body: rewrite(bytes, edits) };
}

/** Sends a request to the backend that has its resource, once one has said so. */
function ask(
  { rpc }: ModernFederatedDependencies,
  request: Request,
  { uri, members }: Extract<Lead, { kind: "ask" }>,
  asked: Asked,
): NextStep {
  const { route, scope, id, query, headers } = request;
  const { params } = asked.called;
  // The client's own params, whose envelope says what it can do.
  const sent = params ? textOf(asked.bytes, params) : "{}";
  const read: ReadAt = async ({ route: { backend } }, signal) => {
    const caller = { backend, query, key: undefined, credentials: credentialHeaders(headers, backend.origin) };
    return { sent: await rpc.requestModern(caller, { method: READ, params: sent }, uri, signal) };
  };
  const longest = longestOpening(route);
  const signal = AbortSignal.any([abortSignalOf(scope), AbortSignal.timeout(longest)]);
  const step = askOwner(request, members, read, signal).then((asking): Step => {
    if (asking.kind === "none") return refused(request, { reason: "not-offered", what: "resource", name: uri, id });
    if (asking.kind === "found") return toOwner(request, ownerByUri(route, asking.member, uri), asked);
    return replied(failedAt({ ...request, route: asking.member.route, batch: undefined }, MAY_HAVE_IT));
  });
  return { kind: "deferred", messageTimeout: memberMessageTimeout(longest), step };
}

function refused(request: Request, reject: Reject): Step {
  return replied(refuse(reject, request));
}
