/** What a router tells of its configuration, and of the Envoys that follow it (`/configuration` of `processor.http`). */
import * as z from "zod";

/** What became of the last change of the file that the router has seen. */
const lastChange = z.enum([
  "in-force",
  /** Envoys are to have it first. */
  "waiting",
  /** An Envoy refuses what the configuration makes of it. */
  "refused",
  /** It is no valid configuration. */
  "invalid",
  "unreadable",
  /** A fault of the router's. */
  "fault",
]);

export type LastChange = z.output<typeof lastChange>;

const followingEnvoy = z.object({
  envoy: z.string(),
  /** ms since it asked last. */
  asked: z.number(),
  /** Whether it has taken something of this router before. */
  follows: z.boolean(),
  /** What it asks for, and does not have as the router offers it. */
  lacks: z.array(z.string()),
  /** What it was given, and has not asked for since: whether it takes that is not known yet. */
  given: z.array(z.string()),
});

/** An Envoy that has asked lately. */
export type FollowingEnvoy = Readonly<z.output<typeof followingEnvoy>>;

/** JSON. */
export const configurationReport = z.object({
  /** Of the program. */
  version: z.string(),
  /** Digests of what is in force, by section of the file. */
  sections: z.record(z.string(), z.string()),
  lastChange,
  /** Settings in force that the router has read at its start, and that are others in the file. */
  needRestart: z.array(z.string()),
  /** Those that follow first. */
  envoys: z.array(followingEnvoy),
  /** How many are left out of `envoys`. */
  moreEnvoys: z.number(),
});

export type ConfigurationReport = z.output<typeof configurationReport>;

/** Most Envoys that are told: anybody who reaches the port can ask by any number of names. */
const MOST_TOLD = 50;

/** The part of the report on Envoys. */
export function reportOn(all: readonly FollowingEnvoy[]): Pick<ConfigurationReport, "envoys" | "moreEnvoys"> {
  const ordered = [...all.filter(({ follows }) => follows), ...all.filter(({ follows }) => !follows)];
  const envoys = ordered.slice(0, MOST_TOLD);
  return { envoys, moreEnvoys: ordered.length - envoys.length };
}
