/** The router as a process of its own, as users run it. */
import { join } from "node:path";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { statusOf } from "../../harness/ports.ts";

export const MAIN = join(import.meta.dirname, "../../src/main.ts");

/** Starts it, whether it will be ready or not. */
export function startRouter(name: string, configFile: string, ...flags: string[]): Child {
  return start(name, process.execPath, [MAIN, "serve", "--config", configFile, ...flags]);
}

/** @param http `host:port` of its health and metrics */
export function untilReady(router: Child, http: string): Promise<void> {
  return waitFor(router, async () => (await statusOf(`http://${http}/readyz`)) === 200);
}
