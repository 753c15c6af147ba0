/** An Envoy that has its configuration from the router, and follows its changes. */
import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { startEnvoy } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { readConfig } from "../../src/config/read.ts";
import { liveBootstrapFor } from "../../src/envoy-config/bootstrap.ts";
import { serve } from "../../src/serve.ts";
import { callTool, events, initializeMessage, openResponse, openSession, post, send } from "../support/http.ts";
import { RESOURCE, startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATIENCE = { timeout: 30_000, interval: 50 };

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

async function server(name: string): Promise<TestServer> {
  return owner.adopt(await startMcpServer(name, { json: true }), (it) => it.close());
}

async function live(backends: Record<string, readonly string[]>): Promise<Stack> {
  const config = { log: { level: "silent" }, admission: { sessions: "off" } };
  return owner.adopt(await startStack({ backends, config, live: true }), (it) => it.stop());
}

type Section = Readonly<Record<string, unknown>>;

/** Puts sections of the configuration in place of those in the file. */
function change(file: string, sections: Section): void {
  writeFileSync(file, stringify({ ...parse(readFileSync(file, "utf8")), ...sections }));
}

/** Each backend on a route of its name. */
function only(backends: Section): Section {
  return { backends, routes: Object.keys(backends).map((name) => ({ path: `/${name}/mcp`, backends: [name] })) };
}

const at = ({ endpoint }: TestServer) => ({ endpoints: [endpoint], path: "/mcp" });

const statusOf = async (port: number, path: string) => (await post(port, path, initializeMessage())).status;

async function healthOf({ httpPort }: Stack, path: string): Promise<string> {
  return (await send({ port: httpPort, path })).body;
}

test("backends come, move and go, and nothing that goes on elsewhere is cut or fails", async () => {
  const [one, two, moved] = [await server("one"), await server("two"), await server("moved")];
  const { port, configFile } = await live({ one: [one.endpoint] });
  const session = await openSession(port, "/one/mcp");
  const headers = { accept: "text/event-stream", "mcp-session-id": session };
  const stream = await openResponse({ port, path: "/one/mcp", method: "GET", headers });
  const heard = events(stream);
  const statuses = new Set<number | undefined>();
  const met = async () => {
    const status = await statusOf(port, "/two/mcp");
    statuses.add(status);
    return status;
  };

  for (const place of [two, moved]) {
    change(configFile, only({ one: at(one), two: at(place) }));
    await expect.poll(async () => ((await met()) === 200 ? place.sessions.size : 0), PATIENCE).toBeGreaterThan(0);
    expect(await callTool(port, "/one/mcp", session, "echo", { text: "here" })).toContain("here");
  }
  change(configFile, only({ one: at(one) }));
  await expect.poll(met, PATIENCE).toBe(404);
  // Never 503: what the router names, Envoy has.
  expect(statuses).toEqual(new Set([404, 200]));

  await post(port, "/one/mcp", requestMessage("resources/subscribe", { uri: RESOURCE }), { "mcp-session-id": session });
  await callTool(port, "/one/mcp", session, "update");
  expect((await heard.next()).value).toMatchObject({ method: "notifications/resources/updated" });
  stream.destroy();
});

test("a configuration that Envoy refuses leaves the last one in force, is told in three places, and heals", async () => {
  const [one, two] = [await server("one"), await server("two")];
  const stack = await live({ one: [one.endpoint] });
  const { port, configFile } = stack;
  const metric = async (name: string) =>
    (await healthOf(stack, "/metrics")).split("\n").find((line) => line.startsWith(`mcp_router_${name}`));
  change(configFile, only({ one: at(one), two: { ...at(two), tls: { sni: "two.example", ca: "/nowhere/ca.pem" } } }));
  await expect.poll(() => metric("config_stale"), PATIENCE).toBe("mcp_router_config_stale 1");
  expect(await metric("envoy_refusals_total")).toBe('mcp_router_envoy_refusals_total{resource="clusters"} 1');
  expect(await healthOf(stack, "/readyz")).toMatch(/^ready\nEnvoy mcp-gateway at 127\.0\.0\.1 refuses clusters/);
  expect(await statusOf(port, "/two/mcp")).toBe(404);
  expect(await statusOf(port, "/one/mcp")).toBe(200);

  change(configFile, only({ one: at(one), two: at(two) }));
  await expect.poll(() => statusOf(port, "/two/mcp"), PATIENCE).toBe(200);
  expect(await metric("config_stale")).toBe("mcp_router_config_stale 0");
  expect(await healthOf(stack, "/readyz")).toBe("ready\n");
});

test("limits of calls come and go with the file", async () => {
  const one = await server("one");
  const { port, configFile } = await live({ one: [one.endpoint] });
  const isRefused = async () => {
    const session = await openSession(port, "/one/mcp");
    return (await callTool(port, "/one/mcp", session, "whoami")).includes("Rate limit reached");
  };
  expect([await isRefused(), await isRefused()]).toEqual([false, false]);
  change(configFile, { limits: { calls: [{ tools: ["who*"], rate: "1/d" }] } });
  await expect.poll(isRefused, PATIENCE).toBe(true);
  change(configFile, { limits: {} });
  await expect.poll(isRefused, PATIENCE).toBe(false);
});

test("an Envoy that starts without a router serves as soon as one is there; a router that starts again changes nothing", async () => {
  const one = await server("one");
  const [port, egress, grpc, http, admin] = await Promise.all(Array.from({ length: 5 }, freePort));
  const directory = owner.use(temporaryDirectory("live"));
  const file = `${directory.path}/mcp-router.yaml`;
  const listen = (of: number | undefined) => ({ listen: `127.0.0.1:${of}` });
  const sections = {
    gateway: { ...listen(port), hosts: ["127.0.0.1"] },
    egress: listen(egress),
    processor: { ...listen(grpc), http: `127.0.0.1:${http}` },
    envoy: { admin: `127.0.0.1:${admin}` },
    log: { level: "silent" },
    ...only({ one: at(one) }),
  };
  writeFileSync(file, stringify(sections));
  const { config } = await readConfig(file);
  const starting = startEnvoy(liveBootstrapFor(config), `127.0.0.1:${admin}`);
  const adminSays = async (path: string) => (await fetch(`http://127.0.0.1:${admin}${path}`)).text();
  await expect.poll(() => adminSays("/server_info").catch(() => ""), PATIENCE).toContain('"PRE_INITIALIZING"');
  const router = await serve(file, {});
  const envoy = owner.adopt(await starting, async (it) => void (await it.stop()));
  expect(await statusOf(port ?? 0, "/one/mcp")).toBe(200);

  await router.stop();
  owner.adopt(await serve(file, {}), async (it) => void (await it.stop()));
  const attempts = () => envoy.stat("cluster_manager.cds.update_attempt");
  const asked = await attempts();
  await expect.poll(attempts, PATIENCE).toBeGreaterThan(asked + 3);
  expect(await statusOf(port ?? 0, "/one/mcp")).toBe(200);
  expect(await envoy.stat("cluster_manager.cluster_modified")).toBe(0);
  expect(await envoy.stat("listener_manager.listener_modified")).toBe(0);
});
