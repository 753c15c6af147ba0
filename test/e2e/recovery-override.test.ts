/** An Envoy that does not take answers in place of others: it says nothing, and a client gets the body of the wrong one. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { startFleet } from "../support/fleet.ts";
import { runMessage, startForgetful } from "../support/forgetful.ts";
import { callMessage, openSession, post, send } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { startStack } from "../support/stack.ts";

const PATH = "/one/mcp";

/** How often the router has said that Envoy did not take an answer. */
async function refusals(port: number): Promise<number> {
  const { body } = await send({ port, path: "/metrics" });
  return Number(/^mcp_router_overrides_refused_total (\d+)$/m.exec(body)?.[1]);
}

test("one wrong answer is said loudly, and then lost sessions are passed on as they are until a reload", async () => {
  const backend = await startForgetful();
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
    backend.result((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).end('data: {"id":1}\n\n');
    });
    // Its head is ours and its body is not: there is no way to know before.
    expect(await lose(1)).toMatchObject({ status: 200, body: expect.stringContaining("Session not found") });
    await expect.poll(refused).toBe(1);
    expect(router.child.output()).toContain("Envoy did not take a recovered answer");

    expect(await lose(2)).toMatchObject({ status: 404 });
    expect(backend.ran).toEqual([1]);

    writeFileSync(router.configFile, `${readFileSync(router.configFile, "utf8")}\n# changed\n`);
    await expect.poll(async () => (await lose(3)).status).toBe(200);
    await expect.poll(refused).toBe(2);
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
