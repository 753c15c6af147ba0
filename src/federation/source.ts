/** Asks one backend what it offers, to everybody or to one principal: when that is due, and at most once at a time. */
import type { AskLimits } from "./ask.ts";
import { type Clock, within } from "./clock.ts";
import { type AskFailure, type CatalogueEvent, describeAskFailure } from "./events.ts";
import { type Answered, KeptLists, type Offering } from "./kept-lists.ts";
import { Renewals } from "./renewals.ts";

/** ms before a backend that has failed is asked again: at first. Twice as long each further time, up to `lists.refresh`. */
const FIRST_PAUSE_MS = 1_000;

export type Asked = Answered | { readonly kind: "failed"; readonly failure: AskFailure };

/** Asks the backend once. Must not reject. */
export type Ask = (limits: AskLimits, signal: AbortSignal) => Promise<Asked>;

export interface SourceOptions {
  readonly backend: string;
  /** Of the names that clients see. */
  readonly prefix: string | undefined;
  /** Whether the lists are everybody's: then a backend that has failed is asked again, though nobody demands it at the moment. */
  readonly shared: boolean;
  readonly clock: Clock;
  readonly observe: (event: CatalogueEvent) => void;
  /** Ends what is being asked. */
  readonly stopping: AbortSignal;
  /** Called after each answer or failure. */
  readonly onSettled?: () => void;
}

/** When the backend is asked next. */
interface Plan {
  /** From then on a demand starts an asking. */
  readonly due: number;
  /** ms between the last failure and the next asking, or after the backend had announced a change that was none; 0: neither. */
  readonly pause: number;
  /** The backend has announced a change since it was asked last. */
  readonly woken: boolean;
  /** Cancels an asking that begins by itself. */
  readonly cancel: () => void;
}

/** The last demand. */
interface Demand {
  readonly at: number;
  readonly limits: AskLimits;
  readonly ask: Ask;
}

/** How the last asking ended. */
interface LastAsking {
  readonly at: number;
  /** In words; undefined: everything was answered. */
  readonly failure: string | undefined;
}

interface Progress {
  /** Resolves when what is being asked has ended; undefined: nothing is being asked. */
  readonly asking: Promise<void> | undefined;
  readonly last: LastAsking | undefined;
  /** What clients wait for: the end of an asking. undefined: they do not wait. */
  readonly awaited: PromiseWithResolvers<void> | undefined;
}

/** `due` of a backend that is asked no more. */
const NEVER = Number.POSITIVE_INFINITY;

const nothing = () => undefined;

export class Source {
  readonly #options: SourceOptions;
  readonly #kept: KeptLists;
  #progress: Progress = { asking: undefined, last: undefined, awaited: Promise.withResolvers() };
  #plan: Plan = { due: Number.NEGATIVE_INFINITY, pause: 0, woken: false, cancel: nothing };
  #demand: Demand | undefined;
  readonly #renewals: Renewals;

  constructor(options: SourceOptions) {
    this.#options = options;
    this.#kept = new KeptLists(options);
    this.#renewals = new Renewals(options.clock);
  }

  get offering(): Offering {
    return this.#kept.offering;
  }

  get kept(): Pick<KeptLists, "size" | "lastAnswer"> {
    return this.#kept;
  }

  get last(): LastAsking | undefined {
    return this.#progress.last;
  }

