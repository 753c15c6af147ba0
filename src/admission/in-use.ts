/**
 * Touches sessions while a request in them is under way in this process, so that a session with a long call is not parked. A
 * stream that Envoy relays without the router (a GET, an SSE answer) is not under way here: see relayed-uses.ts.
 */
import type { SessionKey } from "../sessions/id.ts";
import type { SessionStore } from "../sessions/store.ts";
import { extendLease } from "./lease.ts";
import type { Ledger } from "./ledger.ts";

/** A request in a session. */
export interface Use {
  readonly key: SessionKey;
  /** The owner of the session, as `Session.owner`. */
  readonly principal: string;
  /** undefined: it goes to none. */
  readonly backend: string | undefined;
  /** Called where a look finds that the session is gone: what the gateway itself keeps open for it ends. */
  readonly gone?: (key: SessionKey) => void;
}

export interface InUse {
  begin(use: Use): void;
  /** Takes the object that `begin` took. Ignores a use that has ended or never began. */
  end(use: Use): void;
  /** Resolves when the last look is done. */
  stop(): Promise<void>;
}

export interface InUseOptions {
  readonly store: SessionStore;
  readonly ledger: Ledger;
  /** ms until the next look, asked before each. A request counts as long when two consecutive looks see it. */
  readonly every: () => number;
}

export function createInUse({ store, ledger, every }: InUseOptions): InUse {
  const uses = new Set<Use>();
  /** Requests that the last look saw. Most requests end before any look. */
  let lasting = new Set<Use>();
  let looking = Promise.resolve();
  let stopped = false;

  const keep = async (of: readonly [Use, ...Use[]]) => {
    const [{ key, principal, backend }] = of;
    const touched = await store.touch(key, backend);
    if (touched.kind === "touched") await extendLease(ledger, store, { key, principal }, touched.expiresIn);
    if (touched.kind === "unknown") for (const { gone } of of) gone?.(key);
  };
  const look = () => {
    const bySession = new Map<SessionKey, [Use, ...Use[]]>();
    for (const use of uses) {
      if (!lasting.has(use)) continue;
      const others = bySession.get(use.key);
      if (others) others.push(use);
      else bySession.set(use.key, [use]);
    }
    lasting = new Set(uses);
    looking = Promise.all(Array.from(bySession.values(), keep)).then(() => undefined);
    void looking.then(plan);
  };
  let timer: NodeJS.Timeout | undefined;
  const plan = () => {
    if (!stopped) timer = setTimeout(look, every()).unref();
  };
  plan();

  return {
    begin: (use) => void uses.add(use),
    end: (use) => void uses.delete(use),
    stop() {
      stopped = true;
      clearTimeout(timer);
      return looking;
    },
  };
}
