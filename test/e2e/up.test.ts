/** `mcp-router up`: the whole gateway by one command. */

import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { generate } from "selfsigned";
import { afterEach, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { callTool, initializeMessage, openSession, post } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { MAIN } from "../support/router.ts";

const PATIENCE = { timeout: 30_000, interval: 100 };
const ENVOY = process.env.ENVOY ?? join(import.meta.dirname, "../../.tools/envoy/envoy/_bin/envoy");

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

async function configured() {
  const server = owner.adopt(await startMcpServer("one", { json: true }), (it) => it.close());
  const [port = 0, egress, grpc, http] = await Promise.all(Array.from({ length: 4 }, freePort));
  const file = join(owner.use(temporaryDirectory("up")).path, "mcp-router.yaml");
  const config = {
    gateway: { listen: `127.0.0.1:${port}`, hosts: ["127.0.0.1"] },
    egress: { listen: `127.0.0.1:${egress}` },
    processor: { listen: `127.0.0.1:${grpc}`, http: `127.0.0.1:${http}` },
    backends: { one: `http://${server.endpoint}/mcp` },
    routes: [{ path: "/one", backends: ["one"] }],
  };
  writeFileSync(file, stringify(config));
  return { file, port, server };
}

function startUp(...args: string[]): Child {
  return start("up", process.execPath, [MAIN, "up", ...args]);
}

/** Starts it, and waits until it is ready. */
async function up(file: string): Promise<Child> {
  const child = owner.adopt(startUp("--config", file, "--envoy", ENVOY), async (it) => void (await it.stop()));
  await waitFor(child, async () => child.output().includes("ready: "));
  return child;
}

/** Process ids of the Envoys that a process has started. */
function envoysOf({ pid }: Child): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === "" ? [] : children.split(" ").map(Number);
}

