/** How the clients of the SDKs of other languages get in, who know nothing but the URL. Those of npm: test/e2e/login.test.ts. */
import { afterEach, describe, expect, test } from "vitest";
import { type Browser, startBrowser } from "../support/browser.ts";
import type { TestClient } from "../support/clients.ts";
import { callMessage, post } from "../support/http.ts";
import { callPastExpiry, type Guarded, startGuarded, tokenOf } from "../support/login.ts";
import { PROGRAM_SDKS, type ProgramSdk } from "./programs.ts";

/** What a call of the tool `run` takes, beyond what a session does. */
const POLICY = [{ allow: { tools: ["echo"] } }, { allow: { tools: ["run"] }, when: { scope: "mcp:run" } }];

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const guarded = async (options?: Parameters<typeof startGuarded>[0]) =>
  owner.adopt(await startGuarded(options), (it) => it.stop());
const browserAt = async ({ provider }: Guarded) => owner.adopt(await startBrowser(provider), (it) => it.close());

async function logIn({ connect }: ProgramSdk, { url }: Guarded, browser: Browser, clientId?: string) {
  const login = { browser: browser.url, ...(clientId !== undefined && { clientId }) };
  return owner.adopt(await connect(url.href, login), (it) => it.close());
}

const echo = async (client: TestClient, text: string) =>
  expect(JSON.stringify(await client.call("echo", { text }))).toContain(text);
const scopesOf = (asked: URL | undefined) => asked?.searchParams.get("scope")?.split(" ") ?? [];

describe.each(PROGRAM_SDKS)("the client of the $name", (sdk) => {
  test.skipIf(sdk.missing)("knows the URL alone, registers, logs in, and calls", async () => {
    const gateway = await guarded();
    const browser = await browserAt(gateway);
    const client = await logIn(sdk, gateway, browser);
    await echo(client, "let in");
    const [asked] = browser.opened;
    expect(asked?.origin).toBe(gateway.provider.issuer);
    expect(asked?.searchParams.get("resource")).toBe(gateway.url.href);
    expect(scopesOf(asked)).toContain("mcp:use");
    expect(gateway.provider.grants).toEqual(["authorization_code"]);
    expect(gateway.server.sessions.size).toBe(1);
  });

  test.skipIf(sdk.missing)("asks for the scopes that a call takes, and goes on in its session", async () => {
    const gateway = await guarded({ config: { policy: POLICY } });
    const browser = await browserAt(gateway);
    const client = await logIn(sdk, gateway, browser, gateway.provider.registered.clientId);
    expect(await client.tools()).toEqual(["echo"]);
    await client.call("run", { id: "1" });
    expect(gateway.server.ran).toEqual(["1"]);
    expect(browser.opened).toHaveLength(2);
    expect(scopesOf(browser.opened[1])).toEqual(expect.arrayContaining(["mcp:use", "mcp:run"]));
    expect((await client.tools()).toSorted()).toEqual(["echo", "run"]);
    expect(gateway.server.sessions.size).toBe(1);
  });

  test.skipIf(sdk.missing)("refreshes a token that expires in its session, which goes on", async () => {
    const gateway = await guarded({ lifetime: 2 });
    const client = await logIn(sdk, gateway, await browserAt(gateway));
    await callPastExpiry(gateway, () => echo(client, "on"));
    expect(gateway.provider.grants).toContain("refresh_token");
    expect(gateway.server.sessions.size).toBe(1);
  });

  test.skipIf(sdk.missing)("is in a session that is not there for another principal", async () => {
    const gateway = await guarded();
    const client = await logIn(sdk, gateway, await browserAt(gateway));
    await echo(client, "mine");
    const session = client.sessionId ?? "";
    const callIn = async (user: string) => {
      const authorization = `Bearer ${await tokenOf(gateway.provider, user)}`;
      const { port, pathname } = gateway.url;
      const headers = { authorization, "mcp-session-id": session };
      return post(Number(port), pathname, callMessage("echo", { text: "whose?" }), headers);
    };
    expect(await callIn("bob")).toMatchObject({ status: 404 });
    expect(await callIn("ada")).toMatchObject({ status: 200 });
    await echo(client, "still mine");
    expect(client.sessionId).toBe(session);
  });
});
