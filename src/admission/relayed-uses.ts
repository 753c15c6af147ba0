/**
 * Touches sessions whose streams Envoy relays without the router, whenever Envoy reports that such a stream is open. Any router may
 * get a report, and none remembers one: a stream's end needs no word, since the reports end with it.
 */
import type { RelayedStream } from "../core/relayed.ts";
import type { SessionKey } from "../sessions/id.ts";
import { isParked, type SessionStore } from "../sessions/store.ts";
import { extendLease } from "./lease.ts";
import type { Ledger } from "./ledger.ts";

export interface RelayedUses {
  /** A stream is open. Ignored where its session is gone, parked, or was touched just now. */
  report(stream: RelayedStream): void;
  /** Resolves when the sessions of all reports so far are touched. */
  settled(): Promise<void>;
}

/** Most sessions that are touched at once. Reports above that are lost, so that a slow store costs no memory. */
const MOST_AT_ONCE = 20_000;

export function createRelayedUses(store: SessionStore, ledger: Ledger, most = MOST_AT_ONCE): RelayedUses {
  const underway = new Map<SessionKey, Promise<void>>();

  const use = async (key: SessionKey, backend: string) => {
    const found = await store.find(key, backend);
    if (found.kind !== "found" || !found.touchDue) return;
    const { owner, binding } = found.session;
    // The backend of a parked session was told to end it, and its stream with it: nobody uses that session.
    if (!binding || isParked(binding)) return;
    const touched = await store.touch(key, backend);
    if (touched.kind === "touched") await extendLease(ledger, store, { key, principal: owner }, touched.expiresIn);
  };

  return {
    report({ session, backend }) {
      // Safe: a processor has written the key of a session.
      const key = session as SessionKey;
      if (underway.has(key) || underway.size >= most) return;
      const used = use(key, backend).finally(() => underway.delete(key));
      underway.set(key, used);
    },
    async settled() {
      await Promise.all(underway.values());
    },
  };
}
