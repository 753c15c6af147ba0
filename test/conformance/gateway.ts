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

export interface Gateway {
  /** Where clients reach the backend through it. */
  readonly url: string;
  /** The last lines that router and Envoy logged, to see why something differs. */
  log(): string;
}

/**
 * Starts router and Envoy in front of one backend; `owner` stops them.
 * @param directory for the configuration file
 * @param backendPort of an MCP server on 127.0.0.1, path /mcp
 */
export async function startGateway(
  owner: AsyncDisposableStack,
  directory: string,
  backendPort: number,
): Promise<Gateway> {
  const [listen, egress, processor, admin] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const file = join(directory, "mcp-router.yaml");
  writeFileSync(
    file,
    `gateway:   { listen: "127.0.0.1:${listen}", hosts: [127.0.0.1, localhost] }
egress:    { listen: "127.0.0.1:${egress}" }
processor: { listen: "127.0.0.1:${processor}" }
envoy:     { admin: "127.0.0.1:${admin}" }
backends:
  fixture: { endpoints: ["127.0.0.1:${backendPort}"], path: /mcp }
routes:
  - { path: /mcp, backends: [fixture] }
`,
  );

  const router = start("mcp-router serve", process.execPath, [MAIN, "serve", "--config", file]);
  owner.defer(async () => void (await router.stop()));
  await waitFor(router, () => accepts(processor));

  const envoy = await startEnvoy(await printBootstrap(file), `127.0.0.1:${admin}`);
  owner.defer(async () => void (await envoy.stop()));
  return {
    url: `http://127.0.0.1:${listen}/mcp`,
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
