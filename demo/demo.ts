/**
 * `make demo`: the gateway in front of real MCP servers, used by the official SDK, on ports that are free.
 *
 * Says what each request met, by Envoy's own log, and exits 0 only if every one was as it should be.
 */
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { runOwning } from "../harness/owner.ts";
import { freePort } from "../harness/ports.ts";
import { temporaryDirectory } from "../harness/temporary.ts";
import { auditAll } from "./audit.ts";
import { createJournal, type Journal } from "./journal.ts";
import { playAll } from "./scenario.ts";
import { type Stack, startStack } from "./stack.ts";
import { until } from "./stage.ts";
import { drawTable } from "./table.ts";

const TEMPLATE = join(import.meta.dirname, "mcp-router.yaml");
const ADDRESS = /127\.0\.0\.1:\d+/g;

/** A demo that takes longer than this, in ms, hangs. */
const LONGEST = 60_000;

await runOwning(async (owner) => {
  const watchdog = setTimeout(() => {
    console.error(`the demo did not end within ${LONGEST / 1_000} s`);
    process.kill(process.pid, "SIGTERM");
  }, LONGEST);
  owner.defer(() => clearTimeout(watchdog));

  const started = performance.now();
  const seconds = () => ((performance.now() - started) / 1_000).toFixed(1);
  console.log(
    "Starting three backends (3 × server-everything; server-memory behind mcp-proxy; mcp-server-time, in Python), mcp-router and Envoy …",
  );
  const stack = await startStack(owner, await configOnFreePorts(owner));
  console.log(`… all up after ${seconds()} s. Clients of the official SDK use the gateway at ${stack.url("/").host} …`);
  for (const [backend, why] of stack.missing) console.log(`The demo goes on without the backend "${backend}": ${why}.`);

  const journal = createJournal();
  const failures = await play(stack, journal);
  const ok = report(stack, journal, failures);
  console.log(
    ok ? `\n✓ ${journal.exchanges.length} requests, each as it should be, in ${seconds()} s` : "\n✗ the demo failed",
  );
  if (!ok) console.error(`\n${stack.output()}`);
  return ok;
});

/** Runs the scenes, and waits until Envoy has logged every request of them. */
async function play(stack: Stack, journal: Journal): Promise<string[]> {
  const find = (tag: string) => stack.accessLog.entries.find((entry) => entry.client_id === tag);
  const failures = await playAll({
    journal,
    paths: { everything: "/everything/mcp", memory: "/memory/mcp", all: "/mcp" },
    backends: stack.config.backends.map(({ name }) => name).filter((name) => !stack.missing.has(name)),
    oneWorker: true,
    url: stack.url,
    killServer: stack.killServer,
    startServer: stack.startServer,
    logged: ({ tag }) => until(() => find(tag), `entry for ${tag} in Envoy's log`),
  });
  // A request that is missing is found in the report.
  await until(() => journal.exchanges.every(({ tag }) => find(tag)), "entry").catch(() => undefined);
  return failures;
}

/** Prints the table and what failed besides. Gives whether nothing did. */
function report({ accessLog, config }: Stack, journal: Journal, failures: readonly string[]): boolean {
  const { audited, failures: missing } = auditAll(journal, accessLog.entries, config);
  const bySection = journal.sections.map(({ title, exchanges }) => ({
    title,
    rows: audited.filter(({ exchange }) => exchanges.includes(exchange)),
  }));

  console.log(`\n${drawTable(bySection.flatMap(({ title, rows }) => [{ title }, ...rows]))}`);
  const all = [...failures, ...missing];
  for (const failure of all) console.log(`✗ ${failure}`);
  return all.length === 0 && audited.every(({ problems }) => problems.length === 0);
}

/** The demo's configuration with a free port for each that it names. */
async function configOnFreePorts(owner: AsyncDisposableStack): Promise<string> {
  const directory = owner.use(temporaryDirectory("demo")).path;
  const template = await readFile(TEMPLATE, "utf8");
  const addresses = new Map<string, string>();
  for (const [address] of template.matchAll(ADDRESS)) addresses.set(address, `127.0.0.1:${await freePort()}`);
  const text = template.replaceAll(ADDRESS, (address) => addresses.get(address) ?? address);
  const file = join(directory, "mcp-router.yaml");
  writeFileSync(file, text);
  return file;
}
