/** An Envoy that does not take answers in place of others: it says nothing, and a client gets the body of the wrong one. */
import { expect, test } from "vitest";
import { MISSES } from "../../src/recovery/mode-override.ts";
import { startFleet } from "../support/fleet.ts";
import { callMessage, openSession, post, send } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { runMessage, startSessionServer } from "../support/session-server.ts";
import { startStack } from "../support/stack.ts";

const PATH = "/one/mcp";

/** How often the router has said that Envoy did not take an answer. */
async function refusals(port: number): Promise<number> {
  const { body } = await send({ port, path: "/metrics" });
  return Number(/^mcp_router_overrides_refused_total (\d+)$/m.exec(body)?.[1]);
}

test("a few wrong answers in a row are said loudly, and then answers are sent whole: sessions are recovered still", async () => {
  const backend = await startSessionServer();
  const fleet = await startFleet(
    1,
    {
      log: { level: "warn" },
      backends: { one: { endpoints: [backend.endpoint], path: "/mcp" } },
      routes: [{ path: PATH, backends: ["one"] }],
    },
    { rewriteBootstrap: (bootstrap) => bootstrap.replace("allow_mode_override: true", "allow_mode_override: false") },
  );
  try {
    const [router] = fleet.routers;
    if (!router) throw new Error("no router");
    const refused = () => refusals(router.http);
    const held = await openSession(fleet.port, PATH);
    const lose = (id: number) => {
      backend.forget();
      return post(fleet.port, PATH, runMessage(id), { "mcp-session-id": held });
    };
    backend.result({ status: 200, headers: { "content-type": "text/event-stream" }, body: 'data: {"id":1}\n\n' });
    // Its head is ours and its body is not: there is no way to know before.
    const wrong = { status: 200, body: expect.stringContaining("Session not found") };
    let calls = 0;
    for (; (await refused()) === 0; calls++) expect(await lose(calls)).toMatchObject(wrong);
    expect(calls).toBeGreaterThanOrEqual(MISSES);
    expect(router.child.output()).toContain("Envoy ended streamed answers to recovered requests");

    expect(await lose(calls)).toMatchObject({ status: 200, body: 'data: {"id":1}\n\n' });
    expect(await refused()).toBe(1);
  } finally {
    await fleet.stop();
    await backend.close();
  }
});

test("an Envoy that takes them is never held to refuse them", async () => {
  let server = await startMcpServer("one");
  const stack = await startStack({ backends: { one: [server.endpoint] } });
  try {
    const session = await openSession(stack.port, PATH);
    for (let n = 0; n < 5; n++) {
      await server.close();
      server = await startMcpServer("one", { port: server.port });
      const message = callMessage("echo", { text: "again" });
      const answer = await post(stack.port, PATH, message, { "mcp-session-id": session });
      expect(answer).toMatchObject({ status: 200, body: expect.stringContaining("again") });
    }
    expect(await refusals(stack.httpPort)).toBe(0);
  } finally {
    await stack.stop();
    await server.close();
  }
});
