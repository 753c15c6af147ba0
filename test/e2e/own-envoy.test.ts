/** examples/envoy: an Envoy with an app of its own, to which MCP was added by hand. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { validateBootstrap } from "../../harness/envoy.ts";
import type { Config } from "../../src/config/load.ts";
import { readConfigText } from "../../src/config/read.ts";
import { bootstrapFor } from "../../src/envoy-config/bootstrap.ts";
import { lintEnvoy } from "../../src/envoy-config/lint.ts";
import { PRINTED } from "../../src/envoy-config/proto-json.ts";
import { type RunningExample, runExample } from "../support/examples.ts";
import {
  type Answer,
  callMessage,
  callTool,
  endSession,
  messageOf,
  openResponse,
  openSession,
  post,
  send,
} from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { intoList } from "../support/route-forms.ts";
import { type HttpServer, startHttpServer } from "../support/scripted-server.ts";
import { abridged, printed, transcriptsOf } from "../support/transcripts.ts";

const example = (name: string) => readFileSync(join(import.meta.dirname, "../../examples/envoy", name), "utf8");
const config = example("mcp-router.yaml");
const bootstrap = example("envoy.yaml");

// biome-ignore lint/suspicious/noExplicitAny: a parsed document, which the tests reach into
type Json = any;

function configOf(text: string): Config {
  return readConfigText("mcp-router.yaml", text).config;
}

const managerOf = (listener: Json) => listener.filter_chains[0].filters[0].typed_config;
const extProcOf = (manager: Json) => manager.http_filters.find(({ name }: Json) => name.endsWith(".ext_proc"));

describe("what docs/envoy.md says of it", () => {
  const transcripts = transcriptsOf("docs/envoy.md");

  test("is both of the example and of a first attempt", () => {
    expect(transcripts.map(({ command }) => command.split("/").at(-1))).toEqual(["first-attempt.yaml", "envoy.yaml"]);
  });

  test.each(transcripts)("is what is printed: $command", ({ command, shown }) => {
    expect(abridged(printed(command), shown)).toBe(shown);
  });

  test("is, of the first attempt, a part of first-attempt.txt, which has all of it (otherwise: make generate)", () => {
    const [{ command } = { command: "" }] = transcripts;
    expect(printed(command)).toBe(example("first-attempt.txt"));
  });

  test.each(["envoy.yaml", "first-attempt.yaml"])("is of a file that Envoy itself accepts: %s", (file) => {
    expect(validateBootstrap(example(file))).toMatchObject({ ok: true });
  });
});

describe("what is taken from `mcp-router envoy`", () => {
  const generated = parse(bootstrapFor(configOf(config)));
  const own = parse(bootstrap);
  const [generatedGateway, generatedEgress] = generated.static_resources.listeners;
  const [ownGateway, ownEgress] = own.static_resources.listeners;
  const [from, to] = [managerOf(generatedGateway), managerOf(ownGateway)];

  test("is, unchanged, the flag, the time of the client for gRPC, the egress listener, the clusters, the filter, the logs and what is done to headers", () => {
    expect(own.layered_runtime).toEqual(generated.layered_runtime);
    expect(own.grpc_async_client_manager_config).toEqual(generated.grpc_async_client_manager_config);
    expect(ownEgress).toEqual(generatedEgress);
    expect(own.static_resources.clusters).toEqual(expect.arrayContaining(generated.static_resources.clusters));
    expect(extProcOf(to)).toEqual(extProcOf(from));
    expect(ownGateway.socket_options).toEqual(generatedGateway.socket_options);
    expect(to.access_log).toEqual(from.access_log);
    expect(to.access_log_options).toEqual(from.access_log_options);
    expect(to.early_header_mutation_extensions).toEqual(from.early_header_mutation_extensions);
  });

  test("are all local replies, behind one that leaves the app's alone", () => {
    expect(to.local_reply_config.mappers.slice(1)).toEqual(from.local_reply_config.mappers);
  });

  test("is the tree of routes, of which the last is for the public path only, and the app's behind it", () => {
    const [host] = from.route_config.virtual_hosts;
    const limit = { request_body_buffer_limit: host.request_body_buffer_limit };
    const [shared] = to.route_config.virtual_hosts;
    expect(shared.matcher.matcher_tree).toEqual(host.matcher.matcher_tree);
    const [undecided] = otherwiseOf(host);
    expect(otherwiseOf(shared)).toEqual([
      { ...undecided, match: { safe_regex: { regex: "/mcp/?" } }, ...limit },
      expect.objectContaining({ route: expect.objectContaining({ cluster: "app" }) }),
    ]);
  });
});

/** The routes of requests that name no backend. */
function otherwiseOf(host: Json): Json[] {
  return host.matcher.on_no_match.action.typed_config.routes;
}

