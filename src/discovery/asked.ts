/** What an Envoy is answered that asks for one resource, by what it has asked before. */
import { isVersionOf, type Resource } from "../envoy-config/live.ts";
import { SEEN_WITHIN } from "./seen-within.ts";

/**
 * So often an Envoy asks with the version that it had before it was given the one in force: it refuses that one. Once may be an answer
 * that did not arrive. Over REST Envoy sends no reason.
 */
const REFUSED_AFTER = 2;
/** A refused version is given again after so long (ms): what it needs, as a certificate's file, may have come. */
const GIVEN_AGAIN = 10_000;
/**
 * Where there are several routers, what another one has given is left alone for so long (ms): Envoy would go to and fro between the two.
 * `left`: the Envoy had what this router offers, so the other one has read a newer file, which is to come here too. `found`: the Envoy
 * was not seen to have it, and this router's may be the newer one, as after its start.
 */
const OTHERS_VERSION = { left: SEEN_WITHIN, found: 10_000 } as const;

/** When the file was read that the router has started with: that is not known. */
export const AT_START = Number.NEGATIVE_INFINITY;

/** What this router makes of its file. */
export interface Offered {
  /** What Envoys are given. */
  readonly given: Resource;
  /** The same without what only goes on for a while. Other routers may have given this already, or with more. */
  readonly final: Resource;
  /** When the file was read; AT_START. */
  readonly at: number;
}

/** What is known of an Envoy and a resource. */
export interface Asked {
  /** What it has, and since when. undefined: nothing yet. */
  version: string | undefined;
  since: number;
  /** Whether it has had what is offered. */
  had: boolean;
  /** The version that it was given last, when, and how often it has asked with its old one since. */
  given: string | undefined;
  givenAt: number;
  missed: number;
}

export function firstAsked(now: number): Asked {
  return { version: undefined, since: now, had: false, given: undefined, givenAt: 0, missed: 0 };
}

interface Question {
  readonly version: string | undefined;
  /** Whether Envoys ask other routers too. */
  readonly several: boolean;
  readonly now: number;
}

/** Changes what is known by what is asked. "refused": it is for the first time, and the Envoy goes on with what it has. */
export function answerTo(
  asked: Asked,
  offered: Offered,
  { version, several, now }: Question,
): "given" | "current" | "refused" {
  if (asked.version !== version) moved(asked, offered, version, now);
  if (isVersionOf(version, offered.final)) {
    asked.had = true;
    // More than in the end is let be until this router takes it from Envoys.
    if (version === offered.final.version || offered.given !== offered.final) return "current";
    // A router that has just started does not know what others use until they have read the file.
    if (several && offered.at === AT_START && now - asked.since < OTHERS_VERSION.left) return "current";
  } else if (several && version !== undefined && now - asked.since < leftAlone(asked, offered)) return "current";
  return give(asked, offered.given, now);
}

/** What is known once another file is offered. What was refused before may be taken now: what it lacked may have come. */
export function offeredAnew(asked: Asked, offered: Offered | undefined): void {
  asked.given = undefined;
  asked.missed = 0;
  asked.had = offered !== undefined && isVersionOf(asked.version, offered.final);
}

/** It takes what it is given, by whichever router; or it starts. */
function moved(asked: Asked, { given }: Offered, version: string | undefined, since: number): void {
  const had = asked.had || asked.given === given.version;
  Object.assign(asked, { version, since, had: had && version !== undefined, given: undefined, missed: 0 });
}

export function isRefused({ given, missed }: Asked, offered: Offered): boolean {
  return given === offered.given.version && missed >= REFUSED_AFTER;
}

function leftAlone({ had, since }: Asked, { at }: Offered): number {
  if (had) return OTHERS_VERSION.left;
  return since <= at ? 0 : OTHERS_VERSION.found;
}

function give(asked: Asked, { version }: Resource, now: number): "given" | "current" | "refused" {
  if (asked.given === version) {
    asked.missed += 1;
    if (asked.missed === REFUSED_AFTER) return "refused";
    if (asked.missed > REFUSED_AFTER && now - asked.givenAt < GIVEN_AGAIN) return "current";
  } else asked.missed = 0;
  asked.given = version;
  asked.givenAt = now;
  return "given";
}
