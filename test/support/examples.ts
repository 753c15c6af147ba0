/** Configurations that are written for others, run as they are but for their addresses: free ports of loopback. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startEnvoy } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { serve } from "../../src/serve.ts";

export interface Example {
  /** Of mcp-router.yaml and of Envoy's bootstrap. */
  readonly config: string;
  readonly bootstrap: string;
  /** The ports that the example gives to servers of the test, by the port of each. */
  readonly servers: Readonly<Record<number, number>>;
  /** All other ports of the example. */
  readonly ports: readonly number[];
  readonly adminPort: number;
}

export interface RunningExample {
  /** Where a port of the example is now. */
  port(written: number): number;
  stop(): Promise<void>;
}

export async function runExample({ config, bootstrap, servers, ports, adminPort }: Example): Promise<RunningExample> {
  const moved = new Map(Object.entries(servers).map(([from, to]) => [Number(from), to]));
  for (const port of [...ports, adminPort]) moved.set(port, await freePort());
  const port = (written: number) => {
    const now = moved.get(written);
    if (now === undefined) throw new Error(`${written} is no port of the example`);
    return now;
  };
  const onLoopback = (text: string) =>
    text
      .replaceAll("0.0.0.0", "127.0.0.1")
      .replaceAll(/(?<=(?:127\.0\.0\.1:|port_value: |portValue: ))\d+/g, (written) => String(port(Number(written))));

  // Taken down in reverse: Envoy before the router, which it would miss.
  const started = new AsyncDisposableStack();
  const directory = started.use(temporaryDirectory("example")).path;
  const configFile = join(directory, "mcp-router.yaml");
  writeFileSync(configFile, onLoopback(config));
  try {
    const router = await serve(configFile, { LOG_LEVEL: "error" });
    started.defer(async () => void (await router.stop()));
    const envoy = await startEnvoy(onLoopback(bootstrap), `127.0.0.1:${port(adminPort)}`);
    started.defer(async () => void (await envoy.stop()));
    return { port, stop: () => started.disposeAsync() };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}
