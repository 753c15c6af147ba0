/** What a client gets where the backend that its message is for has failed, or could not be sent it. */
import type { Reply } from "../core/http.ts";
import { answer, type NoCredentialReject, type Reject } from "../core/reject.ts";
import type { MemberRoute, PublicPath } from "../core/routes.ts";
import type { Body, Message } from "../core/rpc/message.ts";
import { ACCEPTED } from "./answers.ts";
import { type GatewayRequest, refuse } from "./request.ts";

/** A request that one backend of several gets. */
export type MemberRequest = GatewayRequest<MemberRoute>;

/** Ids of those messages of a body that wait for an answer, where it is a batch. */
export function batchIn(body: Body): readonly string[] | undefined {
  return body.kind === "batch" ? waitingIn(body.messages) : undefined;
}

/** Ids of those messages of a batch that wait for an answer. */
export function waitingIn(messages: readonly Message[]): readonly string[] {
  return messages.flatMap((message) => (message.kind === "request" ? message.id : []));
}

/**
 * The failure of a backend is that of the requests that it got, in band and by their ids.
 * @param status of its answer, where there was one
 */
export function failedAt(request: GatewayRequest, why: string, status?: number): Reply {
  const { kind, route } = request;
  if (kind === "listen") return refuse({ reason: "backend-unavailable" }, request);
  return toWaiting(request, { reason: "backend-failed", backend: route.backend.name, why, status });
}

/** The same of a request that was not sent: one place for whatever kind of route it came on. */
export function refusedAt(request: GatewayRequest<PublicPath>, reject: NoCredentialReject): Reply {
  return request.kind === "listen" ? refuse(reject, request) : toWaiting(request, reject);
}

type InBand = NoCredentialReject | Extract<Reject, { reason: "backend-failed" }>;

function toWaiting(request: GatewayRequest<PublicPath>, reject: InBand): Reply {
  const { id, batch } = request;
  const [first = id] = batch ?? [];
  // Nobody waits for the answer to a notification, or to a response.
  if (first === undefined) return ACCEPTED;
  const reply = refuse({ ...reject, id: first }, request);
  return batch ? { ...reply, body: `[${batch.map((of) => answer({ ...reject, id: of }).body).join(",")}]` } : reply;
}
