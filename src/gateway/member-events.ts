/** The events of one backend of several: whose they are, and how a client goes on with them. */
import { Answers } from "../core/federation/answers.ts";
import { isResumable } from "../core/federation/event-ids.ts";
import { TAG_BITS } from "../core/federation/ids.ts";
import type { TagOf } from "../core/federation/owner.ts";
import { createRelay } from "../core/federation/relay.ts";
import { LAST_EVENT_ID } from "../core/headers.ts";
import type { BodyRewriter, Verdict } from "../core/http.ts";
import type { PublicPath } from "../core/routes.ts";
import { backendTag } from "../sessions/id.ts";
import { type MemberRequest, waitingIn } from "./member-failure.ts";
import type { GatewayRequest } from "./request.ts";

export const ACCEPT_ENCODING = "accept-encoding";

/** The answer is to be read as it passes, so the backend must not compress it. */
export function uncompressed(request: MemberRequest): MemberRequest {
  if (request.headers.get(ACCEPT_ENCODING) === undefined) return request;
  return { ...request, headersToRemove: [...request.headersToRemove, ACCEPT_ENCODING] };
}

/**
 * Makes what changes the ids in a backend's events.
 * @param generation of the binding to the session that they are of
 * @param alone whether the route has no other backend
 * @param answers of responses only these pass. Default: those to the request
 */
export function relayOf(
  request: MemberRequest,
  place: number,
  generation: number,
  alone: boolean,
  answers = answersTo(request),
): () => BodyRewriter {
  const { backend } = request.route;
  return () => {
    const owner = { place, tag: tagsOf(request)(backend.name), generation };
    return createRelay({ owner, alone, deepest: request.policy.limits.depth, answers });
  };
}

/** Makes what leaves responses out of the own stream of a backend that is alone: nothing was asked on it. */
export function ownStreamRelayOf(request: MemberRequest): () => BodyRewriter {
  const deepest = request.policy.limits.depth;
  return () => createRelay({ owner: undefined, alone: true, deepest, answers: NONE });
}

/** A response that answers no request of the client's. */
export const NONE = new Answers([]);

/** Makes what leaves out of a backend's events in the modern era what does not belong to the answer: requests, and other responses. */
export function modernRelayOf(request: MemberRequest): () => BodyRewriter {
  const deepest = request.policy.limits.depth;
  return () => createRelay({ owner: undefined, deepest, answers: answersTo(request) });
}

/** A GET goes on with the events of a call of before: whose id that had is not known, unless the event's id says so. */
function answersTo(request: MemberRequest): Answers | undefined {
  return request.kind === "listen" ? undefined : new Answers(waitingIn(request));
}

/**
 * Has a GET name the backend's own event, also to another session than that which sent the event: a server may keep events for
 * longer than sessions, and nothing else can bring the call's answer. @param id as bytes, which stand in the header as they are
 */
export function resuming(verdict: Verdict, id: Uint8Array): Verdict {
  if (verdict.kind !== "mutate") return verdict;
  const { set, remove } = verdict;
  // Nobody was given such an id, and the client's own is nothing to the backend.
  if (!isResumable(id)) return { ...verdict, remove: [...remove, LAST_EVENT_ID] };
  const text = Buffer.from(id).toString("latin1");
  return { ...verdict, set: [...set, [LAST_EVENT_ID, text]], remove: remove.filter((name) => name !== LAST_EVENT_ID) };
}

export function tagsOf({ session }: GatewayRequest<PublicPath>): TagOf {
  // Whoever names no session is refused before a tag matters.
  return (backend) => (session.kind === "named" ? backendTag(session.key, backend, TAG_BITS) : 0);
}
