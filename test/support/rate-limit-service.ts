/** Envoy's rate limit service (github.com/envoyproxy/ratelimit), over a real Redis. */
import { existsSync, globSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { freePort, statusOf } from "../../harness/ports.ts";

const TOOLS = join(import.meta.dirname, "../../.tools");

/** RATELIMIT_SERVER, else what the Makefile has built. undefined: there is none, which is said. */
export function rateLimitServerPath(): string | undefined {
  const [built] = globSync("ratelimit/ratelimit-*", { cwd: TOOLS });
  const path = process.env.RATELIMIT_SERVER || (built && join(TOOLS, built));
  if (path !== undefined && existsSync(path)) return path;
  process.stderr.write(
    "Tests with the rate limit service are skipped: `make test-platforms` builds it where there is Go.\n",
  );
  return undefined;
}

export interface ServiceOptions {
  readonly server: string;
  /** Port for gRPC. */
  readonly port: number;
  readonly redisPort: number;
  readonly directory: string;
  /** The file of its configuration. */
  readonly document: string;
}

export async function startRateLimitService(options: ServiceOptions): Promise<Child> {
  const { server, port, redisPort, directory, document } = options;
  const [http, debug] = await Promise.all([freePort(), freePort()]);
  const folder = join(directory, "ratelimit/config");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "mcp.yaml"), document);
  const env = {
    HOST: "127.0.0.1",
    PORT: String(http),
    GRPC_HOST: "127.0.0.1",
    GRPC_PORT: String(port),
    DEBUG_HOST: "127.0.0.1",
    DEBUG_PORT: String(debug),
    RUNTIME_ROOT: directory,
    RUNTIME_SUBDIRECTORY: "ratelimit",
    RUNTIME_WATCH_ROOT: "false",
    REDIS_SOCKET_TYPE: "tcp",
    REDIS_URL: `127.0.0.1:${redisPort}`,
    USE_STATSD: "false",
  };
  const child = start("ratelimit", server, [], { env });
  await waitFor(child, async () => (await statusOf(`http://127.0.0.1:${http}/healthcheck`)) === 200);
  return child;
}
