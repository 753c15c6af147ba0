/** Streams of GETs that one backend answers: its own, and those that go on with a call's answer. */
import type { CallPlace } from "../core/federation/event-ids.ts";
import type { FederatedRoute } from "../core/routes.ts";
import { type DeferredStep, type NextStep, replied, type Step } from "./answers.ts";
import type { ClaimSession, OwnSession } from "./claim.ts";
import { createSendInSession, type InSessionDependencies } from "./in-session.ts";
import { ResumedAnswer } from "./member-answer.ts";
import { NONE, relayOf, resuming, tagsOf, uncompressed } from "./member-events.ts";
import type { MemberRequest } from "./member-failure.ts";
import type { MemberSessions } from "./member-session.ts";
import { GuardedStreamAnswer, isAloneAndGuarded } from "./only-backend.ts";
import { notClaimed, owning } from "./owning.ts";
import { type GatewayRequest, refuse } from "./request.ts";
import { memberAt, ONLY } from "./to-member.ts";

type Request = GatewayRequest<FederatedRoute>;

export interface MemberStreams {
  /** The stream of a backend that is alone. */
  listen(request: Request): Promise<Step | DeferredStep>;
  /** Whether a call's event is of a backend of the route as it is, in the client's session. */
  isOurs(request: Request, place: CallPlace): boolean;
  /** Goes on with the events of a call (MCP 2025-11-25, "Resumability and Redelivery"). */
  resume(request: Request, place: CallPlace): NextStep;
}

export function createMemberStreams(
  dependencies: InSessionDependencies,
  claim: ClaimSession,
  sessions: MemberSessions,
): MemberStreams {
  const sendInSession = createSendInSession(dependencies);

  async function listenAt(
    of: Request,
    member: number,
    send: (request: MemberRequest, session: OwnSession) => Step,
  ): Promise<Step | DeferredStep> {
    const request: MemberRequest = { ...of, route: memberAt(of.route, { member }).route };
    const claimed = await claim(request, request.route.backend.name, "always", 0);
    if (claimed.kind === "unknown" || claimed.kind === "unavailable") return notClaimed(request, claimed.kind);
    return sessions.send(request, claimed, (session) => send(request, session));
  }

  function isOurs(request: Request, { place: { place, tag } }: CallPlace): boolean {
    const backend = request.route.members[place]?.route.backend.name;
    // The backends of the route may have changed places since.
    return backend !== undefined && tagsOf(request)(backend) === tag;
  }

  return {
    isOurs,
    // What it says to that is no answer to a message: some servers have no such stream.
    listen(request) {
      if (!isAloneAndGuarded(request))
        return listenAt(request, ONLY.member, (at, session) => sendInSession(at, session, undefined));
      return listenAt(request, ONLY.member, (at, session) => {
        const step = sendInSession(uncompressed(at), session, undefined);
        return { ...step, answer: new GuardedStreamAnswer(at, step.answer) };
      });
    },
    resume(request, call) {
      const { place, id } = call.place;
      if (!isOurs(request, call))
        return owning(claim, request, () => replied(refuse({ reason: "no-stream" }, request)));
      const alone = isAloneAndGuarded(request);
      // Whose answers they are is not known of a batch whose ids are too long: none is worth a list that the route hides.
      const answers = call.answers ?? (alone ? NONE : undefined);
      return listenAt(request, place, (at, session) => {
        // It is no stream of the session's, by which that could be told to listen.
        const listening = session.binding.generation;
        const { verdict, answer } = sendInSession(uncompressed(at), { ...session, listening }, undefined);
        const relay = relayOf(at, place, session.binding.generation, alone, answers);
        return { kind: "step", verdict: resuming(verdict, id), answer: new ResumedAnswer(at, answer, relay) };
      });
    },
  };
}
