/** Tokens that were exchanged, in memory alone, each until its end. The ones that were used longest ago give way to new ones. */
import type { Header } from "../core/http.ts";

/** ms between two looks for tokens that have ended: a look goes through all of them. */
const SWEEP_MS = 10_000;
/** Bytes that an entry takes beside its token, about. */
const ENTRY_BYTES = 400;

export interface KeptToken {
  readonly token: string;
  readonly headers: readonly Header[];
  /** ms of the clock: used until then. */
  readonly until: number;
  /** Not exchanged anew until then. */
  readonly fresh: number;
}

export interface CacheLimits {
  readonly count: number;
  readonly bytes: number;
}

interface Entry {
  /** undefined: the backend has refused it. */
  readonly kept: KeptToken | undefined;
  /** ms of the clock: until then another one that the backend refuses stays. 0: it has refused none. */
  readonly refusedUntil: number;
}

export class TokenCache {
  readonly #limits: () => CacheLimits;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  /** ms of the clock. */
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(limits: () => CacheLimits) {
    this.#limits = limits;
  }

  /** Tokens that have not ended. */
  sizeAt(now: number): number {
    this.#sweep(now);
    return Array.from(this.#entries.values()).filter(({ kept }) => kept).length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: string, now: number): KeptToken | undefined {
    const entry = this.#entries.get(key);
    if (!entry?.kept) return undefined;
    if (entry.kept.until <= now) {
      this.#delete(key);
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.kept;
  }

  set(key: string, kept: KeptToken, now: number): void {
    this.#put(key, { kept, refusedUntil: this.#entries.get(key)?.refusedUntil ?? 0 }, now);
  }

  /** The token is tried no more before so long. */
  rest(key: string, kept: KeptToken, fresh: number): void {
    const entry = this.#entries.get(key);
    if (entry?.kept === kept) this.#entries.set(key, { ...entry, kept: { ...kept, fresh } });
  }

  /**
   * The backend has refused a token. It goes, unless the last one went so little time ago: another one would be refused as well.
   * @param pause ms
   */
  refused(key: string, token: string, now: number, pause: number): void {
    const entry = this.#entries.get(key);
    if (entry?.kept?.token !== token) return;
    if (now < entry.refusedUntil) return;
    this.#put(key, { kept: undefined, refusedUntil: now + pause }, now);
  }

  #put(key: string, entry: Entry, now: number): void {
    this.#delete(key);
    if (now - this.#sweptAt >= SWEEP_MS) this.#sweep(now);
    this.#entries.set(key, entry);
    this.#bytes += sizeOf(key, entry);
    const { count, bytes } = this.#limits();
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= count && this.#bytes <= bytes) return;
      this.#delete(oldest);
    }
  }

  /** Ended tokens go: each login of a client makes a key of its own, so nobody may ask for them again. */
  #sweep(now: number): void {
    this.#sweptAt = now;
    for (const [key, { kept, refusedUntil }] of this.#entries)
      if ((kept?.until ?? refusedUntil) <= now) this.#delete(key);
  }

  #delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= sizeOf(key, entry);
  }
}

/** The token stands in its header as well. */
function sizeOf(key: string, { kept }: Entry): number {
  return ENTRY_BYTES + key.length + 2 * (kept?.token.length ?? 0);
}
