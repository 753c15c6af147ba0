/** The MCP Inspector's command line at several servers behind one URL. Each command is a session of its own. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { type SeveralServers, startSeveralServers } from "../support/several-servers.ts";

const INSPECTOR = join(import.meta.dirname, "../../.tools/inspector/node_modules/.bin/inspector");
const missing = !existsSync(INSPECTOR);
if (missing) process.stderr.write('The MCP Inspector is not tested: it has not been installed; run "make tools".\n');

describe.skipIf(missing)("the MCP Inspector at several servers", () => {
  let servers: SeveralServers;
  // It keeps its settings in its user's home.
  const home = temporaryDirectory("inspector");
  beforeAll(async () => {
    servers = await startSeveralServers();
  });
  afterAll(async () => {
    await servers?.stop();
    home.remove();
  });

  async function inspect(method: string, ...args: string[]) {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [INSPECTOR, "--cli", servers.url, "--transport", "http", "--method", method, ...args],
      { env: { PATH: process.env.PATH, HOME: home.path } },
    );
    return JSON.parse(stdout);
  }

  test("lists the tools of all, page after page", async () => {
    const { tools } = await inspect("tools/list");
    const names: string[] = tools.map(({ name }: { readonly name: string }) => name);
    expect(names).toEqual(names.toSorted());
    for (const name of ["sse__echo", "json__echo", "plain__tool", "also__echo"]) expect(names).toContain(name);
  });

  test.each([
    ["sse__echo", "hello", "text=hello"],
    ["json__echo", "hello", "text=hello"],
    ["plain__tool", "first", undefined],
  ])("calls %s", async (name, text, argument) => {
    const given = argument === undefined ? [] : ["--tool-arg", argument];
    expect(await inspect("tools/call", "--tool-name", name, ...given)).toMatchObject({ content: [{ text }] });
  });

  test("gets a prompt and a resource, and sets the log level", async () => {
    expect(await inspect("prompts/get", "--prompt-name", "sse__paint", "--prompt-args", "colour=red")).toMatchObject({
      messages: [{ content: { text: "sse paints it red" } }],
    });
    expect(await inspect("resources/read", "--uri", "note://json")).toMatchObject({
      contents: [{ text: "a note of json" }],
    });
    expect(await inspect("logging/setLevel", "--log-level", "debug")).toEqual({});
  });
});
