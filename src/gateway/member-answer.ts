/**
 * The answer of one backend of several. A failure of the backend is that of one request, in band: some clients end their session at
 * a status that is no success, or give all servers of a URL up (docs/internals/sessions-in-the-wild.md).
 */
import { REPLY_DETAILS } from "../core/codes.ts";
import { isUnencoded } from "../core/content.ts";
import { errorInBand, errorTo } from "../core/federation/in-band.ts";
import {
  type BodyRewriter,
  type Decision,
  type Header,
  isSuccess,
  mapVerdict,
  mayBeEventStream,
  type Reply,
  type ResponseHead,
  type StreamedAnswer,
  type Verdict,
} from "../core/http.ts";
import { answer, type NoCredentialReject } from "../core/reject.ts";
import type { AnswerStage } from "./answers.ts";
import { failedAt, type MemberRequest, refusedAt } from "./member-failure.ts";
import { refuse } from "./request.ts";
import { type Passing, rewritten, through } from "./rewritten.ts";

/** Makes what rewrites the events of an answer; undefined where they pass as they are. */
export type MakeRelay = (() => BodyRewriter) | undefined;

const COMPRESSED = "it compresses events";
const IN_BAND: Header = [":status", "200"];
const NO_STATUS: ReadonlySet<number> = new Set();

export class MemberAnswer implements AnswerStage {
  readonly #request: MemberRequest;
  readonly #inner: AnswerStage;
  readonly #relay: MakeRelay;
  readonly #kept: ReadonlySet<number>;

  /**
   * @param inner deals with the answer as on a route to one backend
   * @param kept statuses with which a backend's own error goes on; with others it becomes 200
   */
  constructor(request: MemberRequest, inner: AnswerStage, relay: MakeRelay, kept: ReadonlySet<number> = NO_STATUS) {
    this.#request = request;
    this.#inner = inner;
    this.#relay = relay;
    this.#kept = kept;
  }

  unsent(reject: NoCredentialReject): Reply {
    return refusedAt(this.#request, reject);
  }

  head(head: ResponseHead): Decision {
    return mapVerdict(this.#inner.head(head), (verdict) => this.#own(verdict, head));
  }

  #own(verdict: Verdict, head: ResponseHead): Verdict {
    switch (verdict.kind) {
      case "reply":
        return isSuccess(verdict.status) ? verdict : this.#replied(verdict);
      case "stream":
        return isSuccess(verdict.status)
          ? this.#streamed(verdict)
          : failedAt(this.#request, `status ${verdict.status}`, verdict.status);
      case "continue":
      case "mutate":
        return isSuccess(head.headers.get(":status")) ? this.#passed(verdict, head) : this.#unsuccessful(verdict, head);
      default:
        return verdict;
    }
  }

  /** The gateway's own answer, or a short one to a request that was sent again. */
  #replied(reply: Reply): Verdict {
    const { id } = this.#request;
    const text = typeof reply.body === "string" ? reply.body : Buffer.from(reply.body).toString();
    const error = id === undefined ? undefined : errorTo(id, text);
    if (!error) return failedAt(this.#request, `status ${reply.status}`, reply.status);
    if (reply.details === REPLY_DETAILS.recovered) return { ...reply, status: 200 };
    // Our own words do not say which backend it was. The refusal has been counted.
    const { backend } = this.#request.route;
    const named = answer({ reason: "backend-failed", backend: backend.name, why: error.message, id });
    return { ...named, details: reply.details };
  }

  #streamed(answered: StreamedAnswer): Verdict {
    const header = (of: string) => answered.set.find(([name]) => name === of)?.[1];
    if (!this.#relay || !mayBeEventStream(header("content-type"))) return answered;
    if (!isUnencoded(header("content-encoding"))) return failedAt(this.#request, COMPRESSED);
    return { ...answered, body: through(this.#relay(), answered.body) };
  }

  #passed(verdict: Passing, head: ResponseHead): Verdict {
    if (!this.#relay) return verdict;
    return relayed(verdict, head, this.#relay) ?? failedAt(this.#request, COMPRESSED);
  }

  /** The backend's words are known only after its head: those that are an error to this request go on. */
  #unsuccessful(verdict: Passing, { headers, endpoint, endOfStream }: ResponseHead): Verdict {
    const { id, route } = this.#request;
    const status = Number(headers.get(":status"));
    const isReadable =
      isUnencoded(headers.get("content-encoding")) && /\bjson\b/i.test(headers.get("content-type") ?? "");
    if (id === undefined || endOfStream || !isReadable) return failedAt(this.#request, `status ${status}`, status);
    const isKept = endpoint !== undefined && this.#kept.has(status);
    const { body } = answer({
      reason: "backend-failed",
      backend: route.backend.name,
      why: `status ${status}`,
      status,
      id,
    });
    const inBand = rewritten(verdict, errorInBand(id, String(body)));
    return {
      ...inBand,
      set: [...inBand.set, ...(isKept ? [] : [IN_BAND]), ["content-type", "application/json"]],
      remove: [...inBand.remove, "retry-after", "www-authenticate"],
    };
  }
}

/**
 * The rest of a call's events, which a client asks for by a GET. A refusal of the backend's is about that stream: by a 404 or 400
 * clients would take their whole session for lost.
 */
export class ResumedAnswer implements AnswerStage {
  readonly #request: MemberRequest;
  readonly #inner: AnswerStage;
  readonly #relay: () => BodyRewriter;

  constructor(request: MemberRequest, inner: AnswerStage, relay: () => BodyRewriter) {
    this.#request = request;
    this.#inner = inner;
    this.#relay = relay;
  }

  head(head: ResponseHead): Decision {
    return mapVerdict(this.#inner.head(head), (verdict) => this.#own(verdict, head));
  }

  #own(verdict: Verdict, head: ResponseHead): Verdict {
    if (verdict.kind !== "continue" && verdict.kind !== "mutate") return verdict;
    const passed = isSuccess(head.headers.get(":status")) ? relayed(verdict, head, this.#relay) : undefined;
    return passed ?? refuse({ reason: "no-stream" }, this.#request);
  }
}

/** undefined: its events cannot be read, as they are compressed. Nobody has asked for that, and a client may read them all the same. */
function relayed(verdict: Passing, { headers, endOfStream }: ResponseHead, relay: () => BodyRewriter) {
  if (endOfStream || !mayBeEventStream(headers.get("content-type"))) return verdict;
  return isUnencoded(headers.get("content-encoding")) ? rewritten(verdict, relay()) : undefined;
}
