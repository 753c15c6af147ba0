/** docker-compose.yaml, as it is: brought up, used, hurt, and taken down. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DockerComposeEnvironment, type StartedDockerComposeEnvironment, Wait } from "testcontainers";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { auditAll } from "../../demo/audit.ts";
import { createJournal } from "../../demo/journal.ts";
import { playAll } from "../../demo/scenario.ts";
import { until } from "../../demo/stage.ts";
import { createAccessLog } from "../../harness/access-log.ts";
import { statusOf } from "../../harness/ports.ts";
import { readConfig } from "../../src/config/read.ts";
import { callMessage, callTool, openSession, post } from "../support/http.ts";
import { metricIn } from "../support/metrics.ts";
import {
  addressOf,
  COMPOSE,
  container,
  docker,
  healthy,
  inspect,
  OneShot,
  PROJECT,
  ROOT,
  recreate,
  showLogs,
} from "./docker.ts";

/** Where the file publishes the gateway. */
const PORT = 8080;
const CONFIG = join(ROOT, "envoy/compose/mcp-router.yaml");
const SERVICES = ["envoy", "router-1", "router-2", "redis", "everything-1", "everything-2", "memory"];
/** By the port of an endpoint, which each server has to itself. */
const SERVERS: Readonly<Record<string, string>> = { 3001: "everything-1", 3002: "everything-2", 3003: "memory" };

function serviceAt(endpoint: string): string {
  return SERVERS[endpoint.split(":")[1] ?? ""] ?? "";
}

let environment: StartedDockerComposeEnvironment | undefined;

beforeAll(async () => {
  environment = await new DockerComposeEnvironment(ROOT, "docker-compose.yaml")
    .withProjectName(PROJECT)
    .withClientOptions(COMPOSE)
    .withBuild()
    .withDefaultWaitStrategy(Wait.forHealthCheck())
    // By `down` below, and by the end of its Docker: the image of testcontainers' own cleaner cannot be pulled everywhere.
    .withAutoCleanup(false)
    .up();
});

afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await showLogs();
});

afterAll(() => environment?.down());

test("once it is up, the gateway answers on the port that is published", async () => {
  // A path that is no route's, which the router says.
  await expect.poll(() => statusOf(`http://127.0.0.1:${PORT}/nothing`)).toBe(404);
  await Promise.all(SERVICES.map(healthy));
});

test("the demo's clients get what they get without containers, over a killed server too", async () => {
  const accessLog = createAccessLog();
  const output = (await docker.container.logs(await container("envoy"))).on("data", accessLog.write);
  const journal = createJournal();
  const find = (tag: string) => accessLog.entries.find((entry) => entry.client_id === tag);
  try {
    const failures = await playAll({
      journal,
      paths: { everything: "/mcp", memory: "/memory/mcp", all: "/all/mcp" },
      backends: ["everything", "memory"],
      oneWorker: false,
      url: (path) => new URL(path, `http://127.0.0.1:${PORT}`),
      killServer: async (endpoint) => void (await (await container(serviceAt(endpoint))).kill()),
      startServer: async (endpoint) => {
        const service = serviceAt(endpoint);
        await (await container(service)).start();
        await healthy(service);
      },
      logged: ({ tag }) => until(() => find(tag), `entry for ${tag} in Envoy's log`),
    });
    await until(() => journal.exchanges.every(({ tag }) => find(tag)), "entry of every request in Envoy's log");
    const played = new Set(journal.exchanges.map(({ tag }) => tag));
    const entries = accessLog.entries.filter(
      ({ listener, client_id }) => listener !== "gateway" || played.has(client_id ?? ""),
    );
    const { config } = await readConfig(CONFIG);
    const { audited, failures: missing } = auditAll(journal, entries, config);
    const problems = audited.flatMap(({ exchange, problems }) =>
      problems.map((problem) => `${exchange.tag}: ${problem}`),
    );
    expect([...failures, ...missing, ...problems]).toEqual([]);
    expect(journal.exchanges.length).toBeGreaterThan(40);
  } finally {
    output.destroy();
  }
});

interface Use {
  /** Statuses of the calls so far. */
  readonly statuses: readonly number[];
  /** Resolves once there have been so many calls more. */
  more(calls: number): Promise<void>;
}

/** Calls in as many sessions at once, without pause, while `during` goes on. Gives the statuses. */
async function inUse(sessions: number, during: (use: Use) => Promise<void>): Promise<readonly number[]> {
  const ids = await Promise.all(Array.from({ length: sessions }, () => openSession(PORT, "/mcp")));
  const statuses: number[] = [];
  let going = true;
  const callers = ids.map(async (session) => {
    while (going) {
      const answer = await post(PORT, "/mcp", callMessage("echo", { message: "still there?" }), {
        "mcp-session-id": session,
      });
      statuses.push(answer.status);
    }
  });
  try {
    await during({
      statuses,
      more: async (calls) => {
        const enough = statuses.length + calls;
        while (statuses.length < enough) await sleep(10);
      },
    });
  } finally {
    going = false;
    await Promise.all(callers);
  }
  return statuses;
}

