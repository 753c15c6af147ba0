/** Clients of MCP 2026-07-28 listen by one stream for what changes at several servers behind one URL. */
import { readFile, writeFile } from "node:fs/promises";
import { Client, type McpSubscription, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import type { McpServer } from "@modelcontextprotocol/server";
import { afterEach, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { freePort } from "../../harness/ports.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { startStack } from "../support/stack.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const PATIENT = { timeout: 20_000, interval: 50 };

/** A server of this era alone, whose tool can be described anew. */
async function changingServer(name: string) {
  let description = "first";
  const offer = (server: McpServer) => {
    server.registerTool("told", { description }, () => ({ content: [] }));
    for (const path of ["own", "other"])
      server.registerResource(path, `${name}://${path}`, {}, ({ href }) => ({ contents: [{ uri: href, text: name }] }));
  };
  let server = await startMcpServer(name, { eras: "modern", offer });
  owner.defer(() => server.close());
  return {
    get server() {
      return server;
    },
    describe(text: string) {
      description = text;
      server.notify.toolsChanged();
    },
    stop: () => server.close(),
    async startAgain() {
      server = await startMcpServer(name, { eras: "modern", offer, port: server.port });
    },
  };
}

async function open(config: Readonly<Record<string, unknown>> = {}) {
  const files = await changingServer("files");
  const git = await changingServer("git");
  const stack = await startStack({
    backends: { files: [files.server.endpoint], git: [git.server.endpoint] },
    routes: [{ path: "/mcp", backends: ["files", "git"] }],
    config: { processor: { streams: { listen: `127.0.0.1:${await freePort()}` } }, ...config },
  });
  owner.defer(() => stack.stop());
  return { files, git, stack };
}

/** A client of this era alone, and what it hears. */
async function connect(url: string) {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
  const heard: string[] = [];
  for (const kind of ["tools", "prompts", "resources"] as const)
    client.setNotificationHandler(`notifications/${kind}/list_changed`, ({ method }) => void heard.push(method));
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  owner.defer(() => client.close());
  const listen = async (filter: Parameters<Client["listen"]>[0]): Promise<McpSubscription> => {
    const subscription = await client.listen(filter);
    owner.defer(() => subscription.close());
    return subscription;
  };
  return { client, heard, listen };
}

/** How often a server was asked to be listened to for resources. */
function listensAt({ received }: TestServer): number {
  return received.filter(({ body }) => body.includes("resourceSubscriptions")).length;
}

test("a client hears of updates at each server, and of changed lists, of which it has asked for", async () => {
  const { files, git, stack } = await open();
  const { client, heard, listen } = await connect(stack.url("/mcp"));
  expect(client.getServerCapabilities()).toMatchObject({
    tools: { listChanged: true },
    resources: { listChanged: true, subscribe: true },
  });
  const wanted = ["files://own", "git://own", "nobody://x"];
  const { honoredFilter } = await listen({ toolsListChanged: true, resourceSubscriptions: wanted });
  expect(honoredFilter).toEqual({ toolsListChanged: true, resourceSubscriptions: ["files://own", "git://own"] });
  git.server.notify.resourceUpdated("git://own");
  git.server.notify.resourceUpdated("git://other");
  await vi.waitFor(() => expect(heard).toEqual(["git://own"]), PATIENT);
  files.server.notify.resourceUpdated("files://own");
  await vi.waitFor(() => expect(heard).toEqual(["git://own", "files://own"]), PATIENT);
  files.server.notify.resourcesChanged();
  files.describe("second");
  await vi.waitFor(() => expect(heard.slice(2)).toEqual(["notifications/tools/list_changed"]), PATIENT);
  const { tools } = await client.listTools();
  expect(tools.find(({ name }) => name === "files__told")?.description).toBe("second");
  expect(heard).toHaveLength(3);
});

test("each of several clients has a stream of its own, which is at the servers no longer than the client listens", async () => {
  const { git, stack } = await open();
  const [one, other] = [await connect(stack.url("/mcp")), await connect(stack.url("/mcp"))];
  const subscription = await one.listen({ resourceSubscriptions: ["git://own"] });
  await other.listen({ resourceSubscriptions: ["git://other"] });
  expect(listensAt(git.server)).toBe(2);
  const activeAt = (cluster: string) => stack.envoy.stat(`cluster.${cluster}.upstream_rq_active`);
  // The processor has decided, and holds nothing for an open stream.
  await expect.poll(() => activeAt("mcp_router")).toBe(0);
  expect(await activeAt("mcp_streams")).toBe(2);
  // The router itself listens for changed lists.
  expect(await activeAt("git")).toBe(3);
  await subscription.close();
  await expect.poll(() => activeAt("mcp_streams")).toBe(1);
  await expect.poll(() => activeAt("git")).toBe(2);
  git.server.notify.resourceUpdated("git://own");
  git.server.notify.resourceUpdated("git://other");
  await vi.waitFor(() => expect(other.heard).toEqual(["git://other"]), PATIENT);
  expect(one.heard).toEqual([]);
});

test("a stream that has been open for timeouts.listen ends by the response that the protocol has for that", async () => {
  const { stack } = await open({ timeouts: { listen: "3s" } });
  const message = modernMessage("subscriptions/listen", { notifications: { toolsListChanged: true } });
  // A busy machine may take longer to begin the stream than the router leaves it.
  await vi.waitFor(async () => {
    const answer = await fetch(stack.url("/mcp"), {
      method: "POST",
      headers: {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        ...modernHeaders("subscriptions/listen"),
      },
      body: JSON.stringify(message),
    });
    expect(await answer.text()).toMatch(/"result":\{"resultType":"complete".*\n\n$/);
  }, PATIENT);
});

test("a server that dies keeps nobody from the others, and is heard again once it is back", async () => {
  const { files, git, stack } = await open();
  const { heard, listen } = await connect(stack.url("/mcp"));
  await listen({ resourceSubscriptions: ["files://own", "git://own"] });
  await git.stop();
  files.server.notify.resourceUpdated("files://own");
  await vi.waitFor(() => expect(heard).toEqual(["files://own"]), PATIENT);
  const late = await connect(stack.url("/mcp"));
  const { honoredFilter } = await late.listen({ resourceSubscriptions: ["files://own", "git://own"] });
  expect(honoredFilter).toEqual({ resourceSubscriptions: ["files://own"] });
  await git.startAgain();
  // What it has said meanwhile, nobody has heard.
  await vi.waitFor(() => expect(heard).toEqual(["files://own", "git://own"]), PATIENT);
  await vi.waitFor(() => expect(listensAt(git.server)).toBe(2), PATIENT);
  git.server.notify.resourceUpdated("git://own");
  await vi.waitFor(() => expect(heard).toEqual(["files://own", "git://own", "git://own"]), PATIENT);
  await vi.waitFor(() => expect(late.heard).toEqual(["git://own"]), PATIENT);
});

describe("a stream", () => {
  /** Begins to listen, and reads event by event. */
  async function listenRaw(url: string, id: string) {
    const notifications = { toolsListChanged: true, resourceSubscriptions: ["git://own"] };
    const body = JSON.stringify(modernMessage("subscriptions/listen", { notifications }, "ID")).replace('"ID"', id);
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...modernHeaders("subscriptions/listen"),
    };
    const left = new AbortController();
    owner.defer(() => left.abort());
    const answer = await fetch(url, { method: "POST", headers, body, signal: left.signal });
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const readUntil = async (part: string) => {
      while (!text.includes(part)) {
        const { done, value = "" } = (await reader?.read()) ?? { done: true };
        text += value;
        if (done) break;
      }
      return text;
    };
    return { answer, readUntil };
  }

  test.each(['"a\\u0062\\/é"', "9007199254740993", "0", '"7"'])("has the id %s in all that it says", async (id) => {
    const { git, stack } = await open();
    const { answer, readUntil } = await listenRaw(stack.url("/mcp"), id);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    const meta = `"_meta":{"io.modelcontextprotocol/subscriptionId":${id}}`;
    const agreed = '"notifications":{"toolsListChanged":true,"resourceSubscriptions":["git://own"]}';
    expect(await readUntil("acknowledged")).toBe(
      ":\n\nevent: message\ndata: " +
        `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{${agreed},${meta}}}\n\n`,
    );
    git.server.notify.resourceUpdated("git://own");
    expect(await readUntil("updated")).toContain(`"params":{"uri":"git://own",${meta}}`);
    git.describe("second");
    expect(await readUntil("list_changed")).toContain(`"notifications/tools/list_changed","params":{${meta}}`);
  });

  test("that asks for nothing that is there ends at once, and one without a filter is refused", async () => {
    const { stack } = await open();
    const { listen } = await connect(stack.url("/mcp"));
    const { honoredFilter, closed } = await listen({ promptsListChanged: true });
    expect(honoredFilter).toEqual({});
    expect(await closed).toBe("graceful");
    const answer = await fetch(stack.url("/mcp"), {
      method: "POST",
      headers: { "content-type": "application/json", ...modernHeaders("subscriptions/listen") },
      body: JSON.stringify(modernMessage("subscriptions/listen")),
    });
    expect(await answer.json()).toMatchObject({ id: 1, error: { code: -32602 } });
  });

  test("ends as the protocol has it when its router stops", async () => {
    const { stack } = await open();
    const { listen } = await connect(stack.url("/mcp"));
    const { closed } = await listen({ toolsListChanged: true });
    await stack.router.stop();
    expect(await closed).toBe("graceful");
  });

  test("ends when another configuration hides a resource, of whose server its client then hears no more", async () => {
    const { stack } = await open();
    const { heard, listen } = await connect(stack.url("/mcp"));
    const wanted = { resourcesListChanged: true, resourceSubscriptions: ["files://own", "git://own"] };
    const { closed } = await listen(wanted);
    const config = parse(await readFile(stack.configFile, "utf8"));
    const routes = [{ ...config.routes[0], resources: { deny: ["git:*"] } }];
    await writeFile(stack.configFile, JSON.stringify({ ...config, routes }));
    expect(await closed).toBe("graceful");
    expect(heard).toEqual(["notifications/resources/list_changed"]);
    expect((await listen(wanted)).honoredFilter).toEqual({
      resourcesListChanged: true,
      resourceSubscriptions: ["files://own"],
    });
  });
});