  /** Somebody wants to know: has the backend asked where that is due, and does not wait for it. */
  demand(limits: AskLimits, ask: Ask): void {
    const at = this.#options.clock.now();
    this.#demand = { at, limits, ask };
    this.expire();
    if (at >= this.#plan.due) this.#start();
  }

  /**
   * Resolves when the backend has answered or failed; undefined where it has, and clients get what is known. The lists of a backend
   * that nobody has asked for `lists.stale` are waited for like its first ones: an empty list would deny what it offers.
   */
  ready(): Promise<void> | undefined {
    return this.#progress.awaited?.promise;
  }

  /** The backend has said whether it speaks the modern era. */
  learn(speaksModern: boolean): void {
    this.#kept.learn(speaksModern);
  }

  /** The backend says that its lists have changed. It is asked again soon, and less and less often where they have not. */
  wake(): void {
    if (this.#plan.woken) return;
    this.#plan = { ...this.#plan, woken: true };
    if (!this.#progress.asking) this.#startIn(Math.max(this.#plan.pause, FIRST_PAUSE_MS));
  }

  /** What a request for a list waits for beside `ready`: at most for a moment. undefined: nothing. */
  renewed(): Promise<void> | undefined {
    return this.#renewals.awaited;
  }

  /** The backend has another list than the one here: it is asked at once. */
  renew(): void {
    const { asking } = this.#progress;
    if (this.#plan.due === NEVER || this.isUnused() || !this.#renewals.begin(asking !== undefined)) return;
    this.#start();
  }

  /** Lets go of lists that were not answered again within `lists.stale`. */
  expire(): void {
    if (!this.#demand || this.#plan.due === NEVER) return;
    const { last, awaited } = this.#progress;
    const why = last?.failure === undefined ? "unused" : "failing";
    const hasExpired = this.#kept.expire(this.#options.clock.now() - this.#demand.limits.stale, why);
    if (hasExpired && why === "unused" && !awaited)
      this.#progress = { ...this.#progress, awaited: Promise.withResolvers() };
  }

  /** Whether nobody has wanted to know for so long that the lists would be too old. */
  isUnused(): boolean {
    if (!this.#demand) return true;
    const { at, limits } = this.#demand;
    return this.#options.clock.now() - at > Math.max(limits.stale, limits.refresh);
  }

  /** Asks no more. Resolves when nothing is being asked. */
  async close(): Promise<void> {
    this.#plan.cancel();
    this.#plan = { due: NEVER, pause: 0, woken: true, cancel: nothing };
    await this.#progress.asking;
    this.#release();
  }

  #start(): void {
    const demand = this.#demand;
    if (this.#progress.asking || !demand || this.#plan.due === NEVER) return;
    this.#plan.cancel();
    const { woken } = this.#plan;
    this.#plan = { ...this.#plan, woken: false, cancel: nothing };
    this.#progress = { ...this.#progress, asking: this.#run(demand, woken) };
  }

  #startIn(ms: number): void {
    this.#plan.cancel();
    const cancel = this.#options.clock.after(ms, () => {
      if (!this.isUnused()) this.#start();
    });
    this.#plan = { ...this.#plan, cancel };
  }

  async #run({ limits, ask }: Demand, woken: boolean): Promise<void> {
    const { clock, stopping, backend, shared, observe, onSettled } = this.#options;
    const began = clock.now();
    const late: Asked = { kind: "failed", failure: { reason: "timeout" } };
    const bound = { ms: limits.timeout, signal: stopping };
    const asked = await within(clock, bound, (signal) => ask(limits, signal), late);
    const at = clock.now();
    const taken = asked.kind === "answered" ? this.#kept.take(asked, at) : undefined;
    const failure = asked.kind === "failed" ? asked.failure : taken?.failed?.failure;
    const isNews = taken?.changed ?? false;
    this.#progress = {
      ...this.#progress,
      asking: undefined,
      last: { at, failure: failure && describeAskFailure(failure) },
    };
    this.#planAfter(failure, { limits, at, hasPause: woken && !isNews });
    const ms = at - began;
    // What we cut off ourselves is no failure of the backend's.
    if (!failure) observe({ kind: "asked", backend, shared, ms });
    else if (!stopping.aborted) observe({ kind: "failed", backend, shared, list: taken?.failed?.list, failure, ms });
    this.#release();
    if (this.#renewals.ended()) this.#start();
    onSettled?.();
  }

  /** Clients wait no longer. */
  #release(): void {
    this.#progress.awaited?.resolve();
    this.#progress = { ...this.#progress, awaited: undefined };
  }

  #planAfter(
    failure: AskFailure | undefined,
    { limits, at, hasPause }: { readonly limits: AskLimits; readonly at: number; readonly hasPause: boolean },
  ): void {
    if (this.#plan.due === NEVER) return;
    const longest = Math.max(limits.refresh, FIRST_PAUSE_MS);
    const next = Math.min(Math.max(2 * this.#plan.pause, FIRST_PAUSE_MS), longest);
    const pause = failure || hasPause ? next : 0;
    const asksAgain = failure?.reason === "status" ? (failure.retryAfter ?? 0) : 0;
    const wait = failure ? Math.max(pause, asksAgain) : limits.refresh;
    this.#plan = { ...this.#plan, pause, due: at + wait };
    if (this.#plan.woken) this.#startIn(Math.max(pause, FIRST_PAUSE_MS));
    else if (failure && this.#options.shared) this.#startIn(wait);
  }
}