/** How many requests a router has forwarded since it started. */
async function forwardedBy(router: string): Promise<number> {
  return metricIn(await healthPage(router, "metrics"), "requests_forwarded_total");
}

/** What a router says of itself, asked in its container. */
async function healthPage(router: string, page: "metrics" | "readyz"): Promise<string> {
  const print = `fetch("http://control-address:9090/${page}").then(async (answer) => process.stdout.write(await answer.text()))`;
  return (await docker.container.exec(await container(router), ["node", "--eval", print])).output;
}

const AT_ONCE = 4;

test("a router that is killed fails at most the calls in flight; sessions go on, and Docker starts it again", async () => {
  const before = await inspect("router-1");
  const statuses = await inUse(AT_ONCE, async ({ more }) => {
    await more(100);
    expect(await forwardedBy("router-1")).toBeGreaterThan(0);
    expect(await forwardedBy("router-2")).toBeGreaterThan(0);
    process.kill(before.State.Pid, "SIGKILL");
    await more(200);
    await expect.poll(async () => (await inspect("router-1")).RestartCount).toBe(before.RestartCount + 1);
    await healthy("router-1");
    await expect.poll(() => forwardedBy("router-1")).toBeGreaterThan(0);
  });
  const failed = statuses.filter((status) => status !== 200);
  expect(failed.length).toBeLessThanOrEqual(AT_ONCE);
  // Never 404, by which a client would give its session up.
  for (const status of failed) expect(status).toBeGreaterThanOrEqual(500);
});

test("a router that is stopped ends by itself and fails no call", async () => {
  const statuses = await inUse(AT_ONCE, async ({ more }) => {
    await more(100);
    // It has the time that docker-compose.yaml gives it.
    await (await container("router-2")).stop();
    await more(200);
  });
  const { ExitCode } = (await inspect("router-2")).State;
  await (await container("router-2")).start();
  await healthy("router-2");
  expect(ExitCode).toBe(0);
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
});

test("a session outlives a restart of Redis, and no status ends its client meanwhile", async () => {
  const statuses = await inUse(1, async ({ statuses, more }) => {
    await more(10);
    await (await container("redis")).restart();
    await healthy("redis");
    await expect.poll(() => statuses.at(-1)).toBe(200);
    await more(10);
  });
  // Each router finds out for itself that Redis is back, and refuses new sessions until then.
  for (const router of ["router-1", "router-2"])
    await expect.poll(() => healthPage(router, "readyz"), { timeout: 10_000 }).toBe("ready\n");
  // A call waits for it, or is refused in band where that takes longer than store.patience.
  expect(new Set(statuses)).toEqual(new Set([200]));
});

/** Resolves once both routers answer so often that the path is a route (400), or none (404). */
async function answersOn(path: string, status: 400 | 404): Promise<void> {
  const statuses = async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(PORT, path, "not json")));
    return [...new Set(answers.map((answer) => answer.status))];
  };
  await expect.poll(statuses).toEqual([status]);
}

test("a server that comes into mcp-router.yaml is served, and one that goes is not, without a restart of Envoy", async () => {
  const before = await inspect("envoy");
  const session = await openSession(PORT, "/mcp");
  const text = readFileSync(CONFIG, "utf8");
  const { backends, routes, ...rest } = parse(text);
  const more = {
    backends: { ...backends, second: { endpoints: ["everything-2:3002"] } },
    routes: [...routes, { path: "/second/mcp", backends: ["second"] }],
  };
  await answersOn("/second/mcp", 404);
  writeFileSync(CONFIG, stringify({ ...rest, ...more }));
  await answersOn("/second/mcp", 400);
  const second = await openSession(PORT, "/second/mcp");
  expect(await callTool(PORT, "/second/mcp", second, "echo", { message: "new here" })).toContain("new here");
  expect(await callTool(PORT, "/mcp", session, "echo", { message: "still here" })).toContain("still here");

  writeFileSync(CONFIG, text);
  await answersOn("/second/mcp", 404);
  expect(await callTool(PORT, "/mcp", session, "echo", { message: "still here" })).toContain("still here");
  expect((await inspect("envoy")).State).toMatchObject({ Pid: before.State.Pid, StartedAt: before.State.StartedAt });
});

test("an Envoy that starts before its routers takes no connections until one of them is there", async () => {
  const envoy = await container("envoy");
  const routers = await Promise.all(["router-1", "router-2"].map(container));
  await Promise.all(routers.map((router) => router.stop()));
  const since = Math.floor(Date.now() / 1_000);
  await envoy.restart();
  const logged = async () => (await envoy.logs({ stdout: true, stderr: true, since })).toString();
  await expect.poll(logged).toContain("starting main dispatch loop");
  const connect = ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080"];
  expect((await docker.container.exec(envoy, connect)).exitCode).not.toBe(0);

  const [first, second] = routers;
  await first?.start();
  await healthy("envoy");
  await answersOn("/mcp", 400);
  await second?.start();
  await Promise.all(SERVICES.map(healthy));
});

