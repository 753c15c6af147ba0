/** Listens at one backend of several for what has changed there, for one client, as long as that one listens. */
import type { Answer } from "../backends/client.ts";
import type { Caller, Received, Rpc } from "../backends/rpc.ts";
import { ALL_NAMES, type NameFilter } from "../core/federation/filter.ts";
import { LONGEST_EVENT } from "../core/federation/relay.ts";
import { retryIn } from "../core/federation/stream-events.ts";
import { resourcesText, updated } from "../core/federation/subscription.ts";
import { readSubscriptionEvent } from "../core/federation/subscription-events.ts";
import type { SseEvent } from "../core/sse/reader.ts";
import { type Clock, within } from "./clock.ts";
import { hear, type Taken } from "./hear.ts";
import type { SubscriptionStream } from "./subscription-stream.ts";
import type { HeldBytes } from "./unfinished.ts";

/** ms. A stream that lasts as long is opened again soon. */
export const LASTING_MS = 10_000;
/** ms between two streams of one backend. */
export const PAUSES = { first: 250, longest: 30_000 };
/** How long (ms) a client waits at most for what the backends agree to. */
export const AGREE_MS = 3_000;
/**
 * Most bytes of an event that says what a backend agrees to, where that alone is asked. Any number of requests may ask at once, and a
 * backend may begin such an event for each and never end it.
 */
const LONGEST_ACKNOWLEDGEMENT = 64 * 1024;

export interface MemberSubscriptionOptions {
  readonly rpc: Pick<Rpc, "subscribe">;
  readonly clock: Clock;
  /** undefined: it is listened to for a moment alone. */
  readonly held: HeldBytes | undefined;
  /** Nesting of JSON that is read. */
  readonly depth: number;
  readonly caller: Caller;
  /** Gets each event once there is room for it. */
  readonly client: Pick<SubscriptionStream, "say">;
  /** JSON text of the client's id; undefined: it has a session, and so none. */
  readonly id: string | undefined;
  /** JSON text of the client's envelope: it says what the client can do. */
  readonly envelope: string;
  readonly resources: readonly string[];
  /** The filter of the route's resources. */
  readonly shown: NameFilter;
  /** Most bytes of an event. Default: as many as of events that pass. */
  readonly longest?: number;
  /** Whether the client was told of these resources before, at another router, and may have missed something since. Default: no. */
  readonly mayHaveMissed?: boolean;
  /** The backend has agreed to a stream, the first or a later one. */
  readonly onAgreed?: () => void;
}

export interface MemberSubscription {
  /** Resolves to the resources of whose updates the backend tells: to none where it fails, which need not be its last word. */
  readonly agreed: Promise<readonly string[]>;
  /**
   * Resolves when nothing more comes, as the signal has come, or the backend refuses to be listened to: then to the status by which
   * it does. Never rejects.
   */
  readonly over: Promise<number | undefined>;
}

export function subscribeAt(options: MemberSubscriptionOptions, signal: AbortSignal): MemberSubscription {
  const { rpc, clock, held, depth, caller, client, id, envelope, resources, shown } = options;
  const { longest = LONGEST_EVENT, mayHaveMissed = false, onAgreed } = options;
  const first = Promise.withResolvers<readonly string[]>();
  let ours = "";
  let hasAgreed = mayHaveMissed;

  async function open(until: AbortSignal): Promise<Received<Answer>> {
    // The stream before has ended without a word.
    if (ours !== "") first.resolve([]);
    // Not kept: the texts that it is made of are there once for all backends.
    const params = `{"_meta":${envelope},"notifications":${resourcesText(resources)}}`;
    const sent = await rpc.subscribe(caller, params, until);
    if (sent.kind !== "received") {
      first.resolve([]);
      return sent;
    }
    ours = sent.value.id;
    return { kind: "received", value: sent.value.answer };
  }

  async function take(event: SseEvent): Promise<Taken> {
    // A longer event is left out: SDKs take no message of that length.
    if (event.part) {
      // The acknowledgement comes before all else.
      first.resolve([]);
      return { retry: undefined, brings: false };
    }
    const said = readSubscriptionEvent(event, { ours, clients: id }, shown, depth);
    const taken = { retry: retryIn(event), brings: said.kind === "message" };
    if (signal.aborted) return taken;
    if (said.kind === "message") await client.say(said.bytes);
    if (said.kind === "answered") first.resolve([]);
    if (said.kind === "acknowledged") {
      const agreed = resources.filter((uri) => said.resources.includes(uri));
      first.resolve(agreed);
      onAgreed?.();
      // Between two streams the backend has told nobody.
      if (hasAgreed) for (const uri of agreed) await client.say(updated(id, uri));
      hasAgreed = true;
    }
    return taken;
  }

  const hearing = {
    clock,
    open,
    opened: () => undefined,
    take,
    longest: { bytes: longest, beyond: "pass" as const },
    held,
    lasting: LASTING_MS,
    pauses: PAUSES,
  };
  const over = hear(hearing, signal).then((status) => {
    first.resolve([]);
    return status;
  });
  return { agreed: first.promise, over };
}

/** Asks a backend whether it tells of updates of these resources, and listens no longer than that takes. Resolves to those of which it does. */
export async function agreedAt(
  options: Pick<MemberSubscriptionOptions, "rpc" | "clock" | "depth" | "caller" | "envelope" | "resources">,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const asking = new AbortController();
  const until = AbortSignal.any([signal, asking.signal]);
  const forThat = {
    held: undefined,
    longest: LONGEST_ACKNOWLEDGEMENT,
    client: NOBODY,
    id: undefined,
    shown: ALL_NAMES,
  };
  const ask = () => subscribeAt({ ...options, ...forThat }, until).agreed;
  const agreed = await within(options.clock, { ms: AGREE_MS, signal }, ask, []);
  asking.abort();
  return agreed;
}

const NOBODY = { say: async () => undefined };
