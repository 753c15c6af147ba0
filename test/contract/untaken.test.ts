/**
 * What ioredis rejects, throws or emits by itself, without anybody of ours who waits for it: each place, and how it is provoked.
 * Node ends a process by such an error. Expected of each: the operation under way is `unavailable`, and nothing is untaken.
 */
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Redis } from "ioredis";
import { Cluster } from "ioredis";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type RunningCluster, startRedis, startRedisCluster, valkeyServerPath } from "../../harness/redis.ts";
import { createRedisCircuit } from "../../src/redis/circuit.ts";
import { connectRedis, type RedisSettings } from "../../src/redis/connection.ts";
import { watchConnection } from "../../src/redis/watch.ts";
import { mintSessionId, type SessionKey, sessionKey } from "../../src/sessions/id.ts";
import { redisStore } from "../../src/sessions/redis.ts";
import type { SessionStore } from "../../src/sessions/store.ts";
import { nothingUntaken } from "../support/untaken.ts";
import { LIFESPAN } from "./store.ts";

const TIMEOUT_MS = 500;
/** For what takes a second or two on a machine with nothing else to do. */
const PATIENCE = { timeout: 60_000 };

const stderr = vi.spyOn(console, "error");
beforeEach(() => void stderr.mockReset());
// Hooks after a test run in reverse: this one comes once all has ended.
afterEach(() => expect(stderr).not.toHaveBeenCalled());
const owner = nothingUntaken(3);

interface Opened {
  readonly connection: Redis | Cluster;
  readonly store: SessionStore;
  find(key?: SessionKey): Promise<string>;
}

async function open(at: RedisSettings["at"], over: Partial<RedisSettings> = {}): Promise<Opened> {
  const rest = { username: undefined, password: undefined, database: 0, tls: undefined, timeout: TIMEOUT_MS };
  const connection = connectRedis({ ...rest, ...over, at });
  owner().defer(() => connection.disconnect());
  const circuit = createRedisCircuit(TIMEOUT_MS, () => undefined);
  const store = redisStore({ ...LIFESPAN, connection, circuit, prefix: "mcpr", onUnreadable: () => undefined });
  await new Promise<void>((resolve) => watchConnection(connection, { reached: resolve, unreachable: () => resolve() }));
  return { connection, store, find: async (key = sessionKey(mintSessionId())) => (await store.find(key, "one")).kind };
}

async function openOne(server?: string) {
  const redis = await startRedis(server === undefined ? {} : { server });
  owner().defer(() => redis.stop().then(() => undefined));
  return { redis, ...(await open({ kind: "single", host: "127.0.0.1", port: redis.port })) };
}

describe("in a cluster, where a slot is on its way to another node (Cluster.sendCommand: ASKING)", () => {
  test.each<[string, boolean, (to: RunningCluster["nodes"][number]) => Promise<unknown>]>([
    ["that refuses ASKING", false, (to) => to.command("ACL", "SETUSER", "default", "-asking")],
    ["that hangs, until its connection is given up", true, async (to) => to.pause()],
    ["that is killed", true, (to) => to.kill()],
  ])(
    "%s",
    async (_, closes, fail) => {
      const cluster = await startRedisCluster(2);
      owner().defer(() => cluster.stop());
      const [from, to] = cluster.nodes;
      if (!from || !to) throw new Error("unreachable");
      const nodes = cluster.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
      const { connection, find } = await open({ kind: "cluster", nodes });
      const { key, slot } = await keyOf(from);
      await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", String(await from.command("CLUSTER", "MYID")));
      await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", String(await to.command("CLUSTER", "MYID")));
      // Sent along, to where there is nothing.
      expect(await find(key)).toBe("unknown");
      // What waits for an answer there is rejected with its connection.
      const gone = closes ? closeOf(nodeAt(connection, to.port)) : undefined;
      await fail(to);
      const outcome = await find(key);
      expect(outcome).toBe("unavailable");
      await gone;
      expect(await find((await keyOf(from)).key)).toBe("unknown");
    },
    PATIENCE.timeout,
  );

  /** A session whose slot this node has, and will not give away. */
  async function keyOf(node: RunningCluster["nodes"][number]): Promise<{ key: SessionKey; slot: number }> {
    for (;;) {
      const key = sessionKey(mintSessionId());
      const slot = Number(await node.command("CLUSTER", "KEYSLOT", `{${key}}`));
      if (slot < 8_192) return { key, slot };
    }
  }
  function nodeAt(connection: Redis | Cluster, port: number): Redis {
    const found = connection instanceof Cluster && connection.nodes().find(({ options }) => options.port === port);
    if (!found) throw new Error(`no node at ${port}`);
    return found;
  }
});

describe("behind Sentinels, on the connections that hear of a failover (SentinelConnector.initFailoverDetector)", () => {
  test.each<[string, (sentinel: FakeSentinel) => Promise<unknown>]>([
    ["one says what it was not asked (DataHandler.shiftCommand)", async (it) => it.say("+surprise\r\n")],
    ["one breaks the protocol (DataHandler.returnFatalError)", async (it) => it.say("nonsense\r\n")],
    ["one closes, and is not there again (Redis.silentEmit)", (it) => it.close()],
  ])(
    "%s",
    async (_, fail) => {
      const redis = await startRedis();
      owner().defer(() => redis.stop().then(() => undefined));
      const sentinel = await startFakeSentinel(redis.port);
      const { find } = await open({
        kind: "sentinel",
        master: "mymaster",
        nodes: [{ host: "127.0.0.1", port: sentinel.port }],
      });
      await sentinel.subscribed;
      await fail(sentinel);
      await sentinel.dropped;
      for (let n = 0; n < 10; n++) expect(await find()).toBe("unknown");
    },
    PATIENCE.timeout,
  );
});

