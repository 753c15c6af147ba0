/** k8s/overlays/envoy-gateway, by what Envoy Gateway's own translator makes of it (`make envoy-gateway`). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { validateBootstrap } from "../../harness/envoy.ts";
import { envoyGatewayPatches } from "../../scripts/envoy-gateway-patches.ts";
import { translationMark, translatorInput } from "../../scripts/envoy-gateway-translate.ts";
import { PRINTED } from "../../src/envoy-config/proto-json.ts";
import { type RunningExample, runExample } from "../support/examples.ts";
import {
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
import { printed, transcriptsOf } from "../support/transcripts.ts";
import { manifestsOf, pick, render } from "./render.ts";

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const bootstrap = read("test/k8s/envoy-gateway/bootstrap.yaml");
const unpatched = read("test/k8s/envoy-gateway/unpatched.yaml");

// biome-ignore lint/suspicious/noExplicitAny: a parsed document, which the tests reach into
type Json = any;

/** Envoy cannot open its stdout by this name where that is a socket, as Node makes it. */
const unlogged = (text: string) => text.replaceAll("path: /dev/stdout", "path: /dev/null");

test("the patches are what the printed bootstrap has (otherwise: make generate)", () => {
  expect(read("k8s/overlays/envoy-gateway/patches.yaml")).toBe(envoyGatewayPatches());
});

test("the translations are of the manifests as they are (otherwise: make envoy-gateway)", () => {
  const mark = translationMark(translatorInput());
  expect([bootstrap, unpatched].map((text) => text.split("\n")[0])).toEqual([mark, mark]);
});

test.each([
  ["with its patches", bootstrap],
  ["without them", unpatched],
])("Envoy accepts the translation %s", (_, text) => {
  expect(validateBootstrap(unlogged(text))).toMatchObject({ ok: true });
});

test("the router lets in the Envoys that ask it, and those of the egress Gateway let in the router, and nobody else", () => {
  const manifests = manifestsOf(render("overlays/envoy-gateway"));
  const from = (matchLabels: unknown, ...ports: number[]) => ({
    from: [{ podSelector: { matchLabels } }],
    ports: ports.map((port) => ({ port })),
  });
  const asking = pick(manifests, "EnvoyProxy", "mcp-gateway").spec.provider.kubernetes.envoyDeployment.pod.labels;
  const router = pick(manifests, "NetworkPolicy", "mcp-router").spec;
  expect(router.ingress.filter((rule: Json) => rule.ports[0].port === 50051)).toEqual([from(asking, 50051, 50151)]);
  const egress = pick(manifests, "Gateway", "mcp-egress");
  expect(pick(manifests, "NetworkPolicy", "mcp-gateway-egress").spec).toMatchObject({
    // Envoy Gateway's label of the pods that it makes for a Gateway.
    podSelector: { matchLabels: { "gateway.envoyproxy.io/owning-gateway-name": egress.metadata.name } },
    ingress: [from(router.podSelector.matchLabels, egress.spec.listeners[0].port)],
  });
});

describe("what docs/envoy-gateway.md says of check", () => {
  const transcripts = transcriptsOf("docs/envoy-gateway.md");

  test("is of the translation with its patches, and without", () => {
    expect(transcripts.map(({ command }) => command.split("/").at(-1))).toEqual(["bootstrap.yaml", "unpatched.yaml"]);
  });

  test.each(transcripts)("is what is printed: $command", ({ command, shown }) => {
    expect(printed(command)).toBe(shown);
  });
});

/** Where the Services of the translation lead: to one pod each, but for `everything`. */
const PODS: Readonly<Record<string, readonly number[]>> = {
  "10.96.0.1:3001": [3001, 3011],
  "10.96.0.2:3002": [3002],
  "10.96.0.3:50051": [50051],
  "10.96.0.3:50151": [50151],
};

/** With pods on loopback in place of Services, as Envoy Gateway has them from EndpointSlices. */
function withPods(text: string): string {
  const document = parse(text);
  for (const { loadAssignment } of document.staticResources.clusters)
    for (const locality of loadAssignment.endpoints ?? [])
      locality.lbEndpoints = locality.lbEndpoints.flatMap(({ endpoint }: Json) => {
        const { address, portValue } = endpoint.address.socketAddress;
        return (PODS[`${address}:${portValue}`] ?? []).map((port) => ({
          endpoint: { address: { socketAddress: { address: "127.0.0.1", portValue: port } } },
        }));
      });
  return stringify(document, PRINTED);
}

/** The router's configuration, with sessions in memory, and Envoy on its own machine. */
function configBesideEnvoy(): string {
  const { store: _, egress, processor, ...config } = parse(read("k8s/base/mcp-router.yaml"));
  const { listen, http, streams } = processor;
  return stringify({
    ...config,
    egress: { listen: egress.listen },
    processor: { listen, http, streams: { listen: streams.listen } },
  });
}

