/** Sends messages of a route that leads to several backends to the one backend that each is for. */
import type { Labels } from "../core/classify-message.ts";
import { ownersOf } from "../core/federation/batch.ts";
import { eraAt, UNKNOWN_ERA } from "../core/federation/era.ts";
import { type Lead, leadOfCall, leadOfResponse, type Owner, ownerAsked } from "../core/federation/owner.ts";
import { headerValue } from "../core/header-value.ts";
import { rewrite } from "../core/json/rewrite.ts";
import { type StateChangeAt, stateChangesOf } from "../core/mcp/session-state.ts";
import { type FederatedRoute, longestOpening, type Member, memberMessageTimeout } from "../core/routes.ts";
import type { Body, Message } from "../core/rpc/message.ts";
import { readBody } from "../core/rpc/read.ts";
import { timed } from "../core/tool-timeouts.ts";
import type { FanOut } from "../federation/fan-out.ts";
import type { RouteCatalogue } from "../federation/route-view.ts";
import { ACCEPTED, type DeferredStep, type NextStep, replied, type Step, settledStep } from "./answers.ts";
import { type AskAt, type AskOwnerDependencies, askInSession, askOwner, withoutOwner } from "./ask-owner.ts";
import type { ClaimSession, OwnSession } from "./claim.ts";
import { createSendInSession, type InSessionDependencies, type SendInSession } from "./in-session.ts";
import { MemberAnswer } from "./member-answer.ts";
import { relayOf, tagsOf, uncompressed } from "./member-events.ts";
import type { MemberRequest } from "./member-failure.ts";
import { createMemberSessions, type MemberSessionDependencies, type MemberSessions } from "./member-session.ts";
import { isAloneAndGuarded } from "./only-backend.ts";
import { notClaimed, owning } from "./owning.ts";
import { type GatewayRequest, refuse } from "./request.ts";
import { abortSignalOf } from "./scope.ts";
import { createToModernMember, type ToModernMember, type ToModernMemberDependencies } from "./to-modern-member.ts";

export interface ToMemberDependencies
  extends InSessionDependencies,
    MemberSessionDependencies,
    AskOwnerDependencies,
    ToModernMemberDependencies {
  readonly rpc: ToModernMemberDependencies["rpc"];
  readonly store: InSessionDependencies["store"];
  readonly fanOut: FanOut;
}

type Request = GatewayRequest<FederatedRoute>;
type Called = Exclude<Message, { kind: "response" }>;

/** What is sent, and in which session it must be already: an answer to a server is for the session that asked. */
interface Sent {
  /** The message; undefined for a batch or a response, which the modern era has not. */
  readonly called: Called | undefined;
  readonly bytes: Uint8Array;
  readonly labels: Labels;
  readonly stateChanges: readonly StateChangeAt[] | undefined;
  readonly opens: boolean;
}

/** The client's answer to a server. */
const RESPONSE = {
  called: undefined,
  labels: { method: undefined, name: undefined },
  stateChanges: undefined,
  opens: false,
};
/** A message of one backend's that changes nothing that is remembered. */
const SINGLE = { stateChanges: undefined, opens: true };

export class ToMember {
  readonly #dependencies: ToMemberDependencies;
  readonly #claim: ClaimSession;
  readonly #send: SendInSession;
  readonly #toModern: ToModernMember;
  readonly sessions: MemberSessions;

  constructor(dependencies: ToMemberDependencies, claim: ClaimSession) {
    this.#dependencies = dependencies;
    this.#claim = claim;
    this.#send = createSendInSession(dependencies);
    this.#toModern = createToModernMember(dependencies);
    this.sessions = createMemberSessions(dependencies);
  }

  /** A request or notification that one backend gets. */
  call(request: Request, called: Called, lists: RouteCatalogue, labels: Labels, bytes: Uint8Array): NextStep {
    const { route, policy } = request;
    const lead = leadOfCall(
      called,
      bytes,
      route,
      lists,
      { era: "legacy", tagOf: tagsOf(request) },
      policy.limits.depth,
    );
    const sent = { ...SINGLE, called, bytes, labels, stateChanges: stateChangesOf([called]) };
    return lead.kind === "ask" ? this.#ask(request, lead, lists, sent) : this.#toOwner(request, lead, lists, sent);
  }

