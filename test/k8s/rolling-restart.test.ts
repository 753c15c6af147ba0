/**
 * A rolling restart as the manifests have it: the Deployment's own pause and grace, the Service's name resolved by DNS that
 * repeats itself for as long as CoreDNS does by default, Envoy as it starts there, with all else from the routers.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Child } from "../../harness/child.ts";
import { type RunningEnvoy, startEnvoy } from "../../harness/envoy.ts";
import { startRedis } from "../../harness/redis.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { startDns } from "../support/dns.ts";
import { callMessage, callTool, events, MCP_HEADERS, openResponse, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { metricIn, metricsAt } from "../support/metrics.ts";
import { startRouter, untilReady } from "../support/router.ts";
import { bootstrapAt, configAt, freePlaces, routersName } from "./gateway.ts";
import { manifestsOf, pick, render } from "./render.ts";

const PATH = "/mcp";

/** `cache 30` of the Corefile that kubeadm writes. */
const COREDNS_CACHE_MS = 30_000;
/** Clients, and how long each pauses between two calls, in ms: load enough, and two cores are left for the rest. */
const CLIENTS = 8;
const PAUSE_MS = 20;

interface Pod {
  readonly address: string;
  readonly child: Child;
  readonly http: number;
}

const manifests = manifestsOf(render("overlays/envoy"));
const pod = pick(manifests, "Deployment", "mcp-router").spec.template.spec;
const preStopMs: number = pod.containers[0].lifecycle.preStop.sleep.seconds * 1_000;
const graceMs: number = pod.terminationGracePeriodSeconds * 1_000;
const replicas: number = pick(manifests, "HorizontalPodAutoscaler", "mcp-router").spec.minReplicas;

const started = new AsyncDisposableStack();
let servers: TestServer[];
let envoy: RunningEnvoy;
let port: number;
let startPod: (number: number) => Promise<Pod>;
/** What the Service stands for. */
let publish: (pods: readonly Pod[]) => void;
let pods: Pod[];

beforeAll(async () => {
  const directory = started.use(temporaryDirectory("pods")).path;
  servers = await Promise.all(["a", "b"].map((name) => startMcpServer(name, { record: false })));
  for (const server of servers) started.defer(() => server.close());
  const redis = await startRedis();
  started.defer(async () => void (await redis.stop()));
  const dns = await startDns(routersName(manifests), COREDNS_CACHE_MS);
  started.defer(() => dns.close());
  publish = (ready) => dns.resolve(ready.map(({ address }) => address));

  const places = await freePlaces();
  port = places.port;
  const sections = {
    store: { kind: "redis", url: redis.url },
    backends: { everything: { endpoints: servers.map(({ endpoint }) => endpoint) } },
    routes: [{ path: PATH, backends: ["everything"] }],
  };
  startPod = async (number) => {
    const address = `127.0.1.${number}`;
    const file = join(directory, `${number}.yaml`);
    writeFileSync(file, configAt(manifests, places, address, sections));
    const child = startRouter(`pod ${number}`, file);
    started.defer(async () => void (await child.stop()));
    // The readiness probe.
    await untilReady(child, `${address}:${places.http}`);
    return { address, child, http: places.http };
  };
  pods = await Promise.all(Array.from({ length: replicas }, (_, n) => startPod(n + 1)));
  publish(pods);

  envoy = await startEnvoy(bootstrapAt(manifests, places, dns.port), `127.0.0.1:${places.admin}`);
  started.defer(async () => void (await envoy.stop()));
}, 60_000);

afterAll(() => started.disposeAsync(), 60_000);

/** As the kubelet ends a pod. Resolves with the exit code, or -1 where SIGKILL was needed. */
async function terminate({ child }: Pod): Promise<number> {
  await sleep(preStopMs);
  return child.stop(graceMs - preStopMs);
}

async function forwardedBy({ address, http }: Pod): Promise<number> {
  return metricIn(await metricsAt(`${address}:${http}`), "requests_forwarded_total");
}

test("a rolling restart of the routers under load fails no request, loses no session and cuts no event stream", async () => {
  await expect.poll(() => envoy.stat("cluster.mcp_router.membership_healthy"), { timeout: 20_000 }).toBe(replicas);
  const sessions = await Promise.all(Array.from({ length: CLIENTS }, () => openSession(port, PATH)));
  const homes = await Promise.all(sessions.map((session) => callTool(port, PATH, session, "whoami")));
  const [watched = ""] = sessions;
  const stream = await openResponse({
    port,
    path: PATH,
    headers: { ...MCP_HEADERS, accept: "text/event-stream", "mcp-session-id": watched },
  });
  const announced = events(stream);

  const wrong: string[] = [];
  let calls = 0;
  let going = true;
  const clients = sessions.map(async (session, n) => {
    while (going) {
      const answer = await post(port, PATH, callMessage("whoami"), { "mcp-session-id": session });
      calls++;
      if (answer.status !== 200 || !answer.body.includes(JSON.stringify(homes[n]).slice(1, -1)))
        wrong.push(`${answer.status} ${answer.body}`);
      await sleep(PAUSE_MS);
    }
  });

  // As the Deployment does it: one more than wanted at a time, and what terminates is not waited for.
  const old = pods;
  let serving = old;
  const codes: Promise<number>[] = [];
  for (const [n, leaving] of old.entries()) {
    serving = [...serving, await startPod(old.length + n + 1)].filter((one) => one !== leaving);
    publish(serving);
    codes.push(terminate(leaving));
  }
  expect(await Promise.all(codes)).toEqual(old.map(() => 0));
  const without = calls;
  await expect.poll(() => calls, { timeout: 20_000 }).toBeGreaterThan(without + 20 * CLIENTS);
  going = false;
  await Promise.all(clients);

  expect(wrong).toEqual([]);
  expect(calls).toBeGreaterThan(1_000);
  for (const one of serving) expect(await forwardedBy(one)).toBeGreaterThan(0);
  // The stream that was open all the while belongs to Envoy, not to the router that let it begin.
  await callTool(port, PATH, watched, "announce");
  expect((await announced.next()).value?.method).toBe("notifications/message");
  stream.destroy();
  const ended = await send({ port, method: "DELETE", path: PATH, headers: { "mcp-session-id": watched } });
  expect(ended.status).toBe(200);
}, 240_000);
