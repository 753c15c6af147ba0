/**
 * `make conformance`: the public MCP conformance suite against a server of our own, directly and through the gateway: by a route
 * to that server alone, by a federated route to it alone, and by federated routes with another server beside it. A gateway
 * changes nothing when all come out the same, check by check. Writes docs/conformance.md.
 *
 *     node test/conformance/run.ts [--direct-only] [--check]
 *
 * Exits 0 when every required scenario passes in each run and no check differs but those of known.ts, of the scenarios that are not scored either. With
 * --check the document is not written: it must be as it would be written.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { start, waitFor } from "../../harness/child.ts";
import { runOwning } from "../../harness/owner.ts";
import { accepts, freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { compare, type Run } from "./compare.ts";
import { documentOf, type Revision } from "./document.ts";
import { startGateway } from "./gateway.ts";
import { KNOWN_DIFFERENCES } from "./known.ts";
import { lineOf, renderTable, summarize } from "./report.ts";
import { type Results, readRequirements, runSuite } from "./suite.ts";
import { versions } from "./versions.ts";

const FIXTURE = join(import.meta.dirname, "fixture.ts");
const EVERYTHING = join(
  import.meta.dirname,
  "../../node_modules/@modelcontextprotocol/server-everything/dist/index.js",
);
const DOCUMENT = join(import.meta.dirname, "../../docs/conformance.md");

/** Which runs there are of a revision, the direct one first. */
const REVISIONS = [
  { revision: "2025-11-25", ways: ["direct", "transparent", "federated", "beside"] },
  // Beside a server of older versions alone a federated route refuses this one.
  { revision: "2026-07-28", ways: ["direct", "transparent", "federated", "twins"] },
] as const;
type Way = (typeof REVISIONS)[number]["ways"][number];

const { values: options } = parseArgs({
  options: { "direct-only": { type: "boolean", default: false }, check: { type: "boolean", default: false } },
});

await runOwning(async (owner) => {
  const directory = owner.use(temporaryDirectory("conformance")).path;
  const [tested, twin, other] = await Promise.all([
    startServer(owner, "fixture", (port) => [FIXTURE, `${port}`]),
    startServer(owner, "its twin", (port) => [FIXTURE, `${port}`]),
    startServer(owner, "server-everything", () => [EVERYTHING, "streamableHttp"]),
  ]);
  const gateway = options["direct-only"] ? undefined : await startGateway(owner, directory, { tested, other, twin });
  const urlOf = (way: Way) => (way === "direct" ? `http://127.0.0.1:${tested}/mcp` : gateway?.url(way));

  const revisions: Revision[] = [];
  for (const { revision, ways } of REVISIONS) {
    const runs: Run[] = [];
    // One after the other: scenarios measure what a server sends in a given time.
    for (const way of ways) {
      const url = urlOf(way);
      if (url !== undefined) runs.push({ way, results: await runTimed(owner, { way, revision, url, directory }) });
    }
    const [first, ...others] = runs;
    if (!first) continue;
    const rows = compare(readRequirements(revision), [first, ...others]);
    console.log(renderTable(revision, rows));
    revisions.push({ revision, rows, summaries: summarize(rows) });
  }

  for (const { revision, summaries } of revisions)
    for (const summary of summaries) console.log(`${revision} ${lineOf(summary)}`);
  const ok = revisions.every(({ summaries }) => summaries.every((summary) => summary.ok));
  if (!gateway) return ok;
  if (!ok) console.error(gateway.log());
  const seen = new Set(revisions.flatMap(({ summaries }) => summaries.flatMap(({ known }) => known)));
  const gone = KNOWN_DIFFERENCES.filter((known) => !seen.has(known));
  for (const { scenario } of gone)
    console.error(`${scenario} differs no more: take it out of test/conformance/known.ts`);
  return keepDocument(documentOf(versions(), revisions)) && ok && gone.length === 0;
});

/** Starts an MCP server on a free port of 127.0.0.1, path /mcp. Gives the port; `owner` stops it. */
async function startServer(
  owner: AsyncDisposableStack,
  name: string,
  argumentsFor: (port: number) => readonly string[],
): Promise<number> {
  const port = await freePort();
  const env = { PATH: process.env.PATH, PORT: `${port}` };
  const server = start(name, process.execPath, argumentsFor(port), { env });
  owner.defer(async () => void (await server.stop()));
  await waitFor(server, () => accepts(port));
  return port;
}

interface SuiteRun {
  readonly way: Way;
  readonly revision: string;
  readonly url: string;
  readonly directory: string;
}

async function runTimed(owner: AsyncDisposableStack, { way, revision, url, directory }: SuiteRun): Promise<Results> {
  const started = performance.now();
  const results = await runSuite(owner, url, revision, join(directory, `${way}-${revision}`));
  console.error(`${revision} ${way}: ran in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return results;
}

/** Writes the document, or says whether it is so already. */
function keepDocument(text: string): boolean {
  if (!options.check) {
    writeFileSync(DOCUMENT, text);
    return true;
  }
  const current = readFileSync(DOCUMENT, "utf8") === text;
  if (!current) console.error('docs/conformance.md is not what these runs came to: run "make conformance"');
  return current;
}