/** Another way that docs/envoy.md has: MCP's routes as they are printed, in a virtual host that the app is not in. */
function withHostOfItsOwn(): string {
  const own = parse(bootstrap);
  const { route_config } = managerOf(own.static_resources.listeners[0]);
  const [{ matcher }] = route_config.virtual_hosts;
  const otherwise = otherwiseOf({ matcher });
  const { typed_per_filter_config, ...app } = otherwise.pop();
  const { request_body_buffer_limit, ...undecided } = otherwise.pop();
  otherwise.push({ ...undecided, match: { prefix: "/" } });
  route_config.virtual_hosts = [
    { name: "mcp", domains: ["www.example.com"], request_body_buffer_limit, matcher },
    { name: "www", domains: ["*"], typed_per_filter_config, routes: [app] },
  ];
  return stringify(own, PRINTED);
}

/** And another: all routes in one list. */
function withList(): string {
  const own = parse(bootstrap);
  intoList(managerOf(own.static_resources.listeners[0]).route_config.virtual_hosts[0]);
  return stringify(own, PRINTED);
}

const WAYS = [
  ["in the app's virtual host", bootstrap],
  ["in a virtual host of its own", withHostOfItsOwn()],
  ["in one list with the app's routes", withList()],
] as const;

test.each(WAYS)("`check` says nothing of MCP %s", (_, envoy) => {
  expect(lintEnvoy(parse(envoy), configOf(config))).toEqual([]);
});

describe.each(WAYS)("beside an app, %s", (_, envoy) => {
  const HOST = { host: "www.example.com" };
  let servers: TestServer[];
  let app: HttpServer;
  let gateway: RunningExample;
  let port: number;

  beforeAll(async () => {
    servers = [await startMcpServer("first"), await startMcpServer("second")];
    const [first, second] = servers;
    app = await startHttpServer(({ url }, response) => {
      if (url === "/cut") response.destroy();
      else response.writeHead(url === "/nothing" ? 404 : 200, { "content-type": "text/plain" }).end("the app's own");
    });
    gateway = await runExample({
      config,
      bootstrap: envoy,
      servers: { 3000: Number(app.endpoint.split(":").at(-1)), 3001: first?.port ?? 0, 3002: second?.port ?? 0 },
      ports: [8080, 8081, 50051, 9090],
      adminPort: 9901,
    });
    port = gateway.port(8080);
  });
  afterAll(async () => {
    await gateway?.stop();
    await app?.close();
    for (const server of servers ?? []) await server.close();
  });

  const inSession = (session: string) => ({ ...HOST, "mcp-session-id": session });

  test("sessions stay where they began, stream, and end", async () => {
    const sessions = await Promise.all([1, 2, 3, 4].map(() => openSession(port, "/mcp", HOST)));
    for (const session of sessions) {
      const served = new Set<string>();
      for (let n = 0; n < 4; n++) served.add(await callTool(port, "/mcp", session, "whoami", {}, HOST));
      expect(served.size).toBe(1);
      const stream = await openResponse({
        port,
        path: "/mcp",
        headers: { ...inSession(session), accept: "text/event-stream" },
      });
      expect(stream).toMatchObject({ statusCode: 200, headers: { "content-type": "text/event-stream" } });
      stream.destroy();
      await endSession(port, "/mcp", session, HOST);
      expect((await post(port, "/mcp", callMessage("whoami"), inSession(session))).status).toBe(404);
    }
    expect(servers.every(({ requests }) => requests > 0)).toBe(true);
  });

  test("a session that its server lost is recovered, through the egress listener", async () => {
    const session = await openSession(port, "/mcp", HOST);
    for (const [index, lost] of servers.entries()) {
      await lost.close();
      servers[index] = await startMcpServer(lost.name, { port: lost.port });
    }
    expect(await callTool(port, "/mcp", session, "echo", { text: "as if nothing had happened" }, HOST)).toContain(
      "as if nothing had happened",
    );
    await endSession(port, "/mcp", session, HOST);
  });

  test("the app answers on all other paths, in its own words", async () => {
    for (const [path, status] of [
      ["/", 200],
      ["/mcp/other", 200],
      ["/nothing", 404],
    ] as const)
      expect(await send({ port, path })).toMatchObject({ status, body: "the app's own" });
  });

  test("limits of bodies and JSON-RPC errors of Envoy's are for MCP alone", async () => {
    const shown = ({ status, headers }: Answer) => ({ status, type: headers["content-type"] });
    const body = "x".repeat(5 * 1024 * 1024);
    const tooLarge = await post(port, "/mcp", body, HOST);
    expect(shown(tooLarge)).toEqual({ status: 413, type: "application/json" });
    expect(messageOf(tooLarge)).toMatchObject({ error: { code: -32600 } });
    expect(await send({ port, method: "POST", path: "/upload", body })).toMatchObject({ status: 200 });
    expect(shown(await send({ port, path: "/cut" }))).toEqual({ status: 503, type: "text/plain" });
  });

  test("a client that names a backend on a path of the app reaches the app", async () => {
    const reached = servers.map(({ requests }) => requests);
    const headers = { "x-mcp-backend": "everything", "x-mcp-path": "/mcp" };
    expect(await send({ port, path: "/", headers })).toMatchObject({ status: 200, body: "the app's own" });
    expect(servers.map(({ requests }) => requests)).toEqual(reached);
  });
});
