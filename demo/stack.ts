/** All that the demo runs, each as a user would start it: three backends, the router by its command line, the real Envoy. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { type AccessLog, createAccessLog } from "../harness/access-log.ts";
import { type Child, start, waitFor } from "../harness/child.ts";
import { startEnvoy } from "../harness/envoy.ts";
import { statusOf } from "../harness/ports.ts";
import type { Config } from "../src/config/load.ts";
import { readConfig } from "../src/config/read.ts";
import { formatAddress } from "../src/core/address.ts";
import { type Servers, startServers } from "./servers.ts";

const MCP_ROUTER = join(import.meta.dirname, "../src/main.ts");
/** Envoy writes its log in blocks; this often, in ms, it writes what it has (default 10 s). */
const LOG_FLUSH = 100;

export interface Stack extends Omit<Servers, "children"> {
  readonly config: Config;
  /** Where clients reach a route. */
  url(path: string): URL;
  readonly accessLog: AccessLog;
  /** The end of what each process wrote, to see why something failed. */
  output(): string;
}

/** Starts everything that the configuration names on this machine; `owner` stops it, Envoy first. */
export async function startStack(owner: AsyncDisposableStack, configFile: string): Promise<Stack> {
  const { config } = await readConfig(configFile);
  const { listen } = config.gateway;
  const { admin } = config.envoy;
  const { http } = config.processor;
  if (!admin || !http) throw new Error(`${configFile}: the demo needs envoy.admin and processor.http`);

  const own = <C extends Child>(child: C): C => {
    owner.defer(async () => void (await child.stop()));
    return child;
  };
  // All at once: each takes a second, most of it to load.
  const [bootstrap, servers, router] = await Promise.all([
    mcpRouter("envoy", "--config", configFile),
    startServers(owner, config.backends),
    startRouter(configFile, `http://${formatAddress(http)}/readyz`, own),
  ]);
  const accessLog = createAccessLog();
  const flags = ["--file-flush-interval-msec", String(LOG_FLUSH)];
  const envoy = own(await startEnvoy(bootstrap, formatAddress(admin), { flags, onOutput: accessLog.write }));
  return {
    ...servers,
    config,
    url: (path) => new URL(path, `http://${formatAddress(listen)}`),
    accessLog,
    output: () =>
      [...servers.children, router, envoy]
        .map(({ name, output }) => `--- ${name} ---\n${output().slice(-4_000)}`)
        .join("\n"),
  };
}

async function startRouter(configFile: string, readyz: string, own: (child: Child) => Child): Promise<Child> {
  const router = own(start("mcp-router serve", process.execPath, [MCP_ROUTER, "serve", "--config", configFile]));
  await waitFor(router, async () => (await statusOf(readyz)) === 200);
  return router;
}

async function mcpRouter(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [MCP_ROUTER, ...args]);
  return stdout;
}
