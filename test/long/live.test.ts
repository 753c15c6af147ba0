/** Backends that come, move and go while clients call and listen elsewhere: an Envoy that follows the file cuts and fails nothing. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { setTimeout as later } from "node:timers/promises";
import { afterAll, describe, type ExpectStatic, test } from "vitest";
import { parse, stringify } from "yaml";
import { startRedis } from "../../harness/redis.ts";
import { type Fleet, startFleet } from "../support/fleet.ts";
import { callMessage, initializeMessage, openResponse, openSession, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";

const owner = new AsyncDisposableStack();
afterAll(() => owner.disposeAsync());

const ROUNDS = Number(process.env.LIVE_ROUNDS ?? 8);
const CLIENTS = 16;
/** Calls of all clients together. */
const CALLS_A_SECOND = 200;
const STREAMS = 50;
/** Requests in a row of which each router gets one: Envoy sends them in turn, and those of others between them. */
const ALL_ROUTERS = 16;
const LONG = { timeout: 600_000 };
/** How long (ms) a new backend may take to answer, at the median: a busy machine may be late now and then. */
const SOON = 2_000;

const TRANSPARENT = "/steady";
const FEDERATED = "/several";
const COMING = "/coming";

async function server(name: string): Promise<TestServer> {
  return owner.adopt(await startMcpServer(name, { json: true, record: false }), (it) => it.close());
}

const at = ({ endpoint }: TestServer) => ({ endpoints: [endpoint], path: "/mcp" });

interface Steady {
  readonly steady: TestServer;
  readonly other: TestServer;
}

/** The backends that stay, and the one that comes and goes where it is. */
function sections({ steady, other }: Steady, coming: TestServer | undefined) {
  return {
    backends: { steady: at(steady), other: at(other), ...(coming && { coming: at(coming) }) },
    routes: [
      { path: TRANSPARENT, backends: ["steady"] },
      { path: FEDERATED, backends: ["steady", "other"] },
      ...(coming ? [{ path: COMING, backends: ["coming"] }] : []),
    ],
  };
}

/** As a whole: a router must not read half of it. */
function write(file: string, changed: object): void {
  writeFileSync(`${file}.new`, stringify({ ...parse(readFileSync(file, "utf8")), ...changed }));
  renameSync(`${file}.new`, file);
}

/** The clients that go on all the while. Ends with what has failed. */
async function underLoad(port: number): Promise<() => Promise<readonly string[]>> {
  const failures: string[] = [];
  const over = new AbortController();
  const client = async (n: number) => {
    const [path, tool] = n % 2 === 0 ? [TRANSPARENT, "echo"] : [FEDERATED, "other__echo"];
    const headers = { "mcp-session-id": await openSession(port, path) };
    for (let call = 0; !over.signal.aborted; call++) {
      const paced = later((CLIENTS / CALLS_A_SECOND) * 1_000);
      const text = `${n}-${call}`;
      const answer = await post(port, path, callMessage(tool, { text }), headers).catch(String);
      if (typeof answer === "string" || answer.status !== 200 || !answer.body.includes(text))
        failures.push(`${path}: ${typeof answer === "string" ? answer : `${answer.status} ${answer.body}`}`);
      await paced;
    }
  };
  const clients = Array.from({ length: CLIENTS }, (_, n) => client(n));
  return async () => {
    over.abort();
    await Promise.all(clients);
    return failures;
  };
}

interface Listening {
  readonly session: string;
  readonly path: string;
  readonly stream: IncomingMessage;
  cut: boolean;
  heard: number;
}

async function listen(port: number, path: string): Promise<Listening> {
  const session = await openSession(port, path);
  const headers = { accept: "text/event-stream", "mcp-session-id": session };
  const stream = await openResponse({ port, path, headers });
  const listening: Listening = { session, path, stream, cut: false, heard: 0 };
  stream.on("data", (chunk) => {
    if (String(chunk).includes("data:")) listening.heard++;
  });
  stream.on("close", () => {
    listening.cut = true;
  });
  stream.on("error", () => undefined);
  return listening;
}

