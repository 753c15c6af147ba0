/**
 * Holds the rules of `policy` for what passes from a backend to a client: of lists a client gets what it may use, and of resources that
 * it may not read it hears no updates. Where messages pass, all answers are filtered: a server may put the answer to one request onto the
 * stream of another, as the official SDK does where two have one id, and onto the stream of a GET.
 */

import { REPLY_DETAILS } from "../core/codes.ts";
import { isJsonInUtf8, isUnencoded } from "../core/content.ts";
import { withoutFields } from "../core/hidden-fields.ts";
import {
  type BodyRewriter,
  type Decision,
  isSuccess,
  type ModeOverrideOutcome,
  mapVerdict,
  mayBeEventStream,
  type Reply,
  type RequestHead,
  type ResponseHead,
  type Verdict,
} from "../core/http.ts";
import { LISTEN } from "../core/mcp/methods.ts";
import { type Access, permitsInForce } from "../core/policy/access.ts";
import { filteredEvents, filteredJson } from "../core/policy/answer-filter.ts";
import { mayBringList } from "../core/policy/brings-list.ts";
import { answer } from "../core/reject.ts";
import type { FederatedRoute, PublicPath, RequestPolicy, TransparentRoute } from "../core/routes.ts";
import { messagesIn } from "../core/rpc/message.ts";
import type { ModeOverrideHealth } from "../recovery/mode-override.ts";
import type { MessageOf, RequestsOn } from "./accepted.ts";
import { type AnswerStage, around, mapStep, type NextStep } from "./answers.ts";
import { ACCEPT_ENCODING } from "./member-events.ts";
import { failedAt, waitingIn } from "./member-failure.ts";
import type { AcceptedHead, GatewayRequest } from "./request.ts";
import { inTurn, rewritten, through, wholly } from "./rewritten.ts";
import type { RequestScope } from "./scope.ts";

/**
 * The request as its backend gets it, where that may answer by what is to be filtered. undefined: it may not.
 * @param message undefined for a GET
 */
type Passing<On extends PublicPath> = (
  request: GatewayRequest<On>,
  message: MessageOf<"initialize" | "legacy" | "modern"> | undefined,
) => GatewayRequest | undefined;

export const PASSING: Passing<TransparentRoute> = (request) => request;

/** The router has the lists of a route that is federated, and all streams of it but those of a backend that is alone. */
export const OF_ONLY_BACKEND: Passing<FederatedRoute> = (request, message) => {
  const [only] = request.route.stream === "backend" ? request.route.members : [];
  if (message?.kind === "initialize") return undefined;
  const isStream =
    !message || messagesIn(message.body).some((each) => each.kind === "request" && each.method === LISTEN);
  return only && isStream ? { ...request, route: only.route } : undefined;
};

/** The rules in force. A stream goes on for hours, and those of its request may be of before. undefined: there are none. */
export type AccessInForce = () => Access | undefined;

/** Begins to count what is held of an answer, for one of those who share the room. Returns what sets how many bytes it is now. */
export type HoldAnswer = (holder: string) => (bytes: number) => boolean;

export interface FilterDependencies {
  readonly access: AccessInForce;
  readonly hold: HoldAnswer;
  /** Whether Envoy lets answers be rewritten: where it does not, they would pass as they are. */
  readonly rewrites: ModeOverrideHealth;
}

export class FilteredAnswers<On extends PublicPath> implements RequestsOn<On> {
  readonly #inner: RequestsOn<On>;
  readonly #passing: Passing<On>;
  readonly #dependencies: FilterDependencies;

  constructor(inner: RequestsOn<On>, passing: Passing<On>, dependencies: FilterDependencies) {
    this.#inner = inner;
    this.#passing = passing;
    this.#dependencies = dependencies;
  }

  accept(head: RequestHead, accepted: AcceptedHead<On>, policy: RequestPolicy, scope: RequestScope) {
    return this.#inner.accept(head, accepted, policy, scope);
  }

  initialize(request: GatewayRequest<On>, message: MessageOf<"initialize">, body: Uint8Array): NextStep {
    const at = this.#at(request, message);
    if (!at) return this.#inner.initialize(request, message, body);
    return filtered(this.#inner.initialize(uncompressed(request), message, body), at, {
      ...this.#dependencies,
      isModern: false,
      mayBeLonger: true,
    });
  }

  message(request: GatewayRequest<On>, message: MessageOf<"legacy">, body: Uint8Array): NextStep {
    const at = this.#at(request, message);
    if (!at) return this.#inner.message(request, message, body);
    return filtered(this.#inner.message(uncompressed(request), message, body), at, this.#askedBy(message));
  }

  modern(request: GatewayRequest<On>, message: MessageOf<"modern">, body: Uint8Array): NextStep {
    const at = this.#at(request, message);
    if (!at) return this.#inner.modern(request, message, body);
    return filtered(this.#inner.modern(uncompressed(request), message, body), at, this.#askedBy(message));
  }

  listen(request: GatewayRequest<On>): NextStep {
    const at = this.#at(request, undefined);
    if (!at) return this.#inner.listen(request);
    return filtered(this.#inner.listen(uncompressed(request)), at, {
      ...this.#dependencies,
      isModern: false,
      mayBeLonger: false,
    });
  }

  end(request: GatewayRequest<On>): NextStep {
    return this.#inner.end(request);
  }

  #at(request: GatewayRequest<On>, message: Parameters<Passing<On>>[1]): GatewayRequest | undefined {
    return request.policy.access && this.#passing(request, message);
  }

  #askedBy({ kind, body }: MessageOf<"legacy" | "modern">): Asked {
    const mayBeLonger = !messagesIn(body).some(mayBringList);
    return { ...this.#dependencies, isModern: kind === "modern", mayBeLonger };
  }
}