describe("on one connection", () => {
  test("Redis is killed with commands under way (closeHandler, flushQueue)", async () => {
    const { redis, find } = await openOne();
    const all = Array.from({ length: 100 }, () => find());
    await redis.kill();
    for (const outcome of await Promise.all(all)) expect(["unknown", "unavailable"]).toContain(outcome);
    expect(await find()).toBe("unavailable");
  });

  test("Redis hangs, and its connection is given up (Redis.setSocketTimeout)", async () => {
    const { redis, connection, find } = await openOne();
    redis.pause();
    const closed = closeOf(connection);
    expect(await find()).toBe("unavailable");
    await closed;
  });

  test("its connection is cut again and again (CLIENT KILL)", async () => {
    const { redis, find } = await openOne();
    for (let n = 0; n < 5; n++) {
      const all = Array.from({ length: 20 }, () => find());
      await redis.command("CLIENT", "KILL", "TYPE", "normal").catch(() => undefined);
      await Promise.all(all);
    }
  });

  test.each([
    ["Redis", undefined],
    ["Valkey", valkeyServerPath()],
  ])("%s becomes a replica, which takes no writes (Redis.handleReconnection)", async (name, server) => {
    if (name === "Valkey" && server === undefined) return;
    const { redis, store, connection } = await openOne(server);
    const reconnecting = new Promise<void>((resolve) => connection.once("reconnecting", () => resolve()));
    await redis.command("REPLICAOF", "127.0.0.1", 1);
    const session = { owner: "", route: "/", protocolVersion: undefined, initializeParams: "{}", bindings: {} };
    const create = () => store.create(sessionKey(mintSessionId()), session);
    const outcomes = await Promise.all(Array.from({ length: 20 }, create));
    for (const { kind } of outcomes) expect(kind).toBe("unavailable");
    // To where the master is by now.
    await reconnecting;
    connection.disconnect();
    expect(await create()).toEqual({ kind: "unavailable" });
  });

  test.each<[string, Partial<RedisSettings>]>([
    ["the password is wrong (connectHandler: AUTH)", { username: "nobody", password: "wrong" }],
    ["there is no such database (connectHandler: SELECT)", { database: 99 }],
  ])("%s", async (_, settings) => {
    const redis = await startRedis();
    owner().defer(() => redis.stop().then(() => undefined));
    const { find } = await open({ kind: "single", host: "127.0.0.1", port: redis.port }, settings);
    expect(await find()).toBe("unavailable");
  });

  test("it is let go of with commands under way, and while it connects", async () => {
    const { redis, connection, find } = await openOne();
    const underway = find();
    connection.disconnect();
    expect(["unknown", "unavailable"]).toContain(await underway);
    const rest = { username: undefined, password: undefined, database: 0, tls: undefined, timeout: TIMEOUT_MS };
    const another = connectRedis({ ...rest, at: { kind: "single", host: "127.0.0.1", port: redis.port } });
    another.on("error", () => undefined).disconnect();
    await new Promise<void>((resolve) => another.once("end", () => resolve()));
  });
});

/** Resolves when a connection is closed, whatever error it tells of before. */
function closeOf(connection: Redis | Cluster): Promise<void> {
  return new Promise((resolve) => connection.once("close", () => resolve()));
}

interface FakeSentinel {
  readonly port: number;
  /** Resolves when somebody waits to hear of a failover. */
  readonly subscribed: Promise<unknown>;
  /** Resolves when that one's connection is gone. */
  readonly dropped: Promise<unknown>;
  /** To who waits to hear of a failover; and then goes. */
  say(words: string): void;
  close(): Promise<void>;
}

/** A Sentinel that knows one master and no other Sentinels, and says what it is told to. */
async function startFakeSentinel(master: number): Promise<FakeSentinel> {
  const subscribed = Promise.withResolvers<void>();
  const dropped = Promise.withResolvers<void>();
  const sockets = new Set<Socket>();
  let subscriber: Socket | undefined;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    socket.setEncoding("utf8").on("data", (text: string) => {
      for (const command of String(text)
        .split(/^\*\d+\r\n/m)
        .slice(1))
        socket.write(answerTo(command, socket));
    });
  });
  const answerTo = (command: string, socket: Socket): string => {
    if (/get-master-addr/i.test(command)) return `*2\r\n$9\r\n127.0.0.1\r\n$${String(master).length}\r\n${master}\r\n`;
    if (/\r\nsentinels\r\n/i.test(command)) return "*0\r\n";
    if (!/subscribe/i.test(command)) return "+OK\r\n";
    subscriber ??= socket.on("close", () => dropped.resolve());
    subscribed.resolve();
    return "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n";
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  owner().defer(close);
  return {
    // Safe: it listens on a port.
    port: (server.address() as AddressInfo).port,
    subscribed: subscribed.promise,
    dropped: dropped.promise,
    say: (words) => subscriber?.end(words),
    close,
  };
}
