/** What the Envoys are offered that follow the configuration, and which of them have taken it. */
import type { Resource, Resources } from "../envoy-config/live.ts";
import type { FollowingEnvoy } from "./report.ts";
import { SEEN_WITHIN } from "./seen-within.ts";

/** An Envoy that has not asked for so long (ms) is gone, or is no longer waited for. */
const GONE_AFTER = 10_000;
/** Most Envoys that are known. One router has a few; each is known by what it says of itself. */
const MOST_ENVOYS = 1_000;
/**
 * So often an Envoy asks with another version after it was given the one in force: it refuses that one. Once may be an answer that
 * did not arrive. Over REST Envoy sends no reason.
 */
const REFUSED_AFTER = 2;
/** A refused version is given again after so long (ms): what it needs, as a certificate's file, may have come. */
const GIVEN_AGAIN = 10_000;
/**
 * Where there are several routers, what another one has given is left alone for so long (ms): Envoy would go to and fro between the two.
 * `left`: the Envoy had what this router offers, so the other one has read a newer file, which is to come here too. `found`: this router
 * has never made that version, and its own may be the newer one, as after its start.
 */
const OTHERS_VERSION = { left: SEEN_WITHIN, found: 10_000 } as const;
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
  /** What Envoys are given from now on. */
  offer(resources: Resources): void;
  /** Goes back to what Envoys had before. What they refuse is told until the next offer. */
  withdraw(before: Resources): void;
  answer(poll: Poll): Answer;
  /** What the Envoys that ask have made of what is offered, so far. */
  outcome(): Outcome;
  /** Resolves when all of them have it, one refuses it, something else is offered, or after `bound` ms. */
  settled(bound: number): Promise<Outcome>;
  /** What is refused of what is offered, or was before it was withdrawn. */
  refusals(): readonly Refusal[];
  /** The Envoys that have asked lately. */
  following(): readonly FollowingEnvoy[];
}

interface Asked {
  version: string | undefined;
  /** Since when. */
  since: number;
  /** The last version that it had of those in force. */
  had: string | undefined;
  /** The version in force that it was given last, when, and how often it has asked with another one since. */
  given: string | undefined;
  givenAt: number;
  missed: number;
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
  let offered = resources;
  let withdrawn: readonly Refusal[] = [];
  let waiting: (() => void)[] = [];
  remember(made, resources);

  const look = () => {
    const all = waiting;
    waiting = [];
    for (const each of all) each();
  };

  const outcome = (): Outcome => {
    const following = new Map([...envoys].filter(([, { at, takes }]) => takes !== "no" && now() - at < GONE_AFTER));
    const refusals = refusalsIn(following, offered);
    if (refusals.length > 0) return { kind: "refused", refusals };
    const lag = [...following.values()].some((envoy) => lackedBy(envoy, offered).length > 0);
    return lag ? { kind: "late" } : { kind: "taken", envoys: following.size };
  };

  const replace = (next: Resources, refused: readonly Refusal[]) => {
    withdrawn = refused;
    offered = next;
    remember(made, next);
    look();
  };

  return {
    offer: (next) => replace(next, []),
    withdraw: (before) => replace(before, refusalsIn(envoys, offered)),
    answer({ envoy: id, name, version }) {
      const resource = offered.get(name);
      if (!resource) return { kind: "unknown" };
      const envoy = envoyOf(envoys, id, now());
      const asked = askedOf(envoy, name);
      if (asked.version !== version) Object.assign(asked, { version, since: now() });
      const isMade = version !== undefined && made.has(version);
      if (isMade) envoy.takes = "yes";
      const leftAlone = several ? othersVersion(asked, resource, isMade) : 0;
      const answer = now() - asked.since < leftAlone ? "current" : answerTo(asked, resource, now());
      if (answer === "refused") {
        if (envoy.takes === "unclear") envoy.takes = "no";
        onRefused({ envoy: id, name, version: resource.version, follows: envoy.takes === "yes" });
      }
      look();
      return answer === "given" ? { kind: "given", resource } : { kind: "current" };
    },
    outcome,
    async settled(bound) {
      const of = offered;
      const until = now() + bound;
      for (;;) {
        const found = outcome();
        if (found.kind !== "late" || of !== offered || now() >= until) return found;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, until - now());
          waiting.push(() => {
            clearTimeout(timer);
            resolve();
          });
        });
      }
    },
    refusals: () => [...withdrawn, ...refusalsIn(envoys, offered)],
    following: () => followingOf(envoys, offered, now()),
  };
}

