/**
 * Waits until a client's stream brings what a backend says, before the backend gets a request in a session that is new: a server may
 * ask the client at once, and some drop what they have no stream for.
 */
import type { JoinSignal, Signals } from "./signals.ts";

/** How long (ms) a request waits for the router that has the client's stream to say so. The client may have left it. */
const LONGEST_WORD_MS = 1_000;

export interface Joining {
  /** Resolves when a request may go, at the latest after so many ms. Never rejects. */
  wait(key: string, backend: string, longest: number): Promise<void>;
  /** Another router asks, or answers. */
  heard(signal: JoinSignal): void;
}

interface JoiningOptions {
  readonly tell: Signals["tell"];
  /** undefined: the client's stream is not here. */
  readonly joined: (key: string, backend: string) => Promise<void> | undefined;
  /** Whether the client has ever had a stream, at whichever router. Must not reject. */
  readonly hadStream: (key: string) => Promise<boolean>;
}

/** A request that waits. */
interface Waiting {
  /** Another router has the stream. */
  readonly isThere: () => void;
  readonly go: () => void;
}

export function createJoining({ tell, joined, hadStream }: JoiningOptions): Joining {
  const waiting = new Map<string, Set<Waiting>>();

  const waitForOthers = (key: string, backend: string, longest: number) =>
    new Promise<void>((resolve) => {
      const name = nameOf(key, backend);
      const all = waiting.get(name) ?? new Set();
      const go = () => {
        clearTimeout(end);
        clearTimeout(word);
        all.delete(one);
        if (all.size === 0) waiting.delete(name);
        resolve();
      };
      const end = setTimeout(go, longest);
      const word = setTimeout(go, LONGEST_WORD_MS);
      const one = { isThere: () => clearTimeout(word), go };
      waiting.set(name, all.add(one));
      tell({ kind: "wanted", key, backend });
    });

  return {
    async wait(key, backend, longest) {
      const here = joined(key, backend);
      if (here) return atMost(here, longest);
      const began = performance.now();
      const isElsewhere = await hadStream(key);
      const left = longest - (performance.now() - began);
      if (isElsewhere && left > 0) await waitForOthers(key, backend, left);
    },
    heard({ kind, key, backend }) {
      if (kind === "wanted") {
        const here = joined(key, backend);
        if (!here) return;
        tell({ kind: "joining", key, backend });
        void here.then(() => tell({ kind: "joined", key, backend }));
        return;
      }
      for (const one of [...(waiting.get(nameOf(key, backend)) ?? [])])
        if (kind === "joining") one.isThere();
        else one.go();
    },
  };
}

/** No backend's name has a space. */
function nameOf(key: string, backend: string): string {
  return `${key} ${backend}`;
}

async function atMost(done: Promise<void>, ms: number): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, ms);
  await Promise.race([done, late.promise]);
  clearTimeout(timer);
}
