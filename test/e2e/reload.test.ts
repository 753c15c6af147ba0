import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { stringify } from "yaml";
import { accepts, freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { serve } from "../../src/serve.ts";
import { initializeMessage, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

/** Whether the machine has no inotify watches left. */
const exhausted = vi.hoisted(() => ({ now: false }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const watch: typeof fs.watch = (...given: unknown[]) => {
    if (exhausted.now) throw new Error("ENOSPC: System limit for number of file watchers reached");
    return Reflect.apply(fs.watch, fs, given);
  };
  return { ...fs, watch, default: { ...fs, watch } };
});

let server: TestServer;
let stack: Stack;

beforeAll(async () => {
  server = await startMcpServer("server", { json: true });
  stack = await startStack({ backends: { server: [server.endpoint] }, config: { log: { level: "silent" } } });
});

afterAll(async () => {
  await stack?.stop();
  await server?.close();
});

async function metric(name: string): Promise<string | undefined> {
  const { body } = await send({ port: stack.httpPort, path: "/metrics" });
  return body.split("\n").find((line) => line.startsWith(name));
}

test("a changed file is taken while serving; a bad one keeps the last good one and shows on a metric", async () => {
  const good = readFileSync(stack.configFile, "utf8");
  const status = async (path: string) => (await post(stack.port, path, initializeMessage())).status;
  expect(await status("/new/mcp")).toBe(404);

  writeFileSync(stack.configFile, good.replace("path: /server/mcp", "path: /new/mcp"));
  await expect.poll(() => status("/new/mcp")).toBe(200);
  expect(await status("/server/mcp")).toBe(404);
  expect(await metric("mcp_router_config_stale")).toBe("mcp_router_config_stale 0");

  writeFileSync(stack.configFile, "routes: []");
  await expect.poll(() => metric("mcp_router_config_stale")).toBe("mcp_router_config_stale 1");
  expect(await status("/new/mcp")).toBe(200);

  rmSync(stack.configFile);
  await stack.router.reload();
  expect(await metric('mcp_router_config_reloads_total{outcome="refused"}')).toMatch(/ [2-9]$/);
  expect(await status("/new/mcp")).toBe(200);

  writeFileSync(stack.configFile, good);
  await stack.router.reload();
  expect(await status("/server/mcp")).toBe(200);
  expect(await metric("mcp_router_config_stale")).toBe("mcp_router_config_stale 0");

  rmSync(stack.configFile);
  await expect.poll(() => metric("mcp_router_config_stale")).toBe("mcp_router_config_stale 1");
  writeFileSync(stack.configFile, good);
  await expect.poll(() => metric("mcp_router_config_stale")).toBe("mcp_router_config_stale 0");
  expect(await status("/server/mcp")).toBe(200);
});

/** A configuration of its own, and the ports that serving it takes. */
async function ownConfig() {
  const { path: directory, remove } = temporaryDirectory("reload");
  onTestFinished(remove);
  const [grpc, http] = [await freePort(), await freePort()];
  const file = join(directory, "mcp-router.yaml");
  const text = stringify({
    gateway: { hosts: ["127.0.0.1"] },
    processor: { listen: `127.0.0.1:${grpc}`, http: `127.0.0.1:${http}` },
    log: { level: "silent" },
    backends: { server: { endpoints: [server.endpoint] } },
    routes: [{ path: "/mcp", backends: ["server"] }],
  });
  writeFileSync(file, text);
  return { file, text, grpc, http };
}

test("where the file cannot be watched, the router serves, reloads when told to, and stops", async () => {
  const { file, text, grpc, http } = await ownConfig();
  exhausted.now = true;
  const router = await serve(file, {}).finally(() => {
    exhausted.now = false;
  });
  expect((await send({ port: http, path: "/readyz" })).status).toBe(200);

  writeFileSync(file, text.replace("path: /mcp", "path: /other"));
  await router.reload();
  const { body } = await send({ port: http, path: "/metrics" });
  expect(body).toContain('mcp_router_config_reloads_total{outcome="applied"} 1');

  expect(await router.stop()).toBe(true);
  expect(await Promise.all([accepts(grpc), accepts(http)])).toEqual([false, false]);
});

test("a start that fails leaves nothing running", async () => {
  const { file, grpc, http } = await ownConfig();
  const first = await ownConfig();
  const other = await serve(first.file, {});
  writeFileSync(file, readFileSync(file, "utf8").replace(`:${grpc}`, `:${first.grpc}`));
  await expect(serve(file, {})).rejects.toThrow(`cannot listen on 127.0.0.1:${first.grpc}`);
  expect(await accepts(http)).toBe(false);
  await other.stop();
});
