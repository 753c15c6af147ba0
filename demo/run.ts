/**
 * `make run`: the demo's servers, and `mcp-router up` in front of them, in the foreground until Ctrl-C. What Envoy and the router log is
 * written short.
 */
import { join } from "node:path";
import { type AccessEntry, createAccessLog } from "../harness/access-log.ts";
import { type Child, start } from "../harness/child.ts";
import { envoyPath } from "../harness/envoy.ts";
import { runOwning } from "../harness/owner.ts";
import { canListen } from "../harness/ports.ts";
import type { Config } from "../src/config/load.ts";
import { readConfig } from "../src/config/read.ts";
import { formatAddress, fromSameMachine } from "../src/core/address.ts";
import type { Route } from "../src/core/routes.ts";
import { startServers } from "./servers.ts";

const MCP_ROUTER = join(import.meta.dirname, "../src/main.ts");

/** So `up` begins its line once clients can connect. */
const READY = "ready: ";

/** How long (ms) `up` may take to end: requests under way finish first. */
const ENDS_WITHIN = 10_000;

await runOwning(
  async (owner) => {
    // Another file, as for tests, has the backends of the demo on other ports.
    const file = process.argv[2] ?? join(import.meta.dirname, "mcp-router.yaml");
    const { config } = await readConfig(file);
    const taken = await takenPorts(config);
    if (taken.length > 0)
      throw new Error(`${taken.join("\n       ")}\nStop what listens there, or put other ports into ${file}`);

    console.log("Starting the servers, then mcp-router up …");
    const { missing } = await startServers(owner, config.backends);
    for (const [backend, why] of missing) console.log(`The backend "${backend}" is away: ${why}.`);
    const up = startUp(file, (line) => {
      console.error(inShort(line));
      if (line.startsWith(READY)) console.log(`\n${advice(file, config)}\n`);
    });
    owner.defer(async () => void (await up.stop(ENDS_WITHIN)));
    throw new Error(`mcp-router up has ended with code ${await up.exited}`);
  },
  { exitOnSignal: 0 },
);

/** Endpoints that something else listens on. The addresses of router and Envoy are left to `up`. */
async function takenPorts({ backends }: Config): Promise<string[]> {
  const taken: string[] = [];
  for (const { name, endpoints } of backends)
    for (const endpoint of endpoints)
      if (!(await canListen(endpoint.port))) taken.push(`${formatAddress(endpoint)} (backends.${name}) is taken`);
  return taken;
}

/**
 * Starts `mcp-router up` with the project's Envoy. In a group of its own: Ctrl-C in a terminal is for this program, which then ends it
 * once; a second signal would cut off what it lets finish.
 */
function startUp(file: string, onLine: (line: string) => void): Child {
  const args = [MCP_ROUTER, "up", "--config", file, "--envoy", envoyPath()];
  const errors = byLine(onLine);
  return start("mcp-router up", process.execPath, args, { detached: true }, createAccessLog(log).write, errors);
}

/** Takes chunks of a text, and gives its lines. */
function byLine(onLine: (line: string) => void): (chunk: string) => void {
  let partial = "";
  return (chunk) => {
    const lines = (partial + chunk).split("\n");
    partial = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  };
}

/** What to do once it is up. */
function advice(file: string, { gateway, processor, envoy, routes }: Config): string {
  const base = `http://${formatAddress(fromSameMachine(gateway.listen))}`;
  const add = routes.map((route) => `  claude mcp add --transport http ${nameOf(route)} ${base}${route.path}`);
  const pages = [
    processor.http && `http://${formatAddress(processor.http)}/metrics and /catalogue (what the servers offer)`,
    envoy.admin && `http://${formatAddress(envoy.admin)}/ (Envoy's own)`,
  ];
  return `Put a URL into an MCP client, for example:

${add.join("\n")}

Pages: ${pages.filter(Boolean).join(", ")}
Configuration: ${file}`;
}

function nameOf(route: Route): string {
  switch (route.kind) {
    case "federated":
      return "all";
    case "bridged":
      return route.transparent.backend.name;
    case "transparent":
      return route.backend.name;
  }
}

/** A line of the router's log, which is JSON, as a person reads it; and what `up` itself says, as it is. */
function inShort(line: string): string {
  const fields = jsonIn(line);
  if (!fields) return line;
  const { time, msg, level: _level, ...rest } = fields;
  return [`${clock(String(time))}  router `, msg, Object.keys(rest).length > 0 ? JSON.stringify(rest) : ""].join(" ");
}

function jsonIn(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** The time of day in an ISO timestamp. */
function clock(timestamp: string): string {
  return timestamp.slice(11, 19);
}

/** One line for each request of a client. */
function log(entry: AccessEntry): void {
  if (entry.listener !== "gateway") return;
  const { time, status, duration_ms, method, path, mcp_method, mcp_name, backend, upstream, session } = entry;
  const what = mcp_method ? [mcp_method, mcp_name].filter(Boolean).join(" ") : `${method} ${path}`;
  const where = backend ? `${backend} ${upstream ?? ""}` : "no backend";
  const whose = session ? `session ${session.slice(0, 6)}` : "no session";
  console.log(`${clock(time)}  ${status}  ${String(duration_ms).padStart(5)} ms  ${where}  ${whose}  ${what}`);
}
