/**
 * Holds the rules of `policy` for messages, whatever kind of route they come on: by what their bodies name, message by message. What
 * the rules refuse reaches no backend.
 */
import { assertNever } from "../core/assert-never.ts";
import type { Reply, RequestHead } from "../core/http.ts";
import { type Refused, refusedIn } from "../core/policy/refusal.ts";
import { answer, type Reject } from "../core/reject.ts";
import { scopeChallenge } from "../core/resource-metadata.ts";
import type { PublicPath, RequestPolicy } from "../core/routes.ts";
import type { MessageOf, RequestsOn } from "./accepted.ts";
import { ACCEPTED, type NextStep, replied } from "./answers.ts";
import type { ClaimSession } from "./claim.ts";
import { notClaimed } from "./owning.ts";
import { type AcceptedHead, type GatewayRequest, refuse } from "./request.ts";
import type { RequestScope } from "./scope.ts";

type Message = MessageOf<"legacy" | "modern">;

export class Policed<On extends PublicPath> implements RequestsOn<On> {
  readonly #inner: RequestsOn<On>;
  readonly #claim: ClaimSession;

  /** @param inner deals with what the rules let pass */
  constructor(inner: RequestsOn<On>, claim: ClaimSession) {
    this.#inner = inner;
    this.#claim = claim;
  }

  accept(head: RequestHead, accepted: AcceptedHead<On>, policy: RequestPolicy, scope: RequestScope) {
    return this.#inner.accept(head, accepted, policy, scope);
  }

  initialize(request: GatewayRequest<On>, message: MessageOf<"initialize">, body: Uint8Array): NextStep {
    return this.#inner.initialize(request, message, body);
  }

  message(request: GatewayRequest<On>, message: MessageOf<"legacy">, body: Uint8Array): NextStep {
    const refused = refusedOf(request, message, body);
    if (!refused) return this.#inner.message(request, message, body);
    const { session, route } = request;
    // It is refused for that, whatever it names.
    if (session.kind === "none" && route.sessions === "required") return this.#inner.message(request, message, body);
    return this.#refuse(request, message, refused);
  }

  modern(request: GatewayRequest<On>, message: MessageOf<"modern">, body: Uint8Array): NextStep {
    const refused = refusedOf(request, message, body);
    return refused ? replied(refusal(request, message, refused)) : this.#inner.modern(request, message, body);
  }

  listen(request: GatewayRequest<On>): NextStep {
    return this.#inner.listen(request);
  }

  end(request: GatewayRequest<On>): NextStep {
    return this.#inner.end(request);
  }

  /** A client whose session is gone is told that first: nothing else makes it begin another one. */
  #refuse(request: GatewayRequest<On>, message: Message, refused: readonly Refused[]): NextStep {
    if (request.session.kind === "none") return replied(refusal(request, message, refused));
    return this.#claim(request, undefined, "never", 0).then((claimed) =>
      claimed.kind === "unknown" || claimed.kind === "unavailable"
        ? notClaimed(request, claimed.kind)
        : replied(refusal(request, message, refused)),
    );
  }
}

/** undefined: all of it may pass. */
function refusedOf(
  { policy, route, principal }: GatewayRequest<PublicPath>,
  { body }: Message,
  bytes: Uint8Array,
): readonly Refused[] | undefined {
  if (!policy.access) return undefined;
  return refusedIn(body, bytes, policy.access.on(route.path).of(principal), policy.limits.depth);
}

/** Why a message of a batch is not sent that the rules would let pass. */
const OTHER_REFUSED = "another message of the batch is refused, and none of it was sent";

/** A batch is sent as a whole or not at all, and each of its requests gets an answer. */
function refusal(request: GatewayRequest<PublicPath>, { kind, body }: Message, refused: readonly Refused[]): Reply {
  const rejects = refused.flatMap((each) => {
    const reject = rejectOf(request, kind, each);
    return reject ? [{ id: each.id, reject }] : [];
  });
  const waiting = refused.filter(({ id }) => id !== undefined);
  const [first] = rejects;
  if (!first) throw new Error("nothing is refused");
  const reply = refuse(first.reject, request);
  // Nobody waits for the answer to a notification.
  if (waiting.length === 0) return ACCEPTED;
  if (body.kind !== "batch") return reply;
  const bodies = waiting.map(({ id, denial }) => {
    const own = denial && rejectOf(request, kind, { id, denial });
    return answer(own ?? { reason: "invalid-request", detail: OTHER_REFUSED, id }).body;
  });
  // Only what scopes alone would allow is worth another token.
  const onlyScopes = refused.every(({ denial }) => !denial || denial.kind === "scopes");
  const head = onlyScopes ? answer({ ...allScopes(request, refused), id: undefined }) : { ...reply, ...IN_BAND };
  return { ...head, body: `[${bodies.join(",")}]` };
}

const IN_BAND = { status: 200, headers: [["content-type", "application/json"]] } as const;

function allScopes(request: GatewayRequest<PublicPath>, refused: readonly Refused[]) {
  return lacking(
    request,
    refused.flatMap(({ denial }) => (denial?.kind === "scopes" ? denial.scopes : [])),
  );
}

function lacking({ headers, route, policy }: GatewayRequest<PublicPath>, scopes: readonly string[]) {
  const challenge = scopeChallenge(headers, route.path, policy.identity, scopes);
  return { reason: "insufficient-scope", challenge } as const;
}

function rejectOf(
  request: GatewayRequest<PublicPath>,
  era: Message["kind"],
  { id, denial }: Refused,
): Reject | undefined {
  if (!denial) return undefined;
  switch (denial.kind) {
    case "scopes":
      return { ...lacking(request, denial.scopes), id };
    case "reject":
      if (era === "modern" && denial.reject.reason === "method-not-offered") return { reason: "method-unknown", id };
      return { ...denial.reject, id };
    default:
      return assertNever(denial);
  }
}
