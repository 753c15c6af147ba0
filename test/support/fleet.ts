/** Several routers, each a process of its own as users run them, and one Envoy that balances over them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Child } from "../../harness/child.ts";
import { type RunningEnvoy, startEnvoy } from "../../harness/envoy.ts";
import { freePort, statusOf } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { readConfig } from "../../src/config/read.ts";
import { bootstrapFor, liveBootstrapFor } from "../../src/envoy-config/bootstrap.ts";
import { startRouter, untilReady } from "./router.ts";

/**
 * Sections of mcp-router.yaml: backends, routes, and what else is not an address, of the processor too. `processor.streams: {}` gives
 * each router streams of its own.
 */
type Sections = Readonly<Record<string, unknown>>;

interface FleetRouter {
  /** Port of its health and metrics. */
  readonly http: number;
  readonly configFile: string;
  /** The process that runs now, or that ran last. */
  readonly child: Child;
  /** Starts it, whether it will be ready or not. */
  launch(): void;
  /** Starts it, and resolves when it is ready. */
  start(): Promise<void>;
  /** Status of its /readyz; undefined while it does not listen. */
  readiness(): Promise<number | undefined>;
  /** SIGTERM, or another signal; resolves with its exit code. */
  end(signal?: NodeJS.Signals): Promise<number>;
}

export interface Fleet {
  /** Port of Envoy's listener for clients. */
  readonly port: number;
  /** The process that runs now, or that ran last. */
  readonly envoy: RunningEnvoy;
  /** Ends it (SIGTERM), and starts it again with the same bootstrap. */
  restartEnvoy(): Promise<void>;
  readonly routers: readonly FleetRouter[];
  stop(): Promise<void>;
}

interface FleetOptions {
  /** Changes the bootstrap before Envoy gets it. */
  readonly rewriteBootstrap?: (bootstrap: string) => string;
  /** Envoy has its configuration from the routers, and follows its changes. */
  readonly live?: boolean;
}

/** Starts routers and Envoy, and resolves when all are ready. */
export async function startFleet(
  size: number,
  sections: Sections,
  { rewriteBootstrap = (text) => text, live = false }: FleetOptions = {},
): Promise<Fleet> {
  const started = new AsyncDisposableStack();
  try {
    const { port, admin, files, routers } = await layOut(size, sections, started);
    await Promise.all(routers.map((router) => router.start()));
    const { config } = await readConfig(files[0] ?? "");
    const launch = () =>
      startEnvoy(rewriteBootstrap((live ? liveBootstrapFor : bootstrapFor)(config)), admin, {
        // The access log is otherwise written every ten seconds.
        flags: ["--file-flush-interval-msec", "100"],
      });
    let envoy = await launch();
    started.defer(() => envoy.stop().then(() => undefined));
    return {
      port,
      get envoy() {
        return envoy;
      },
      restartEnvoy: async () => {
        await envoy.stop();
        envoy = await launch();
      },
      routers,
      stop: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

/** Starts one router without an Envoy and does not wait for it: for what it does where it does not become ready. */
export async function launchRouter(
  sections: Sections,
): Promise<{ readonly router: FleetRouter; stop(): Promise<void> }> {
  const started = new AsyncDisposableStack();
  const { routers } = await layOut(1, sections, started);
  const [router] = routers;
  if (!router) throw new Error("no router was laid out");
  router.launch();
  return { router, stop: () => started.disposeAsync() };
}

/** Writes the configurations of routers that will share one Envoy. The stack ends those that run then. */
async function layOut(size: number, sections: Sections, started: AsyncDisposableStack) {
  const directory = started.use(temporaryDirectory("fleet")).path;
  const port = await freePort();
  const admin = `127.0.0.1:${await freePort()}`;
  const common = {
    gateway: { listen: `127.0.0.1:${port}`, hosts: ["127.0.0.1"] },
    egress: { listen: `127.0.0.1:${await freePort()}` },
    ...sections,
  };
  const places: { grpc: number; http: number; streams: number; file: string }[] = [];
  for (let n = 0; n < size; n++) {
    const [grpc, http, streams] = [await freePort(), await freePort(), await freePort()];
    places.push({ grpc, http, streams, file: join(directory, `router-${n}.yaml`) });
  }
  const endpoints = places.map(({ grpc }) => `127.0.0.1:${grpc}`);
  const discovery = { endpoints: places.map(({ http }) => `127.0.0.1:${http}`) };
  const wanted: object = Object(sections.processor);
  for (const { grpc, http, streams, file } of places) {
    const processor = {
      ...wanted,
      listen: `127.0.0.1:${grpc}`,
      http: `127.0.0.1:${http}`,
      endpoints,
      ...("streams" in wanted && {
        streams: {
          listen: `127.0.0.1:${streams}`,
          endpoints: places.map((place) => `127.0.0.1:${place.streams}`),
        },
      }),
    };
    const envoy = { admin, discovery, ...Object(sections.envoy) };
    writeFileSync(file, stringify({ ...common, envoy, processor }));
  }
  const routers = places.map(({ http, file }, n) => makeRouter(`router ${n}`, http, file, started));
  return { port, admin, files: places.map(({ file }) => file), routers };
}

function makeRouter(name: string, http: number, file: string, started: AsyncDisposableStack): FleetRouter {
  let child: Child | undefined;
  const running = () => {
    if (!child) throw new Error(`${name} was never started`);
    return child;
  };
  const launch = () => {
    child = startRouter(name, file);
    return child;
  };
  const readiness = () => statusOf(`http://127.0.0.1:${http}/readyz`);
  started.defer(() => child?.stop().then(() => undefined));
  return {
    http,
    configFile: file,
    get child() {
      return running();
    },
    launch: () => void launch(),
    start: () => untilReady(launch(), `127.0.0.1:${http}`),
    readiness,
    end(signal = "SIGTERM") {
      running().signal(signal);
      return running().exited;
    },
  };
}