/** How long (ms) what it has is left alone, since another router may have given it. */
function othersVersion({ version, had }: Asked, inForce: Resource, isMade: boolean): number {
  if (version === undefined || version === inForce.version) return 0;
  if (had === inForce.version) return OTHERS_VERSION.left;
  return isMade ? 0 : OTHERS_VERSION.found;
}

/** Changes what is known of an Envoy by what it is answered. "refused": it is for the first time. */
function answerTo(asked: Asked, { version }: Resource, now: number): "given" | "current" | "refused" {
  if (asked.version === version) {
    asked.had = version;
    asked.given = undefined;
    asked.missed = 0;
    return "current";
  }
  if (asked.given !== version) {
    asked.missed = 0;
  } else {
    asked.missed += 1;
    if (asked.missed === REFUSED_AFTER) return "refused";
    if (asked.missed > REFUSED_AFTER && now - asked.givenAt < GIVEN_AGAIN) return "current";
  }
  asked.given = version;
  asked.givenAt = now;
  return "given";
}

function refusalsIn(envoys: ReadonlyMap<string, Envoy>, offered: Resources): readonly Refusal[] {
  return [...envoys].flatMap(([envoy, { asked, takes }]) =>
    [...asked].flatMap(([name, { given, missed }]) => {
      const version = offered.get(name)?.version;
      return version !== undefined && given === version && missed >= REFUSED_AFTER
        ? [{ envoy, name, version, follows: takes === "yes" }]
        : [];
    }),
  );
}

/** What it has asked for, and does not have as it is offered. */
function lackedBy({ asked }: Envoy, offered: Resources): string[] {
  return [...asked].flatMap(([name, { version }]) => (version === offered.get(name)?.version ? [] : [name]));
}

function isGiven(asked: Asked | undefined, offered: Resource | undefined): boolean {
  return asked?.missed === 0 && asked.given === offered?.version;
}

function followingOf(envoys: ReadonlyMap<string, Envoy>, offered: Resources, now: number): FollowingEnvoy[] {
  const asking = [...envoys].filter(([, { at }]) => now - at < GONE_AFTER);
  return asking.map(([envoy, of]) => {
    const lacked = lackedBy(of, offered);
    const given = lacked.filter((name) => isGiven(of.asked.get(name), offered.get(name)));
    const lacks = lacked.filter((name) => !given.includes(name));
    return { envoy, asked: now - of.at, follows: of.takes === "yes", lacks, given };
  });
}

function envoyOf(envoys: Map<string, Envoy>, id: string, at: number): Envoy {
  for (const [other, { at: last }] of envoys) if (at - last >= GONE_AFTER) envoys.delete(other);
  const envoy: Envoy = envoys.get(id) ?? { asked: new Map(), at, takes: "unclear" };
  envoy.at = at;
  if (envoys.has(id) || envoys.size < MOST_ENVOYS) envoys.set(id, envoy);
  return envoy;
}

function askedOf({ asked, at }: Envoy, name: string): Asked {
  const known = asked.get(name);
  if (known) return known;
  const first = { version: undefined, since: at, had: undefined, given: undefined, givenAt: 0, missed: 0 };
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
  withdraw: () => undefined,
  answer: () => ({ kind: "unknown" }),
  outcome: () => ({ kind: "taken", envoys: 0 }),
  settled: async () => ({ kind: "taken", envoys: 0 }),
  refusals: () => [],
  following: () => [],
};