  /** Sends a request to the backend that has its resource or task, once one has said so. */
  #ask(request: Request, asked: Extract<Lead, { kind: "ask" }>, lists: RouteCatalogue, sent: Sent): NextStep {
    const { route, scope } = request;
    const { question, members } = asked;
    const longest = longestOpening(route);
    const find = async (): Promise<Step> => {
      const claimed = await this.#claim(request, undefined, "when-due", sent.bytes.length);
      if (claimed.kind === "unknown" || claimed.kind === "unavailable") return notClaimed(request, claimed.kind);
      const signal = AbortSignal.any([abortSignalOf(scope), AbortSignal.timeout(longest)]);
      const inSession = askInSession(this.#dependencies, this.sessions, request, claimed.key, question);
      const inModernEra = this.#toModern.ask(request, claimed.key, question);
      const askAt: AskAt = (member, until) =>
        isModernAlone(lists, route.members.indexOf(member)) ? inModernEra(member, until) : inSession(member, until);
      const asking = await askOwner(request, members, question, askAt, signal);
      if (asking.kind !== "found") return replied(withoutOwner(request, question, asking));
      const owner = ownerAsked(route, asking.member, question);
      return settledStep(this.#toOwner(request, { kind: "owner", owner }, lists, sent));
    };
    return { kind: "deferred", messageTimeout: memberMessageTimeout(longest), step: find() };
  }

  /** The client's answer to a request of a server. */
  response(request: Request, bytes: Uint8Array): NextStep {
    const lead = leadOfResponse(bytes, request.route, tagsOf(request), request.policy.limits.depth);
    if (lead.kind !== "owner") return this.#accept(request);
    return this.#to(request, lead.owner, undefined, { ...RESPONSE, bytes });
  }

  /** A batch goes to one backend as it is, or to all. */
  batch(
    request: Request,
    body: Extract<Body, { kind: "batch" }>,
    lists: RouteCatalogue,
    labels: Labels,
    bytes: Uint8Array,
  ): NextStep {
    const { route, policy } = request;
    const owners = ownersOf(body.messages, bytes, route, lists, tagsOf(request), policy.limits.depth);
    switch (owners.kind) {
      case "refused":
        return owning(this.#claim, request, () => replied(refuse(owners.reject, request)));
      case "all":
        return owning(this.#claim, request, ({ key }) => {
          const { query, headers } = request;
          void this.#dependencies.fanOut.tell({ route, key, query, headers, method: "batch", body: bytes });
          return replied(ACCEPTED);
        });
      case "owner": {
        const stateChanges = stateChangesOf(body.messages);
        return this.#toOwner(request, owners, lists, { called: undefined, bytes, labels, stateChanges, opens: true });
      }
      default:
        return owners satisfies never;
    }
  }

  /** A method that nobody here knows: a backend that is alone is asked. */
  unknown(request: Request, called: Called, lists: RouteCatalogue, labels: Labels, bytes: Uint8Array): NextStep {
    if (request.route.members.length === 1) return this.#to(request, ONLY, lists, { ...SINGLE, called, bytes, labels });
    if (called.kind === "notification") return this.#accept(request);
    return owning(this.#claim, request, () =>
      replied(refuse({ reason: "method-not-offered", id: request.id }, request)),
    );
  }

  #toOwner(request: Request, lead: Exclude<Lead, { kind: "ask" }>, lists: RouteCatalogue, sent: Sent): NextStep {
    if (lead.kind === "refused") return this.#refuse(request, lead);
    const { owner } = lead;
    return this.#to(request, owner, lists, {
      ...sent,
      labels: labelsAt(owner, sent.labels, request.policy.limits.name),
    });
  }

  #refuse(request: Request, { reject }: Extract<Lead, { kind: "refused" }>): NextStep {
    // Nobody waits for the answer to a notification.
    if (request.id === undefined) return this.#accept(request);
    return owning(this.#claim, request, () => replied(refuse({ ...reject, id: request.id }, request)));
  }

  #accept(request: Request): NextStep {
    return owning(this.#claim, request, () => replied(ACCEPTED));
  }

  /** @param lists undefined: a response, which only a session can be waiting for */
  async #to(
    request: Request,
    owner: Owner,
    lists: RouteCatalogue | undefined,
    sent: Sent,
  ): Promise<Step | DeferredStep> {
    const member = memberAt(request.route, owner);
    const at: MemberRequest = { ...request, route: timed(member.route, request.timeout) };
    const claimed = await this.#claim(at, member.route.backend.name, "when-due", sent.bytes.length);
    if (claimed.kind === "unknown" || claimed.kind === "unavailable") return notClaimed(at, claimed.kind);
    // The session that has asked is gone, and with it the one who waits for the answer.
    if (!sent.opens && claimed.kind !== "live") return replied(ACCEPTED);
    const alone = isAloneAndGuarded(request);
    const relays = owner.relays || alone;
    if (lists && isModernAlone(lists, owner.member)) {
      const { called, bytes, labels } = sent;
      const hasStream = request.route.stream === "own";
      if (called)
        return this.#toModern.send(at, claimed, { ...owner, relays }, { called, bytes, labels, lists, hasStream });
      return replied(refuse({ reason: "invalid-request", detail: NO_BATCHES }, at));
    }
    const message = messageFor(owner, sent, request.policy.limits);
    return this.sessions.send(at, claimed, (session) => this.#into(at, session, { ...owner, relays, alone }, message));
  }

  #into(request: MemberRequest, session: OwnSession, owner: Relayed, message: Rewritten): Step {
    const { verdict, answer } = this.#send(owner.relays ? uncompressed(request) : request, session, message);
    const isChanged = verdict.kind === "mutate" && owner.edits.length > 0;
    const { generation } = session.binding;
    const relay = owner.relays ? relayOf(request, owner.member, generation, owner.alone) : undefined;
    return {
      kind: "step",
      verdict: isChanged ? { ...verdict, body: message.body } : verdict,
      answer: new MemberAnswer(request, answer, relay),
    };
  }
}

