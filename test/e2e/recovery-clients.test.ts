/** The clients of npm's official SDKs go on through a restart of their server, as if nothing had happened. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { goesThroughRestarts } from "../support/client-promises.ts";
import { NPM_SDKS } from "../support/clients.ts";
import { callTool, openResponse, openSession } from "../support/http.ts";
import { type Restartable, startRestartable } from "../support/restartable.ts";

let servers: Restartable;
beforeAll(async () => {
  servers = await startRestartable();
});
afterAll(() => servers?.stop());

for (const sdk of NPM_SDKS) goesThroughRestarts(sdk, () => servers);

describe("the GET stream of a client of server-everything, which keeps the events of a session", () => {
  const PATH = "/everything/mcp";

  async function listen(session: string, lastEventId?: string) {
    const headers = {
      accept: "text/event-stream",
      "mcp-session-id": session,
      ...(lastEventId !== undefined && { "last-event-id": lastEventId }),
    };
    const response = await openResponse({ port: servers.stack.port, path: PATH, headers });
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
  const log = (session: string) => callTool(servers.stack.port, PATH, session, "toggle-simulated-logging");
  const echo = (session: string, message: string) => callTool(servers.stack.port, PATH, session, "echo", { message });

  test("has the events of the new session after its server has restarted, and can be resumed from there", async () => {
    const session = await openSession(servers.stack.port, PATH);
    const before = await listen(session);
    await log(session);
    await expect.poll(before.ids).toHaveLength(1);
    const [old] = before.ids();

    await servers.everything.stop();
    await servers.everything.start();
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
