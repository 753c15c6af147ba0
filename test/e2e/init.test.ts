/** `mcp-router init`: a first configuration from the URLs of servers. */

import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { start } from "../../harness/child.ts";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { loadConfig } from "../../src/config/load.ts";
import { startMcpServer, type TestServerOptions } from "../support/mcp-server.ts";
import { resultMessage } from "../support/messages.ts";
import { MAIN } from "../support/router.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const outFile = () => join(owner.use(temporaryDirectory("init")).path, "mcp-router.yaml");

async function server(name: string, options: TestServerOptions = {}) {
  return owner.adopt(await startMcpServer(name, options), (it) => it.close());
}

/** Serves one answer to all. */
async function answering(status: number, body: string, type = "text/html"): Promise<string> {
  const http = createServer((_, response) => response.writeHead(status, { "content-type": type }).end(body));
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  owner.defer(() => void http.close());
  const address = http.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/mcp`;
}

async function init(...args: string[]) {
  const child = start("init", process.execPath, [MAIN, "init", ...args]);
  return { code: await child.exited, output: child.output() };
}

test("asks each server who it is, in its era, and writes one route over all of them", async () => {
  const servers = [
    await server("files", { json: true }),
    await server("board", { eras: "legacy" }),
    await server("board", { eras: "modern" }),
  ];
  const guarded = await answering(401, "");
  const out = outFile();
  const urls = [...servers.map(({ endpoint }) => `http://${endpoint}/mcp`), guarded];
  const { code, output } = await init(...urls, "--out", out);
  expect([code, output]).toEqual([
    0,
    expect.stringContaining(`written: ${out}; next: mcp-router up --config ${out}\n`),
  ]);
  expect(output).toContain(`board-2  ${urls[2]}  board 1.0.0, MCP 2026-07-28\n`);
  expect(output).toContain(`127-0-0-1  ${guarded}  it answers 401 without credentials`);
  const loaded = loadConfig(readFileSync(out, "utf8"));
  expect(loaded.ok && loaded.warnings).toEqual([]);
  expect(loaded.ok && loaded.config.backends.map(({ name }) => name)).toEqual([
    "files",
    "board",
    "board-2",
    "127-0-0-1",
  ]);
  expect(loaded.ok && loaded.config.routes).toMatchObject([{ path: "/mcp", kind: "federated" }]);
  // Nothing is left at the servers.
  expect(servers.map(({ sessions }) => sessions.size)).toEqual([0, 0, 0]);
});

test("says of each URL what is wrong, and writes nothing", async () => {
  const away = `http://127.0.0.1:${await freePort()}/mcp`;
  const page = await answering(404, "<html>");
  const { endpoint } = await server("files");
  const out = outFile();
  const { code, output } = await init(`http://${endpoint}/mcp`, away, page, "files", "--out", out);
  expect(code).toBe(1);
  expect(output.trimEnd().split("\n")).toEqual([
    `error: ${away}: no answer (ECONNREFUSED): is the server running, and is that its URL?`,
    `error: ${page}: no MCP server: it answers an initialize by 404 with text/html; the URL of a server ends in its path, often /mcp`,
    "error: files: no URL of an MCP server: write it as http://127.0.0.1:3001/mcp",
  ]);
  expect(existsSync(out)).toBe(false);
});

test("what a server calls itself is text of one line, in the file and in the terminal", async () => {
  const name = "evil\n  other: http://other/\u001b[2J\u202e\u2028#";
  const serverInfo = { name, version: `1\r\n${"x".repeat(10_000)}` };
  const result = { protocolVersion: "2025-11-25\nroutes: []", capabilities: {}, serverInfo };
  const url = await answering(200, JSON.stringify(resultMessage(1, result)), "application/json");
  const out = outFile();
  const { code, output } = await init(url, "--out", out);
  expect(code).toBe(0);
  expect(output).toMatch(
    /^evil-other-http-other-2 {2}\S+ {2}evil other: http:\/\/other\/ \[2J # 1 x+, MCP [^\n]*\nwritten: [^\n]*\n$/,
  );
  const file = readFileSync(out, "utf8");
  for (const text of [output, file]) expect(text.replaceAll("\n", "")).not.toMatch(/\p{C}|[\u2028\u2029]/u);
  const loaded = loadConfig(file);
  expect(loaded.ok && loaded.config.backends.map((backend) => backend.name)).toEqual(["evil-other-http-other-2"]);
});

test("does not replace a file that is there, unless it is told to", async () => {
  const url = `http://${(await server("files")).endpoint}/mcp`;
  const out = outFile();
  expect((await init(url, "--out", out)).code).toBe(0);
  expect(await init(url, "--out", out)).toEqual({
    code: 1,
    output: `error: ${out} is there already: write another one with --out, or replace it with --force\n`,
  });
  expect((await init(url, "--out", out, "--force")).code).toBe(0);
});
