/** `make run`: the demo's servers behind `mcp-router up`. */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { callTool, openSession } from "../support/http.ts";

const ROOT = join(import.meta.dirname, "../..");
const PATIENCE = { timeout: 30_000, interval: 100 };

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

/** The demo's configuration with one of its servers, on ports that are free. */
async function configured() {
  const demo = parse(readFileSync(join(ROOT, "demo/mcp-router.yaml"), "utf8"));
  const [port = 0, egress, grpc, http, streams, admin, server = 0] = await Promise.all(
    Array.from({ length: 7 }, freePort),
  );
  const at = (free: number | undefined) => `127.0.0.1:${free}`;
  const file = join(owner.use(temporaryDirectory("make-run")).path, "mcp-router.yaml");
  const config = {
    gateway: { ...demo.gateway, listen: at(port) },
    egress: { listen: at(egress) },
    processor: { listen: at(grpc), http: at(http), streams: { listen: at(streams) } },
    envoy: { admin: at(admin) },
    store: demo.store,
    backends: { everything: { endpoints: [at(server)], path: "/mcp" } },
    routes: [{ path: "/everything/mcp", backends: ["everything"] }],
  };
  writeFileSync(file, stringify(config));
  return { file, port, server, config };
}

function startRun(file: string): Child {
  const child = start("run", process.execPath, [join(ROOT, "demo/run.ts"), file]);
  return owner.adopt(child, async (it) => void (await it.stop(20_000)));
}

/** Process ids of all that a process has started, and that they have. */
function descendantsOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === ""
    ? []
    : children.split(" ").flatMap((child) => [Number(child), ...descendantsOf(Number(child))]);
}

function isRunning(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("serves the demo's servers, says what each request met, follows the file, and leaves nothing on Ctrl-C", async () => {
  const { file, port, config } = await configured();
  const child = startRun(file);
  await waitFor(child, async () => child.output().includes("claude mcp add"));
  expect(child.output()).toContain(
    `claude mcp add --transport http everything http://127.0.0.1:${port}/everything/mcp\n`,
  );
  const session = await openSession(port, "/everything/mcp");
  expect(await callTool(port, "/everything/mcp", session, "echo", { message: "hello" })).toContain("hello");
  const line = /^\d\d:\d\d:\d\d {2}200 +\d+ ms {2}everything 127\.0\.0\.1:\d+ {2}session \w{6} {2}tools\/call echo$/m;
  await waitFor(child, async () => line.test(child.output()));

  const added = { path: "/again/mcp", backends: ["everything"] };
  writeFileSync(file, stringify({ ...config, routes: [...config.routes, added] }));
  await waitFor(child, async () => child.output().includes(`http://127.0.0.1:${port}/again/mcp  everything\n`));

  const processes = descendantsOf(child.pid);
  // The server, the router, Envoy.
  expect(processes.length).toBeGreaterThanOrEqual(3);
  child.signal("SIGINT");
  expect(await child.exited).toBe(0);
  await expect.poll(() => processes.filter(isRunning), PATIENCE).toEqual([]);
});

test("says which port of a server is taken, and of the gateway what up says", async () => {
  const { file, port, server } = await configured();
  const takes = async (taken: number) => {
    const listener = createServer().listen(taken, "127.0.0.1");
    await once(listener, "listening");
    const child = startRun(file);
    const code = await child.exited;
    await new Promise((resolve) => listener.close(resolve));
    return { code, said: child.output() };
  };
  expect(await takes(server)).toMatchObject({
    code: 1,
    said: expect.stringContaining(`error: 127.0.0.1:${server} (backends.everything) is taken\nStop what listens there`),
  });
  expect(await takes(port)).toMatchObject({
    code: 1,
    said: expect.stringContaining(
      `gateway.listen: got "127.0.0.1:${port}", where Envoy cannot listen: something listens`,
    ),
  });
});
