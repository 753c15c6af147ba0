/** A changed ConfigMap, as two kubelets bring it one after the other, and an Envoy with the manifests' own bootstrap. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningEnvoy, startEnvoy } from "../../harness/envoy.ts";
import { accepts } from "../../harness/ports.ts";
import { startRedis } from "../../harness/redis.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { type MountedConfigMap, mountConfigMap } from "../support/config-map.ts";
import { startDns } from "../support/dns.ts";
import { callTool, openSession, post } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { startRouter, untilReady } from "../support/router.ts";
import { bootstrapAt, configAt, freePlaces, routersName } from "./gateway.ts";
import { manifestsOf, pick, render } from "./render.ts";

const PATIENCE = { timeout: 60_000, interval: 100 };
/** Questions of Envoy for its clusters within which a router that is behind would have given it the older ones again. */
const QUESTIONS = 25;

const manifests = manifestsOf(render("overlays/envoy"));
const [container] = pick(manifests, "Deployment", "mcp-gateway").spec.template.spec.containers;

const started = new AsyncDisposableStack();
let starting: Promise<RunningEnvoy>;
let envoy: RunningEnvoy;
let port: number;
let admin: number;
/** Brings a change to one router. */
let update: ((names: readonly string[]) => void)[];
let startRouters: () => Promise<void>;

beforeAll(async () => {
  const server = await startMcpServer("server", { json: true });
  started.defer(() => server.close());
  const redis = await startRedis();
  started.defer(async () => void (await redis.stop()));
  const places = await freePlaces();
  ({ port, admin } = places);
  const dns = await startDns(routersName(manifests), 0);
  started.defer(() => dns.close());
  const folder = started.use(temporaryDirectory("config-map")).path;

  const addresses = ["127.0.1.1", "127.0.1.2"];
  const textFor = (address: string, names: readonly string[]) =>
    configAt(manifests, places, address, {
      store: { kind: "redis", url: redis.url },
      backends: Object.fromEntries(names.map((name) => [name, { endpoints: [server.endpoint] }])),
      routes: names.map((name) => ({ path: `/${name}`, backends: [name] })),
    });
  const mounts = addresses.map((address): MountedConfigMap => {
    mkdirSync(join(folder, address));
    return mountConfigMap(join(folder, address), "mcp-router.yaml", textFor(address, ["old"]));
  });
  update = mounts.map((mount, n) => (names) => mount.update(textFor(addresses[n] ?? "", names)));
  startRouters = async () => {
    for (const [n, { file }] of mounts.entries()) {
      const router = startRouter(`pod ${n}`, file);
      started.defer(async () => void (await router.stop()));
      await untilReady(router, `${addresses[n]}:${places.http}`);
    }
    dns.resolve(addresses);
  };
  starting = startEnvoy(bootstrapAt(manifests, places, dns.port), `127.0.0.1:${admin}`);
  started.defer(async () => void (await (await starting).stop()));
});

afterAll(() => started.disposeAsync(), 60_000);

/** Whether the liveness probe passes. */
function isAlive(): boolean {
  const [shell, ...args]: string[] = container.livenessProbe.exec.command;
  const script = args.map((argument) => argument.replace("/9901", `/${admin}`));
  return spawnSync(shell ?? "", script, { stdio: "ignore" }).status === 0;
}

/** What the routers say of a path: 400 where it is a route of theirs, 404 where it is none. */
async function statusesOf(path: string): Promise<number[]> {
  const answers = await Promise.all(Array.from({ length: 20 }, () => post(port, path, "not json")));
  return [...new Set(answers.map(({ status }) => status))].toSorted();
}

async function untilAsked(questions: number): Promise<void> {
  const attempts = () => envoy.stat("cluster_manager.cds.update_attempt");
  const before = await attempts();
  await expect.poll(attempts, PATIENCE).toBeGreaterThan(before + questions);
}

test("Envoy lives without a router, and takes connections once one has told it what for", async () => {
  await expect.poll(isAlive, PATIENCE).toBe(true);
  expect(await accepts(port)).toBe(false);
  await startRouters();
  envoy = await starting;
  expect(await statusesOf("/old")).toEqual([400]);
});

test("a changed ConfigMap is enough, though one router has it long before the other: no restart, and no request fails", async () => {
  const session = await openSession(port, "/old");
  const call = () => callTool(port, "/old", session, "echo", { text: "here" });
  const [first, second] = update;
  // Each router knows that Envoy has what it offers.
  await untilAsked(15);
  first?.(["old", "new"]);
  await expect.poll(() => statusesOf("/new"), PATIENCE).toEqual([400, 404]);
  await untilAsked(QUESTIONS);
  expect(await envoy.stat("cluster_manager.cluster_removed")).toBe(0);
  expect(await call()).toContain("here");

  second?.(["old", "new"]);
  await expect.poll(() => statusesOf("/new"), PATIENCE).toEqual([400]);
  const other = await openSession(port, "/new");
  expect(await callTool(port, "/new", other, "echo", { text: "new here" })).toContain("new here");

  // One that goes stays at Envoy while a router uses it.
  first?.(["old"]);
  await expect.poll(() => statusesOf("/new"), PATIENCE).toEqual([400, 404]);
  await untilAsked(QUESTIONS);
  expect(await statusesOf("/new")).toEqual([400, 404]);
  expect(await envoy.stat("cluster_manager.cluster_removed")).toBe(0);
  second?.(["old"]);
  await expect.poll(() => statusesOf("/new"), PATIENCE).toEqual([404]);
  expect(await call()).toContain("here");
}, 180_000);
