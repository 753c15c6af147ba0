/**
 * Sends requests of the modern era (MCP 2026-07-28) to backends of the legacy era: without their envelope and headers, in the session
 * that the gateway holds for their principal (held-session.ts).
 */
import { randomBytes } from "node:crypto";
import { callerOf, type Rpc } from "../backends/rpc.ts";
import type { Labels } from "../core/classify-message.ts";
import type { AskedBack } from "../core/federation/declined.ts";
import { withId, withoutEnvelope } from "../core/federation/envelope.ts";
import type { Owner } from "../core/federation/owner.ts";
import type { Question } from "../core/federation/question.ts";
import { MCP_METHOD, MCP_NAME, MCP_PARAM_PREFIX, MCP_PROTOCOL_VERSION } from "../core/headers.ts";
import { withoutFields } from "../core/hidden-fields.ts";
import type { HeaderFields } from "../core/http.ts";
import { rewrite } from "../core/json/rewrite.ts";
import { isOnlyOf } from "../core/mcp/treatments.ts";
import type { FederatedRoute, Member, MemberRoute } from "../core/routes.ts";
import type { Message } from "../core/rpc/message.ts";
import { timed } from "../core/tool-timeouts.ts";
import { heldBy, type SessionStore } from "../sessions/store.ts";
import { type DeferredStep, replied, type Step } from "./answers.ts";
import { type AskAt, type AskOwnerDependencies, askInSession, READ } from "./ask-owner.ts";
import type { OwnSession } from "./claim.ts";
import { HeldAnswer } from "./held-answer.ts";
import type { HeldSession } from "./held-session.ts";
import { createSendInSession, type InSessionDependencies } from "./in-session.ts";
import { MemberAnswer } from "./member-answer.ts";
import { uncompressed } from "./member-events.ts";
import type { MemberRequest } from "./member-failure.ts";
import type { MemberSessions } from "./member-session.ts";
import { type GatewayRequest, refuse } from "./request.ts";

export interface ToLegacyMemberDependencies extends InSessionDependencies, AskOwnerDependencies {
  readonly store: SessionStore;
  /** For calls of our own in the client's name. */
  readonly rpc: Pick<Rpc, "request" | "requestModern" | "subscribe" | "notify" | "respond">;
}

type Request = GatewayRequest<FederatedRoute>;

/** A request, and its bytes with the labels of its backend. */
interface Sent {
  readonly called: Extract<Message, { kind: "request" }>;
  readonly bytes: Uint8Array;
  readonly labels: Labels;
}

export interface ToLegacyMember {
  send(request: Request, member: Member, owner: Owner, sent: Sent, held: HeldSession): Promise<Step | DeferredStep>;
  /** In the held session, which must be there. */
  ask(request: Request, question: Question, held: HeldSession): AskAt;
}

/** Longest (ms) that a backend may take for what we tell it. */
const TELL_MS = 5_000;

export function createToLegacyMember(
  dependencies: ToLegacyMemberDependencies,
  sessions: MemberSessions,
): ToLegacyMember {
  const { store, rpc } = dependencies;
  const sendInSession = createSendInSession(dependencies);

  /** The backend's session as it is by now: it may have been replaced since the request was sent. */
  async function current({ route: { backend }, query, headers }: MemberRequest, { key }: HeldSession) {
    const found = await store.find(key, backend.name);
    const binding = found.kind === "found" ? found.session.binding : undefined;
    const session = binding && heldBy(binding);
    if (!session) return undefined;
    return {
      caller: callerOf(backend, { query, headers }, key),
      peer: { ...session, setCookies: [], version: session.version },
    };
  }

  /** No client of the modern era can be asked anything. */
  async function decline(request: MemberRequest, held: HeldSession, { id, method }: AskedBack): Promise<void> {
    const at = await current(request, held);
    if (!at) return;
    const outcome = method === "ping" ? "done" : "method-unknown";
    const sent = await rpc.respond(at.caller, at.peer, { id, outcome }, AbortSignal.timeout(TELL_MS));
    if (sent.kind === "received") sent.value.discard();
  }

  /** A client of the modern era cancels by closing its request. One of the legacy era must say so. */
  async function cancel(request: MemberRequest, held: HeldSession, id: string): Promise<void> {
    const at = await current(request, held);
    if (!at) return;
    const message = { method: "notifications/cancelled", params: `{"requestId":${id}}` };
    const sent = await rpc.notify(at.caller, at.peer, message, AbortSignal.timeout(TELL_MS));
    if (sent.kind === "received") sent.value.discard();
  }

  function into(request: MemberRequest, session: OwnSession, owner: Owner, sent: Sent, held: HeldSession): Step {
    const { called, bytes, labels } = sent;
    const { depth } = request.policy.limits;
    const id = `"mcpr-${randomBytes(18).toString("base64url")}"`;
    const body = rewrite(bytes, [...owner.edits, ...withoutEnvelope(bytes, depth), ...withId(bytes, id, depth)]);
    const at = { ...uncompressed(request), id };
    const { verdict, answer } = sendInSession(at, session, { body, labels, stateChanges: undefined });
    const own = new HeldAnswer(new MemberAnswer(at, answer, undefined), {
      request,
      id,
      isKept: called.method === READ,
      onAsked: (asked) => void decline(request, held, asked),
    });
    // The end of a session says it too.
    if (!held.isNobodys)
      request.scope.onEnd(() => {
        if (!own.isOver) void cancel(request, held, id);
      });
    return { kind: "step", verdict: verdict.kind === "mutate" ? { ...verdict, body } : verdict, answer: own };
  }

  return {
    async send(request, member, owner, sent, held) {
      if (isOnlyOf("modern", sent.called.method))
        return replied(refuse({ reason: "method-unknown", id: request.id }, request));
      const at = inLegacyEra(request, timed(member.route, request.timeout));
      return held.within(sent.bytes, at.route.backend, (claimed) =>
        sessions.send(at, claimed, (session) => into(at, session, owner, sent, held)),
      );
    },
    ask: (request, question, held) => askInSession(dependencies, sessions, request, held.key, question),
  };
}

/** The request as its backend gets it: without the headers of its own era. */
function inLegacyEra(request: Request, route: MemberRoute): MemberRequest {
  const hidden = modernHeadersIn(request.headers);
  return {
    ...request,
    // To its client the session is not lost: it has none.
    route: { ...route, backend: { ...route.backend, onSessionLost: "recover" } },
    headers: withoutFields(request.headers, hidden),
    headersToRemove: [...request.headersToRemove, ...hidden],
  };
}

function modernHeadersIn(headers: HeaderFields): ReadonlySet<string> {
  const hidden = new Set([MCP_PROTOCOL_VERSION, MCP_METHOD, MCP_NAME]);
  for (const [name] of headers.entries()) if (name.startsWith(MCP_PARAM_PREFIX)) hidden.add(name);
  return hidden;
}
