/**
 * The answer of a backend to a request of a client without a session, in the session that the gateway holds. Others use that session at
 * the same time, and each client counts its ids by itself; so the request went there under an id of its own.
 */
import { isUnencoded } from "../core/content.ts";
import { completedResult } from "../core/federation/completed.ts";
import { type AskedBack, declinedRequests } from "../core/federation/declined.ts";
import { restoredId } from "../core/federation/restored-id.ts";
import {
  type BodyRewriter,
  type Decision,
  mapVerdict,
  mayBeEventStream,
  type Reply,
  type ResponseHead,
  type Verdict,
} from "../core/http.ts";
import type { NoCredentialReject } from "../core/reject.ts";
import type { AnswerStage } from "./answers.ts";
import { modernRelayOf } from "./member-events.ts";
import { failedAt, type MemberRequest } from "./member-failure.ts";
import { inTurn, rewritten, through, wholly } from "./rewritten.ts";

export interface HeldAnswerOptions {
  /** As the client sent it. */
  readonly request: MemberRequest;
  /** JSON text of its id at the backend. */
  readonly id: string;
  /** Clients may keep results of its method. */
  readonly isKept: boolean;
  /** The backend asks its client, who cannot be asked. */
  readonly onAsked: (asked: AskedBack) => void;
}

export class HeldAnswer implements AnswerStage {
  readonly #inner: AnswerStage;
  readonly #options: HeldAnswerOptions;
  #isOver = false;

  /** @param inner deals with the answer under the id of its own */
  constructor(inner: AnswerStage, options: HeldAnswerOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  /** Whether the backend has nothing more to do for the request. */
  get isOver(): boolean {
    return this.#isOver;
  }

  notSent(): void {
    this.#isOver = true;
  }

  unsent(reject: NoCredentialReject): Reply | undefined {
    this.#isOver = true;
    return this.#inner.unsent?.(reject);
  }

  head(head: ResponseHead): Decision {
    return mapVerdict(this.#inner.head(head), (verdict) => this.#own(verdict, head));
  }

  #own(verdict: Verdict, { headers, endOfStream }: ResponseHead): Verdict {
    switch (verdict.kind) {
      case "reply":
        this.#isOver = true;
        return this.#replied(verdict);
      case "stream": {
        const contentType = verdict.set.find(([name]) => name === "content-type")?.[1];
        return { ...verdict, body: through(this.#rewriter(contentType), verdict.body) };
      }
      case "rewrite":
        return { ...verdict, rewriter: inTurn(verdict.rewriter, this.#rewriter(undefined)) };
      case "continue":
      case "mutate": {
        if (endOfStream) {
          this.#isOver = true;
          return verdict;
        }
        // Nobody has asked for that, and nobody could find the id in it.
        if (!isUnencoded(headers.get("content-encoding")))
          return failedAt(this.#options.request, "it compresses answers");
        return rewritten(verdict, this.#rewriter(headers.get("content-type")));
      }
      default:
        return verdict;
    }
  }

  #replied(reply: Reply): Reply {
    const rewriter = this.#rewriter(reply.headers.find(([name]) => name === "content-type")?.[1]);
    const body = wholly(rewriter, reply.body);
    return { ...reply, body: typeof reply.body === "string" ? body.toString() : body };
  }

  /** Leaves out what does not belong to the answer: requests, which are declined, and responses to other requests. */
  #events(): BodyRewriter {
    const { request, id, onAsked } = this.#options;
    const { depth } = request.policy.limits;
    return inTurn(declinedRequests(onAsked, depth), modernRelayOf({ ...request, id })());
  }

  #rewriter(contentType: string | undefined): BodyRewriter {
    const { request, id, isKept } = this.#options;
    const isEvents = mayBeEventStream(contentType);
    const restoring = inTurn(completedResult(isEvents, isKept), restoredId(id, request.id ?? "null"));
    const rewriter = isEvents ? inTurn(this.#events(), restoring) : restoring;
    return {
      write: (chunk) => rewriter.write(chunk),
      end: () => {
        this.#isOver = true;
        return rewriter.end();
      },
    };
  }
}
