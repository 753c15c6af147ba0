/** What the Envoys are offered that follow the configuration, and which of them have taken it. */
import { isVersionOf, type Resource, type Resources } from "../envoy-config/live.ts";
import { type Asked, AT_START, answerTo, firstAsked, isRefused, type Offered, offeredAnew } from "./asked.ts";
import type { FollowingEnvoy } from "./report.ts";
import { SEEN_WITHIN } from "./seen-within.ts";

/** An Envoy that has not asked for so long (ms) is no longer waited for. */
const GONE_AFTER = 10_000;
/**
 * After so long (ms) it is forgotten, if there is room. Of many routers, one may be asked seldom, and is to know then what the Envoy had of
 * its own.
 */
const FORGOTTEN_AFTER = SEEN_WITHIN;
/** How often (ms) it is looked whether one is gone, where none asks. */
const LOOK_EVERY = 1_000;
/** Most Envoys that are known. One router has a few; each is known by what it says of itself. */
const MOST_ENVOYS = 1_000;
/** Versions of this router that are remembered, each of a configuration that it had. */
const MOST_MADE = 1_000;

/** An Envoy asks for one resource. */
interface Poll {
  /** Which one asks. */
  readonly envoy: string;
  /** Of `Resources`. */
  readonly name: string;
  /** What it has; undefined: nothing yet. */
  readonly version: string | undefined;
}

type Answer =
  | { readonly kind: "given"; readonly resource: Resource }
  | { readonly kind: "current" }
  | { readonly kind: "unknown" };

/** An Envoy refuses what it was given of a resource. */
export interface Refusal {
  readonly envoy: string;
  readonly name: string;
  readonly version: string;
  /** Whether it has taken something of this router before. Where not, its refusal holds nothing up. */
  readonly follows: boolean;
}

export type Outcome =
  /** All Envoys that ask have it; also where none asks. */
  | { readonly kind: "taken"; readonly envoys: number }
  | { readonly kind: "refused"; readonly refusals: readonly Refusal[] }
  /** Some have not asked since. */
  | { readonly kind: "late" };

export interface Offers {
  /** What Envoys are given from now on. @param final what `trim` will leave of it; an Envoy that has this already keeps it */
  offer(resources: Resources, final?: Resources): void;
  /** Takes from Envoys what goes on only for a while. */
  trim(): void;
  /** Goes back to what Envoys had before. What they refuse is told until the next offer. */
  withdraw(before: Resources, final?: Resources): void;
  answer(poll: Poll): Answer;
  /** What the Envoys that ask have made of what is offered, so far. */
  outcome(): Outcome;
  /** Whether the Envoys that ask have all that is offered of one resource. */
  isTaken(name: string): boolean;
  /** Resolves when all of them have it, one refuses it, something else is offered, or after `bound` ms. */
  settled(bound: number): Promise<Outcome>;
  /** What is refused of what is offered, or was before it was withdrawn. */
  refusals(): readonly Refusal[];
  /** The Envoys that have asked lately. */
  following(): readonly FollowingEnvoy[];
}

interface Envoy {
  readonly asked: Map<string, Asked>;
  at: number;
  /**
   * Whether it has been seen to take anything of this router: `unclear` while it may yet. `no`: that it refuses is told, but it
   * neither holds a change up nor keeps one out of force: it may be too old for all of them, or no Envoy.
   */
  takes: "unclear" | "yes" | "no";
}

interface OffersOptions {
  readonly resources: Resources;
  /** Whether Envoys ask other routers too. */
  readonly several: boolean;
  readonly now: () => number;
  /** Called once for each, which may be many: who asks in the name of Envoys says what names they have. */
  readonly onRefused: (refusal: Refusal) => void;
}

export function createOffers({ resources, several, now, onRefused }: OffersOptions): Offers {
  const envoys = new Map<string, Envoy>();
  const made = new Set<string>();
  let offered = together(resources, resources, AT_START);
  let withdrawn: readonly Refusal[] = [];
  let waiting: (() => void)[] = [];
  remember(made, resources);

  const look = () => {
    const all = waiting;
    waiting = [];
    for (const each of all) each();
  };

  const outcome = () => outcomeOf(envoys, offered, now());
  const replace = (next: Resources, final: Resources, refused: readonly Refusal[]) => {
    withdrawn = refused;
    offered = together(next, final, now());
    remember(made, next);
    remember(made, final);
    for (const { asked } of envoys.values()) for (const [name, each] of asked) offeredAnew(each, offered.get(name));
    look();
  };

  return {
    offer: (next, final = next) => replace(next, final, []),
    withdraw: (before, final = before) => replace(before, final, refusalsIn(asking(envoys, now()), offered)),
    trim() {
      offered = new Map([...offered].map(([name, { final, at }]) => [name, { given: final, final, at }]));
    },
    answer({ envoy: id, name, version }) {
      const found = offered.get(name);
      if (!found) return { kind: "unknown" };
      const { given: resource } = found;
      const envoy = envoyOf(envoys, id, now());
      const asked = askedOf(envoy, name);
      if (version !== undefined && made.has(version)) envoy.takes = "yes";
      const answer = answerTo(asked, found, { version, several, now: now() });
      if (answer === "refused") {
        if (envoy.takes === "unclear") envoy.takes = "no";
        onRefused({ envoy: id, name, version: resource.version, follows: envoy.takes === "yes" });
      }
      look();
      return answer === "given" ? { kind: "given", resource } : { kind: "current" };
    },
    outcome,
    isTaken: (name) => followers(envoys, now()).every(([, { asked }]) => asked.get(name)?.had !== false),
    async settled(bound) {
      const of = offered;
      const until = now() + bound;
      for (;;) {
        const found = outcome();
        if (found.kind !== "late" || of !== offered || now() >= until) return found;
        await new Promise<void>((resolve) => {
          // An Envoy that asks no more is waited for no longer.
          const timer = setTimeout(resolve, Math.min(until - now(), LOOK_EVERY)).unref();
          waiting.push(() => {
            clearTimeout(timer);
            resolve();
          });
        });
      }
    },
    refusals: () => [...withdrawn, ...refusalsIn(asking(envoys, now()), offered)],
    following: () => followingOf(envoys, offered, now()),
  };
}

