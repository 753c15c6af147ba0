/** What a client's streams at one backend have come to, in one session there. It says when the backend is asked for another one. */

/**
 * ms before a backend that has refused a stream is asked again: at first, and at the most. Twice as long after each refusal: some servers
 * without any stream answer 404 in place of 405. The first is shorter than the time between two looks at the session.
 */
const REFUSED = { first: 30_000, longest: 15 * 60_000 };
/** Says that the backend has no such stream at all. */
const NO_STREAM = 405;
/** Statuses by which a server asks for other credentials. */
const MAY_BE_EXPIRED: ReadonlySet<number> = new Set([401, 403]);
/** ms from a backend's first stream for some credentials until it may say that they have expired, and so end the streams of the others. */
const GOOD_MS = 60_000;

export class StreamPast {
  /** Whether the client comes from a stream in this session. */
  readonly #wasThere: boolean;
  #openedAt: number | undefined;
  #askedOnceMoreAt: number | undefined;
  #refusedAt: number | undefined;
  #pause = REFUSED.first;

  constructor(wasThere: boolean) {
    this.#wasThere = wasThere;
  }

  /** Whether the backend has had a stream in this session. One behind a balancer may not have got to the session. */
  get hadStream(): boolean {
    return this.#wasThere || this.#openedAt !== undefined;
  }

  opened(now: number): void {
    this.#openedAt ??= now;
    this.#pause = REFUSED.first;
  }

  /**
   * Whether a status says that credentials have expired which were good for a while. A backend that says so at once does not know them
   * better when the client comes back.
   */
  haveExpired(status: number, now: number): boolean {
    return MAY_BE_EXPIRED.has(status) && this.#openedAt !== undefined && now - this.#openedAt >= GOOD_MS;
  }

  /** Whether a backend that knows the session, and has refused a stream in it, is asked once more without delay. Not one that goes on so. */
  mayAskOnceMore(now: number): boolean {
    const isSoon = this.#askedOnceMoreAt !== undefined && now - this.#askedOnceMoreAt < REFUSED.first;
    if (!this.hadStream || isSoon) return false;
    this.#askedOnceMoreAt = now;
    return true;
  }

  /** The backend has answered by a status that opens no stream. */
  refused(status: number, now: number): void {
    const isError = status >= 400 && status !== NO_STREAM;
    this.#refusedAt = isError ? now : undefined;
  }

  /** Whether the backend's refusal is so long ago that it is asked again. */
  takesAnother(now: number): boolean {
    if (this.#refusedAt === undefined || now - this.#refusedAt < this.#pause) return false;
    this.#refusedAt = undefined;
    this.#pause = Math.min(2 * this.#pause, REFUSED.longest);
    return true;
  }
}
