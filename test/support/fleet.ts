/** Several routers, each a process of its own as users run them, and one Envoy that balances over them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { type RunningEnvoy, startEnvoy } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import { readConfig } from "../../src/config/read.ts";
import { bootstrapFor } from "../../src/envoy-config/bootstrap.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

interface FleetRouter {
  /** Port of its health and metrics. */
  readonly http: number;
  /** The process that runs now, or that ran last. */
  readonly child: Child;
  /** Starts it again, and resolves when it is ready. */
  start(): Promise<void>;
  /** SIGTERM, or another signal; resolves with its exit code. */
  end(signal?: NodeJS.Signals): Promise<number>;
}

export interface Fleet {
  /** Port of Envoy's listener for clients. */
  readonly port: number;
  readonly envoy: RunningEnvoy;
  readonly routers: readonly FleetRouter[];
  stop(): Promise<void>;
}

/**
 * Starts routers and Envoy, and resolves when all are ready.
 * @param config sections of mcp-router.yaml: backends, routes, and what else is not an address
 */
export async function startFleet(size: number, config: Readonly<Record<string, unknown>>): Promise<Fleet> {
  const directory = mkdtempSync(join(tmpdir(), "mcp-router-fleet-"));
  const port = await freePort();
  const common = {
    gateway: { listen: `127.0.0.1:${port}`, hosts: ["127.0.0.1"] },
    egress: { listen: `127.0.0.1:${await freePort()}` },
    envoy: { admin: `127.0.0.1:${await freePort()}` },
    ...config,
  };
  const places: { grpc: number; http: number; file: string }[] = [];
  for (let n = 0; n < size; n++)
    places.push({ grpc: await freePort(), http: await freePort(), file: join(directory, `router-${n}.yaml`) });
  const endpoints = places.map(({ grpc }) => `127.0.0.1:${grpc}`);
  for (const { grpc, http, file } of places) {
    const processor = { listen: `127.0.0.1:${grpc}`, http: `127.0.0.1:${http}`, endpoints };
    writeFileSync(file, stringify({ ...common, processor }));
  }
  const routers = places.map(({ http, file }, n) => makeRouter(`router ${n}`, http, file));
  await Promise.all(routers.map((router) => router.start()));
  const { config: read } = await readConfig(places[0]?.file ?? "");
  const envoy = await startEnvoy(bootstrapFor(read), common.envoy.admin, {
    // The access log is otherwise written every ten seconds.
    flags: ["--file-flush-interval-msec", "100"],
  });
  return {
    port,
    envoy,
    routers,
    async stop() {
      await envoy.stop();
      await Promise.all(routers.map((router) => router.end()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function makeRouter(name: string, http: number, file: string): FleetRouter {
  let child: Child | undefined;
  const running = () => {
    if (!child) throw new Error(`${name} was never started`);
    return child;
  };
  return {
    http,
    get child() {
      return running();
    },
    async start() {
      child = start(name, process.execPath, [MAIN, "serve", "--config", file]);
      await waitFor(child, async () => {
        try {
          return (await fetch(`http://127.0.0.1:${http}/readyz`)).ok;
        } catch {
          return false;
        }
      });
    },
    end(signal = "SIGTERM") {
      running().signal(signal);
      return running().exited;
    },
  };
}
