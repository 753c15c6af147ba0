import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callTool, events, MCP_HEADERS, openResponse, openSession } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { type Stack, startStack } from "../support/stack.ts";

/** A server behind a gateway, and a session on it. */
interface Line {
  readonly server: TestServer;
  readonly stack: Stack;
  readonly path: string;
  readonly session: string;
}

const ALONE = "/server/mcp";
/** Where the router passes events on, since their ids are to say whose they are. */
const FEDERATED = "/all/mcp";

async function openLine(messageTimeout: string, path = ALONE): Promise<Line> {
  const server = await startMcpServer("server", { record: false });
  const stack = await startStack({
    backends: { server: [server.endpoint], other: [server.endpoint] },
    routes: [
      { path: ALONE, backends: ["server"] },
      { path: FEDERATED, backends: ["server", "other"] },
    ],
    config: { processor: { messageTimeout } },
  });
  return { server, stack, path, session: await openSession(stack.port, path) };
}

async function closeLine(line: Line | undefined): Promise<void> {
  await line?.stack.stop();
  await line?.server.close();
}

/** Calls the tool `steps`, whose event stream goes on when `server.step()` says so. */
function startSteps({ stack, path, session }: Line, count: number, id: number): Promise<IncomingMessage> {
  const message = requestMessage(
    "tools/call",
    { name: path === ALONE ? "steps" : "server__steps", arguments: { count }, _meta: { progressToken: id } },
    id,
  );
  return openResponse({
    port: stack.port,
    method: "POST",
    path,
    headers: { ...MCP_HEADERS, "mcp-session-id": session },
    body: JSON.stringify(message),
  });
}

describe("an event stream", () => {
  /** Short, so that a stream can be idle for longer than Envoy waits for an answer of the processor. */
  const MESSAGE_TIMEOUT_MS = 1_000;
  const SILENCE_MS = MESSAGE_TIMEOUT_MS * 1.5;
  let line: Line;

  beforeAll(async () => {
    line = await openLine(`${MESSAGE_TIMEOUT_MS}ms`);
  });
  afterAll(() => closeLine(line));

  test("of a POST arrives event by event as they are sent, also after a silence longer than Envoy's message timeout", async () => {
    const response = await startSteps(line, 2, 1);
    expect(response.headers).toMatchObject({ "content-type": "text/event-stream", "mcp-session-id": line.session });
    const arriving = events(response);
    // The server sends nothing more until `step`: had anything on the way collected events, this would not return.
    expect((await arriving.next()).value).toMatchObject({ params: { progress: 1 } });
    await sleep(SILENCE_MS);
    line.server.step();
    expect((await arriving.next()).value).toMatchObject({ params: { progress: 2 } });
    line.server.step();
    expect((await arriving.next()).value).toMatchObject({ id: 1, result: { content: [{ text: "2 steps" }] } });
    expect((await arriving.next()).done).toBe(true);
  });

  test("of a GET arrives event by event as they are sent, also after a silence longer than Envoy's message timeout", async () => {
    const { stack, session } = line;
    const headers = { accept: "text/event-stream", "mcp-session-id": session };
    const response = await openResponse({ port: stack.port, path: "/server/mcp", headers });
    expect(response).toMatchObject({ statusCode: 200, headers: { "mcp-session-id": session } });
    const arriving = events(response);
    for (let n = 0; n < 2; n++) {
      if (n > 0) await sleep(SILENCE_MS);
      await callTool(stack.port, "/server/mcp", session, "announce");
      const { value } = await arriving.next();
      expect(value).toMatchObject({ method: "notifications/message", params: { data: "from server" } });
    }
    response.destroy();
  });

  test("does not hold up another call of its session", async () => {
    const { stack, session, server } = line;
    const response = await startSteps(line, 1, 3);
    const arriving = events(response);
    await arriving.next();
    expect(await callTool(stack.port, "/server/mcp", session, "echo", { text: "hi" })).toBe("hi");
    server.step();
    expect((await arriving.next()).value).toMatchObject({ id: 3 });
    expect((await arriving.next()).done).toBe(true);
  });

  test("that its client leaves is gone at the backend too", async () => {
    const { stack, server } = line;
    const active = () => stack.envoy.stat("cluster.server.upstream_rq_active");
    await expect.poll(active).toBe(0);
    const response = await startSteps(line, 1, 2);
    await events(response).next();
    await expect.poll(active).toBe(1);
    response.destroy();
    await once(response, "close");
    await expect.poll(active).toBe(0);
    // The tool waits for its step yet; what it then says has nowhere to go.
    server.step();
  });
});

describe.each([
  ["that Envoy alone passes on hold no ext_proc stream, and", ALONE, 0],
  ["that the router passes on hold one each, and", FEDERATED, 1],
])("1,200 event streams at once %s", (_, path, held) => {
  const STREAMS = 1_200;
  let line: Line;

  beforeAll(async () => {
    // So many answers keep this process, which is client, backend and router in one, busy for seconds.
    line = await openLine("30s", path);
  });
  afterAll(() => closeLine(line));

  test("lose nothing", async () => {
    const { stack, server } = line;
    // In tens: Envoy has a few of its own to report by, and the router to hear of changed lists.
    const active = async (cluster: string) =>
      Math.floor(Number(await stack.envoy.stat(`cluster.${cluster}.upstream_rq_active`)) / 10) * 10;
    const streams = await Promise.all(
      Array.from({ length: STREAMS }, async (_, id) => {
        const response = await startSteps(line, 1, id);
        const arriving = events(response);
        return { response, arriving, first: await arriving.next() };
      }),
    );
    expect([...new Set(streams.map(({ response }) => response.statusCode))]).toEqual([200]);
    expect(streams.map(({ first }) => first.value?.params?.progressToken)).toEqual(streams.map((_, id) => id));
    // Envoy counts a stream out a moment after its client has the answer's head.
    await expect.poll(() => active("mcp_router")).toBe(held * STREAMS);
    await expect.poll(() => active("server")).toBe(STREAMS);

    for (let n = 0; n < STREAMS; n++) server.step();
    const ends = await Promise.all(
      streams.map(async ({ arriving }) => ({ last: (await arriving.next()).value, end: await arriving.next() })),
    );
    expect(ends.map(({ last }) => last?.id)).toEqual(streams.map((_, id) => id));
    expect(ends.every(({ end }) => end.done)).toBe(true);
    await expect.poll(() => active("server")).toBe(0);
  });
});
