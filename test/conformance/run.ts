/**
 * `make conformance`: the public MCP conformance suite against a server of our own, directly and through the gateway.
 * A gateway is transparent when both come out the same, check by check.
 *
 *     node test/conformance/run.ts [--direct-only]
 *
 * Exits 0 when every required scenario passes in both and no check differs, of the ones that are not scored either.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { start, waitFor } from "../../harness/child.ts";
import { accepts, freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { compare } from "./compare.ts";
import { startGateway } from "./gateway.ts";
import { renderTable, summarize } from "./report.ts";
import { type Results, readRequirements, runSuite } from "./suite.ts";

const REVISIONS = ["2025-11-25", "2026-07-28"];
const FIXTURE = join(import.meta.dirname, "fixture.ts");

const { values: options } = parseArgs({ options: { "direct-only": { type: "boolean", default: false } } });

// Everything that is started or written; taken down in reverse order, when a signal ends us too.
const owner = new AsyncDisposableStack();
let down: Promise<void> | undefined;
// Once: a stack that is being disposed of already does not wait for it.
const takeDown = () => {
  down ??= owner.disposeAsync();
  return down;
};
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void takeDown().finally(() => process.exit(1)));
try {
  process.exitCode = (await main()) ? 0 : 1;
} finally {
  await takeDown();
}

async function main(): Promise<boolean> {
  const directory = owner.use(temporaryDirectory("conformance")).path;

  const port = await freePort();
  const fixture = start("fixture", process.execPath, [FIXTURE, String(port)]);
  owner.defer(async () => void (await fixture.stop()));
  await waitFor(fixture, () => accepts(port));

  const direct = await runAll("direct", `http://127.0.0.1:${port}/mcp`, directory);
  const gateway = options["direct-only"] ? undefined : await startGateway(owner, directory, port);
  const through = gateway && (await runAll("gateway", gateway.url, directory));

  const summaries = REVISIONS.map((revision) => {
    const rows = compare(readRequirements(revision), direct.get(revision) ?? new Map(), through?.get(revision));
    console.log(renderTable(revision, rows));
    return summarize(revision, rows);
  });
  for (const { line } of summaries) console.log(line);
  const ok = summaries.every((summary) => summary.ok);
  if (!ok && gateway) console.error(gateway.log());
  return ok;
}

/** The suite's results for each revision. One after the other: scenarios measure what a server sends in a given time. */
async function runAll(name: string, url: string, directory: string): Promise<Map<string, Results>> {
  const all = new Map<string, Results>();
  for (const revision of REVISIONS) {
    const started = performance.now();
    all.set(revision, await runSuite(owner, url, revision, join(directory, `${name}-${revision}`)));
    console.error(`${name} ${revision}: ran in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
  return all;
}
