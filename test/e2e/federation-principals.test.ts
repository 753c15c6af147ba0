/** Lists that depend on who asks, behind one URL with lists that do not. */
import { McpServer } from "@modelcontextprotocol/server";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSession, post } from "../support/http.ts";
import { requestMessage } from "../support/messages.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { type StatelessServer, statelessServer } from "../support/stateless-server.ts";

const PATH = "/mcp";
const TURNS = 1_000;

let personal: StatelessServer;
let shared: StatelessServer;
let stack: Stack;

beforeAll(async () => {
  personal = await statelessServer(({ headers }) => serverFor(String(headers["x-user"] ?? "nobody")));
  shared = await statelessServer(() => serverFor("all"));
  stack = await startStack({
    backends: {
      personal: { endpoints: [personal.endpoint], path: "/mcp", lists: "principal" },
      shared: [shared.endpoint],
    },
    routes: [{ path: PATH, backends: ["personal", "shared"] }],
    config: {
      identity: { kind: "header", name: "x-user", required: false },
      // As short as may be: lists are asked for again while they are served.
      lists: { refresh: "100ms", stale: "10m" },
    },
  });
});
afterAll(async () => {
  await stack.stop();
  await personal.close();
  await shared.close();
});

/** Its one tool is named for the one who asks. */
function serverFor(user: string): McpServer {
  const server = new McpServer({ name: "personal", version: "1.0.0" });
  server.registerTool(`for_${user}`, {}, () => ({ content: [{ type: "text", text: user }] }));
  return server;
}

async function listedFor(session: string, headers: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const answer = await post(stack.port, PATH, requestMessage("tools/list", {}), {
    ...headers,
    "mcp-session-id": session,
  });
  expect(answer.status).toBe(200);
  const { tools } = JSON.parse(answer.body).result as { tools: readonly { readonly name: string }[] };
  return tools.map(({ name }) => name);
}

test("two principals in lockstep are each offered their own, and never the other's", async () => {
  const users = [{ "x-user": "ada" }, { "x-user": "eve" }] as const;
  const sessions = await Promise.all(users.map((headers) => openSession(stack.port, PATH, headers)));
  for (let turn = 0; turn < TURNS; turn++) {
    const [ada, eve] = await Promise.all(users.map((headers, n) => listedFor(sessions[n] ?? "", headers)));
    expect(ada).toEqual(["personal__for_ada", "shared__for_all"]);
    expect(eve).toEqual(["personal__for_eve", "shared__for_all"]);
  }
  const call = requestMessage("tools/call", { name: "personal__for_ada", arguments: {} });
  const stolen = await post(stack.port, PATH, call, { "x-user": "eve", "mcp-session-id": sessions[1] ?? "" });
  expect(JSON.parse(stolen.body).error).toMatchObject({ code: -32602, message: "Unknown tool: personal__for_ada" });
});

test("nobody is offered what a principal is", async () => {
  const session = await openSession(stack.port, PATH);
  expect(await listedFor(session, {})).toEqual(["personal__for_nobody", "shared__for_all"]);
});