/** What the Envoys that ask have made of it. */
function outcomeOf(envoys: ReadonlyMap<string, Envoy>, offered: AllOffered, now: number): Outcome {
  const following = new Map(followers(envoys, now));
  const refusals = refusalsIn(following, offered);
  if (refusals.length > 0) return { kind: "refused", refusals };
  const lags = ([name, { had }]: [string, Asked]) => offered.has(name) && !had;
  const isLate = [...following.values()].some(({ asked }) => [...asked].some(lags));
  return isLate ? { kind: "late" } : { kind: "taken", envoys: following.size };
}

/** Those that are waited for. */
function followers(envoys: ReadonlyMap<string, Envoy>, now: number): readonly [string, Envoy][] {
  return [...asking(envoys, now)].filter(([, { takes }]) => takes !== "no");
}

/** Those that are there. */
function asking(envoys: ReadonlyMap<string, Envoy>, now: number): ReadonlyMap<string, Envoy> {
  return new Map([...envoys].filter(([, { at }]) => now - at < GONE_AFTER));
}

type AllOffered = ReadonlyMap<string, Offered>;

function together(given: Resources, final: Resources, at: number): AllOffered {
  return new Map(
    [...given].map(([name, resource]) => [name, { given: resource, final: final.get(name) ?? resource, at }]),
  );
}

function refusalsIn(envoys: ReadonlyMap<string, Envoy>, offered: AllOffered): readonly Refusal[] {
  return [...envoys].flatMap(([envoy, { asked, takes }]) =>
    [...asked].flatMap(([name, each]) => {
      const found = offered.get(name);
      const follows = takes === "yes";
      return found && isRefused(each, found) ? [{ envoy, name, version: found.given.version, follows }] : [];
    }),
  );
}

/** What it has asked for, and does not have as it is offered. */
function followingOf(envoys: ReadonlyMap<string, Envoy>, offered: AllOffered, now: number): FollowingEnvoy[] {
  return [...asking(envoys, now)].map(([envoy, { asked, at, takes }]) => {
    const lacked = [...asked].flatMap(([name, each]) => {
      const found = offered.get(name);
      return found && isVersionOf(each.version, found.final) ? [] : [{ name, isGiven: isGiven(each, found) }];
    });
    const lacks = lacked.flatMap(({ name, isGiven }) => (isGiven ? [] : [name]));
    const given = lacked.flatMap(({ name, isGiven }) => (isGiven ? [name] : []));
    return { envoy, asked: now - at, follows: takes === "yes", lacks, given };
  });
}

function isGiven({ missed, given }: Asked, offered: Offered | undefined): boolean {
  return missed === 0 && given !== undefined && given === offered?.given.version;
}

function envoyOf(envoys: Map<string, Envoy>, id: string, at: number): Envoy {
  const forgottenAfter = envoys.size < MOST_ENVOYS ? FORGOTTEN_AFTER : GONE_AFTER;
  for (const [other, { at: last }] of envoys) if (at - last >= forgottenAfter) envoys.delete(other);
  const envoy: Envoy = envoys.get(id) ?? { asked: new Map(), at, takes: "unclear" };
  envoy.at = at;
  if (envoys.has(id) || envoys.size < MOST_ENVOYS) envoys.set(id, envoy);
  return envoy;
}

function askedOf({ asked, at }: Envoy, name: string): Asked {
  const known = asked.get(name);
  if (known) return known;
  const first = firstAsked(at);
  asked.set(name, first);
  return first;
}

function remember(made: Set<string>, resources: Resources): void {
  for (const { version } of resources.values()) {
    made.delete(version);
    made.add(version);
  }
  for (const version of made) {
    if (made.size <= MOST_MADE) return;
    made.delete(version);
  }
}

/** Where no Envoy can ask. */
export const NO_OFFERS: Offers = {
  offer: () => undefined,
  trim: () => undefined,
  withdraw: () => undefined,
  answer: () => ({ kind: "unknown" }),
  outcome: () => ({ kind: "taken", envoys: 0 }),
  isTaken: () => true,
  settled: async () => ({ kind: "taken", envoys: 0 }),
  refusals: () => [],
  following: () => [],
};
