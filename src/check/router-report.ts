/** What `mcp-router check --live` says of the router, and of the Envoys that follow it. Pure. */
import { type Digests, differing } from "../config/digests.ts";
import type { ConfigurationReport, FollowingEnvoy, LastChange } from "../discovery/report.ts";
import { printable } from "./printable.ts";
import type { RouterSays } from "./router.ts";
import { error, line, type Said, warning } from "./said.ts";

interface Checked {
  /** Of the file that is checked. */
  readonly sections: Digests;
  /** Version of this program. */
  readonly version: string;
}

/** Where the router is away that is no error: the check may run on another machine. */
export function routerFindings(says: RouterSays, { sections, version }: Checked): readonly Said[] {
  const { at, ready, troubles, configuration } = says;
  if (ready === undefined)
    return [warning(`the router does not answer at ${at}/readyz (processor.http): ${printable(troubles.join())}`)];
  return [
    ready
      ? line(`router: runs, and is ready (${at}/readyz)`)
      : warning(`the router runs, and is not ready: ${at}/readyz does not answer 200`),
    ...troubles.map((trouble) => warning(`router: ${printable(trouble)} (${at}/readyz)`)),
    ...(configuration ? configurationFindings(configuration, { sections, version }, at) : [untold(at)]),
  ];
}

function untold(at: string): Said {
  return warning(`the router does not tell what it has in force: ${at}/configuration has no answer of this version`);
}

function configurationFindings(report: ConfigurationReport, { sections, version }: Checked, at: string): Said[] {
  const different = differing(report.sections, sections);
  const isOfOther = report.version !== version;
  return [
    ...(isOfOther ? [warning(`the router is version ${printable(report.version)}, and this command ${version}`)] : []),
    different.length === 0
      ? line("router: has this file in force")
      : error(`${notInForce(report.lastChange, at)}: it differs in ${printable(different.join(", "))}`),
    ...(report.needRestart.length > 0
      ? [
          error(
            `the router goes on with what it has read at its start of ${printable(report.needRestart.join(", "))}: restart it`,
          ),
        ]
      : []),
    ...report.envoys.map(envoyFinding),
    ...(report.moreEnvoys > 0 ? [warning(`${report.moreEnvoys} more Envoys ask the router at ${at}`)] : []),
  ];
}

/** Why what the router at `at` has in force is another file than this one, and what to do. */
function notInForce(lastChange: LastChange, at: string): string {
  switch (lastChange) {
    case "in-force":
      return `the router at ${at} has another file in force: give it this one (a change of its own it sees within 5 s)`;
    case "waiting":
      return "the router does not have this file in force yet, since it waits for Envoys: check again in 30 s";
    case "refused":
      return "the router does not have this file in force, since an Envoy refuses what it makes of it: Envoy's own log says why";
    case "invalid":
      return "the router has not this file but one that it has refused, and goes on with the one before: its log says why";
    case "unreadable":
      return "the router cannot read its file, and goes on with the one before: its log says why";
    case "fault":
      return "the router failed to put its file in force, and goes on with the one before: its log says why; restart it";
    default:
      return lastChange satisfies never;
  }
}

function envoyFinding({ envoy, asked, follows, lacks, given }: FollowingEnvoy): Said {
  const name = `Envoy ${printable(envoy)}`;
  const before = `asked ${(asked / 1_000).toFixed(1)} s ago`;
  if (lacks.length === 0) {
    const has = given.length === 0 ? "has" : "was just given";
    return line(`${name}: ${has} what the router offers (${before})`);
  }
  const what = printable(lacks.join(", "));
  if (follows)
    return error(
      `${name} does not have what the router offers of ${what} (${before}): check again in 30 s; where it stays so, Envoy's own log says why`,
    );
  return warning(
    `${name} has taken nothing of this router (${before}: ${what}): it may be too old, or no Envoy; its own log says why`,
  );
}
