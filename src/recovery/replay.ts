/** Sends a request once more, after its session was recovered, and makes the backend's answer the client's. */

import type { Answer, Destination, Egress } from "../backends/client.ts";
import { REPLY_DETAILS } from "../core/codes.ts";
import { MessageWatch } from "../core/federation/message-watch.ts";
import { type Header, type HeaderFields, namesEventStream, type Reply, type StreamedAnswer } from "../core/http.ts";
import { DataLines } from "../core/sse/data-lines.ts";
import { dataOf, endOfReadLines } from "../core/sse/fields.ts";
import { EventReader, type SseEvent } from "../core/sse/reader.ts";
import { type Binding, heldBy } from "../sessions/store.ts";
import type { Budget, Holder } from "./budget.ts";
import { replayedHead, staleHeaders } from "./replayed-head.ts";

interface FirstAnswer {
  readonly headers: HeaderFields;
  /** The answer has no body, so Envoy takes only a whole answer in its place. */
  readonly endOfStream: boolean;
}

export interface Replay {
  readonly to: Destination;
  readonly binding: Binding;
  readonly headers: readonly Header[];
  readonly body: Uint8Array;
  /** The session as the client knows it. */
  readonly sessionId: string | undefined;
  /** Values of set-cookie in the answer to the session's initialize. The client gets them too. */
  readonly setCookies: readonly string[];
  readonly first: FirstAnswer;
  /** Whether Envoy is known to accept the mode_override of a streamed answer. Asked only where the answer would be streamed. */
  readonly mayStream: () => boolean;
  readonly onModeOverride: StreamedAnswer["onModeOverride"];
  /**
   * Most bytes of an answer; a longer one is cut off. Envoy holds what a client does not take, without back-pressure
   * (docs/internals/envoy-facts.md §10).
   */
  readonly answerLimit: number;
  /**
   * Bounds the bytes of all replayed answers that are under way; an answer that finds it used up is cut off. Bytes count until
   * Envoy has the whole answer: it does not tell how long it holds them after that.
   */
  readonly answers: Budget;
  readonly holder: Holder;
}

/** Answers up to this length (bytes) are sent whole. */
const WHOLE_ANSWER = 64 * 1024;

/** Sends the request once. Rejects where there is no answer that the client can get: the request may have run then. */
export async function replay(egress: Egress, request: Replay, signal: AbortSignal): Promise<Reply | StreamedAnswer> {
  const { to, binding, headers, body, sessionId, first, mayStream, onModeOverride } = request;
  const answer = await egress.send(
    { purpose: "recovery", to, session: heldBy(binding), method: "POST", headers, body },
    signal,
  );
  const set = replayedHead(answer.headers, sessionId, request.setCookies);
  if (isShort(answer) || first.endOfStream || !mayStream()) {
    const whole = await readWhole(answer, request);
    return { kind: "reply", status: answer.status, headers: set, body: whole, details: REPLY_DETAILS.recovered };
  }
  const remove = staleHeaders(first.headers, set);
  return { kind: "stream", status: answer.status, set, remove, body: limited(answer, request), onModeOverride };
}

function isShort(answer: Answer): boolean {
  if (isEventStream(answer)) return false;
  const length = answer.header("content-length");
  // Without a body these statuses often have no length either (RFC 9110 §8.6).
  if (length === undefined) return answer.status === 202 || answer.status === 204;
  return Number(length) <= WHOLE_ANSWER;
}

function isEventStream(answer: Answer): boolean {
  return namesEventStream(answer.header("content-type"));
}

/** Bytes of the shortest event with a request in it. A backend may send any number of shorter ones, and to parse each takes seconds. */
const SHORTEST_REQUEST = 'data:{"id":1,"method":""}\n\n'.length;

/** Rejects where the answer holds a request of the server: the server would wait for the client, and the client for the whole. */
async function readWhole(answer: Answer, limits: AnswerLimits): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const reader = isEventStream(answer) ? new EventReader(limits.answerLimit) : undefined;
  // Leaving the loop destroys the rest of the body.
  for await (const piece of limited(answer, limits)) {
    const events = reader?.read(piece) ?? [];
    if (events !== "too-long" && events.some(isServerRequest))
      throw new Error("the server sends a request to a client that gets its answer only as a whole");
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/**
 * Whether the data of an event is a JSON-RPC request, or a batch with one in it. Of an event with more lines than are looked at one by
 * one it is enough that it may be a request or a notification.
 */
function isServerRequest(event: SseEvent): boolean {
  const { bytes, start } = event;
  if (bytes.length < SHORTEST_REQUEST) return false;
  if (endOfReadLines(event) < bytes.length) {
    const watch = new MessageWatch(undefined);
    return new DataLines().read(bytes.subarray(start)).some((data) => watch.sees(data));
  }
  const json = dataOf(event);
  if (json === undefined) return false;
  try {
    const messages: unknown[] = [JSON.parse(json)].flat();
    return messages.some(
      (message) => typeof message === "object" && message !== null && "method" in message && "id" in message,
    );
  } catch {
    return false;
  }
}

type AnswerLimits = Pick<Replay, "answerLimit" | "answers" | "holder">;

async function* limited({ body }: Answer, limits: AnswerLimits): AsyncGenerator<Uint8Array, undefined> {
  const { answerLimit, answers, holder } = limits;
  let length = 0;
  try {
    for await (const piece of body as AsyncIterable<Uint8Array>) {
      if (length + piece.length > answerLimit)
        throw new Error(`the answer to a recovered request is longer than ${answerLimit} bytes`);
      const usedUp = answers.take(holder, piece.length, length);
      if (usedUp !== undefined) throw new Error(`answers to recovered requests are too many bytes at once: ${usedUp}`);
      length += piece.length;
      yield piece;
    }
  } finally {
    answers.give(holder, length);
  }
  return undefined;
}
