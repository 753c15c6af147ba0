/** All that the demo runs, each as a user would start it: three backends, the router by its command line, the real Envoy. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type AccessEntry, type AccessLog, createAccessLog } from "../harness/access-log.ts";
import { type Child, start, waitFor } from "../harness/child.ts";
import { startEnvoy } from "../harness/envoy.ts";
import { accepts, statusOf } from "../harness/ports.ts";
import { temporaryDirectory } from "../harness/temporary.ts";
import type { Config } from "../src/config/load.ts";
import { readConfig } from "../src/config/read.ts";
import { formatAddress } from "../src/core/address.ts";

const MCP_ROUTER = join(import.meta.dirname, "../src/main.ts");
const PACKAGES = join(import.meta.dirname, "../node_modules");
const EVERYTHING = join(PACKAGES, "@modelcontextprotocol/server-everything/dist/index.js");
const MEMORY = join(PACKAGES, "@modelcontextprotocol/server-memory/dist/index.js");
const MCP_PROXY = join(PACKAGES, "mcp-proxy/dist/bin/mcp-proxy.mjs");
const TIME = join(import.meta.dirname, "python/time_server.py");
const PYTHON_PACKAGES = join(import.meta.dirname, "../.tools/python-server");

/** Envoy writes its log in blocks; this often, in ms, it writes what it has (default 10 s). */
const LOG_FLUSH = 100;

export interface Stack {
  readonly config: Config;
  /** Where clients reach a route. */
  url(path: string): URL;
  readonly accessLog: AccessLog;
  /** Backends whose server cannot run here, each with the reason. */
  readonly missing: ReadonlyMap<string, string>;
  /** Kills the server at an endpoint (`ip:port`). */
  killServer(endpoint: string): Promise<void>;
  /** Starts the server at an endpoint again; resolves when it is back. It has forgotten its sessions. */
  startServer(endpoint: string): Promise<void>;
  /** The end of what each process wrote, to see why something failed. */
  output(): string;
}

/** Starts everything that the configuration names on this machine; `owner` stops it, Envoy first. */
export async function startStack(
  owner: AsyncDisposableStack,
  configFile: string,
  onEntry?: (entry: AccessEntry) => void,
): Promise<Stack> {
  const { config } = await readConfig(configFile);
  const { listen } = config.gateway;
  const { admin } = config.envoy;
  const { http } = config.processor;
  if (!admin || !http) throw new Error(`${configFile}: the demo needs envoy.admin and processor.http`);

  const directory = owner.use(temporaryDirectory("demo")).path;
  const children: Child[] = [];
  const own = (child: Child) => {
    children.push(child);
    owner.defer(async () => void (await child.stop()));
    return child;
  };

  const servers = new Map<number, Child>();
  const startServer = async (backend: string, port: number) => {
    const child = own(startBackend(backend, port, directory));
    servers.set(port, child);
    await waitFor(child, () => accepts(port));
  };
  const endpoints = config.backends.flatMap(({ name, endpoints }) => endpoints.map(({ port }) => ({ name, port })));
  const at = (endpoint: string) => {
    const found = endpoints.find(({ port }) => endpoint === `127.0.0.1:${port}`);
    if (!found) throw new Error(`no server of the demo is at ${endpoint}`);
    return found;
  };
  const missing = missingServers();
  const runnable = endpoints.filter(({ name }) => !missing.has(name));

  // All at once: each takes a second, most of it to load.
  const [bootstrap] = await Promise.all([
    mcpRouter("envoy", "--config", configFile),
    ...runnable.map(({ name, port }) => startServer(name, port)),
    startRouter(configFile, `http://${formatAddress(http)}/readyz`, own),
  ]);
  const accessLog = createAccessLog(onEntry);
  own(
    await startEnvoy(bootstrap, formatAddress(admin), {
      flags: ["--file-flush-interval-msec", String(LOG_FLUSH)],
      onOutput: accessLog.write,
    }),
  );
  return {
    config,
    url: (path) => new URL(path, `http://${formatAddress(listen)}`),
    accessLog,
    missing,
    async killServer(endpoint) {
      const child = servers.get(at(endpoint).port);
      child?.signal("SIGKILL");
      await child?.exited;
    },
    async startServer(endpoint) {
      const { name, port } = at(endpoint);
      await startServer(name, port);
    },
    output: () => children.map(({ name, output }) => `--- ${name} ---\n${output().slice(-4_000)}`).join("\n"),
  };
}

async function startRouter(configFile: string, readyz: string, own: (child: Child) => Child): Promise<void> {
  const router = own(start("mcp-router serve", process.execPath, [MCP_ROUTER, "serve", "--config", configFile]));
  await waitFor(router, async () => (await statusOf(readyz)) === 200);
}

/** What cannot run here: `make demo` installs the packages wherever it can. */
function missingServers(): ReadonlyMap<string, string> {
  if (existsSync(PYTHON_PACKAGES)) return new Map();
  return new Map([
    ["time", "mcp-server-time wants Python 3.11 or newer with pip; then make demo and make run install it"],
  ]);
}

/** The server behind one endpoint of a backend. */
function startBackend(backend: string, port: number, directory: string): Child {
  switch (backend) {
    case "everything":
      return server(`server-everything :${port}`, [EVERYTHING, "streamableHttp"], { PORT: `${port}` });
    case "memory": {
      const proxy = [MCP_PROXY, "--host", "127.0.0.1", "--port", `${port}`, "--server", "stream"];
      const memory = { MEMORY_FILE_PATH: join(directory, "memory.jsonl") };
      return server(`server-memory :${port}`, [...proxy, "--", process.execPath, MEMORY], memory);
    }
    case "time":
      return start(`mcp-server-time :${port}`, "python3", [TIME, `${port}`], {
        env: { PATH: process.env.PATH, PYTHONPATH: PYTHON_PACKAGES },
      });
    default:
      throw new Error(`the demo has no server for the backend "${backend}"`);
  }
}

/** Not our whole environment: server-everything has a tool that shows its own to whoever asks. */
function server(name: string, args: readonly string[], environment: Record<string, string>): Child {
  return start(name, process.execPath, args, { env: { PATH: process.env.PATH, ...environment } });
}

async function mcpRouter(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [MCP_ROUTER, ...args]);
  return stdout;
}
