/**
 * The order of a change, where Envoys follow the configuration: they have a new backend before the router uses it, and the router
 * has left an old one before they lose it.
 */
import type { Config } from "../config/load.ts";
import { resourceName, resourcesFor } from "../envoy-config/live.ts";
import type { Offers, Outcome, Refusal } from "./offers.ts";
import { SEEN_WITHIN } from "./seen-within.ts";

/**
 * How long (ms) an Envoy may take to have a change. One that is later meets requests for what it does not have, with 503. Of several
 * routers each sees its share of an Envoy's questions, and so hears later that it has it.
 */
const TAKEN_WITHIN = { one: 5_000, several: 30_000 } as const;
/**
 * How long (ms) Envoys keep what the router does not use any more: requests may be on their way there, and others of several routers
 * use it until they have read the change.
 */
const KEPT_FOR = { one: 60_000, several: SEEN_WITHIN } as const;

/** The resource that has the backends. */
const CLUSTERS = resourceName("clusters", undefined);

export interface Wanted {
  /** Text of the file. */
  readonly text: string;
  readonly config: Config;
  readonly warnings: readonly string[];
}

export interface Adopted extends Wanted {
  /** What the Envoys that follow have made of it. */
  readonly outcome: Exclude<Outcome, { kind: "refused" }>;
}

/** What a change asks of the offers. */
export type OffersForChanges = Pick<Offers, "offer" | "trim" | "withdraw" | "outcome" | "isTaken" | "settled">;

interface AdoptOptions {
  readonly started: Config;
  /** Whether Envoys ask other routers too. */
  readonly several: boolean;
  readonly offers: OffersForChanges;
  /** Puts it in force. Gives whether it is: where not, Envoys are offered what was in force before. Must not throw. */
  readonly adopt: (adopted: Adopted) => boolean;
  /** An Envoy refuses what the configuration makes of it: the last one stays in force. Must not throw. */
  readonly refused: (refusals: readonly Refusal[]) => void;
}

export interface Adoption {
  /** A valid configuration is there. Of several at once the last one counts. Where no Envoy has to take it, it is in force at once. */
  want(wanted: Wanted): void;
  close(): void;
}

export function createAdoption({ started, several, offers, adopt, refused }: AdoptOptions): Adoption {
  const routers = several ? "several" : "one";
  let inForce = started;
  /** With the backends that were in use since the last trim, here or at another router. */
  let kept = started;
  let next: Wanted | undefined;
  /** Envoys are to have it first. */
  let settling: Wanted | undefined;
  let clearing: NodeJS.Timeout | undefined;
  let closed = false;

  const resources = (config: Config) => {
    const final = resourcesFor(asStarted(started, config));
    return [resourcesFor(asStarted(started, withBackendsOf(kept, config)), final), final] as const;
  };
  const offer = (wanted: Config) => offers.offer(...resources(wanted));

  function conclude(wanted: Wanted, outcome: Outcome): void {
    if (outcome.kind === "refused") {
      // An Envoy that starts now gets one that works.
      offers.withdraw(...resources(inForce));
      refused(outcome.refusals);
    } else if (adopt({ ...wanted, outcome })) {
      inForce = wanted.config;
      kept = withBackendsOf(kept, inForce);
    } else {
      offers.withdraw(...resources(inForce));
    }
    clearing = setTimeout(trim, KEPT_FOR[routers]).unref();
  }

  function trim(): void {
    kept = inForce;
    offers.trim();
  }

  async function settle(wanted: Wanted): Promise<void> {
    settling = wanted;
    const outcome = await offers.settled(TAKEN_WITHIN[routers]);
    settling = undefined;
    if (closed) return;
    if (!next) conclude(wanted, outcome);
    run();
  }

  function run(): void {
    for (let wanted = next; wanted; wanted = next) {
      next = undefined;
      offer(wanted.config);
      const outcome = offers.outcome();
      if (outcome.kind === "late") {
        void settle(wanted);
        return;
      }
      conclude(wanted, outcome);
    }
  }

  return {
    want(wanted) {
      clearTimeout(clearing);
      const pending = next ?? settling;
      next = wanted;
      if (!settling) return run();
      // Other routers may have it in force already. What Envoys have not taken they may be about to refuse.
      if (several && pending && offers.isTaken(CLUSTERS)) kept = withBackendsOf(pending.config, kept);
      // The wait for the one before ends by it.
      offer(wanted.config);
    },
    close() {
      closed = true;
      clearTimeout(clearing);
    },
  };
}

/** A configuration that has the backends of another one too. */
function withBackendsOf(other: Config, config: Config): Config {
  const names = new Set(config.backends.map(({ name }) => name));
  return { ...config, backends: [...config.backends, ...other.backends.filter(({ name }) => !names.has(name))] };
}

/** What the process has read at its start it goes on with, and Envoy must find it there. */
function asStarted({ egress, processor, store, sessions, log, limits }: Config, config: Config): Config {
  // A longer body would meet gRPC's own limit, which is set when the server is created.
  const body = Math.min(config.limits.body, limits.body);
  return { ...config, egress, processor, store, sessions, log, limits: { ...config.limits, body } };
}
