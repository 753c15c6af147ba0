/** An Envoy that does not let answers be filtered, and does not say so: lists pass as they are, until the router refuses them. */
import { expect, test } from "vitest";
import { MISSES } from "../../src/recovery/mode-override.ts";
import { startFleet } from "../support/fleet.ts";
import { type Answer, messageOf, openSession, post, send } from "../support/http.ts";
import { requestMessage, resultMessage } from "../support/messages.ts";
import { json } from "../support/scripted-server.ts";
import { runMessage, startSessionServer } from "../support/session-server.ts";

const PATH = "/one/mcp";

test("after a few lists that passed as they were, others are refused, loudly, and calls are not", async () => {
  const backend = await startSessionServer();
  backend.on("tools/list", json(200, resultMessage(1, { tools: [{ name: "run" }, { name: "secret" }] })));
  const fleet = await startFleet(
    1,
    {
      backends: { one: { endpoints: [backend.endpoint], path: "/mcp" } },
      routes: [{ path: PATH, backends: ["one"] }],
      policy: [{ allow: { tools: ["run"] } }],
    },
    { rewriteBootstrap: (bootstrap) => bootstrap.replace("allow_mode_override: true", "allow_mode_override: false") },
  );
  try {
    const [router] = fleet.routers;
    if (!router) throw new Error("no router");
    const session = { "mcp-session-id": await openSession(fleet.port, PATH) };
    const list = () => post(fleet.port, PATH, requestMessage("tools/list"), session);
    const isRefused = (answer: Answer) => answer.body.includes("Envoy does not let its answers be filtered");
    let answer = await list();
    let passed = 0;
    for (; !isRefused(answer); answer = await list()) {
      expect(answer.body).toContain("secret");
      passed++;
    }
    // The answer to the initialize was the first that passed.
    expect(passed).toBe(MISSES - 1);
    expect(messageOf(answer)).toMatchObject({ id: 1, error: { code: -32603 } });
    expect(answer.body).not.toContain("secret");
    expect(router.child.output()).toContain("Envoy passed answers of this backend without letting them be filtered");
    const { body } = await send({ port: router.http, path: "/metrics" });
    expect(body).toMatch(/^mcp_router_overrides_refused_total 1$/m);
    expect(messageOf(await post(fleet.port, PATH, runMessage(2), session))).toMatchObject({ id: 2, result: {} });
  } finally {
    await fleet.stop();
    await backend.close();
  }
});
