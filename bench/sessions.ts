/**
 * What 100,000 sessions cost each store, with their leases: bytes, and how long the sweep of them, once they have expired,
 * holds up the event loop where all is in memory.
 * A process of its own, for a heap that holds nothing else: `node --expose-gc bench/sessions.ts`. Ends with 1 when the
 * target is missed.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { runOwning } from "../harness/owner.ts";
import { startRedis } from "../harness/redis.ts";
import { type Ledger, NO_CAPS } from "../src/admission/ledger.ts";
import { memoryLedger } from "../src/admission/memory.ts";
import { redisLedger } from "../src/admission/redis.ts";
import { startSweeper } from "../src/admission/sweeper.ts";
import { createRedisCircuit } from "../src/redis/circuit.ts";
import { connectRedis } from "../src/redis/connection.ts";
import { mintSessionId, principalDigest, type SessionKey, sessionKey } from "../src/sessions/id.ts";
import { type MemoryStore, memoryStore } from "../src/sessions/memory.ts";
import { redisStore } from "../src/sessions/redis.ts";
import type { Session, SessionStore } from "../src/sessions/store.ts";
import { waitedForProcessor } from "./process-stats.ts";
import { initializeParams, MCP_PATH, PROTOCOL_VERSION } from "./wire.ts";

const SESSIONS = 100_000;
/** Created at once. */
const BATCH = 1_000;
const SWEEP_MS = 100;
/** ms that the sweep must not keep a request waiting. */
const TARGET_BLOCK_MS = 10;
const LIFESPAN = { idle: 1_800_000, lifetime: 86_400_000, unused: 60_000 } as const;
/** How a session's key begins in Redis: the default of `store.prefix`. */
const PREFIX = "mcpr";
/** Longest that a command of Redis may take here, in ms: many are under way at once. */
const TIMEOUT_MS = 10_000;

await runOwning(async (owner) => {
  const memory = await measureMemoryStore();
  const redis = await measureRedis(owner);
  const met = memory.longestBlock < TARGET_BLOCK_MS;
  const target = `target < ${TARGET_BLOCK_MS}: ${met ? "met" : "MISSED"}`;
  console.log(
    [
      "",
      `${SESSIONS} sessions (initialize params of ${initializeParams(clientName(0)).length} bytes)`,
      line("memory store, bytes each", memory.bytesEach.toFixed(0)),
      line("Redis, bytes each", redis.bytesEach.toFixed(0)),
      line("Redis, MEMORY USAGE of one", redis.bytesOfOne.toFixed(0)),
      line("memory store, sweep of all, ms", memory.sweep.toFixed(0)),
      line("  longest gap of a timer meanwhile, ms", memory.longestGap.toFixed(1)),
      `${line("  longest block of the event loop, ms", memory.longestBlock.toFixed(1))}${" ".repeat(15)}${target}`,
    ].join("\n"),
  );
  return met;
});

async function measureMemoryStore() {
  let now = 0;
  const store = memoryStore({ ...LIFESPAN, now: () => now });
  const ledger = memoryLedger({ now: () => now });
  const before = heapUsed();
  await createSessions(store, ledger);
  const bytesEach = (heapUsed() - before) / SESSIONS;
  now = LIFESPAN.lifetime;
  // A backend that is down is the worst: of most sessions nothing is waited for.
  const end = () => Promise.resolve(false);
  const sweeper = startSweeper({ ledger, store, end, interval: SWEEP_MS, observe: () => undefined });
  const swept = await watchSweep(store);
  await sweeper.stop();
  await store.close();
  return { bytesEach, ...swept };
}

