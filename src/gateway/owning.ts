/** What is done for a request once it is known that the session it names is its client's. */
import type { PublicPath } from "../core/routes.ts";
import { replied, type Step } from "./answers.ts";
import type { ClaimSession, OwnSession } from "./claim.ts";
import { type GatewayRequest, refuse } from "./request.ts";

/** Claims the session for what needs no backend. */
export async function owning(
  claim: ClaimSession,
  request: GatewayRequest<PublicPath>,
  go: (own: Pick<OwnSession, "key">) => Step | Promise<Step>,
): Promise<Step> {
  const claimed = await claim(request, undefined, "when-due", 0);
  if (claimed.kind === "unknown" || claimed.kind === "unavailable") return notClaimed(request, claimed.kind);
  return go(claimed);
}

export function notClaimed(request: GatewayRequest<PublicPath>, why: "unknown" | "unavailable"): Step {
  const { id } = request;
  if (why === "unknown") return replied(refuse({ reason: "session-unknown", id }, request));
  // A batch has no one id to answer by.
  return replied(refuse({ reason: "store-unavailable", id, inBand: id !== undefined }, request));
}
