/** Servers die and come back at random under load, and clients leave: nothing runs twice, and no answer is wrong. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { type Answer, callMessage, callTool, MCP_HEADERS, messageOf, openSession, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { metricIn, metricsAt } from "../support/metrics.ts";
import { stored } from "../support/stored.ts";

/** How long it goes on: CHAOS_SECONDS, which `make test-platforms` sets to 60. */
const SECONDS = Number(process.env.CHAOS_SECONDS ?? 6);
const PATH = "/one/mcp";
const WORKERS = 40;
/** So many that a session loses its server now and then, and not again and again, which the brake on recovery is for. */
const SERVERS = Math.max(6, Math.ceil(SECONDS / 2));
/** Between two deaths, and how long a server is away, in ms. */
const DEATHS = { least: 150, most: 450 };
const AWAY = { least: 0, most: 600 };
/** Of all calls, how many are left by their clients, and after how many ms at most. */
const LEAVERS = 0.15;
const LEAVE_WITHIN = 40;
/**
 * Of the calls that their clients do not leave, how many are answered at least. Seen: 0.88 to 0.99, and the less the busier
 * the machine: each death breaks off what its server was at.
 */
const ANSWERED = 0.7;

const between = ({ least, most }: typeof DEATHS) => least + Math.random() * (most - least);

let redis: RunningRedis;
let fleet: Fleet;
/** The servers, by their place; undefined while one is away. */
let live: (TestServer | undefined)[];
/** All that have ever lived. */
const servers: TestServer[] = [];
let deaths = 0;

beforeAll(async () => {
  redis = await startRedis();
  live = await Promise.all(Array.from({ length: SERVERS }, (_, n) => start(String(n))));
  fleet = await startFleet(2, {
    log: { level: "error" },
    store: { kind: "redis", url: redis.url },
    backends: { one: { endpoints: servers.map(({ endpoint }) => endpoint) } },
    routes: [{ path: PATH, backends: ["one"] }],
  });
});
afterAll(async () => {
  await fleet?.stop();
  await redis?.stop();
  await Promise.all((live ?? []).map((server) => server?.close()));
});

/** A third of them answer by JSON, the others by events. */
async function start(name: string, port?: number): Promise<TestServer> {
  const server = await startMcpServer(name, {
    port: port ?? (await freePort()),
    json: Number(name) % 3 === 0,
    record: false,
  });
  servers.push(server);
  return server;
}

/** Ends a server at random, if it lives, and brings it back. */
async function kill(): Promise<void> {
  const n = Math.floor(Math.random() * live.length);
  const server = live[n];
  if (!server) return;
  live[n] = undefined;
  deaths++;
  await server.close();
  await pause(between(AWAY));
  live[n] = await start(server.name, server.port);
}

interface Outcome {
  readonly id: string;
  /** `left`: by its client; `cut`: the connection broke. */
  readonly answer: Answer | "left" | "cut";
}

async function call(session: string, id: string): Promise<Outcome> {
  const leaves = Math.random() < LEAVERS;
  const signal = leaves ? AbortSignal.timeout(Math.round(Math.random() * LEAVE_WITHIN)) : undefined;
  const headers = { ...MCP_HEADERS, "mcp-session-id": session };
  const body = JSON.stringify(callMessage("run", { id }, id));
  const sent = { port: fleet.port, method: "POST", path: PATH, headers, body, ...(signal && { signal }) };
  const answer = await send(sent).catch(() => (signal?.aborted ? "left" : "cut"));
  return { id, answer };
}

test(`${WORKERS} clients call for ${SECONDS} s while servers die`, async () => {
  const sessions = await Promise.all(Array.from({ length: WORKERS }, () => openSession(fleet.port, PATH)));
  const outcomes: Outcome[] = [];
  let over = false;
  const work = async (session: string, worker: number) => {
    for (let n = 0; !over; n++) outcomes.push(await call(session, `${worker}-${n}`));
  };
  const working = sessions.map(work);
  const kills: Promise<void>[] = [];
  const end = performance.now() + SECONDS * 1_000;
  while (performance.now() < end) {
    await pause(between(DEATHS));
    kills.push(kill());
  }
  over = true;
  await Promise.all([...working, ...kills]);

  const ran = servers.flatMap((server) => server.ran);
  const times = new Map<string, number>();
  for (const id of ran) times.set(id, (times.get(id) ?? 0) + 1);
  const kinds = new Map<string, number>();
  for (const { answer } of outcomes) {
    const kind = typeof answer === "string" ? answer : String(answer.status);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const recovered = await metricSum("recovery_seconds_count", 'outcome="recovered"');
  const summary = [...kinds].map(([kind, count]) => `${kind}: ${count}`).toSorted();
  process.stdout.write(
    `chaos: ${outcomes.length} calls, ${deaths} deaths, ${recovered} recoveries; ${summary.join(", ")}\n`,
  );

  expect([...times].filter(([, count]) => count > 1)).toEqual([]);
  const wrong = outcomes.filter(({ id, answer }) => {
    if (typeof answer === "string" || answer.status !== 200) return false;
    const { result } = messageOf(answer) as { result?: { content: { text: string }[] } };
    return result?.content[0]?.text !== `${id} ran` || times.get(id) !== 1;
  });
  expect(wrong).toEqual([]);
  // A client that is told that its session is gone begins anew and calls again.
  const denied = outcomes.filter(
    ({ id, answer }) => typeof answer !== "string" && answer.status < 500 && answer.status !== 200 && times.has(id),
  );
  expect(denied).toEqual([]);
  expect(kinds.get("500") ?? 0).toBe(0);
  expect(recovered).toBeGreaterThan(0);
  const stayed = outcomes.filter(({ answer }) => answer !== "left").length;
  expect((kinds.get("200") ?? 0) / stayed).toBeGreaterThan(ANSWERED);

  // Every session has come through, and nothing else is left of it all.
  for (const session of sessions)
    expect(await callTool(fleet.port, PATH, session, "echo", { text: "well" })).toBe("well");
  // What was begun for nothing is ended at its backend.
  await expect.poll(() => live.flatMap((server) => server?.namedSessions ?? [])).toHaveLength(WORKERS);
  for (const cluster of ["mcp_router", "one"])
    await expect.poll(() => fleet.envoy.stat(`cluster.${cluster}.upstream_rq_active`)).toBe(0);
  const { keys, leases } = await stored(redis);
  expect(keys.filter((key) => key.endsWith(":l"))).toEqual([]);
  expect(keys.filter((key) => key.endsWith(":s"))).toHaveLength(WORKERS);
  expect(leases).toHaveLength(WORKERS);
  expect(await metricSum("overrides_refused_total")).toBe(0);
}, 120_000);

async function metricSum(name: string, label?: string): Promise<number> {
  const counts = await Promise.all(
    fleet.routers.map(async ({ http }) => metricIn(await metricsAt(`127.0.0.1:${http}`), name, label)),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
