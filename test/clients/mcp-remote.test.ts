/** mcp-remote, which gives clients without HTTP a server that has it, and logs in for them: by a browser that it opens. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { afterEach, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { type Browser, startBrowser } from "../support/browser.ts";
import { callPastExpiry, type Guarded, startGuarded } from "../support/login.ts";

const MCP_REMOTE = join(import.meta.dirname, "../../.tools/mcp-remote/node_modules/.bin/mcp-remote");
const missing = !existsSync(MCP_REMOTE);
if (missing) process.stderr.write('mcp-remote is not tested: it has not been installed; run "make tools".\n');

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

/**
 * What it opens an address with: it goes on to where the login ends, which is mcp-remote's own server. In the middle of a session
 * mcp-remote opens the address first, and listens for the end of the login then: users are slower than that.
 */
const OPENER = `#!${process.execPath}
const comeBack = (end) => fetch(end).catch(() => setTimeout(comeBack, 100, end));
fetch(process.env.BROWSER_URL + "?url=" + encodeURIComponent(process.argv[2]))
  .then((answer) => answer.text())
  .then(comeBack);
`;

async function connect({ url }: Guarded, browser: Browser, ...args: readonly string[]): Promise<Client> {
  const home = owner.use(temporaryDirectory("mcp-remote")).path;
  const opener = join(home, "opener");
  writeFileSync(opener, OPENER, { mode: 0o755 });
  const client = new Client({ name: "test", version: "1" });
  owner.defer(() => client.close());
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [MCP_REMOTE, url.href, String(await freePort()), ...args],
    env: { PATH: process.env.PATH ?? "", HOME: home, BROWSER: opener, BROWSER_URL: browser.url },
    stderr: process.env.DEBUG ? "inherit" : "ignore",
  });
  await client.connect(transport);
  return client;
}

const guarded = async (options?: Parameters<typeof startGuarded>[0]) =>
  owner.adopt(await startGuarded(options), (it) => it.stop());
const browserAt = async ({ provider }: Guarded) => owner.adopt(await startBrowser(provider), (it) => it.close());
const echo = async (client: Client, text: string) =>
  expect(JSON.stringify(await client.callTool({ name: "echo", arguments: { text } }))).toContain(text);

describe.skipIf(missing)("mcp-remote", () => {
  test("knows the URL alone, registers, logs in by the browser that it opens, and calls", async () => {
    const gateway = await guarded();
    const browser = await browserAt(gateway);
    const client = await connect(gateway, browser);
    await echo(client, "let in");
    const [asked] = browser.opened;
    expect(asked?.origin).toBe(gateway.provider.issuer);
    expect(asked?.searchParams.get("resource")).toBe(gateway.url.href);
    expect(asked?.searchParams.get("scope")).toContain("mcp:use");
    expect(gateway.provider.grants).toEqual(["authorization_code"]);
  });

  test("asks for the scopes that a call takes", async () => {
    const policy = [{ allow: { tools: ["echo"] } }, { allow: { tools: ["run"] }, when: { scope: "mcp:run" } }];
    const gateway = await guarded({ config: { policy } });
    const browser = await browserAt(gateway);
    const { clientId, redirectUri } = gateway.provider.registered;
    const client = await connect(
      gateway,
      browser,
      ...["--static-oauth-client-info", JSON.stringify({ client_id: clientId })],
      ...["--host", redirectUri.hostname, "--callback-path", redirectUri.pathname],
    );
    const names = async () => (await client.listTools()).tools.map(({ name }) => name).toSorted();
    expect(await names()).toEqual(["echo"]);
    await client.callTool({ name: "run", arguments: { id: "1" } });
    expect(gateway.server.ran).toEqual(["1"]);
    expect(await names()).toEqual(["echo", "run"]);
  });

  test("refreshes a token that expires in its session, which goes on", async () => {
    const gateway = await guarded({ lifetime: 2 });
    const client = await connect(gateway, await browserAt(gateway));
    await echo(client, "in");
    const sessions = [...gateway.server.sessions];
    await callPastExpiry(gateway, () => echo(client, "on"));
    expect(gateway.provider.grants).toContain("refresh_token");
    expect([...gateway.server.sessions]).toEqual(sessions);
  });
});
