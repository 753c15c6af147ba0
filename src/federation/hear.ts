/** Reads the streams that a backend opens for the GETs in one session, one after another. */
import type { Answer } from "../backends/client.ts";
import type { Received } from "../backends/rpc.ts";
import { isSuccess, namesEventStream } from "../core/http.ts";
import { EventReader, type SseEvent } from "../core/sse/reader.ts";
import { type Clock, rest } from "./clock.ts";

/**
 * How fast a stream is read: so many bytes at once, then so many a second. Every event is parsed, and a backend that sends without end
 * would take the whole process.
 */
const READ_AT_ONCE = 1024 * 1024;
const READ_A_SECOND = 1024 * 1024;
/** Shortest pause (ms) that a backend may ask for: it would have a stream opened without end. */
const SHORTEST_PAUSE_MS = 100;

/** Statuses of a GET that pass. 409: TypeScript servers have one stream a session, and have not seen yet that the last one ended. */
const PASSING: ReadonlySet<number> = new Set([408, 409, 425, 429]);

export interface Hearing {
  readonly clock: Clock;
  open(signal: AbortSignal): Promise<Received<Answer>>;
  /** A stream is there. `mayHaveMissed`: the one before had lasted, and something may have been said since it ended. */
  opened(mayHaveMissed: boolean): void;
  /** The next event is read once this one is dealt with. Resolves to the ms after which the backend wants to be asked again, if it says so. */
  take(event: SseEvent, signal: AbortSignal): Promise<number | undefined>;
  /** Most bytes of one event, and what becomes of a longer one. `stop`: the stream is opened again. `pass`: `take` gets it in parts. */
  readonly longest: { readonly bytes: number; readonly beyond: "stop" | "pass" };
  /** ms. A stream that lasts as long is opened again soon. */
  readonly lasting: number;
  /** ms before a stream that has ended is opened again: at first, and at the most. Twice as long each time it does not last. */
  readonly pauses: { readonly first: number; readonly longest: number };
}

/**
 * Hears until the signal comes, or the backend has no such stream, which is no error (405, for example): resolves to the status that
 * says so. A backend that cuts its streams is asked less and less often. Never rejects.
 */
export async function hear(hearing: Hearing, signal: AbortSignal): Promise<number | undefined> {
  const { clock, lasting, pauses } = hearing;
  let pause = pauses.first;
  let mayHaveMissed = false;
  while (!signal.aborted) {
    const began = clock.now();
    const sent = await hearing.open(signal);
    const answer = sent.kind === "received" ? sent.value : undefined;
    const isStream = answer !== undefined && isEventStream(answer);
    let wanted: number | undefined;
    if (answer && isStream) {
      hearing.opened(mayHaveMissed);
      wanted = await read(hearing, answer, signal);
    } else answer?.discard();
    if (answer && !isStream && !passes(answer.status)) return answer.status;
    const lasted = isStream && clock.now() - began >= lasting;
    mayHaveMissed = lasted || (mayHaveMissed && !isStream);
    if (lasted) pause = pauses.first;
    const asked = wanted === undefined ? pause : Math.max(wanted, SHORTEST_PAUSE_MS);
    await rest(clock, Math.min(asked, pauses.longest), signal);
    pause = Math.min(2 * pause, pauses.longest);
  }
  return undefined;
}

/** 204 and 202 have none, and a page of HTML is none. */
function isEventStream({ status, header }: Answer): boolean {
  return isSuccess(status) && namesEventStream(header("content-type"));
}

function passes(status: number): boolean {
  return status >= 500 || PASSING.has(status);
}

/** Returns the pause that the backend has asked for last. */
async function read(
  { clock, take, longest }: Hearing,
  answer: Answer,
  signal: AbortSignal,
): Promise<number | undefined> {
  const reader = new EventReader(longest.bytes, longest.beyond);
  let bytesRead = 0;
  let pause: number | undefined;
  try {
    // Safe: without an encoding a Readable of bytes yields bytes. Leaving the loop destroys the body.
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      const events = reader.read(chunk);
      if (events === "too-long") return pause;
      for (const event of events) pause = (await take(event, signal)) ?? pause;
      bytesRead += chunk.length;
      if (bytesRead > READ_AT_ONCE) await rest(clock, (1000 * chunk.length) / READ_A_SECOND, signal);
    }
  } catch {
    // It was cut off.
  }
  return pause;
}