function isRunning(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("serves what the file says, also what is added while it runs, and ends both on SIGTERM", async () => {
  const { file, port, server } = await configured();
  const child = await up(file);
  expect(child.output()).toMatch(/^Envoy \d+\.\d+\.\d+ \(.*\)$/m);
  expect(child.output()).toContain(`http://127.0.0.1:${port}/one  one\n`);
  const session = await openSession(port, "/one");
  expect(await callTool(port, "/one", session, "echo", { text: "hello" })).toContain("hello");

  const { backends, routes, ...rest } = parse(readFileSync(file, "utf8"));
  const more = {
    backends: { ...backends, two: `http://${server.endpoint}/mcp` },
    routes: [...routes, { path: "/two", backends: ["two"] }],
  };
  writeFileSync(file, stringify({ ...rest, ...more }));
  await expect.poll(async () => (await post(port, "/two", initializeMessage())).status, PATIENCE).toBe(200);
  const [, since = ""] = child.output().split("what follows: ");
  expect(since).toContain(`http://127.0.0.1:${port}/two  two\n`);
  expect(since).not.toContain(`http://127.0.0.1:${port}/one  one\n`);

  const [envoy = 0] = envoysOf(child);
  expect(await child.stop(20_000)).toBe(0);
  expect(isRunning(envoy)).toBe(false);
});

test("says where each kind of route is, and which output says what", async () => {
  const { file, port } = await configured();
  const { backends, routes: _, ...rest } = parse(readFileSync(file, "utf8"));
  const routes = [
    { path: "/all", backends: ["one", "two"] },
    { path: "/bridged", backends: ["one"], era: "bridge" },
  ];
  writeFileSync(file, stringify({ ...rest, backends: { ...backends, two: backends.one }, routes }));
  const child = await up(file);
  expect(child.output()).toContain(`http://127.0.0.1:${port}/all  one, two\n`);
  expect(child.output()).toContain(`http://127.0.0.1:${port}/bridged  one\n`);
  await waitFor(child, async () => child.output().includes("on stdout a line of Envoy for each request"));
});

test("a change that names a file which is not there waits for it, and the last one stays in force", async () => {
  const { file, port, server } = await configured();
  const child = await up(file);
  const ca = join(dirname(file), "ca.pem");
  const { backends, ...rest } = parse(readFileSync(file, "utf8"));
  const two = { endpoints: [server.endpoint], path: "/mcp", tls: { sni: "two.example", ca } };
  writeFileSync(
    file,
    stringify({
      ...rest,
      backends: { ...backends, two },
      routes: [...rest.routes, { path: "/two", backends: ["two"] }],
    }),
  );
  await waitFor(child, async () => child.output().includes(`backends.two.tls.ca: cannot read ${ca}: no such file`));
  expect(child.output()).not.toContain("Envoy refuses");
  expect((await post(port, "/one", initializeMessage())).status).toBe(200);
  expect((await post(port, "/two", initializeMessage())).status).toBe(404);
  const { cert } = await generate([{ name: "commonName", value: "two.example" }], { keyType: "ec", curve: "P-256" });
  writeFileSync(ca, cert);
  await waitFor(child, async () => child.output().includes(`http://127.0.0.1:${port}/two  two\n`));
});

test("an Envoy that dies comes back, and the sessions with it", async () => {
  const { file, port } = await configured();
  const child = await up(file);
  const session = await openSession(port, "/one");
  const [envoy = 0] = envoysOf(child);
  process.kill(envoy, "SIGKILL");
  const call = () => callTool(port, "/one", session, "echo", { text: "again" }).catch(() => "");
  await expect.poll(call, PATIENCE).toContain("again");
  expect(child.output()).toContain("Envoy ended (SIGKILL): it is started again in 0.5 s\n");
  expect(envoysOf(child)).not.toContain(envoy);
});

test.each(["SIGKILL", "SIGINT", "SIGTERM"] as const)("ended by %s it leaves no Envoy behind", async (signal) => {
  const { file } = await configured();
  const child = await up(file);
  const [envoy = 0] = envoysOf(child);
  expect(isRunning(envoy)).toBe(true);
  child.signal(signal);
  await child.exited;
  await expect.poll(() => isRunning(envoy), PATIENCE).toBe(false);
});

test("what stands in its way is said with what to do, and nothing is left running", async () => {
  const { file, port } = await configured();
  const fails = async (...args: string[]) => {
    const child = startUp("--config", file, ...args);
    expect(await child.exited).toBe(1);
    return child.output();
  };
  expect(await fails("--envoy", "/nowhere/envoy")).toBe(
    "error: /nowhere/envoy is no program: name an Envoy with --envoy, or ENVOY\n",
  );
  expect(await fails("--envoy", process.execPath)).toMatch(
    /^error: .* is no Envoy: its --version says no version of Envoy\n$/,
  );
  const whole = readFileSync(file, "utf8");
  const { gateway, ...others } = parse(whole);
  writeFileSync(file, stringify({ ...others, gateway: { ...gateway, tls: { cert: "/no/cert", key: "/no/key" } } }));
  expect(await fails("--envoy", ENVOY)).toBe(
    `error: ${file}: gateway.tls.cert: cannot read /no/cert: no such file\nerror: ${file}: gateway.tls.key: cannot read /no/key: no such file\n`,
  );
  writeFileSync(file, whole);
  const taken = createServer().listen(port, "127.0.0.1");
  await once(taken, "listening");
  owner.defer(() => void taken.close());
  expect(await fails("--envoy", ENVOY)).toBe(
    `error: ${file}: gateway.listen: got "127.0.0.1:${port}", where Envoy cannot listen: something listens there already; end it, or write another address (EADDRINUSE)\n`,
  );
  const { processor } = parse(whole);
  writeFileSync(
    file,
    stringify({
      ...others,
      gateway: { ...gateway, listen: `127.0.0.1:${await freePort()}` },
      processor: { ...processor, http: `127.0.0.1:${port}` },
    }),
  );
  expect(await fails("--envoy", ENVOY)).toContain(
    `error: cannot listen on 127.0.0.1:${port} (processor.http): something listens there already; end it, or write another address (EADDRINUSE)\n`,
  );
});
