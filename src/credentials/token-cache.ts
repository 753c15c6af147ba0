/** Tokens that were exchanged, in memory alone, each until its end. The ones that were used longest ago give way to new ones. */
import type { Header } from "../core/http.ts";

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
  /** When the backend refused one last. */
  readonly refusedAt: number | undefined;
}

export class TokenCache {
  readonly #limits: () => CacheLimits;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(limits: () => CacheLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
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

  set(key: string, kept: KeptToken): void {
    this.#put(key, { kept, refusedAt: this.#entries.get(key)?.refusedAt });
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
    if (entry.refusedAt !== undefined && now - entry.refusedAt < pause) return;
    this.#put(key, { kept: undefined, refusedAt: now });
  }

  #put(key: string, entry: Entry): void {
    this.#delete(key);
    this.#entries.set(key, entry);
    this.#bytes += sizeOf(key, entry);
    const { count, bytes } = this.#limits();
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= count && this.#bytes <= bytes) return;
      this.#delete(oldest);
    }
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
