/** `mcp-router check --live` through a real Envoy. */
import { execFile } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { parse, stringify } from "yaml";
import { RESOURCE, startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, type StackOptions, startStack } from "../support/stack.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

let one: TestServer;
let two: TestServer;

beforeAll(async () => {
  one = await startMcpServer("one");
  two = await startMcpServer("two", { sessions: "none" });
});

afterAll(async () => {
  await one?.close();
  await two?.close();
});

/** Not the synchronous one: the servers are in this process. */
function checkLive(configFile: string): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, "check", "--config", configFile, "--live"], (error, stdout, stderr) => {
      resolve({ status: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });
}

test("shows what clients would see, asked through Envoy, and ends the sessions in which it asked", async () => {
  // Both have it.
  const resources = { deny: [RESOURCE] };
  const stack = await stackOf({ one: [one.endpoint], two: [two.endpoint] }, { resources });
  const { status, stdout, stderr } = await checkLive(stack.configFile);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toContain(`router: runs, and is ready (http://127.0.0.1:${stack.httpPort}/readyz)\n`);
  expect(stdout).toMatch(/^\/mcp\n {2}one: one \S+, protocol 2025-11-25 and 2026-07-28, \d+ tools/m);
  expect(stdout).toContain("    one__whoami ");
  expect(stdout).toContain("    two__whoami ");
  expect(stdout).toContain("  hidden by the route's filters: 2\n");
  expect(stdout).toMatch(new RegExp(`${stack.configFile}: ok\n$`));
  await expect.poll(() => one.sessions.size).toBe(0);
  const asked = stack.accessLog.filter(({ client_id }) => client_id === "mcp-router/list");
  expect(asked.every(({ listener }) => listener === "egress")).toBe(true);
});

test("exits with 1 where names collide, and shows who has them", async () => {
  const stack = await stackOf({
    one: { endpoints: [one.endpoint], prefix: "off" },
    two: { endpoints: [two.endpoint], prefix: "off" },
  });
  const { status, stdout, stderr } = await checkLive(stack.configFile);
  expect(status).toBe(1);
  expect(stderr).toMatch(/: \/mcp: two tools are called "whoami": clients get that of one, and not that of two\n/);
  expect(stdout).toMatch(/^ {4}whoami +one$/m);
  expect(stdout).not.toContain(": ok");
});

test("exits with 1 where a backend does not answer, and shows the others", async () => {
  const stack = await stackOf({ one: [one.endpoint], two: ["127.0.0.1:9"] });
  const { status, stdout, stderr } = await checkLive(stack.configFile);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^error: \S+: backend two does not answer through 127\.0\.0\.1:\d+ \(egress\): /m);
  expect(stdout).toContain("  two: does not answer\n");
  expect(stdout).toContain("    one__whoami ");
});

test("exits with 1 where Envoy is not there", async () => {
  const stack = await stackOf({ one: [one.endpoint], two: [two.endpoint] });
  await stack.envoy.stop();
  const { status, stderr } = await checkLive(stack.configFile);
  expect(status).toBe(1);
  expect(stderr).toMatch(/backend one does not answer .*ECONNREFUSED/);
});

test("shows what clients of a route to one that bridges the eras would see, by the backend's own names", async () => {
  const stack = await stackOf({ one: [one.endpoint] }, { era: "bridge" });
  const { status, stdout, stderr } = await checkLive(stack.configFile);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^\/mcp\n {2}one: one \S+, protocol 2025-11-25 and 2026-07-28, \d+ tools/m);
  expect(stdout).toMatch(/^ {4}whoami +one$/m);
});

test("asks nobody where the router serves nothing itself", async () => {
  const stack = await stackOf({ one: [one.endpoint] });
  const { status, stdout, stderr } = await checkLive(stack.configFile);
  expect(status).toBe(0);
  expect(stdout).toMatch(
    new RegExp(
      `^router: runs, .*\\nrouter: has this file in force\\nEnvoy at .* makes of it\\n${stack.configFile}: ok\\n$`,
    ),
  );
  expect(stderr).toMatch(/no route is federated, or has era: bridge, so no backend was asked/);
});

test("an Envoy that follows has what the router offers, until it refuses what the file makes of it", async () => {
  const stack = await stackOf({ one: [one.endpoint] }, {}, { live: true, config: { log: { level: "silent" } } });
  const before = await checkLive(stack.configFile);
  expect(before).toMatchObject({ status: 0 });
  expect(before.stdout).toMatch(
    /^Envoy mcp-gateway at 127\.0\.0\.1: (?:has|was just given) what the router offers \(asked \d\.\d s ago\)$/m,
  );

  const tls = { sni: "two.example", ca: "/nowhere/ca.pem" };
  change(stack.configFile, (file) => ({
    ...file,
    backends: { one: { endpoints: [one.endpoint] }, two: { endpoints: [two.endpoint], tls } },
  }));
  const refused = "does not have this file in force, since an Envoy refuses what it makes of it";
  await expect
    .poll(async () => (await checkLive(stack.configFile)).stderr, { timeout: 30_000, interval: 500 })
    .toContain(refused);
  const { status, stderr } = await checkLive(stack.configFile);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^warning: \S+: router: Envoy mcp-gateway at 127\.0\.0\.1 refuses clusters /m);
  expect(stderr).toMatch(/^error: \S+: the router does not have .*: it differs in backends$/m);
});

test("exits with 1 where the router has read a setting at its start that is another one now", async () => {
  const stack = await stackOf({ one: [one.endpoint] });
  change(stack.configFile, (file) => ({ ...file, sessions: { idle: "2h" } }));
  await stack.router.reload();
  const { status, stderr } = await checkLive(stack.configFile);
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^error: \S+: the router goes on with what it has read at its start of sessions: restart it$/m,
  );
});

test("exits with 1 where the router has another file", async () => {
  const stack = await stackOf({ one: [one.endpoint] });
  const other = `${stack.configFile}.other`;
  copyFileSync(stack.configFile, other);
  change(other, (file) => ({ ...file, timeouts: { call: "1m" } }));
  const { status, stderr } = await checkLive(other);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^error: \S+: the router at \S+ has another file in force: .*: it differs in timeouts$/m);
});

type File = Readonly<Record<string, unknown>>;

function change(file: string, changed: (file: File) => File): void {
  writeFileSync(file, stringify(changed(parse(readFileSync(file, "utf8")) as File)));
}

async function stackOf(
  backends: StackOptions["backends"],
  route: object = {},
  options: Partial<StackOptions> = {},
): Promise<Stack> {
  const routes = [{ path: "/mcp", backends: Object.keys(backends), ...route }];
  const stack = await startStack({ backends, routes, ...options });
  onTestFinished(() => stack.stop());
  return stack;
}
