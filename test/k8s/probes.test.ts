/** What the kubelet makes of a router by the probes of its Deployment. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { credentials, makeClientConstructor } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import type { Child } from "../../harness/child.ts";
import { accepts, freePort } from "../../harness/ports.ts";
import { startRedis } from "../../harness/redis.ts";
import { directoryOfTests } from "../support/directory.ts";
import { metricIn, metricsAt } from "../support/metrics.ts";
import { startRouter } from "../support/router.ts";
import { manifestsOf, pick, render } from "./render.ts";

const manifests = manifestsOf(render("base"));
const [container] = pick(manifests, "Deployment", "mcp-router").spec.template.spec.containers;
const shipped = parse(pick(manifests, "ConfigMap", "mcp-router").data?.["mcp-router.yaml"] ?? "");

const directory = directoryOfTests("probes");
let router: Child;
let redisPort: number;
/** Where the ports of the container are here. */
const ports = new Map<string | number, number>();

beforeAll(async () => {
  redisPort = await freePort();
  for (const { name, containerPort } of container.ports) {
    const port = await freePort();
    ports.set(name, port).set(containerPort, port);
  }
  const file = join(directory, "mcp-router.yaml");
  const config = {
    ...shipped,
    processor: {
      ...shipped.processor,
      listen: `127.0.0.1:${ports.get("grpc")}`,
      http: `127.0.0.1:${ports.get("http")}`,
    },
    store: { ...shipped.store, url: `redis://127.0.0.1:${redisPort}` },
  };
  writeFileSync(file, stringify(config));
  router = startRouter("mcp-router", file);
});
afterAll(async () => {
  router?.signal("SIGCONT");
  await router?.stop();
});

/** One try of a probe, as the kubelet makes it. Its default is a second. */
async function passes(name: "startupProbe" | "livenessProbe" | "readinessProbe"): Promise<boolean> {
  const { grpc, httpGet, tcpSocket, timeoutSeconds = 1 } = container[name];
  const port = ports.get((grpc ?? httpGet ?? tcpSocket).port);
  if (port === undefined) throw new Error(`${name} asks a port that the container does not have`);
  if (tcpSocket) return accepts(port);
  return httpGet ? isWell(port, httpGet.path, timeoutSeconds) : isServing(port, timeoutSeconds);
}

async function isWell(port: number, path: string, timeout: number): Promise<boolean> {
  const signal = AbortSignal.timeout(timeout * 1_000);
  return fetch(`http://127.0.0.1:${port}${path}`, { signal }).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** `status: SERVING`, of the grpc.health.v1 HealthCheckResponse. */
const SERVING = Buffer.from([0x08, 0x01]);
const bytes = (value: Buffer) => value;
const Health = makeClientConstructor(
  {
    check: {
      path: "/grpc.health.v1.Health/Check",
      requestStream: false,
      responseStream: false,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    },
  },
  "Health",
);

/** By a connection of its own each time. */
function isServing(port: number, timeout: number): Promise<boolean> {
  const client = new Health(`127.0.0.1:${port}`, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  return new Promise<boolean>((resolve) =>
    client.check?.(
      Buffer.alloc(0),
      { deadline: Date.now() + timeout * 1_000 },
      (error: Error | null, answer?: Buffer) => resolve(!error && answer?.equals(SERVING) === true),
    ),
  ).finally(() => client.close());
}

async function storeIsUp(): Promise<boolean> {
  return metricIn(await metricsAt(`127.0.0.1:${ports.get("http")}`), "store_up") === 1;
}

test("a router that waits for its Redis has started and lives, and is not ready", async () => {
  await expect.poll(() => passes("startupProbe"), { timeout: 20_000 }).toBe(true);
  expect(await passes("livenessProbe")).toBe(true);
  expect(await passes("readinessProbe")).toBe(false);
});

test("it is ready once it has reached Redis, and stays so when Redis goes", async () => {
  const redis = await startRedis({ port: redisPort });
  await expect.poll(() => passes("readinessProbe"), { timeout: 20_000 }).toBe(true);
  await redis.stop();
  await expect.poll(storeIsUp).toBe(false);
  expect(await passes("readinessProbe")).toBe(true);
  expect(await passes("livenessProbe")).toBe(true);
});

test("one that hangs is no longer alive, though the kernel takes connections for it", async () => {
  router.signal("SIGSTOP");
  expect(await accepts(ports.get("grpc") ?? 0)).toBe(true);
  expect(await passes("livenessProbe")).toBe(false);
  router.signal("SIGCONT");
  await expect.poll(() => passes("livenessProbe")).toBe(true);
});