/** Whether a backend has no sessions that a client's could be bound to. */
export function isModernAlone({ eras }: Pick<RouteCatalogue, "eras">, member: number): boolean {
  return eraAt("legacy", eras[member] ?? UNKNOWN_ERA) === "modern";
}

const NO_BATCHES = "the server that the batch is for takes no batches";

interface Relayed extends Owner {
  /** Whether the ids of its requests stay its own. */
  readonly alone: boolean;
}

/** What of a message its backend gets. */
interface Rewritten {
  readonly body: Uint8Array;
  readonly labels: Labels;
  readonly stateChanges: readonly StateChangeAt[] | undefined;
}

function messageFor(owner: Owner, sent: Sent, limits: GatewayRequest["policy"]["limits"]): Rewritten {
  const { bytes, labels, stateChanges } = sent;
  if (owner.edits.length === 0) return { body: bytes, labels, stateChanges };
  const body = rewrite(bytes, owner.edits);
  // The params of what changes a session's state may have moved.
  return { body, labels, stateChanges: stateChanges && stateChangesIn(readBody(body, limits)) };
}

/** Names are changed in calls alone, so only a batch has both. */
function stateChangesIn(body: ReturnType<typeof readBody>): readonly StateChangeAt[] | undefined {
  return body.kind === "batch" ? stateChangesOf(body.messages) : undefined;
}

/** A backend that is alone gets what nobody here knows. */
export const ONLY: Owner = { member: 0, own: undefined, edits: [], relays: false };

/** Adds the backend's own name of what a message is about. `longest`: bytes of a name. */
export function labelsAt({ own }: Owner, labels: Labels, longest: number): Labels {
  const tool = own === undefined ? undefined : headerValue(own, longest);
  return tool === undefined ? labels : { ...labels, tool };
}

export function memberAt({ members }: FederatedRoute, { member }: Pick<Owner, "member">): Member {
  const found = members[member];
  // Owners are made of the same route's members.
  if (!found) throw new Error(`the route has no member ${member}`);
  return found;
}
