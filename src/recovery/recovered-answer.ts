/**
 * The client's answer to a request whose session may be lost: recovers the session, sends the request once more, and takes the
 * backend's answer to that.
 */
import type { Egress } from "../backends/client.ts";
import { withCookies } from "../backends/cookies.ts";
import { credentialHeaders } from "../backends/credentials.ts";
import { isRedirect } from "../core/answer-head.ts";
import type { ModeOverrideOutcome, Reply, ResponseHead, StreamedAnswer } from "../core/http.ts";
import type { Reject } from "../core/reject.ts";
import type { RouteToBackend } from "../core/routes.ts";
import { timeoutHeaders } from "../core/tool-timeouts.ts";
import { NoCredentialError } from "../credentials/credentials.ts";
import { sessionTag } from "../sessions/id.ts";
import type { Budget } from "./budget.ts";
import type { ListensAgain } from "./listened.ts";
import { type Loss, versionAt } from "./loss.ts";
import { type Suspicion, suspect } from "./lost.ts";
import { mayHaveRun } from "./may-have-run.ts";
import type { ModeOverrideHealth } from "./mode-override.ts";
import type { Outcome } from "./outcome.ts";
import { reconnect, reconnectLater } from "./reconnect.ts";
import type { Recovery } from "./recover.ts";
import { replay } from "./replay.ts";
import type { ReplayableRequest, SentMessage } from "./replayable.ts";
import { replayHeaders } from "./sent-headers.ts";

/** Whether an answer looks like that of a lost session. */
export function suspectAnswer(head: ResponseHead): Suspicion | undefined {
  const status = head.headers.get(":status");
  // Envoy's flags are looked for where they are asked for, and only with a 503 they may say something.
  return suspect(status, status === "503" ? head.flags : 0, head.endpoint);
}

/** What the client gets. */
export type RecoveredAnswer =
  /** The backend's first answer: the session lives, or was not recovered, or the request may have run. */
  | { readonly kind: "first" }
  /** The answer to the request that was sent again. */
  | { readonly kind: "replayed"; readonly answer: Reply | StreamedAnswer; readonly message: SentMessage }
  /** An event stream without events, after which the client connects again. */
  | { readonly kind: "reconnect"; readonly answer: Reply }
  | { readonly kind: "refused"; readonly reject: Reject };

export interface RecoveredAnswers {
  /**
   * Never rejects.
   * @param head of the answer that raised the suspicion
   * @param signal aborts when the request ends, which also cuts a streamed answer off
   */
  answer(
    request: ReplayableRequest,
    head: ResponseHead,
    suspicion: Suspicion,
    signal: AbortSignal,
  ): Promise<RecoveredAnswer>;
}

export interface RecoveredAnswerDependencies {
  readonly recovery: Recovery;
  readonly egress: Egress;
  readonly listensAgain: ListensAgain;
  readonly overrides: ModeOverrideHealth;
  /** Bounds the bytes of answers to replayed requests. */
  readonly answers: Budget;
  /** Told when Envoy has ignored so many mode_overrides in a row that it is held to refuse them. */
  readonly overrideRefused: (missed: number, route: RouteToBackend) => void;
}

const FIRST: RecoveredAnswer = { kind: "first" };

export function createRecoveredAnswers(dependencies: RecoveredAnswerDependencies): RecoveredAnswers {
  const { recovery } = dependencies;
  return {
    async answer(request, head, suspicion, signal) {
      const { message } = request;
      // The next GET finds out whether the backend is back. A 503 in answer to a GET ends some clients.
      if (!message && suspicion === "unreachable") return reconnected(reconnectLater(request));
      const outcome = await recovery.recover(lossOf(request, head, suspicion), signal);
      if (!message) return reconnected(reconnect(request, outcome));
      return answerToMessage(dependencies, { request, message, head, suspicion, signal }, outcome);
    },
  };
}

