/**
 * Sends requests of clients' sessions to backends that speak the modern era alone (MCP 2026-07-28). No session is opened there: each
 * request carries what its client has said of itself, and goes to any endpoint.
 */
import type { InUse } from "../admission/in-use.ts";
import type { Rpc } from "../backends/rpc.ts";
import type { Labels } from "../core/classify-message.ts";
import { askedWith, envelopeOfSession, withEnvelope } from "../core/federation/envelope.ts";
import type { Owner } from "../core/federation/owner.ts";
import type { Question } from "../core/federation/question.ts";
import { MCP_METHOD, MCP_NAME, MCP_PARAM_PREFIX, MCP_PROTOCOL_VERSION } from "../core/headers.ts";
import type { Header, Verdict } from "../core/http.ts";
import { rewrite } from "../core/json/rewrite.ts";
import { encodedName } from "../core/mcp/name-header.ts";
import { paramHeaders } from "../core/mcp/param-headers.ts";
import { type StateChangeAt, stateChangeOf } from "../core/mcp/session-state.ts";
import { SUBJECTS, subjectOf } from "../core/mcp/subjects.ts";
import { isOnlyOf } from "../core/mcp/treatments.ts";
import { MODERN_VERSION } from "../core/mcp/versions.ts";
import type { FederatedRoute } from "../core/routes.ts";
import type { Message } from "../core/rpc/message.ts";
import type { RouteCatalogue } from "../federation/route-view.ts";
import { type SessionKey, sessionTag } from "../sessions/id.ts";
import type { SessionStore } from "../sessions/store.ts";
import { ACCEPTED, type DeferredStep, replied, type Step, Unpinned } from "./answers.ts";
import { type AskAt, type AskOwnerDependencies, askModern } from "./ask-owner.ts";
import type { OwnSession } from "./claim.ts";
import { MemberAnswer } from "./member-answer.ts";
import { relayOf, uncompressed } from "./member-events.ts";
import type { MemberRequest } from "./member-failure.ts";
import { notClaimed } from "./owning.ts";
import { forwardRequest, type GatewayRequest, refuse } from "./request.ts";
import { type Subscribing, subscribeModern } from "./subscribe-modern.ts";

export interface ToModernMemberDependencies extends AskOwnerDependencies {
  readonly store: Pick<SessionStore, "load" | "remember">;
  readonly rpc: Pick<Rpc, "request" | "requestModern" | "subscribe">;
  readonly inUse: InUse;
}

/** A message, and its bytes with the labels of its backend. */
interface Sent {
  readonly called: Exclude<Message, { kind: "response" }>;
  readonly bytes: Uint8Array;
  readonly labels: Labels;
  /** What the route offers. */
  readonly lists: Pick<RouteCatalogue, "tools">;
  /** Whether the client can have a stream that tells it of updates. */
  readonly hasStream: boolean;
}

export interface ToModernMember {
  /** @param session that the client has claimed */
  send(
    request: MemberRequest,
    session: Pick<OwnSession, "id" | "key">,
    owner: Owner,
    sent: Sent,
  ): Promise<Step | DeferredStep>;
  ask(request: GatewayRequest<FederatedRoute>, key: SessionKey, question: Question): AskAt;
}

/** The backend has no binding. Its events hold this in place of a generation, and no session that a client could go on in. */
const NO_GENERATION = 0;

export function createToModernMember(dependencies: ToModernMemberDependencies): ToModernMember {
  const { store, inUse } = dependencies;

  /** @param backend undefined: for several, so without a log level */
  async function envelopeFor(key: SessionKey, backend: string | undefined, depth: number) {
    const loaded = await store.load(key);
    if (loaded.kind !== "loaded") return loaded;
    const { initializeParams, remembered } = loaded.session;
    const level = backend === undefined ? undefined : remembered?.get(backend)?.level;
    return { kind: "envelope", envelope: envelopeOfSession({ initializeParams, level }, depth) } as const;
  }

  return {
    async send(request, { id: sessionId, key }, owner, sent) {
      const { id, scope, principal, observe, route, policy } = request;
      const { called, bytes, labels } = sent;
      // The era has no notification of a client's that a backend acts on.
      if (called.kind === "notification") return replied(ACCEPTED);
      const change = sent.hasStream ? stateChangeOf(called) : undefined;
      const subscribing = change && isSubscription(change) ? change : undefined;
      if (!subscribing && isOnlyOf("legacy", called.method))
        return replied(refuse({ reason: "method-not-offered", backend: route.backend.name, id }, request));
      const { depth } = policy.limits;
      const found = await envelopeFor(key, route.backend.name, depth);
      if (found.kind !== "envelope") return notClaimed(request, found.kind);
      if (subscribing)
        return subscribeModern(dependencies, request, key, { change: subscribing, bytes, envelope: found.envelope });
      if (!scope.over) {
        const use = { key, principal: principal.digest, backend: undefined };
        inUse.begin(use);
        scope.onEnd(() => inUse.end(use));
      }
      observe({ kind: "forwarded", route, how: "modern" });
      const body = rewrite(bytes, [...owner.edits, ...withEnvelope(bytes, found.envelope, depth)]);
      const plain = owner.relays ? uncompressed(request) : request;
      const verdict = forwardRequest(plain, { labels, sessionTag: sessionTag(key), binding: undefined });
      const relay = owner.relays ? relayOf(request, owner.member, NO_GENERATION, false) : undefined;
      return {
        kind: "step",
        verdict: inModernEra(verdict, sent, owner, body),
        answer: new MemberAnswer(request, new Unpinned(request, sessionId), relay),
      };
    },

    ask(request, key, question) {
      const params = async () => {
        const found = await envelopeFor(key, undefined, request.policy.limits.depth);
        return found.kind === "envelope" ? askedWith(found.envelope, question) : undefined;
      };
      return askModern(dependencies, request, params, question);
    },
  };
}

function isSubscription(change: StateChangeAt): change is Subscribing["change"] {
  return change.kind !== "level";
}

/** Gives a request its body, and the headers that repeat it (SEP-2243). A client's own ones are of its own era. */
function inModernEra(verdict: Verdict, { called, lists }: Sent, { own }: Owner, body: Uint8Array): Verdict {
  if (verdict.kind !== "mutate") return verdict;
  const name = SUBJECTS.get(called.method)?.mirrored === true ? (own ?? subjectOf(called)?.value) : undefined;
  const tool = toolOf(called, lists);
  const headers: readonly Header[] = [
    [MCP_PROTOCOL_VERSION, MODERN_VERSION],
    [MCP_METHOD, called.method],
    ...(name === undefined ? [] : [[MCP_NAME, encodedName(name)] as const]),
    ...Array.from(tool ? paramHeaders(tool, body) : [], ([of, value]): Header => [MCP_PARAM_PREFIX + of, value]),
  ];
  const remove = name === undefined ? [...verdict.remove, MCP_NAME] : verdict.remove;
  return { ...verdict, set: [...verdict.set, ...headers], remove, body };
}

/** JSON text of the tool that a message calls, where the backend lists it. */
function toolOf({ method, params }: Sent["called"], { tools }: Sent["lists"]): Uint8Array | undefined {
  return method === "tools/call" && params?.name ? tools.find(params.name.value)?.item.bytes : undefined;
}
