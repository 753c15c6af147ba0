/**
 * Hears a backend say that its lists have changed: on the stream of a GET in a session of the router's own, or outside sessions on that
 * of a subscriptions/listen.
 */
import type { Caller, Rpc, RpcPeer } from "../backends/rpc.ts";
import { isListChanged } from "../core/federation/kinds.ts";
import { parseJson } from "../core/json/parse.ts";
import { placesOf } from "../core/json/places.ts";
import { textOf } from "../core/json/span.ts";
import { dataBytes } from "../core/sse/fields.ts";
import type { SseEvent } from "../core/sse/reader.ts";
import type { Clock } from "./clock.ts";
import { type Hearing, hear, type Taken } from "./hear.ts";

/** Most bytes of one event. A stream with a longer one is opened again. */
const LARGEST_EVENT = 1024 * 1024;

/** ms before a stream that has ended is opened again, at first. */
const FIRST_PAUSE_MS = 1_000;

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

/** Beside those of a session. `params`: JSON text of the request's. */
type Subscribing = Pick<Listening, "rpc" | "caller" | "clock" | "refresh" | "onChanged"> & { readonly params: string };

/** Nothing of such a stream goes to a client. */
const TAKEN: Taken = { retry: undefined, brings: false };

/** Listens until the signal comes, or the backend has no such stream. Never rejects. */
export async function listen(listening: Listening, signal: AbortSignal): Promise<void> {
  const { rpc, caller, peer, onChanged } = listening;
  const open: Hearing["open"] = (until) => rpc.listen(caller, peer, undefined, until);
  const status = await hear(
    {
      ...hearingOf(listening),
      open,
      async take(event, until) {
        await take(listening, event, until);
        return TAKEN;
      },
    },
    signal,
  );
  // It may be the session that is not there.
  if (status === 404) onChanged();
}

/** The same of a backend that speaks the modern era (MCP 2026-07-28). It may have clients of both eras, and tell each apart. */
export async function subscribe(subscribing: Subscribing, signal: AbortSignal): Promise<void> {
  const { rpc, caller, params, onChanged } = subscribing;
  const open: Hearing["open"] = async (until) => {
    const sent = await rpc.subscribe(caller, params, until);
    return sent.kind === "received" ? { kind: "received", value: sent.value.answer } : sent;
  };
  const heard: Hearing["take"] = async (event) => {
    if (messagesIn(dataBytes(event)).some((message) => isListChanged(methodOf(message)))) onChanged();
    return TAKEN;
  };
  await hear({ ...hearingOf(subscribing), open, take: heard }, signal);
}

function hearingOf({ clock, refresh, onChanged }: Pick<Listening, "clock" | "refresh" | "onChanged">) {
  return {
    clock,
    opened(mayHaveMissed: boolean) {
      if (mayHaveMissed) onChanged();
    },
    longest: { bytes: LARGEST_EVENT, beyond: "stop" as const },
    lasting: refresh,
    pauses: { first: FIRST_PAUSE_MS, longest: Math.max(refresh, FIRST_PAUSE_MS) },
  };
}

/** A request is answered before the next event is read: a backend that asks without end is no faster than its answers. */
async function take(
  { rpc, caller, peer, depth, onChanged }: Listening,
  event: SseEvent,
  signal: AbortSignal,
): Promise<void> {
  const bytes = dataBytes(event);
  if (!bytes) return;
  const messages = messagesIn(bytes);
  if (messages.some((message) => isListChanged(methodOf(message)))) onChanged();
  const [message] = messages;
  const method = messages.length === 1 ? methodOf(message) : undefined;
  const places = method === undefined ? undefined : placesOf(bytes, ["id"], depth);
  const [id] = places?.kind === "found" ? places.at : [];
  if (!id) return;
  const outcome = method === "ping" ? "done" : "method-unknown";
  const sent = await rpc.respond(caller, peer, { id: textOf(bytes, id), outcome }, signal);
  if (sent.kind === "received") sent.value.discard();
}

/** In 2025-03-26 an event may hold a batch. */
function messagesIn(bytes: Uint8Array | undefined): readonly unknown[] {
  return bytes ? [parseJson(new TextDecoder().decode(bytes))].flat() : [];
}

function methodOf(message: unknown): unknown {
  return typeof message === "object" && message !== null && "method" in message ? message.method : undefined;
}
