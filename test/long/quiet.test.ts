/** Envoy survives the end of a request that was the last for longer than it keeps a client of gRPC by default. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { callTool, openSession, post } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { startStack } from "../support/stack.ts";

/** Envoy's default for grpc_async_client_manager_config.max_cached_entry_idle_duration is 50 s. */
const QUIET_MS = 52_000;

test("a call ends well, and so does one whose client leaves, when a minute has passed without another request", async () => {
  const backend = await startMcpServer("one", { json: true });
  onTestFinished(() => backend.close());
  const stack = await startStack({ backends: { one: [backend.endpoint] } });
  onTestFinished(() => stack.stop());
  const session = await openSession(stack.port, "/one/mcp");
  const steps = requestMessage("tools/call", { name: "steps", arguments: { count: 1 } }, 2);
  const answer = post(stack.port, "/one/mcp", steps, { "mcp-session-id": session });
  const leaving = new AbortController();
  const left = fetch(stack.url("/one/mcp"), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-session-id": session,
    },
    body: JSON.stringify({ ...steps, id: 3 }),
    signal: leaving.signal,
  }).catch((error: unknown) => error);
  const calls = () => backend.received.filter(({ body }) => body.includes('"steps"')).length;
  await expect.poll(calls).toBe(2);
  await sleep(QUIET_MS);
  backend.step();
  backend.step();
  expect(JSON.parse((await answer).body)).toMatchObject({ id: 2, result: { content: [{ text: "1 steps" }] } });
  leaving.abort();
  await left;
  expect(await callTool(stack.port, "/one/mcp", session, "echo", { text: "alive" })).toBe("alive");
}, 180_000);
