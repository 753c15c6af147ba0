/** What a client gets where the one backend of several that its message is for has failed. */
import type { Reply } from "../core/http.ts";
import { answer, type Reject } from "../core/reject.ts";
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

/**
 * The failure of a backend is that of the requests that it got, in band and by their ids.
 * @param status of its answer, where there was one
 */
export function failedAt(request: GatewayRequest & Pick<MemberRequest, "batch">, why: string, status?: number): Reply {
  const { kind, id, batch, route } = request;
  if (kind === "listen") return refuse({ reason: "backend-unavailable" }, request);
  const failure = (of: string): Reject => ({
    reason: "backend-failed",
    backend: route.backend.name,
    why,
    status,
    id: of,
  });
  const [first = id] = batch ?? [];
  // Nobody waits for the answer to a notification, or to a response.
  if (first === undefined) return ACCEPTED;
  const reply = refuse(failure(first), request);
  return batch ? { ...reply, body: `[${batch.map((of) => answer(failure(of)).body).join(",")}]` } : reply;
}