async function measureRedis(owner: AsyncDisposableStack) {
  const server = await startRedis();
  owner.defer(() => server.stop().then(() => undefined));
  const connection = connectRedis({
    at: { kind: "single", host: "127.0.0.1", port: server.port },
    username: undefined,
    password: undefined,
    database: 0,
    timeout: TIMEOUT_MS,
    tls: undefined,
  });
  connection.on("error", () => undefined);
  // What fails is told by `create`.
  const circuit = createRedisCircuit(TIMEOUT_MS, () => undefined);
  const store = redisStore({ ...LIFESPAN, connection, circuit, prefix: PREFIX, onUnreadable: () => undefined });
  owner.defer(() => connection.disconnect());
  while (connection.status !== "ready") await sleep(10);

  const usedMemory = async () => Number(/used_memory:(\d+)/.exec(String(await server.command("INFO", "memory")))?.[1]);
  const ledger = redisLedger({ connection, circuit, prefix: PREFIX, countsAnonymous: false });
  // The first one brings the scripts.
  const first = await create(store, ledger, SESSIONS);
  const before = await usedMemory();
  await createSessions(store, ledger);
  const bytesEach = ((await usedMemory()) - before) / SESSIONS;
  const key = `${PREFIX}:{${first}}:s`;
  // Without a number of samples it measures 5 fields and takes the others to be alike.
  const bytesOfOne = Number(await server.command("MEMORY", "USAGE", key, "SAMPLES", 0));
  return { bytesEach, bytesOfOne };
}

async function createSessions(store: SessionStore, ledger: Ledger): Promise<void> {
  for (let from = 0; from < SESSIONS; from += BATCH)
    await Promise.all(Array.from({ length: BATCH }, (_, n) => create(store, ledger, from + n)));
}

async function create(store: SessionStore, ledger: Ledger, n: number): Promise<SessionKey> {
  const key = sessionKey(mintSessionId());
  const session = sessionOf(n);
  const created = await store.create(key, session);
  if (created.kind !== "created") throw new Error(`session ${n}: ${created.kind}`);
  const { kind } = await ledger.hold({ key, principal: session.owner }, created.expiresIn, NO_CAPS, "used");
  if (kind !== "held") throw new Error(`lease ${n}: ${kind}`);
  return key;
}

/** As the gateway makes it: what came over the wire is text of its own for each session. */
function sessionOf(n: number): Session {
  return {
    owner: principalDigest(["https://issuer.example", `user-${n}`]),
    route: MCP_PATH,
    protocolVersion: received(PROTOCOL_VERSION),
    initializeParams: received(initializeParams(clientName(n))),
    bindings: { tools: { generation: 1, endpoint: received("10.0.12.34:8080"), sessionId: received(randomUUID()) } },
  };
}

function clientName(n: number): string {
  return `client-${String(n).padStart(6, "0")}`;
}

/** The same text as decoding bytes gives it: in one piece, and shared with nothing. */
function received(text: string): string {
  return Buffer.from(text).toString("utf8");
}

interface Sweep {
  /** ms from the first session that went to the last. */
  readonly sweep: number;
  /** ms between two ticks of the timer, and the same less what the event loop waited for a processor. */
  readonly longestGap: number;
  readonly longestBlock: number;
}

/**
 * Waits for the next sweep, by the sweeper's own timer, until it has met every session. A timer of 1 ms shares the event
 * loop with it, and counted are only the gaps between two of its ticks in which sessions went. What other processes took of
 * a gap is not the store's doing. A block counts the timer's own millisecond, so it is rather too long than too short.
 */
function watchSweep(store: MemoryStore): Promise<Sweep> {
  const swept = Promise.withResolvers<Sweep>();
  let began: number | undefined;
  let longestGap = 0;
  let longestBlock = 0;
  let { size } = store;
  let tick = performance.now();
  let waited = waitedForProcessor();
  const timer = setInterval(() => {
    const now = performance.now();
    const waitedNow = waitedForProcessor();
    if (store.size < size) {
      began ??= tick;
      longestGap = Math.max(longestGap, now - tick);
      longestBlock = Math.max(longestBlock, now - tick - (waitedNow - waited));
    }
    size = store.size;
    waited = waitedNow;
    // Anew: the thread may have lost the processor since `now`, and that wait is counted already.
    tick = performance.now();
    if (size > 0) return;
    clearInterval(timer);
    swept.resolve({ sweep: tick - (began ?? tick), longestGap, longestBlock });
  }, 1);
  return swept.promise;
}

function heapUsed(): number {
  if (!globalThis.gc) throw new Error("start with node --expose-gc");
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

function line(label: string, value: string): string {
  return label.padEnd(40) + value.padStart(15);
}
