/** The whole gateway for a test: the router in this process (so that coverage counts) and a real Envoy beside it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { type AccessEntry, createAccessLog } from "../../harness/access-log.ts";
import { type RunningEnvoy, startEnvoy } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { readConfig } from "../../src/config/read.ts";
import { bootstrapFor, liveBootstrapFor } from "../../src/envoy-config/bootstrap.ts";
import { type Router, serve } from "../../src/serve.ts";
import { merge } from "./sections.ts";

export interface Stack {
  /** Port of Envoy's listener for clients. */
  readonly port: number;
  readonly egressPort: number;
  /** Port of the router's health and metrics. */
  readonly httpPort: number;
  readonly configFile: string;
  readonly envoy: RunningEnvoy;
  readonly router: Router;
  /** What Envoy's access log said so far. A request is in it within 100 ms. */
  readonly accessLog: readonly AccessEntry[];
  url(path: string): string;
  stop(): Promise<void>;
}

export interface StackOptions {
  /** Endpoints (`ip:port`) by backend; or whole backend sections. */
  readonly backends: Readonly<Record<string, readonly string[] | Readonly<Record<string, unknown>>>>;
  /** Backend by public path. Default: `/<backend>/mcp` for each. */
  readonly routes?: readonly Readonly<Record<string, unknown>>[];
  /** Further sections of mcp-router.yaml. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Changes the bootstrap before Envoy gets it. */
  readonly rewriteBootstrap?: (bootstrap: string) => string;
  readonly concurrency?: number;
  /** Envoy has its configuration from the router, and follows its changes. */
  readonly live?: boolean;
}

export async function startStack(options: StackOptions): Promise<Stack> {
  const {
    backends,
    routes,
    config = {},
    rewriteBootstrap = (text: string) => text,
    concurrency = 1,
    live = false,
  } = options;
  const [port, egressPort, grpcPort, httpPort, adminPort] = await Promise.all(Array.from({ length: 5 }, freePort));
  // Taken down in reverse: Envoy before the router, which it would miss.
  const started = new AsyncDisposableStack();
  const directory = started.use(temporaryDirectory("stack")).path;
  const configFile = join(directory, "mcp-router.yaml");
  const admin = `127.0.0.1:${adminPort}`;
  const sections = {
    gateway: { listen: `127.0.0.1:${port}`, hosts: ["127.0.0.1", "localhost"] },
    egress: { listen: `127.0.0.1:${egressPort}` },
    processor: { listen: `127.0.0.1:${grpcPort}`, http: `127.0.0.1:${httpPort}` },
    envoy: { admin },
    log: { level: "error" },
    backends: Object.fromEntries(
      Object.entries(backends).map(([name, backend]) => [
        name,
        Array.isArray(backend) ? { endpoints: backend, path: "/mcp" } : backend,
      ]),
    ),
    routes: routes ?? Object.keys(backends).map((name) => ({ path: `/${name}/mcp`, backends: [name] })),
  };
  writeFileSync(configFile, stringify(merge(sections, config)));

  const accessLog = createAccessLog();
  try {
    const router = await serve(configFile, {});
    started.defer(async () => void (await router.stop()));
    const loaded = await readConfig(configFile);
    const bootstrap = live ? liveBootstrapFor(loaded.config) : bootstrapFor(loaded.config);
    const envoy = await startEnvoy(rewriteBootstrap(bootstrap), admin, {
      concurrency,
      // The access log is otherwise written every ten seconds.
      flags: ["--file-flush-interval-msec", "100"],
      onOutput: accessLog.write,
    });
    started.defer(async () => void (await envoy.stop()));
    return {
      port: port ?? 0,
      egressPort: egressPort ?? 0,
      httpPort: httpPort ?? 0,
      configFile,
      envoy,
      router,
      accessLog: accessLog.entries,
      url: (path) => `http://127.0.0.1:${port}${path}`,
      stop: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}
