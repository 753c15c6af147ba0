/** The set-ups that are compared: each an Envoy of its own, with or without a processor, before the same backend. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { type Child, start, waitFor } from "../harness/child.ts";
import { startEnvoy } from "../harness/envoy.ts";
import { freePort, statusOf } from "../harness/ports.ts";
import { type RunningRedis, startRedis } from "../harness/redis.ts";
import { temporaryDirectory } from "../harness/temporary.ts";
import type { Config } from "../src/config/load.ts";
import { readConfig } from "../src/config/read.ts";
import { bootstrapFor } from "../src/envoy-config/bootstrap.ts";
import { bare, undirected } from "./bootstraps.ts";
import { FORGET_PATH, MCP_PATH, TOOL } from "./wire.ts";

export interface Setup {
  readonly name: string;
  /** Envoy's port for clients. */
  readonly port: number;
  readonly clientPins: boolean;
  /** The tool as clients see it, where that is another name than the backend's. */
  readonly tool?: string;
  readonly envoy: Child;
  /** The ext_proc server. */
  readonly processor: Child | undefined;
  /** Where the processor keeps its sessions, if not in itself. */
  readonly redis: RunningRedis | undefined;
  /** The router's configuration, which it reads anew when it changes. */
  readonly configFile: string;
  stop(): Promise<void>;
}

export interface Backend {
  readonly endpoints: readonly string[];
  /** Has it forget its sessions; resolves with how many there were. */
  forget(): Promise<number>;
  stop(): Promise<void>;
}

const BACKEND = "bench";
const HERE = import.meta.dirname;
const ROOT = join(HERE, "..");

/** Starts the backend with a number of endpoints. */
export async function startBackend(size: number): Promise<Backend> {
  const ports = await Promise.all(Array.from({ length: size }, freePort));
  const child = start("backend", process.execPath, [join(HERE, "backend.ts"), ...ports.map(String)]);
  await waitFor(child, async () => child.output().split("listening").length > size);
  const endpoints = ports.map((port) => `127.0.0.1:${port}`);
  const forget = async (endpoint: string) => Number(await (await fetch(`http://${endpoint}${FORGET_PATH}`)).text());
  return {
    endpoints,
    forget: async () => (await Promise.all(endpoints.map(forget))).reduce((sum, each) => sum + each, 0),
    stop: async () => void (await child.stop()),
  };
}

/** Envoy alone. */
export function startBare(backend: Backend): Promise<Setup> {
  return startSetup("bare", backend, {
    clientPins: true,
    bootstrap: (config) => bare(bootstrapFor(config), BACKEND),
  });
}

/** Envoy with a processor that does nothing. */
export function startNoop(backend: Backend): Promise<Setup> {
  return startSetup("no-op", backend, {
    clientPins: true,
    bootstrap: (config) => undirected(bootstrapFor(config), BACKEND),
    processor: async ({ grpcPort }) => {
      const child = start("no-op", process.execPath, [join(HERE, "noop.ts"), String(grpcPort)]);
      await waitFor(child, async () => child.output().includes("listening"));
      return child;
    },
  });
}

/** Those of src/main.ts's first line. */
export const NODE_FLAGS = ["--max-semi-space-size=64"];

export interface RouterOptions {
  readonly name?: string;
  /** Whose `src/main.ts` to run, with the bootstrap of this one. */
  readonly tree?: string;
  /** For its sessions; ended with the set-up. Default: they are in memory. */
  readonly redis?: RunningRedis;
  /** Further sections of its configuration. */
  readonly sections?: Readonly<Record<string, unknown>>;
  /** Where its inspector listens once SIGUSR1 has asked for it. */
  readonly inspectorPort?: number;
  /** Envoy's, made of the configuration. Default: the router's own. */
  readonly bootstrap?: (config: Config) => string;
}

/** Envoy with our router. */
export function startRouter(backend: Backend, options: RouterOptions): Promise<Setup> {
  const { name = "router", tree = ROOT, redis, sections, inspectorPort, bootstrap } = options;
  const flags = inspectorPort === undefined ? [] : [`--inspect-port=${inspectorPort}`];
  return startSetup(name, backend, {
    ...(redis && { redis }),
    ...(sections && { sections }),
    ...(bootstrap && { bootstrap }),
    processor: async ({ configFile, httpPort }) => {
      const child = start(name, process.execPath, [
        ...flags,
        ...NODE_FLAGS,
        join(tree, "src/main.ts"),
        "serve",
        "--config",
        configFile,
      ]);
      await waitFor(child, async () => (await statusOf(`http://127.0.0.1:${httpPort}/readyz`)) === 200);
      return child;
    },
  });
}

/** The same with its sessions in a Redis on this machine. */
export async function startRouterWithRedis(backend: Backend, options: RouterOptions = {}): Promise<Setup> {
  return startRouter(backend, { name: "router, Redis", ...options, redis: await startRedis() });
}

/** Envoy with our router, and as many backends behind one URL as there are endpoints. */
export async function startFederated({ endpoints, ...backend }: Backend, options: RouterOptions = {}): Promise<Setup> {
  const names = endpoints.map((_, n) => `backend-${n}`);
  const backends = Object.fromEntries(
    endpoints.map((endpoint, n) => [names[n], { endpoints: [endpoint], path: MCP_PATH }]),
  );
  const sections = { backends, routes: [{ path: MCP_PATH, backends: names, federated: true }] };
  const setup = await startRouter(
    { endpoints, ...backend },
    { name: "federated", ...options, sections: { ...sections, ...options.sections } },
  );
  return { ...setup, tool: `${names[0]}__${TOOL}` };
}

interface Differences {
  readonly sections?: Readonly<Record<string, unknown>>;
  readonly redis?: RunningRedis;
  readonly clientPins?: boolean;
  readonly bootstrap?: (config: Config) => string;
  readonly processor?: (ports: { configFile: string; grpcPort: number; httpPort: number }) => Promise<Child>;
}

async function startSetup(name: string, { endpoints }: Backend, differences: Differences): Promise<Setup> {
  const { bootstrap: bootstrapOf = bootstrapFor, processor: startProcessor, redis, sections = {} } = differences;
  const port = await freePort();
  const grpcPort = await freePort();
  const httpPort = await freePort();
  const admin = `127.0.0.1:${await freePort()}`;
  // It goes with this process.
  const directory = temporaryDirectory("bench").path;
  const configFile = join(directory, "mcp-router.yaml");
  writeFileSync(
    configFile,
    stringify({
      gateway: { listen: `127.0.0.1:${port}` },
      egress: { listen: `127.0.0.1:${await freePort()}` },
      processor: { listen: `127.0.0.1:${grpcPort}`, http: `127.0.0.1:${httpPort}` },
      envoy: { admin },
      backends: { [BACKEND]: { endpoints, path: MCP_PATH } },
      routes: [{ path: MCP_PATH, backends: [BACKEND] }],
      ...(redis && { store: { kind: "redis", url: redis.url } }),
      ...sections,
    }),
  );
  const { config } = await readConfig(configFile);
  const processor = await startProcessor?.({ configFile, grpcPort, httpPort });
  const envoy = await startEnvoy(bootstrapOf(config), admin, { concurrency: 1 }).catch(async (error: unknown) => {
    // The bench would wait for it, and never say what went wrong.
    await processor?.stop();
    throw error;
  });
  return {
    name,
    port,
    clientPins: differences.clientPins ?? false,
    envoy,
    processor,
    redis,
    configFile,
    stop: async () => {
      await envoy.stop();
      await processor?.stop();
      await redis?.stop();
    },
  };
}
