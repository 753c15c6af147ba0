/** The public conformance suite: which scenarios a revision requires, and what a server makes of them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import * as z from "zod";
import { start } from "../../harness/child.ts";

const CLI = fileURLToPath(import.meta.resolve("@modelcontextprotocol/conformance/dist/index.js"));
const REQUIREMENTS = join(dirname(CLI), "../requirements");
/** A scenario takes well under 3 s; a server that does not answer must not cost the suite's default of 30 s each. */
const SCENARIO_TIMEOUT_MS = 10_000;
const RUN_TIMEOUT_MS = 120_000;

/** One check of a scenario. The ids of a scenario's checks are not unique. */
const Check = z.object({
  id: z.string(),
  status: z.enum(["SUCCESS", "FAILURE", "WARNING", "SKIPPED", "INFO"]),
  errorMessage: z.string().optional(),
});
export type Check = z.infer<typeof Check>;

/** The checks of each scenario that ran, in the order in which it made them. */
export type Results = ReadonlyMap<string, readonly Check[]>;

export interface Requirements {
  /** e.g. `2025-11-25` */
  readonly revision: string;
  /** Every server scenario that the suite runs for the revision, those that it does not score too. */
  readonly scenarios: readonly Scenario[];
}

export interface Scenario {
  readonly name: string;
  /** Absent: required. Otherwise why the suite runs it without scoring it: `extension`, `pending`, … */
  readonly notScored?: string;
}

const RequirementsFile = z.object({
  server: z.array(z.string()),
  not_scored: z.array(z.object({ scenario: z.string(), leg: z.string(), reason: z.string() })),
});

/** What the suite asks of a server for a revision, from the file that the suite ships. */
export function readRequirements(revision: string): Requirements {
  const file = readFileSync(join(REQUIREMENTS, `${revision}.yaml`), "utf8");
  const { server, not_scored } = RequirementsFile.parse(parse(file));
  const notScored = not_scored.filter(({ leg }) => leg === "server");
  return {
    revision,
    scenarios: [
      ...server.map((name) => ({ name })),
      ...notScored.map(({ scenario, reason }) => ({ name: scenario, notScored: reason })),
    ],
  };
}

/**
 * Runs every server scenario of a revision. `owner` stops the suite, should it still run.
 * @param directory for the suite's result files; new and empty
 * @throws with the suite's output when it does not end in time, or leaves no results
 */
export async function runSuite(
  owner: AsyncDisposableStack,
  url: string,
  revision: string,
  directory: string,
): Promise<Results> {
  const suite = start("conformance suite", process.execPath, [
    CLI,
    ...["server", "--url", url, "--requirements", revision],
    ...["--timeout", String(SCENARIO_TIMEOUT_MS), "-o", directory],
  ]);
  owner.defer(async () => void (await suite.stop()));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    void suite.stop();
  }, RUN_TIMEOUT_MS);
  await suite.exited;
  clearTimeout(timer);
  // Its exit code says whether scenarios failed, which the result files say better.
  if (late || !existsSync(directory)) {
    const what = late ? `did not end in ${RUN_TIMEOUT_MS} ms` : "left no results";
    throw new Error(`the suite for ${revision} at ${url} ${what}:\n${suite.output()}`);
  }
  return readResults(directory);
}

/** The suite writes `server-<scenario>-<ISO time with hyphens>/checks.json`. */
function readResults(directory: string): Results {
  const results = new Map<string, readonly Check[]>();
  for (const folder of readdirSync(directory)) {
    const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(folder)?.[1];
    const file = join(directory, folder, "checks.json");
    // Without the file the scenario crashed: it is missing from the results, which the comparison reports.
    if (scenario && existsSync(file))
      results.set(scenario, z.array(Check).parse(JSON.parse(readFileSync(file, "utf8"))));
  }
  return results;
}
