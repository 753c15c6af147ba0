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

/**
 * ms before a session whose stream was lost is replaced for the sake of another one: none at first. Twice as long each time its stream has
 * not lasted for GOOD_MS: a backend may lose every session after one stream. A call has its session replaced at once all the same.
 */
const LOST = { first: 1_000, longest: 15 * 60_000 };

export class StreamPast {
  /** Whether the client comes from a stream in this session. */
  readonly #wasThere: boolean;
  #openedAt: number | undefined;
  #askedOnceMoreAt: number | undefined;
  /** `at`: when the backend has refused a stream, if it may open one yet. */
  #refusal: { readonly at: number | undefined; readonly pause: number } = { at: undefined, pause: REFUSED.first };
  readonly #lostPause: number;
  /** In the session after this one. */
  #nextLostPause: number;

  /** @param last that of the client's last session at the backend */
  constructor(wasThere: boolean, last?: StreamPast) {
    this.#wasThere = wasThere;
    this.#lostPause = last ? last.#nextLostPause : 0;
    this.#nextLostPause = this.#lostPause;
  }

  /** Whether the backend has had a stream in this session. One behind a balancer may not have got to the session. */
  get hadStream(): boolean {
    return this.#wasThere || this.#openedAt !== undefined;
  }

  opened(now: number): void {
    this.#openedAt ??= now;
    this.#refusal = { ...this.#refusal, pause: REFUSED.first };
  }

  /**
   * Whether a status says that credentials have expired which were good for a while. A backend that says so at once does not know them
   * better when the client comes back.
   */
  haveExpired(status: number, now: number): boolean {
    return MAY_BE_EXPIRED.has(status) && this.#hasLasted(now);
  }

  /** The backend seems to have lost the session now. Returns after how many ms it is to be replaced. */
  pauseBeforeReplacing(now: number): number {
    const pause = this.#hasLasted(now) ? 0 : this.#lostPause;
    this.#nextLostPause = Math.min(Math.max(2 * pause, LOST.first), LOST.longest);
    return pause;
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
    this.#refusal = { ...this.#refusal, at: isError ? now : undefined };
  }

  /** Whether the backend's refusal is so long ago that it is asked again. */
  takesAnother(now: number): boolean {
    const { at, pause } = this.#refusal;
    if (at === undefined || now - at < pause) return false;
    this.#refusal = { at: undefined, pause: Math.min(2 * pause, REFUSED.longest) };
    return true;
  }

  #hasLasted(now: number): boolean {
    return this.#openedAt !== undefined && now - this.#openedAt >= GOOD_MS;
  }
}
