/** `mcp-router check --live` through a real Envoy. */
import { execFile } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate } from "selfsigned";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { parse, stringify } from "yaml";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { RESOURCE, startMcpServer, type TestServer, type TestServerOptions } from "../support/mcp-server.ts";
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
  const mine = await ownServer("one");
  const stack = await stackOf({ one: [mine.endpoint], two: [two.endpoint] }, { resources });
  const { status, stdout, stderr } = await checkLive(stack.configFile);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toContain(`router: runs, and is ready (http://127.0.0.1:${stack.httpPort}/readyz)\n`);
  expect(stdout).toMatch(/^\/mcp\n {2}one: one \S+, protocol 2025-11-25 and 2026-07-28, \d+ tools/m);
  expect(stdout).toContain("    one__whoami ");
  expect(stdout).toContain("    two__whoami ");
  expect(stdout).toContain("  hidden by the route's filters: 2\n");
  expect(stdout).toMatch(new RegExp(`${stack.configFile}: ok\n$`));
  // The router listens at the server, from when it was asked for its list.
  await stack.router.stop();
  await expect.poll(() => mine.sessions.size).toBe(0);
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

test("asks a route that passes everything on as a client does, and its backend, and ends both sessions", async () => {
  const mine = await ownServer("one");
  const stack = await stackOf({ one: [mine.endpoint] });
  const { status, stdout, stderr } = await checkLive(stack.configFile);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const is = "one 1\\.0\\.0, protocol 2025-11-25";
  expect(stdout).toMatch(
    new RegExp(
      `^router: runs, .*\\nrouter: has this file in force\\nEnvoy at .* makes of it\\n/mcp\\n {2}one: ${is}\\n` +
        ` {2}a client gets: ${is}, \\d+ tools \\(${stack.url("/mcp")}\\)\\n${stack.configFile}: ok\\n$`,
    ),
  );
  await expect.poll(() => mine.sessions.size).toBe(0);
});

test("shows what a client gets over TLS, by a Host that the gateway takes, of a server of 2026-07-28 alone", async () => {
  const modern = await ownServer("modern", { eras: "modern" });
  const directory = temporaryDirectory("check-live");
  onTestFinished(() => directory.remove());
  const [cert, key] = [`${directory.path}/cert.pem`, `${directory.path}/key.pem`];
  const made = await generate([{ name: "commonName", value: "gw.example" }], { keyType: "ec", curve: "P-256" });
  writeFileSync(cert, made.cert);
  writeFileSync(key, made.private);
  const config = { gateway: { hosts: ["gw.example"], tls: { cert, key } } };
  const stack = await stackOf({ modern: [modern.endpoint] }, {}, { config });
  const { status, stdout, stderr } = await checkLive(stack.configFile);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^ {2}a client gets: modern 1\.0\.0, protocol 2026-07-28, \d+ tools \(https:/m);
});

test("a client without a token gets 401 where one is required, which is in order, and its backend is asked all the same", async () => {
  const config = { identity: { kind: "header", name: "x-user", required: true } };
  const stack = await stackOf({ one: [one.endpoint] }, {}, { config });
  const { status, stdout, stderr } = await checkLive(stack.configFile);
  expect(status).toBe(0);
  expect(stderr).not.toContain("error: ");
  expect(stdout).toMatch(/^ {2}one: one 1\.0\.0, .*\n {2}a client without x-user gets 401, as it should \(http:/m);
});

test("exits with 1 where a server is down, and says where it was asked, also without Envoy", async () => {
  const away = `127.0.0.1:${await freePort()}`;
  const stack = await stackOf({ one: [away] });
  const { status, stdout, stderr } = await checkLive(stack.configFile);
  expect(status).toBe(1);
  expect(stdout).toContain("/mcp\n  one: does not answer\n");
  expect(stderr).toMatch(/^error: \S+: \/mcp: a client's initialize gets 503, "Backend unavailable" \(http:/m);
  expect(stderr).toContain(
    `asked at http://${away}/mcp itself: no answer (ECONNREFUSED): is the server running, and is that its URL?\n`,
  );
});

test("exits with 1 where Envoy reaches no router, and where there is no Envoy, and says what to start", async () => {
  const stack = await stackOf({ one: [one.endpoint] });
  await stack.router.stop();
  const routerless = await checkLive(stack.configFile);
  expect(routerless.status).toBe(1);
  expect(routerless.stderr).toMatch(/gets 503, "Gateway unavailable": Envoy reaches no router .*`mcp-router serve`/);
  await stack.envoy.stop();
  const { status, stderr } = await checkLive(stack.configFile);
  expect(status).toBe(1);
  expect(stderr).toMatch(/Envoy does not answer clients at http:\S+ \(gateway\.listen\): ECONNREFUSED: start it/);
  expect(stderr).toMatch(/backend one does not answer .* itself: it answers: Envoy is what does not reach it$/m);
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

async function ownServer(name: string, options: TestServerOptions = {}): Promise<TestServer> {
  const server = await startMcpServer(name, options);
  onTestFinished(() => server.close());
  return server;
}

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
