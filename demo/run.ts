/** `make run`: the demo's gateway and servers kept up in the foreground, on the ports of mcp-router.yaml, until Ctrl-C. */
import { join } from "node:path";
import type { AccessEntry } from "../harness/access-log.ts";
import { runOwning } from "../harness/owner.ts";
import { canListen } from "../harness/ports.ts";
import type { Config } from "../src/config/load.ts";
import { readConfig } from "../src/config/read.ts";
import type { Backend, FederatedRoute, Route } from "../src/core/routes.ts";
import { startStack } from "./stack.ts";

/** Writes `a, b and c`. */
const LIST = new Intl.ListFormat("en-GB");

const CONFIG = join(import.meta.dirname, "mcp-router.yaml");

await runOwning(
  async (owner) => {
    const taken = await takenPorts((await readConfig(CONFIG)).config);
    if (taken.length > 0)
      throw new Error(`${taken.join("\n       ")}\nStop what listens there, or put other ports into ${CONFIG}`);

    console.log("Starting …");
    const { config, url, missing } = await startStack(owner, CONFIG, log);
    const { processor, envoy } = config;
    console.log(`
An MCP gateway is up. Its configuration: demo/mcp-router.yaml (change routes and limits while it runs)

${config.routes.map((route) => `  ${url(route.path)}  →  ${describeRoute(route, config)}`).join("\n")}
${[...missing].map(([backend, why]) => `\n  The backend "${backend}" is away: ${why}.\n`).join("")}
Put a URL into an MCP client, for example:

${config.routes.map((route) => `  claude mcp add --transport http ${nameOf(route)} ${url(route.path)}`).join("\n")}

Metrics: http://${processor.http?.host}:${processor.http?.port}/metrics, what the backends offer: /catalogue   Envoy: http://${envoy.admin?.host}:${envoy.admin?.port}/
What Envoy logs of each request follows. Ctrl-C ends everything.
`);
    await new Promise(() => undefined);
    return true;
  },
  { exitOnSignal: 0 },
);

/** Every address of ours that something else listens on, with the setting that names it. */
async function takenPorts({ gateway, egress, processor, envoy, backends }: Config): Promise<string[]> {
  const wanted = [
    ["gateway.listen", gateway.listen],
    ["egress.listen", egress.listen],
    ["processor.listen", processor.listen],
    ["processor.http", processor.http],
    ["processor.streams.listen", processor.streams?.listen],
    ["envoy.admin", envoy.admin],
    ...backends.flatMap(({ name, endpoints }) => endpoints.map((endpoint) => [`backends.${name}`, endpoint] as const)),
  ] as const;
  const taken: string[] = [];
  for (const [setting, address] of wanted)
    if (address && "port" in address && !(await canListen(address.port)))
      taken.push(`${address.host}:${address.port} (${setting}) is taken`);
  return taken;
}

function describeRoute(route: Route, { backends }: Config): string {
  if (route.kind === "federated") return `${LIST.format(backendsOf(route))} as one server`;
  const { name } = backendOf(route);
  const count = backends.find((backend) => backend.name === name)?.endpoints.length;
  return `${name}, ${count === 1 ? "one endpoint" : `${count} endpoints`}`;
}

function nameOf(route: Route): string {
  return route.kind === "federated" ? "all" : backendOf(route).name;
}

function backendOf(route: Exclude<Route, FederatedRoute>): Backend {
  return route.kind === "bridged" ? route.transparent.backend : route.backend;
}

function backendsOf({ members }: FederatedRoute): string[] {
  return members.map(({ route }) => route.backend.name);
}

/** One line for each request of a client. */
function log(entry: AccessEntry): void {
  if (entry.listener !== "gateway") return;
  const { time, status, duration_ms, method, path, mcp_method, mcp_name, backend, upstream, session } = entry;
  const what = mcp_method ? [mcp_method, mcp_name].filter(Boolean).join(" ") : `${method} ${path}`;
  const where = backend ? `${backend} ${upstream ?? ""}` : "no backend";
  const whose = session ? `session ${session.slice(0, 6)}` : "no session";
  console.log(`${time.slice(11, 19)}  ${status}  ${String(duration_ms).padStart(5)} ms  ${where}  ${whose}  ${what}`);
}
