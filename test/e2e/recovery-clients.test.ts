/** The official clients go on through a restart of their server, as if nothing had happened. */
import { createRequire } from "node:module";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { accepts, freePort } from "../../harness/ports.ts";
import { SDKS } from "../support/clients.ts";
import { HIDES_OWN_ANSWERS } from "../support/envoys.ts";
import { callTool, openResponse, openSession } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const EVERYTHING = createRequire(import.meta.url).resolve("@modelcontextprotocol/server-everything/dist/index.js");

let server: TestServer;
let everything: Child;
let everythingPort: number;
let stack: Stack;

async function startEverything(): Promise<void> {
  // Not our whole environment: it has a tool that shows its own.
  const env = { PATH: process.env.PATH, PORT: String(everythingPort) };
  everything = start("server-everything", process.execPath, [EVERYTHING, "streamableHttp"], { env });
  await waitFor(everything, () => accepts(everythingPort));
}

async function restartServer(): Promise<void> {
  await server.close();
  server = await startMcpServer("one", { port: server.port });
}

/** The methods of what has reached the server: of POSTs those of their messages, of others HTTP's. */
function received(): unknown[] {
  return server.received.map(({ method, body }) => (method === "POST" ? JSON.parse(body.toString()).method : method));
}

beforeAll(async () => {
  everythingPort = await freePort();
  await startEverything();
  server = await startMcpServer("one", { port: await freePort() });
  stack = await startStack({
    backends: { one: [server.endpoint], everything: [`127.0.0.1:${everythingPort}`] },
  });
});
afterAll(async () => {
  await stack?.stop();
  await server?.close();
  await everything?.stop();
});

for (const { name, connect, missing } of SDKS)
  describe.skipIf(missing !== undefined)(`the client of the ${name}`, () => {
    async function connected(path: string) {
      const client = await connect(stack.url(path));
      onTestFinished(() => client.close());
      return client;
    }

    test("goes through a restart of its server, and hears the new one", async () => {
      server.received.length = 0;
      const client = await connected("/one/mcp");
      expect(await client.call("run", { id: "before" })).toMatchObject([{ text: "before ran" }]);
      const { sessionId } = client;
      expect(sessionId).toBeDefined();
      await expect.poll(received).toContain("GET");
      await restartServer();

      expect(await client.call("run", { id: "after" })).toMatchObject([{ text: "after ran" }]);
      expect(server.ran).toEqual(["after"]);
      expect(received().filter((method) => method === "initialize")).toHaveLength(1);
      // Its GET stream was cut, and comes back when it tries again.
      const announced = () => client.call("announce", {}).then(() => client.heard);
      await expect.poll(announced, { interval: 100 }).toContain("from one");
      expect(client.sessionId).toBe(sessionId);
    });

    test("is told by its new server of the progress of a call, step by step", async () => {
      const client = await connected("/one/mcp");
      await restartServer();
      const steps = client.call("steps", { count: 2 });
      await expect.poll(() => client.progress).toEqual([1]);
      server.step();
      await expect.poll(() => client.progress).toEqual([1, 2]);
      server.step();
      expect(await steps).toMatchObject([{ text: "2 steps" }]);
    });

    test.skipIf(HIDES_OWN_ANSWERS)(
      "calls while its server, server-everything, is down, and is answered when it is back",
      async () => {
        const client = await connected("/everything/mcp");
        expect(await client.call("echo", { message: "before" })).toMatchObject([{ text: "Echo: before" }]);
        const { sessionId } = client;
        await everything.stop();
        const answer = client.call("echo", { message: "meanwhile" });
        await startEverything();
        expect(await answer).toMatchObject([{ text: "Echo: meanwhile" }]);
        expect(client.sessionId).toBe(sessionId);
      },
    );

    test("calls after its server, server-everything, has restarted", async () => {
      const client = await connected("/everything/mcp");
      await everything.stop();
      await startEverything();
      expect(await client.call("echo", { message: "after" })).toMatchObject([{ text: "Echo: after" }]);
    });

    test("hears its server, server-everything, after that has restarted, whatever it heard before", async () => {
      const client = await connected("/everything/mcp");
      // On and off by turns: it logs once each time that it is switched on.
      const logged = () => client.call("toggle-simulated-logging", {}).then(() => client.heard.length);
      await expect.poll(logged, { interval: 100 }).toBeGreaterThan(0);
      await everything.stop();
      await startEverything();
      const before = client.heard.length;
      await expect.poll(logged, { interval: 100, timeout: 10_000 }).toBeGreaterThan(before);
    });
  });

describe("the GET stream of a client of server-everything, which keeps the events of a session", () => {
  const PATH = "/everything/mcp";

  async function listen(session: string, lastEventId?: string) {
    const headers = {
      accept: "text/event-stream",
      "mcp-session-id": session,
      ...(lastEventId !== undefined && { "last-event-id": lastEventId }),
    };
    const response = await openResponse({ port: stack.port, path: PATH, headers });
    onTestFinished(() => void response.destroy());
    expect(response.statusCode).toBe(200);
    let text = "";
    response.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
    return {
      /** Ids of its events. */
      ids: () => [...text.matchAll(/^id: (.+)$/gm)].map(([, id]) => id ?? ""),
      text: () => text,
      leave: () => void response.destroy(),
    };
  }

  /** Has the server log something, which it sends on the GET stream. */
  const log = (session: string) => callTool(stack.port, PATH, session, "toggle-simulated-logging");
  const echo = (session: string, message: string) => callTool(stack.port, PATH, session, "echo", { message });

  test("has the events of the new session after its server has restarted, and can be resumed from there", async () => {
    const session = await openSession(stack.port, PATH);
    const before = await listen(session);
    await log(session);
    await expect.poll(before.ids).toHaveLength(1);
    const [old] = before.ids();

    await everything.stop();
    await startEverything();
    expect(await echo(session, "recovers")).toBe("Echo: recovers");
    const after = await listen(session, old);
    await log(session);
    await expect.poll(after.text).toContain("notifications/message");
    const [fresh] = after.ids();
    after.leave();

    await echo(session, "missed");
    const resumed = await listen(session, fresh);
    await expect.poll(resumed.text).toContain("Echo: missed");
  });
});