function lossOf({ request, session }: ReplayableRequest, head: ResponseHead, suspicion: Suspicion): Loss {
  const { kind, backend } = request.route;
  return {
    suspicion,
    status: Number(head.headers.get(":status")),
    key: session.key,
    backend,
    query: request.query,
    used: session.binding,
    answeredBy: head.endpoint ?? session.binding.endpoint,
    headers: credentialHeaders(request.headers, backend.origin),
    version: versionAt(kind, request.headers, session.binding),
    ofSeveral: kind === "member",
  };
}

function reconnected(answer: Reply | undefined): RecoveredAnswer {
  return answer ? { kind: "reconnect", answer } : FIRST;
}

/** A POST whose session may be lost. */
interface Suspected {
  readonly request: ReplayableRequest;
  readonly message: SentMessage;
  /** Of its first answer. */
  readonly head: ResponseHead;
  readonly suspicion: Suspicion;
  readonly signal: AbortSignal;
}

async function answerToMessage(
  dependencies: RecoveredAnswerDependencies,
  suspected: Suspected,
  outcome: Outcome,
): Promise<RecoveredAnswer> {
  const { request, message, head, suspicion } = suspected;
  const { id, route } = request.request;
  switch (outcome.kind) {
    case "recovered":
    case "joined":
      // Nothing is sent again that may have run.
      if (mayHaveRun(message.labels.method, id, head, outcome.ping)) return FIRST;
      return sendAgain(dependencies, suspected, outcome);
    case "store-away":
      // At the first answer the client would give up a session that may be recovered yet.
      return { kind: "refused", reject: { reason: "store-unavailable", id, inBand: true } };
    case "no-credential": {
      // At the first answer the client would give up a session that may be recovered yet.
      const { retryAfter } = outcome;
      return { kind: "refused", reject: { reason: "credential-unavailable", retryAfter, id, inBand: true } };
    }
    case "braked":
    case "failed":
      // Envoy's 503 would end the session of some clients. Of a federated route the answer is put in band with the backend's name.
      if (suspicion !== "unreachable" || route.kind === "member") return FIRST;
      return { kind: "refused", reject: { reason: "backend-unavailable", id, inBand: true } };
    case "alive":
    case "left":
      return FIRST;
    default:
      return outcome satisfies never;
  }
}

async function sendAgain(
  { egress, listensAgain, overrides, answers, overrideRefused }: RecoveredAnswerDependencies,
  { request, message, head, signal }: Suspected,
  { binding, setCookies = [] }: Extract<Outcome, { kind: "recovered" | "joined" }>,
): Promise<RecoveredAnswer> {
  const { route, query, headers, id, policy } = request.request;
  const { backend } = route;
  const onModeOverride = (taken: ModeOverrideOutcome) => {
    if (taken === "accepted") return overrides.accepted();
    const missed = overrides.ignored(backend.name);
    if (missed !== undefined) overrideRefused(missed, route);
  };
  const again = {
    to: { backend, query },
    binding,
    headers: withCookies(
      [
        ...replayHeaders(headers, backend.origin, sessionTag(request.key), message.labels, binding.version),
        ...timeoutHeaders(backend),
      ],
      setCookies,
    ),
    body: message.body,
    sessionId: request.session.id,
    setCookies,
    first: head,
    mayStream: () => overrides.mayStream(backend.name),
    onModeOverride,
    answerLimit: policy.limits.recoveredAnswer,
    answers,
    holder: request,
  };
  await listensAgain(request, binding, signal);
  try {
    const answer = await replay(egress, again, signal);
    request.forget();
    // The body of a redirect is cut off when the request ends.
    if (isRedirect(answer.status)) return { kind: "refused", reject: { reason: "backend-redirects", id } };
    return { kind: "replayed", answer, message };
  } catch (error) {
    // The client has left: nobody is answered.
    if (signal.aborted) return FIRST;
    if (error instanceof NoCredentialError) {
      const { retryAfter } = error.none;
      return { kind: "refused", reject: { reason: "credential-unavailable", retryAfter, id, inBand: true } };
    }
    // The request may have run, which the first answer would deny.
    return { kind: "refused", reject: { reason: "answer-lost", id } };
  }
}
