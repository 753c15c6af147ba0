/** The MCP servers of the demo, each as a user would start it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Child, start, waitFor } from "../harness/child.ts";
import { accepts } from "../harness/ports.ts";
import { temporaryDirectory } from "../harness/temporary.ts";
import type { Config } from "../src/config/load.ts";

const PACKAGES = join(import.meta.dirname, "../node_modules");
const EVERYTHING = join(PACKAGES, "@modelcontextprotocol/server-everything/dist/index.js");
const MEMORY = join(PACKAGES, "@modelcontextprotocol/server-memory/dist/index.js");
const MCP_PROXY = join(PACKAGES, "mcp-proxy/dist/bin/mcp-proxy.mjs");
const TIME = join(import.meta.dirname, "python/time_server.py");
const PYTHON_PACKAGES = join(import.meta.dirname, "../.tools/python-server");

export interface Servers {
  /** Backends whose server cannot run here, each with the reason. */
  readonly missing: ReadonlyMap<string, string>;
  /** Kills the server at an endpoint (`ip:port`). */
  killServer(endpoint: string): Promise<void>;
  /** Starts the server at an endpoint again; resolves when it is back. It has forgotten its sessions. */
  startServer(endpoint: string): Promise<void>;
  /** All that were started, also those that have ended. */
  readonly children: readonly Child[];
}

/** Starts the servers of all backends, and resolves when each takes connections; `owner` stops them. */
export async function startServers(owner: AsyncDisposableStack, backends: Config["backends"]): Promise<Servers> {
  const directory = owner.use(temporaryDirectory("demo")).path;
  const missing = missingServers();
  const children: Child[] = [];
  const running = new Map<number, Child>();
  const launch = async (backend: string, port: number) => {
    const child = startBackend(backend, port, directory);
    children.push(child);
    owner.defer(async () => void (await child.stop()));
    running.set(port, child);
    await waitFor(child, () => accepts(port));
  };
  const endpoints = backends.flatMap(({ name, endpoints }) => endpoints.map(({ port }) => ({ name, port })));
  const at = (endpoint: string) => {
    const found = endpoints.find(({ port }) => endpoint === `127.0.0.1:${port}`);
    if (!found) throw new Error(`no server of the demo is at ${endpoint}`);
    return found;
  };
  await Promise.all(endpoints.filter(({ name }) => !missing.has(name)).map(({ name, port }) => launch(name, port)));
  return {
    missing,
    children,
    async killServer(endpoint) {
      const child = running.get(at(endpoint).port);
      child?.signal("SIGKILL");
      await child?.exited;
    },
    async startServer(endpoint) {
      const { name, port } = at(endpoint);
      await launch(name, port);
    },
  };
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
