/** What a client gets where the backend that its message is for has failed, or could not be sent it. */
import type { Reply } from "../core/http.ts";
import { answer, type NoCredentialReject, type Reject } from "../core/reject.ts";
import type { MemberRoute, PublicPath } from "../core/routes.ts";
import type { Body } from "../core/rpc/message.ts";
import { ACCEPTED } from "./answers.ts";
import { type GatewayRequest, refuse } from "./request.ts";

/** A request that one backend of several gets. */
export type MemberRequest = GatewayRequest<MemberRoute>;

/** Ids of those messages of a body that wait for an answer, where it is a batch. */
export function batchIn(body: Body): readonly string[] | undefined {
  if (body.kind !== "batch") return undefined;
  return body.messages.flatMap((message) => (message.kind === "request" ? message.id : []));
}

/** Ids of what waits for an answer, in a batch or alone. */
export function waitingIn({ id, batch }: Pick<GatewayRequest, "id" | "batch">): readonly string[] {
  return batch ?? (id === undefined ? [] : [id]);
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
