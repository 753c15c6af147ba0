/** A backend loses its sessions, and the client's next request just works. */
import { renameSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { PRINTED } from "../../src/envoy-config/proto-json.ts";
import { HIDES_OWN_ANSWERS } from "../support/envoys.ts";
import {
  type Answer,
  callMessage,
  callTool,
  events,
  MCP_HEADERS,
  messageOf,
  openResponse,
  openSession,
  post,
} from "../support/http.ts";
import { RESOURCE, startMcpServer, type TestServer, type TestServerOptions } from "../support/mcp-server.ts";
import { notificationMessage, requestMessage } from "../support/messages.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/one/mcp";

let server: TestServer;
let stack: Stack;

async function open(options: TestServerOptions = {}): Promise<string> {
  server = await startMcpServer("one", { ...options, port: await freePort() });
  stack = await startStack({ backends: { one: [server.endpoint] } });
  return openSession(stack.port, PATH);
}

/** Has the tool `run` remember an id. */
function run(session: string, id: string): Promise<Answer> {
  return post(stack.port, PATH, callMessage("run", { id }), { "mcp-session-id": session });
}

/** Ends the server, and starts another in its place, which knows none of its sessions. */
async function restart(options: TestServerOptions = {}): Promise<void> {
  await server.close();
  server = await startMcpServer("one", { ...options, port: server.port });
}

afterEach(async () => {
  await stack?.stop();
  await server?.close();
});

/** The messages that a server has received: not the DELETE that tells it of the end of the lost session. */
function messagesAt({ received }: TestServer) {
  return received.filter(({ body }) => body.length > 0).map(({ body }) => JSON.parse(body.toString()));
}

function methodsAt(at: TestServer): string[] {
  return messagesAt(at).map(({ method }) => method);
}

describe("a tools/call after the backend restarted in place", () => {
  test.each([{ json: true }, { json: false }])("is answered as if nothing had happened: %j", async (options) => {
    const session = await open(options);
    await restart(options);
    const answer = await post(stack.port, PATH, callMessage("echo", { text: "again" }, 9007199254740993n.toString()), {
      "mcp-session-id": session,
    });
    expect(answer).toMatchObject({ status: 200, headers: { "mcp-session-id": session } });
    expect(JSON.stringify(messageOf(answer))).toContain("again");
    expect(await callTool(stack.port, PATH, session, "echo", { text: "and on" })).toContain("and on");
    expect(methodsAt(server)).toEqual([
      "tools/call",
      "ping",
      "initialize",
      "notifications/initialized",
      "tools/call",
      "tools/call",
    ]);
  });

  test("streams its events as they come", async () => {
    const session = await open();
    await restart();
    const message = callMessage("steps", { count: 2 }, 1) as { params: object };
    const response = await openResponse({
      port: stack.port,
      method: "POST",
      path: PATH,
      headers: { ...MCP_HEADERS, "mcp-session-id": session },
      body: JSON.stringify({ ...message, params: { ...message.params, _meta: { progressToken: 1 } } }),
    });
    expect(response.statusCode).toBe(200);
    const stream = events(response);
    expect((await stream.next()).value).toMatchObject({ method: "notifications/progress" });
    server.step();
    expect((await stream.next()).value).toMatchObject({ method: "notifications/progress" });
    server.step();
    expect((await stream.next()).value).toMatchObject({ result: {} });
  });
});

test.skipIf(HIDES_OWN_ANSWERS).each([{ json: true }, { json: false }])(
  "a call while the backend is down waits for it to come back: %j",
  async (options) => {
    const session = await open(options);
    const { port } = server;
    await server.close();
    const answer = post(stack.port, PATH, callMessage("echo", { text: "patience" }), { "mcp-session-id": session });
    await expect
      .poll(() => stack.accessLog.filter(({ client_id }) => client_id === "mcp-router/initialize"))
      .not.toHaveLength(0);
    server = await startMcpServer("one", { ...options, port });
    expect(await answer).toMatchObject({ status: 200 });
    expect((await answer).body).toContain("patience");
  },
);

describe.each([{ json: true }, { json: false }])(
  "a tools/call runs once, and its session goes on elsewhere: %j",
  (options) => {
    const started: TestServer[] = [];
    const ran = () => started.flatMap((each) => each.ran);

    async function start(name: string, port = 0): Promise<TestServer> {
      const one = await startMcpServer(name, { ...options, port });
      started.push(one);
      return one;
    }

    /** A call in a session that has lost its home is answered, and so is the next, by the new home. */
    async function expectToMove(session: string, homes: readonly TestServer[]): Promise<void> {
      const answer = await run(session, "first");
      expect(answer).toMatchObject({ status: 200, headers: { "mcp-session-id": session } });
      expect(answer.body).toContain("first ran");
      expect(ran()).toEqual(["first"]);

      const home = homes.find((each) => each.ran.length > 0);
      expect((await run(session, "second")).status).toBe(200);
      expect(home?.ran).toEqual(["first", "second"]);
      expect(home?.received.at(-1)?.headers["x-mcp-endpoint"]).toBe(home?.endpoint);
      await expect
        .poll(() =>
          stack.accessLog.filter(({ listener, mcp_name }) => listener === "gateway" && mcp_name === "run").at(-1),
        )
        .toMatchObject({ endpoint: home?.endpoint, upstream: home?.endpoint, status: 200 });
    }

    afterEach(async () => {
      for (const each of started.splice(0)) await each.close();
    });

    test("after its server was replaced by one at another address", async () => {
      const port = await freePort();
      const old = await start("old");
      stack = await startStack({ backends: { one: [old.endpoint, `127.0.0.1:${port}`] } });
      const session = await openSomewhere();
      const replacement = await start("new", port);
      await old.close();
      await expectToMove(session, [replacement]);
    });

    test("after its address took no more connections", async () => {
      const three = [await start("a"), await start("b"), await start("c")];
      stack = await startStack({ backends: { one: three.map(({ endpoint }) => endpoint) } });
      const session = await openSession(stack.port, PATH);
      const [home, others] = homeOf(three);
      await home.close();
      await expectToMove(session, others);
      expect(await stack.envoy.stat("cluster.one.upstream_cx_connect_fail")).toBeGreaterThan(0);
    });

    test("after its server was taken out of a cluster of three", async () => {
      const three = [await start("a"), await start("b"), await start("c")];
      const members = membersFile(three);
      try {
        stack = await startStack({
          backends: { one: three.map(({ endpoint }) => endpoint) },
          rewriteBootstrap: members.readBy,
        });
        const session = await openSession(stack.port, PATH);
        const [home, others] = homeOf(three);
        members.write(others);
        await expect.poll(() => stack.envoy.admin("/clusters")).not.toContain(`one::${home.endpoint}::`);
        await expectToMove(session, others);
        expect(home.ran).toEqual([]);
      } finally {
        members.remove();
      }
    });
  },
);

/** Opens a session where some of the addresses take no connections yet. */
async function openSomewhere(): Promise<string> {
  let session = "";
  await expect
    .poll(async () => {
      session = await openSession(stack.port, PATH).catch(() => "");
      return session;
    })
    .not.toBe("");
  return session;
}

/** The server that has a session, and those that have none. */
function homeOf(servers: readonly TestServer[]): [TestServer, TestServer[]] {
  const home = servers.find(({ sessions }) => sessions.size > 0);
  if (!home) throw new Error("no server has a session");
  return [home, servers.filter((each) => each !== home)];
}

/** The endpoints of the cluster `one` in a file that Envoy watches, as a control plane would tell it of them. */
function membersFile(servers: readonly TestServer[]) {
  const directory = temporaryDirectory("members");
  const file = join(directory.path, "one.yaml");
  const write = (members: readonly TestServer[]) => {
    const lb_endpoints = members.map(({ port }) => ({
      endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
    }));
    const type = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
    writeFileSync(
      `${file}.new`,
      stringify({ resources: [{ "@type": type, cluster_name: "one", endpoints: [{ lb_endpoints }] }] }),
    );
    // Envoy looks again when a file is moved to the path.
    renameSync(`${file}.new`, file);
  };
  write(servers);
  return {
    write,
    readBy(bootstrap: string): string {
      const tree = parse(bootstrap);
      const cluster = tree.static_resources.clusters.find(({ name }: { name: string }) => name === "one");
      cluster.type = "EDS";
      cluster.load_assignment = undefined;
      cluster.eds_cluster_config = {
        eds_config: { path_config_source: { path: file }, resource_api_version: "V3" },
      };
      return stringify(tree, PRINTED);
    },
    remove: directory.remove,
  };
}

describe("after a restart of its server", () => {
  let session: string;
  beforeEach(async () => {
    session = await open();
  });

  const say = (method: string, params?: object) =>
    post(stack.port, PATH, requestMessage(method, params, method), { "mcp-session-id": session });
  const methods = () => methodsAt(server);

  /** Opens the GET stream as clients do: again after as long as the server says, if it ends. */
  async function listen(over: Readonly<Record<string, string>> = {}): Promise<IncomingMessage> {
    const headers = { accept: "text/event-stream", "mcp-session-id": session, ...over };
    const response = await openResponse({ port: stack.port, path: PATH, headers });
    expect(response).toMatchObject({ statusCode: 200, headers: { "content-type": "text/event-stream" } });
    return response;
  }

  /** What a GET stream of the lost session is answered. */
  async function listenInVain(): Promise<string> {
    let text = "";
    for await (const chunk of await listen()) text += String(chunk);
    return text;
  }

  test("a GET stream says when to come again, and then has the events of the new session", async () => {
    await restart();
    expect(await listenInVain()).toMatch(/^id: .+\nretry: 100\n\n$/);
    const response = await listen();
    await callTool(stack.port, PATH, session, "announce");
    expect((await events(response).next()).value).toMatchObject({ params: { data: "from one" } });
    response.destroy();
    expect(methods().filter((method) => method === "initialize")).toHaveLength(1);
  });

  test("an event of the gateway's own is not named to the server", async () => {
    await restart();
    const [, id] = /^id: (.+)$/m.exec(await listenInVain()) ?? [];
    expect(id).toBeDefined();
    for (let n = 0; n < 2; n++) (await listen({ "last-event-id": id ?? "" })).destroy();
    const gets = server.received.filter(({ method }) => method === "GET");
    expect(gets.map(({ headers }) => headers["last-event-id"])).toEqual([undefined, undefined, undefined]);
  });

  test("a GET stream begins anew, whatever was heard last, and the next one goes on from what was heard in it", async () => {
    await restart();
    await run(session, "it");
    const heard = () => server.received.filter(({ method }) => method === "GET").map(({ headers }) => headers);
    for (const id of ["of the old session", "of the new one", "and so on"])
      (await listen({ "last-event-id": id })).destroy();
    expect(heard().map((headers) => headers["last-event-id"])).toEqual([undefined, "of the new one", "and so on"]);
  });

  test("a notification arrives in the new session", async () => {
    await restart();
    const message = notificationMessage("notifications/roots/list_changed");
    const answer = await post(stack.port, PATH, message, { "mcp-session-id": session });
    expect(answer).toMatchObject({ status: 202, body: "" });
    // The DELETE of the lost session may come after it.
    const { headers, body } = server.received.findLast(({ method }) => method === "POST") ?? {};
    expect(JSON.parse(body?.toString() ?? "")).toEqual(message);
    expect([...server.sessions]).toEqual([headers?.["mcp-session-id"]]);
  });

  test("a subscription to a resource goes on", async () => {
    expect((await say("resources/subscribe", { uri: RESOURCE })).status).toBe(200);
    await restart();
    await listenInVain();
    const response = await listen();
    await callTool(stack.port, PATH, session, "update");
    expect((await events(response).next()).value).toMatchObject({
      method: "notifications/resources/updated",
      params: { uri: RESOURCE },
    });
    response.destroy();
  });

  test("all subscriptions go on, though the server answers each late", async () => {
    const uris = [...Array.from({ length: 9 }, (_, n) => `test://other/${n}`), RESOURCE];
    for (const uri of uris) expect((await say("resources/subscribe", { uri })).status).toBe(200);
    // The SDK's server keeps the stream of each request by its id: of two under way with one id only the last is answered.
    await restart({ subscribing: 50 });
    expect(await callTool(stack.port, PATH, session, "echo", { text: "again" })).toContain("again");
    const restored = messagesAt(server).filter(({ method }) => method === "resources/subscribe");
    expect(restored.map(({ params }) => params.uri).toSorted()).toEqual(uris);
    expect(new Set(restored.map(({ id }) => id)).size).toBe(uris.length);
  });

  test.skipIf(HIDES_OWN_ANSWERS)(
    "a GET stream is told at once to come again while its server is away, and is heard in the new session once it is back",
    async () => {
      await server.close();
      for (let n = 0; n < 3; n++) expect(await listenInVain()).toMatch(/^id: .+\nretry: 2000\n\n$/);
      server = await startMcpServer("one", { port: server.port });
      expect(await listenInVain()).toMatch(/^id: .+\nretry: 100\n\n$/);
      (await listen()).destroy();
    },
  );

  test("what the session was told is said again before its next request, and what was taken back is not", async () => {
    await say("resources/subscribe", { uri: "test://other" });
    await say("resources/subscribe", { uri: RESOURCE });
    await say("resources/unsubscribe", { uri: "test://other" });
    await say("logging/setLevel", { level: "info" });
    await say("logging/setLevel", { level: "error" });
    await restart();
    await run(session, "it");
    const messages = messagesAt(server);
    expect(methods().slice(2)).toEqual([
      "initialize",
      "notifications/initialized",
      "logging/setLevel",
      "resources/subscribe",
      "tools/call",
    ]);
    expect(messages[4].params).toEqual({ level: "error" });
    expect(messages[5].params).toEqual({ uri: RESOURCE });
  });
});

test("a lost session is surfaced where the configuration says so, and the backend is asked nothing", async () => {
  server = await startMcpServer("one", { port: await freePort() });
  stack = await startStack({
    backends: { one: { endpoints: [server.endpoint], path: "/mcp", onSessionLost: "surface" } },
  });
  const session = await openSession(stack.port, PATH);
  await restart();
  const answer = await post(stack.port, PATH, callMessage("echo", { text: "x" }), { "mcp-session-id": session });
  expect(answer.status).toBe(404);
  expect(messageOf(answer)).toMatchObject({ error: { message: "Session not found" } });
  expect(server.received).toHaveLength(1);
});