/** Each of the streams brings what its server says now. */
async function expectAlive(expect: ExpectStatic, port: number, streams: readonly Listening[]): Promise<void> {
  expect(streams.filter(({ cut }) => cut)).toEqual([]);
  for (const listening of streams) {
    const { session, path, heard } = listening;
    const tool = path === TRANSPARENT ? "announce" : "steady__announce";
    await post(port, path, callMessage(tool), { "mcp-session-id": session });
    await expect.poll(() => listening.heard, { timeout: 30_000 }).toBeGreaterThan(heard);
    listening.stream.destroy();
  }
}

interface Reached {
  /** Statuses on the way. */
  readonly met: ReadonlySet<number>;
  /** Time from which all routers have answered so. */
  readonly since: number;
}

/** Asks until every router answers so. */
async function until(port: number, done: (status: number) => boolean): Promise<Reached> {
  const met = new Set<number>();
  let since = performance.now();
  for (let inARow = 0; inARow < ALL_ROUTERS; ) {
    const asked = performance.now();
    const { status } = await post(port, COMING, initializeMessage());
    met.add(status);
    if (inARow === 0) since = asked;
    inARow = done(status) ? inARow + 1 : 0;
    await later(5);
  }
  return { met, since };
}

const median = (all: readonly number[]) => all.toSorted((one, other) => one - other)[Math.floor(all.length / 2)] ?? 0;

/** @param late ms by which each router sees a change after the one before it */
async function open(routers: number, late: number) {
  const redis = await startRedis();
  owner.defer(async () => void (await redis.stop()));
  const steady: Steady = { steady: await server("steady"), other: await server("other") };
  const fleet: Fleet = await startFleet(
    routers,
    {
      log: { level: "error" },
      processor: { streams: {} },
      store: { kind: "redis", url: redis.url },
      admission: { sessions: "off", waiting: "off" },
      ...sections(steady, undefined),
    },
    { live: true },
  );
  owner.defer(() => fleet.stop());
  /** Resolves when the last router can see it. */
  const change = async (coming: TestServer | undefined) => {
    for (const [n, { configFile }] of fleet.routers.entries()) {
      if (n > 0) await later(late);
      write(configFile, sections(steady, coming));
    }
  };
  return { port: fleet.port, change };
}

describe.concurrent.each([
  ["one router", 1, 0],
  ["two routers, one of which sees each change later", 2, 700],
])("with %s, while clients call and listen", (_, routers, late) => {
  test(
    "backends that come, move and go fail no request elsewhere, cut no stream, and answer soon",
    LONG,
    async ({ expect }) => {
      const { port, change } = await open(routers, late);
      const [here, there] = [await server("here"), await server("there")];
      const streams = await Promise.all(
        Array.from({ length: STREAMS }, (_, n) => listen(port, n % 2 === 0 ? TRANSPARENT : FEDERATED)),
      );
      const end = await underLoad(port);
      const took: number[] = [];
      const met = new Set<number>();
      for (let round = 0; round < ROUNDS; round++) {
        const answering = until(port, (status) => status === 200);
        await change(here);
        const changed = performance.now();
        const answered = await answering;
        took.push(answered.since - changed);
        await openSession(port, COMING);

        const before = there.requests;
        await change(there);
        const moved = await until(port, () => there.requests > before);
        await change(undefined);
        const gone = await until(port, (status) => status === 404);
        for (const reached of [answered, moved, gone]) for (const status of reached.met) met.add(status);
      }
      const failures = await end();
      const [usually, atMost] = [median(took), Math.max(...took)].map(Math.round);
      process.stdout.write(`a new backend answers after ${usually} ms at the median, ${atMost} ms at most: ${routers} router(s)
`);
      expect(failures).toEqual([]);
      // Never 503: what a router names, Envoy has.
      expect([...met].sort()).toEqual([200, 404]);
      await expectAlive(expect, port, streams);
      expect(median(took)).toBeLessThan(SOON);
    },
  );
});
