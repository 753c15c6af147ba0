/** Answers a client's request for a list of a route to several backends. */
import type { MergedList } from "../core/federation/merge.ts";
import { listAnswer } from "../core/federation/page.ts";
import type { Reply } from "../core/http.ts";
import { textAt } from "../core/json/text-at.ts";
import type { FederatedRoute } from "../core/routes.ts";
import { answered } from "./answers.ts";
import { type GatewayRequest, refuse } from "./request.ts";

const UNKNOWN_CURSOR = "params.cursor is none of this server's";

/**
 * @param bytes of the request
 * @param more further members of the result: JSON text that begins with a comma, or ""
 */
export function listReply(
  request: GatewayRequest<FederatedRoute>,
  list: MergedList,
  bytes: Uint8Array,
  more = "",
): Reply {
  const { route, id, policy, principal } = request;
  const rules = policy.access?.on(route.path);
  const offered = rules ? rules.offered(list, rules.of(principal)) : list;
  const cursor = textAt(bytes, ["params", "cursor"], policy.limits.depth);
  const after = cursor.kind === "text" ? cursor.text.value : undefined;
  const body = cursor.kind === "wrong" ? "bad-cursor" : listAnswer(id, offered, after, route.lists.page, more);
  if (body === "bad-cursor") return refuse({ reason: "invalid-params", detail: UNKNOWN_CURSOR, id }, request);
  return answered(body);
}
