/** A Redis that is there and refuses what it is asked: requests get 503, and the operator learns why wherever one looks. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { callTool, endSession, openSession } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";

const PATH = "/mcp";
const OPERATIONS = readFileSync(join(import.meta.dirname, "../../docs/operations.md"), "utf8");
/** For what takes well under a second on a machine with nothing else to do. */
const PATIENCE = { timeout: 60_000 };

let backend: TestServer;
let redis: RunningRedis;
let fleet: Fleet;
beforeAll(async () => {
  backend = await startMcpServer("one", { json: true, record: false });
});
afterAll(() => backend?.close());

afterEach(async () => {
  await fleet?.stop();
  await redis?.stop();
});

async function open() {
  redis = await startRedis();
  await start(redis.url);
}

async function start(url: string) {
  fleet = await startFleet(1, {
    store: { kind: "redis", url },
    backends: { one: { endpoints: [backend.endpoint] } },
    routes: [{ path: PATH, backends: ["one"] }],
  });
}

const http = () => `http://127.0.0.1:${fleet.routers[0]?.http}`;
const ready = async () => {
  const answer = await fetch(`${http()}/readyz`);
  return [answer.status, await answer.text()];
};
/** Reasons for which the store refuses something, as the metric has it. */
const refusing = async () => {
  const text = await (await fetch(`${http()}/metrics`)).text();
  const lines = text.matchAll(/^mcp_router_store_refusing\{(.*)\} 1$/gm);
  return [...new Set([...lines].map(([, labels = ""]) => /reason="(\w+)"/.exec(labels)?.[1]))];
};
const linesWith = (words: string) =>
  (fleet.routers[0]?.child.output() ?? "").split("\n").filter((line) => line.includes(words));
const warnings = () => linesWith("Redis answers but refuses commands").map((line) => JSON.parse(line));

test("for want of memory: new sessions get 503 and live ones go on, and log, metric and /readyz say OOM", async () => {
  await open();
  const session = await openSession(fleet.port, PATH);
  expect(await ready()).toEqual([200, "ready\n"]);
  const [key = ""] = (await redis.command("KEYS", "*:s")) as string[];
  // As if nobody had used it for long.
  await redis.command("HSET", key, "t", 0);
  await redis.command("CONFIG", "SET", "maxmemory", 1);
  for (let n = 0; n < 20; n++) await expect(openSession(fleet.port, PATH)).rejects.toThrow("503");
  // Also where the expiry of its session is to slide, which it cannot now.
  for (let n = 0; n < 2; n++) expect(await callTool(fleet.port, PATH, session, "echo", { text: "x" })).toContain("x");
  expect(await refusing()).toEqual(["OOM"]);
  expect(await ready()).toEqual([200, "ready\nthe store refuses: OOM\n"]);
  // Once a minute, however many there were.
  expect(warnings()).toEqual([expect.objectContaining({ why: expect.stringMatching(/^OOM /), refused: 1 })]);

  await redis.command("CONFIG", "SET", "maxmemory", 0);
  await openSession(fleet.port, PATH);
  await callTool(fleet.port, PATH, session, "echo", { text: "x" });
  expect(Number(await redis.command("HGET", key, "t"))).toBeGreaterThan(0);
  expect(await refusing()).toEqual([]);
  expect(await ready()).toEqual([200, "ready\n"]);

  // Nor does the log say each time that it is over.
  for (let n = 0; n < 3; n++) {
    await redis.command("CONFIG", "SET", "maxmemory", 1);
    await expect(openSession(fleet.port, PATH)).rejects.toThrow("503");
    await redis.command("CONFIG", "SET", "maxmemory", 0);
    await openSession(fleet.port, PATH);
  }
  expect(linesWith("accepts every command again")).toHaveLength(1);
});

test("scripts, to a user without the permission: log, metric and /readyz say NOPERM", async () => {
  await open();
  const session = await openSession(fleet.port, PATH);
  await redis.command("ACL", "SETUSER", "default", "-eval", "-evalsha");
  expect(await callTool(fleet.port, PATH, session, "echo", { text: "x" })).toContain("retryAfterMs");
  expect(await refusing()).toEqual(["NOPERM"]);
  expect(await ready()).toEqual([200, "ready\nthe store refuses: NOPERM\n"]);
  expect(warnings()).toHaveLength(1);
});

test("nothing, to a user with the permissions that docs/operations.md lists", async () => {
  const permissions = /^ACL SETUSER router .*?(~.*)$/m.exec(OPERATIONS)?.[1]?.split(" ") ?? [];
  expect(permissions).toContain("+eval");
  redis = await startRedis();
  await redis.command("ACL", "SETUSER", "router", "on", ">password", ...permissions);
  await start(`redis://router:password@127.0.0.1:${redis.port}`);
  const session = await openSession(fleet.port, PATH);
  expect(await callTool(fleet.port, PATH, session, "echo", { text: "x" })).toContain("x");
  await endSession(fleet.port, PATH, session);
  expect(await refusing()).toEqual([]);
  // All that was ever refused to anybody.
  expect(await redis.command("ACL", "LOG")).toEqual([]);
});

test("when Redis is away /readyz says so, and the router stays ready", async () => {
  await open();
  await redis.kill();
  await expect.poll(ready, PATIENCE).toEqual([200, "ready\nthe store is away\n"]);
  await redis.restart();
  await expect.poll(ready, PATIENCE).toEqual([200, "ready\n"]);
});