test("what is remembered by server-memory outlives its container", async () => {
  const entity = { name: "Compose", entityType: "tool", observations: ["starts containers"] };
  const session = await openSession(PORT, "/memory/mcp");
  await callTool(PORT, "/memory/mcp", session, "create_entities", { entities: [entity] });
  await recreate("memory");
  await healthy("memory");
  expect(await callTool(PORT, "/memory/mcp", session, "read_graph")).toContain("starts containers");
});

test("a network lets through what it is for, and nothing else", async () => {
  const places: Readonly<Record<string, readonly [host: string, port: number]>> = {
    egress: [await addressOf("envoy", "control"), 8081],
    "ext_proc of router-1": [await addressOf("router-1", "control"), 50051],
    // Its other address: what Redis would see of it.
    "ext_proc of router-1 in store": [await addressOf("router-1", "store"), 50051],
    "configuration at router-1": [await addressOf("router-1", "control"), 9090],
    "configuration at router-1 in store": [await addressOf("router-1", "store"), 9090],
    redis: [await addressOf("redis", "store"), 6379],
    everything: [await addressOf("everything-1", "backends"), 3001],
    gateway: [await addressOf("envoy", "backends"), PORT],
  };
  const probe = `
    const net = require("node:net");
    for (const [place, [host, port]] of Object.entries(${JSON.stringify(places)})) {
      const socket = net.connect({ host, port, timeout: 3000 }, () => {
        process.stdout.write(place + "\\n");
        socket.destroy();
      });
      socket.on("timeout", () => socket.destroy()).on("error", () => {});
    }`;
  const reached = async (service: string) => {
    const prober = new OneShot("node:24-bookworm-slim")
      .withNetworkMode(`container:${(await container(service)).id}`)
      .withCommand(["node", "--eval", probe]);
    return (await prober.output()).trim().split("\n").toSorted();
  };

  const services = ["envoy", "router-2", "redis", "everything-2", "memory"];
  const all = await Promise.all(services.map(async (service) => [service, await reached(service)]));
  expect(Object.fromEntries(all)).toEqual({
    envoy: ["configuration at router-1", "egress", "everything", "ext_proc of router-1", "gateway"],
    "router-2": ["configuration at router-1", "egress", "ext_proc of router-1", "redis"],
    redis: ["redis"],
    "everything-2": ["everything", "gateway"],
    memory: ["everything", "gateway"],
  });
});

test("the gateway is published on loopback, and nothing else is", async () => {
  const published = await Promise.all(
    SERVICES.map(async (service) => {
      const ports = (await inspect(service)).NetworkSettings.Ports;
      return Object.values(ports).flatMap((bindings) => bindings ?? []);
    }),
  );
  expect(published.flat()).toEqual([{ HostIp: "127.0.0.1", HostPort: String(PORT) }]);
});

test.each(SERVICES)("%s runs as nobody special, on a file system that it cannot change", async (service) => {
  const { Pid } = (await inspect(service)).State;
  const status = readFileSync(`/proc/${Pid}/status`, "utf8");
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1];
  expect(Number(field("Uid"))).toBeGreaterThan(0);
  expect(Number(field("Gid"))).toBeGreaterThan(0);
  expect(field("CapBnd")).toBe("0000000000000000");
  expect(field("CapEff")).toBe("0000000000000000");
  expect(field("NoNewPrivs")).toBe("1");
  const root = readFileSync(`/proc/${Pid}/mountinfo`, "utf8")
    .split("\n")
    .find((mount) => mount.split(" ")[4] === "/");
  expect(root?.split(" ")[5]?.split(",")).toContain("ro");
});

test("the router's image holds what it runs, and no tool of its development", async () => {
  const list = 'process.stdout.write(require("node:fs").readdirSync("/app/node_modules").join(" "))';
  const listed = await new OneShot("envoy-mcp-router").withEntrypoint(["node"]).withCommand(["--eval", list]).output();
  const packages = listed.split(" ");
  expect(packages).toContain("ioredis");
  for (const tool of ["typescript", "vitest", "node", "mcp-proxy"]) expect(packages).not.toContain(tool);
});

test("the router's image runs the other commands as well", async () => {
  const config = "/etc/mcp-router/mcp-router.yaml";
  const bootstrap = await new OneShot("envoy-mcp-router")
    .withBindMounts([{ source: CONFIG, target: config, mode: "ro" }])
    .withCommand(["envoy", "--live", "--config", config])
    .output();
  expect(bootstrap).toBe(readFileSync(join(ROOT, "envoy/compose/envoy.yaml"), "utf8"));
});

test("taken down, it leaves nothing", async () => {
  await environment?.down();
  environment = undefined;
  const { dockerode } = docker.container;
  const containers = await dockerode.listContainers({ all: true });
  const networks = await dockerode.listNetworks({ filters: { type: ["custom"] } });
  const { Volumes } = await dockerode.listVolumes();
  expect([containers, networks, Volumes ?? []]).toEqual([[], [], []]);
});
