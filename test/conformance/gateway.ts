/** The gateway as a user would start it: one configuration, the bootstrap that the command prints, Envoy, the router. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { start, waitFor } from "../../harness/child.ts";
import { startEnvoy } from "../../harness/envoy.ts";
import { accepts, freePort } from "../../harness/ports.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const LOGGED_LINES = 30;

/** Its routes to the server under test. */
export const ROUTES = {
  transparent: "/mcp",
  federated: "/federated/mcp",
  beside: "/beside/mcp",
  twins: "/twins/mcp",
} as const;

export interface Gateway {
  /** Where clients reach the server under test by a route. */
  url(route: keyof typeof ROUTES): string;
  /** The last lines that router and Envoy logged, to see why something differs. */
  log(): string;
}

/** Ports of MCP servers on 127.0.0.1, path /mcp. */
export interface ServerPorts {
  readonly tested: number;
  /** Of another server, which is beside it on one of the routes. */
  readonly other: number;
  /** Of a second one of its kind, which is beside it on another. */
  readonly twin: number;
}

/**
 * Starts router and Envoy in front of the servers; `owner` stops them.
 * @param directory for the configuration file
 */
export async function startGateway(
  owner: AsyncDisposableStack,
  directory: string,
  { tested, other, twin }: ServerPorts,
): Promise<Gateway> {
  const [listen, egress, processor, streams, admin] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const file = join(directory, "mcp-router.yaml");
  // Without a prefix, since the suite asks for tools and prompts by name.
  writeFileSync(
    file,
    `gateway:   { listen: "127.0.0.1:${listen}", hosts: [127.0.0.1, localhost] }
egress:    { listen: "127.0.0.1:${egress}" }
processor: { listen: "127.0.0.1:${processor}", streams: { listen: "127.0.0.1:${streams}" } }
envoy:     { admin: "127.0.0.1:${admin}" }
backends:
  tested: { endpoints: ["127.0.0.1:${tested}"], prefix: off }
  other:  { endpoints: ["127.0.0.1:${other}"] }
  twin:   { endpoints: ["127.0.0.1:${twin}"] }
routes:
  - { path: ${ROUTES.transparent}, backends: [tested] }
  - { path: ${ROUTES.federated}, backends: [tested], federated: true }
  - { path: ${ROUTES.beside}, backends: [tested, other] }
  - { path: ${ROUTES.twins}, backends: [tested, twin] }
`,
  );

  const router = start("mcp-router serve", process.execPath, [MAIN, "serve", "--config", file]);
  owner.defer(async () => void (await router.stop()));
  await waitFor(router, () => accepts(processor));

  const envoy = await startEnvoy(await printBootstrap(file), `127.0.0.1:${admin}`);
  owner.defer(async () => void (await envoy.stop()));
  return {
    url: (route) => `http://127.0.0.1:${listen}${ROUTES[route]}`,
    log: () => [router, envoy].map(({ name, output }) => `${name}:\n${lastLines(output())}`).join("\n"),
  };
}

function lastLines(output: string): string {
  return output.trimEnd().split("\n").slice(-LOGGED_LINES).join("\n");
}

async function printBootstrap(file: string): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, "envoy", "--config", file]);
  return stdout;
}