/** Whose answer it is. */
interface Asked extends FilterDependencies {
  readonly isModern: boolean;
  /** No list was asked for. */
  readonly mayBeLonger: boolean;
}

const ENCODINGS: ReadonlySet<string> = new Set([ACCEPT_ENCODING]);

/** The answer is to be read as it passes, so the backend must not compress it, nor where the request is sent again. */
function uncompressed<On extends PublicPath>(request: GatewayRequest<On>): GatewayRequest<On> {
  const { headers, headersToRemove } = request;
  if (headers.get(ACCEPT_ENCODING) === undefined) return request;
  return {
    ...request,
    headers: withoutFields(headers, ENCODINGS),
    headersToRemove: [...headersToRemove, ACCEPT_ENCODING],
  };
}

function filtered(next: NextStep, request: GatewayRequest, asked: Asked): NextStep {
  return mapStep(next, (step) => ({
    ...step,
    answer: around(step.answer, new FilteredAnswer(step.answer, request, asked)),
  }));
}

class FilteredAnswer implements Pick<AnswerStage, "head"> {
  readonly #inner: AnswerStage;
  readonly #request: GatewayRequest;
  readonly #asked: Asked;

  constructor(inner: AnswerStage, request: GatewayRequest, asked: Asked) {
    this.#inner = inner;
    this.#request = request;
    this.#asked = asked;
  }

  head(head: ResponseHead): Decision {
    return mapVerdict(this.#inner.head(head), (verdict) => this.#own(verdict, head));
  }

  #own(verdict: Verdict, { headers, endpoint, endOfStream }: ResponseHead): Verdict {
    switch (verdict.kind) {
      case "reply":
        return verdict.details === REPLY_DETAILS.recovered ? this.#replied(verdict) : verdict;
      case "stream": {
        const header = (of: string) => verdict.set.find(([name]) => name === of)?.[1];
        const rewriter = this.#rewriter(verdict.status, header("content-type"), header("content-encoding"));
        return rewriter ? { ...verdict, body: through(rewriter, verdict.body) } : this.#unread();
      }
      case "continue":
      case "mutate":
      case "rewrite": {
        // Envoy's own answers hold nothing of a backend's.
        if (endOfStream || endpoint === undefined) return verdict;
        const status = Number(headers.get(":status"));
        const rewriter = this.#rewriter(status, headers.get("content-type"), headers.get("content-encoding"));
        if (!rewriter) return this.#unread();
        // Calls go on: only who sends two requests of one id might hear a list there.
        if (!this.#asked.rewrites.mayStream(this.#request.route.backend.name))
          return this.#asked.mayBeLonger ? verdict : this.#unread(NOT_FILTERED);
        const own =
          verdict.kind === "rewrite"
            ? { ...verdict, rewriter: inTurn(verdict.rewriter, rewriter) }
            : rewritten(verdict, rewriter);
        return { ...own, onModeOverride: (taken) => this.#taken(taken) };
      }
      // It is no verdict on an answer.
      case "drop-body":
        return this.#unread();
      default:
        return verdict satisfies never;
    }
  }

  /** The whole answer to a request that was sent again. */
  #replied(reply: Reply): Reply {
    const header = (of: string) => reply.headers.find(([name]) => name === of)?.[1];
    if (reply.body.length === 0) return reply;
    const rewriter = this.#rewriter(reply.status, header("content-type"), header("content-encoding"));
    if (!rewriter) return this.#unread();
    return { ...reply, body: wholly(rewriter, reply.body) };
  }

  /** undefined: nobody here can read the answer, but a client may. */
  #rewriter(status: number, contentType: string | undefined, encoding: string | undefined): BodyRewriter | undefined {
    const { policy, route, principal, scope, batch } = this.#request;
    const { access, limits } = policy;
    if (!access || !isUnencoded(encoding)) return undefined;
    const { isModern, mayBeLonger, access: inForce, hold } = this.#asked;
    const held = hold(principal.name ?? route.backend.name);
    scope.onEnd(() => held(0));
    const filter = {
      permits: permitsInForce(inForce, route.path, principal),
      isModern,
      deepest: limits.depth,
      mostMessages: limits.batch,
      longest: access.longestAnswer,
      mayBeLonger,
      hold: held,
      waiting: waitingIn(this.#request),
      unread: (id: string) => this.#unreadTo(id),
    };
    if (mayBeEventStream(contentType)) return filteredEvents(filter);
    const isError = !isSuccess(status);
    return isError || isJsonInUtf8(contentType) ? filteredJson(filter, isError, batch !== undefined) : undefined;
  }

  #taken(taken: ModeOverrideOutcome): void {
    const { rewrites } = this.#asked;
    if (taken === "accepted") rewrites.accepted();
    // A stream brings nothing for long, and a client that leaves it meanwhile shows nothing.
    if (taken === "accepted" || waitingIn(this.#request).length === 0) return;
    const { route, observe } = this.#request;
    const missed = rewrites.ignored(route.backend.name);
    if (missed !== undefined) observe({ kind: "rewrite-refused", route, missed });
  }

  #unread(why = UNREADABLE): Reply {
    return failedAt(this.#request, why);
  }

  #unreadTo(id: string): string {
    const { backend } = this.#request.route;
    return String(answer({ reason: "backend-failed", backend: backend.name, why: UNREADABLE, id }).body);
  }
}

const NOT_FILTERED = "Envoy does not let its answers be filtered, so what policy hides in them would not be hidden";
const UNREADABLE = "its answer cannot be read, or not be held, so what policy hides in it is not known";
