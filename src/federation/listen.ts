/** Hears a backend say that its lists have changed: on the stream of a GET in a session of the router's own. */
import type { Answer } from "../backends/client.ts";
import type { Caller, Rpc, RpcPeer } from "../backends/rpc.ts";
import { ALL_LISTS, LIST_KINDS } from "../core/federation/kinds.ts";
import { isSuccess, namesEventStream } from "../core/http.ts";
import { parseJson } from "../core/json/parse.ts";
import { placesOf } from "../core/json/places.ts";
import { textOf } from "../core/json/span.ts";
import { dataBytes } from "../core/sse/fields.ts";
import { EventReader, type SseEvent } from "../core/sse/reader.ts";
import { type Clock, rest } from "./clock.ts";

/** Most bytes of one event. A stream with a longer one is opened again. */
const LARGEST_EVENT = 1024 * 1024;
/**
 * How fast a stream is read: so many bytes at once, then so many a second. Every event is parsed, and a backend that sends without end
 * would take the whole process.
 */
const READ_AT_ONCE = 1024 * 1024;
const READ_A_SECOND = 1024 * 1024;
/** ms before a stream that has ended is opened again: at first. Twice as long each time it does not last. */
const FIRST_PAUSE_MS = 1_000;

/** Statuses of a GET that pass. 409: TypeScript servers have one stream a session, and have not seen yet that the last one ended. */
const PASSING: ReadonlySet<number> = new Set([408, 409, 425, 429]);

export interface Listening {
  readonly rpc: Rpc;
  readonly caller: Caller;
  readonly peer: RpcPeer;
  readonly clock: Clock;
  /** ms. A stream that lasts as long is opened again soon; the longest pause before another one is. */
  readonly refresh: number;
  readonly depth: number;
  /** Lists may have changed. */
  readonly onChanged: () => void;
}

const LIST_CHANGED: ReadonlySet<unknown> = new Set(ALL_LISTS.map((kind) => LIST_KINDS[kind].listChanged));

/**
 * Listens until the signal comes, or the backend has no such stream, which is no error (405, for example). Never rejects. A backend
 * that cuts its streams is asked less and less often, down to once in `refresh`.
 */
export async function listen(listening: Listening, signal: AbortSignal): Promise<void> {
  const { rpc, caller, peer, clock, refresh, onChanged } = listening;
  let pause = FIRST_PAUSE_MS;
  let mayHaveMissed = false;
  while (!signal.aborted) {
    const began = clock.now();
    const sent = await rpc.listen(caller, peer, signal);
    const answer = sent.kind === "received" ? sent.value : undefined;
    const isStream = answer !== undefined && isEventStream(answer);
    if (isStream && mayHaveMissed) onChanged();
    if (answer && isStream) await hear(listening, answer, signal);
    else answer?.discard();
    if (answer && !isStream && !passes(answer.status)) {
      // It may be the session that is not there.
      if (answer.status === 404) onChanged();
      return;
    }
    const lasted = isStream && clock.now() - began >= refresh;
    mayHaveMissed = lasted || (mayHaveMissed && !isStream);
    if (lasted) pause = FIRST_PAUSE_MS;
    await rest(clock, pause, signal);
    pause = Math.min(2 * pause, Math.max(refresh, FIRST_PAUSE_MS));
  }
}

/** 204 and 202 have none, and a page of HTML is none. */
function isEventStream({ status, header }: Answer): boolean {
  return isSuccess(status) && namesEventStream(header("content-type"));
}

function passes(status: number): boolean {
  return status >= 500 || PASSING.has(status);
}

async function hear(listening: Listening, answer: Answer, signal: AbortSignal): Promise<void> {
  const reader = new EventReader(LARGEST_EVENT);
  let bytesRead = 0;
  try {
    // Safe: without an encoding a Readable of bytes yields bytes. Leaving the loop destroys the body.
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      const events = reader.read(chunk);
      if (events === "too-long") return;
      for (const event of events) await take(listening, event, signal);
      bytesRead += chunk.length;
      if (bytesRead > READ_AT_ONCE) await rest(listening.clock, (1000 * chunk.length) / READ_A_SECOND, signal);
    }
  } catch {
    // It was cut off.
  }
}

/** A request is answered before the next event is read: a backend that asks without end is no faster than its answers. */
async function take(
  { rpc, caller, peer, depth, onChanged }: Listening,
  event: SseEvent,
  signal: AbortSignal,
): Promise<void> {
  const bytes = dataBytes(event);
  if (!bytes) return;
  // In 2025-03-26 an event may hold a batch.
  const messages = [parseJson(new TextDecoder().decode(bytes))].flat();
  if (messages.some((message) => LIST_CHANGED.has(methodOf(message)))) onChanged();
  const [message] = messages;
  const method = messages.length === 1 ? methodOf(message) : undefined;
  const places = method === undefined ? undefined : placesOf(bytes, ["id"], depth);
  const [id] = places?.kind === "found" ? places.at : [];
  if (!id) return;
  const outcome = method === "ping" ? "done" : "method-unknown";
  const sent = await rpc.respond(caller, peer, { id: textOf(bytes, id), outcome }, signal);
  if (sent.kind === "received") sent.value.discard();
}

function methodOf(message: unknown): unknown {
  return typeof message === "object" && message !== null && "method" in message ? message.method : undefined;
}