describe("in one Envoy with the router", () => {
  const HOST = { host: "mcp.example.com" };
  let servers: TestServer[];
  let gateway: RunningExample;
  let port: number;

  beforeAll(async () => {
    servers = await Promise.all(["first", "second", "memory"].map((name) => startMcpServer(name)));
    const [first, second, memory] = servers.map((server) => server.port);
    gateway = await runExample({
      config: configBesideEnvoy(),
      bootstrap: withPods(unlogged(bootstrap)),
      servers: { 3001: first ?? 0, 3011: second ?? 0, 3002: memory ?? 0 },
      ports: [8080, 8081, 50051, 50151, 9090, 9901],
      adminPort: 19000,
    });
    port = gateway.port(8080);
  });
  afterAll(async () => {
    await gateway?.stop();
    for (const server of servers ?? []) await server.close();
  });

  test("sessions go to the backend of their path, stay with their pod, stream, and end", async () => {
    for (const [path, expected] of [
      ["/mcp", /first|second/],
      ["/mcp", /first|second/],
      ["/memory/mcp", /memory/],
    ] as const) {
      const session = await openSession(port, path, HOST);
      const served = new Set<string>();
      for (let n = 0; n < 4; n++) served.add(await callTool(port, path, session, "whoami", {}, HOST));
      expect([...served]).toEqual([expect.stringMatching(expected)]);
      const stream = await openResponse({
        port,
        path,
        headers: { ...HOST, "mcp-session-id": session, accept: "text/event-stream" },
      });
      expect(stream).toMatchObject({ statusCode: 200, headers: { "content-type": "text/event-stream" } });
      stream.destroy();
      await endSession(port, path, session, HOST);
      const ended = await post(port, path, callMessage("whoami"), { ...HOST, "mcp-session-id": session });
      expect(ended.status).toBe(404);
    }
    expect(servers.every(({ requests }) => requests > 0)).toBe(true);
  });

  test("both servers are one behind one URL, with a stream of the router's own", async () => {
    const session = await openSession(port, "/all/mcp", HOST);
    const headers = { ...HOST, "mcp-session-id": session, accept: "text/event-stream" };
    const stream = await openResponse({ port, path: "/all/mcp", headers });
    expect(stream).toMatchObject({ statusCode: 200, headers: { "content-type": "text/event-stream" } });
    stream.destroy();
    expect(await callTool(port, "/all/mcp", session, "everything__whoami", {}, HOST)).toMatch(/first|second/);
    expect(await callTool(port, "/all/mcp", session, "memory__whoami", {}, HOST)).toContain("memory");
    const ended = await send({
      port,
      path: "/all/mcp",
      method: "DELETE",
      headers: { ...HOST, "mcp-session-id": session },
    });
    expect(ended.status).toBe(204);
  });

  test("a session that its server lost is recovered, through the egress Gateway", async () => {
    const session = await openSession(port, "/mcp", HOST);
    for (const [index, lost] of servers.entries()) {
      await lost.close();
      servers[index] = await startMcpServer(lost.name, { port: lost.port });
    }
    const text = await callTool(port, "/mcp", session, "echo", { text: "as if nothing had happened" }, HOST);
    expect(text).toContain("as if nothing had happened");
    await endSession(port, "/mcp", session, HOST);
  });

  test("what the processor refuses reaches no server, nor does what names a backend itself", async () => {
    const reached = servers.map(({ requests }) => requests);
    const named = { ...HOST, "x-mcp-backend": "everything" };
    expect(await post(port, "/mcp", "not json", named)).toMatchObject({ status: 400 });
    expect(await post(port, "/nothing", {}, named)).toMatchObject({ status: 404 });
    expect(await post(port, "/mcp", {}, { ...named, host: "elsewhere.example" })).toMatchObject({ status: 403 });
    expect(servers.map(({ requests }) => requests)).toEqual(reached);
  });

  test("a body above the limit is Envoy's 413, as JSON-RPC; one near it passes", async () => {
    const tooLarge = await post(port, "/mcp", "x".repeat(5 * 1024 * 1024), HOST);
    expect(tooLarge).toMatchObject({ status: 413, headers: { "content-type": "application/json" } });
    expect(messageOf(tooLarge)).toMatchObject({ error: { code: -32600 } });
    const session = await openSession(port, "/mcp", HOST);
    const text = "x".repeat(3 * 1024 * 1024);
    expect((await callTool(port, "/mcp", session, "echo", { text }, HOST)).length).toBe(text.length);
    await endSession(port, "/mcp", session, HOST);
  });
});
