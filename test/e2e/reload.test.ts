import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { watchFile } from "../../src/config/watch.ts";
import { initializeMessage, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

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
});

test("a swap of the folder that Kubernetes links to is seen", async () => {
  const mount = mkdtempSync(join(tmpdir(), "mcp-router-test-"));
  const version = (name: string, text: string) => {
    mkdirSync(join(mount, name));
    writeFileSync(join(mount, name, "mcp-router.yaml"), text);
  };
  version("..v1", "one");
  symlinkSync("..v1", join(mount, "..data"));
  symlinkSync("..data/mcp-router.yaml", join(mount, "mcp-router.yaml"));
  const seen: string[] = [];
  const watcher = watchFile(
    join(mount, "mcp-router.yaml"),
    "one",
    (text) => seen.push(text),
    (error) => seen.push(error.message),
  );

  version("..v2", "two");
  symlinkSync("..v2", join(mount, "..data_tmp"));
  renameSync(join(mount, "..data_tmp"), join(mount, "..data"));
  await expect.poll(() => seen).toEqual(["two"]);
  watcher.close();
  rmSync(mount, { recursive: true });
});
