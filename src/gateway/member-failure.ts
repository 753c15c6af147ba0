/** What a client gets where the one backend of several that its message is for has failed. */
import type { Reply } from "../core/http.ts";
import { answer, type NoCredentialReject, type Reject } from "../core/reject.ts";
import type { MemberRoute } from "../core/routes.ts";
import type { Message } from "../core/rpc/message.ts";
import { ACCEPTED } from "./answers.ts";
import { type GatewayRequest, refuse } from "./request.ts";

/** A request that one backend of several gets. */
export interface MemberRequest extends GatewayRequest<MemberRoute> {
  /** JSON texts of the ids of what waits for an answer in a batch; undefined where it is none. */
  readonly batch: readonly string[] | undefined;
}

/** Ids of those messages of a batch that wait for an answer. */
export function waitingIn(messages: readonly Message[]): readonly string[] {
  return messages.flatMap((message) => (message.kind === "request" ? message.id : []));
}

type Failed = GatewayRequest & Pick<MemberRequest, "batch">;

/**
 * The failure of a backend is that of the requests that it got, in band and by their ids.
 * @param status of its answer, where there was one
 */
export function failedAt(request: Failed, why: string, status?: number): Reply {
  const { kind, route } = request;
  if (kind === "listen") return refuse({ reason: "backend-unavailable" }, request);
  return toWaiting(request, { reason: "backend-failed", backend: route.backend.name, why, status });
}

/** The same of a request that was not sent. */
export function refusedAt(request: Failed, reject: NoCredentialReject): Reply {
  return request.kind === "listen" ? refuse(reject, request) : toWaiting(request, reject);
}

type InBand = NoCredentialReject | Extract<Reject, { reason: "backend-failed" }>;

function toWaiting(request: Failed, reject: InBand): Reply {
  const { id, batch } = request;
  const [first = id] = batch ?? [];
  // Nobody waits for the answer to a notification, or to a response.
  if (first === undefined) return ACCEPTED;
  const reply = refuse({ ...reject, id: first }, request);
  return batch ? { ...reply, body: `[${batch.map((of) => answer({ ...reject, id: of }).body).join(",")}]` } : reply;
}
