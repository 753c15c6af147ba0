/** Reads the streams that a backend opens for the GETs in one session, one after another. */
import type { Answer } from "../backends/client.ts";
import type { Received } from "../backends/rpc.ts";
import { isSuccess, namesEventStream } from "../core/http.ts";
import { endOfReadLines, isComment } from "../core/sse/fields.ts";
import { linesIn } from "../core/sse/lines.ts";
import { EventReader, type SseEvent } from "../core/sse/reader.ts";
import { type Clock, rest } from "./clock.ts";
import { type CutOff, Deadline, type HeldBytes } from "./unfinished.ts";

/**
 * How fast a stream is read: so many bytes at once, then so many a second. Every event is parsed, and a backend that sends without end
 * would take the whole process. An event counts as so many bytes at least, and so does a line: each is looked at by itself.
 */
const READ_AT_ONCE = 1024 * 1024;
const READ_A_SECOND = 1024 * 1024;
const LEAST_OF_EVENT = 1024;
const LEAST_OF_LINE = 32;
/** Shortest pause (ms) after a stream that has brought something, whatever the backend asks for. */
const SHORTEST_PAUSE_MS = 1_000;

/** Statuses of a GET that pass. 409: TypeScript servers have one stream a session, and have not seen yet that the last one ended. */
const PASSING: ReadonlySet<number> = new Set([408, 409, 425, 429]);

export interface Hearing {
  readonly clock: Clock;
  open(signal: AbortSignal): Promise<Received<Answer>>;
  /** A stream is there. `mayHaveMissed`: the one before had lasted, and something may have been said since it ended. */
  opened(mayHaveMissed: boolean): void;
  /** It is over. */
  ended?(): void;
  /** The next event is read once this one is dealt with. One of more lines than are looked at is left out. */
  take(event: SseEvent, signal: AbortSignal): Promise<Taken>;
  /** Most bytes of one event, and what becomes of a longer one. `stop`: the stream is opened again. `pass`: `take` gets it in parts. */
  readonly longest: { readonly bytes: number; readonly beyond: "stop" | "pass" };
  /** Counts what is held of unfinished events, where there is a stream for each client. */
  readonly held?: HeldBytes | undefined;
  /** ms. A stream that lasts as long is opened again soon. */
  readonly lasting: number;
  /** ms before a stream that has ended is opened again: at first, and at the most. Twice as long each time it does not last. */
  readonly pauses: { readonly first: number; readonly longest: number };
}

export interface Taken {
  /** ms after which the backend wants to be asked again, if it says so. */
  readonly retry: number | undefined;
  /** Whether the event is for anybody. */
  readonly brings: boolean;
}

/**
 * Hears until the signal comes, or the backend has no such stream, which is no error (405, for example): resolves to the status that
 * says so. A backend that cuts its streams and brings nothing on them is asked less and less often, also where it wants to be asked at
 * once; and so is one whose events do not end. Never rejects.
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
    let last: Read = NOTHING;
    if (answer && isStream) {
      hearing.opened(mayHaveMissed);
      last = await read(hearing, answer, signal);
      hearing.ended?.();
    } else answer?.discard();
    if (answer && !isStream && !passes(answer.status)) return answer.status;
    const lasted = isStream && clock.now() - began >= lasting;
    mayHaveMissed = lasted || (mayHaveMissed && !isStream);
    if ((lasted || last.brings) && last.cutOff === undefined) pause = pauses.first;
    const shortest = last.brings ? Math.max(pause, SHORTEST_PAUSE_MS) : pause;
    await rest(clock, Math.min(Math.max(last.retry ?? 0, shortest), pauses.longest), signal);
    pause = Math.min(2 * pause, pauses.longest);
  }
  return undefined;
}

/** 204 and 202 have none, and a page of HTML is none. */
function isEventStream({ status, header }: Answer): boolean {
  return isSuccess(status) && namesEventStream(header("content-type"));
}

/** Whether a backend that answers by it may answer otherwise later. */
export function passes(status: number): boolean {
  return status >= 500 || PASSING.has(status);
}

/** What was read of a stream. */
interface Read extends Taken {
  /** Why it was cut off from here. */
  readonly cutOff?: CutOff | undefined;
}

const NOTHING: Taken = { retry: undefined, brings: false };

/** Returns the pause that the backend has asked for last, and whether any event was for somebody. */
async function read({ clock, take, longest, held }: Hearing, answer: Answer, signal: AbortSignal): Promise<Read> {
  const reader = new EventReader(longest.bytes, longest.beyond);
  let bytesRead = 0;
  let { retry, brings } = NOTHING;
  let cutOff: CutOff | undefined;
  const deadline = new Deadline(clock, () => {
    // Some servers keep a stream alive by comments with no blank line behind them.
    if (isComment({ bytes: reader.held, start: 0 })) return false;
    cutOff = "late";
    answer.body.destroy();
    return true;
  });
  try {
    // Safe: without an encoding a Readable of bytes yields bytes. Leaving the loop destroys the body.
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      deadline.stop();
      const events = reader.read(chunk);
      if (events === "too-long") break;
      for (const event of events) {
        if (endOfReadLines(event) < event.bytes.length) continue;
        const taken = await take(event, signal);
        retry = taken.retry ?? retry;
        brings ||= taken.brings;
      }
      const unfinished = reader.held.length;
      if (held?.set(unfinished) === false) {
        cutOff = "budget";
        break;
      }
      const cost = Math.max(chunk.length, LEAST_OF_EVENT * events.length, LEAST_OF_LINE * linesIn(chunk));
      bytesRead += cost;
      if (bytesRead > READ_AT_ONCE) await rest(clock, (1000 * cost) / READ_A_SECOND, signal);
      if (unfinished === 0) deadline.waits("none");
      else deadline.waits(events.length === 0 ? "same" : "another");
    }
  } catch {
    // It was cut off.
  }
  deadline.stop();
  held?.set(0);
  if (cutOff) held?.cutOff(cutOff);
  return { retry, brings, cutOff };
}
