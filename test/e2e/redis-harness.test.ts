import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ConnectionOptions, connect } from "node:tls";
import { generate } from "selfsigned";
import { afterEach, expect, test, vi } from "vitest";
import { redisServerPath, startRedis, startRedisCluster, startSentinel } from "../../harness/redis.ts";
import { command } from "../../harness/resp.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";

let owner = new AsyncDisposableStack();

afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

test("REDIS_SERVER comes before a redis-server on PATH", () => {
  const directory = owner.use(temporaryDirectory("path")).path;
  const onPath = join(directory, "redis-server");
  owner.defer(() => void vi.unstubAllEnvs());
  writeFileSync(onPath, "", { mode: 0o755 });
  vi.stubEnv("PATH", directory);

  vi.stubEnv("REDIS_SERVER", process.execPath);
  expect(redisServerPath()).toBe(process.execPath);
  vi.stubEnv("REDIS_SERVER", undefined);
  expect(redisServerPath()).toBe(onPath);
});

test("a Redis that cannot start says why", async () => {
  await expect(startRedis({ args: ["--maxmemory", "much"] })).rejects.toThrow("maxmemory");
});

test("a Redis without persistence has lost its keys after a restart", async () => {
  const redis = own(await startRedis());
  await redis.command("SET", "key", "value");
  expect(await redis.command("GET", "key")).toBe("value");

  await redis.restart();

  expect(await redis.command("GET", "key")).toBeNull();
});

test("a Redis with persistence that was killed has its keys after a restart, on the same port", async () => {
  const redis = own(await startRedis({ persistence: true }));
  const { port } = redis;
  await redis.command("SET", "key", "value");

  await redis.kill();
  await expect(redis.command("GET", "key")).rejects.toThrow("ECONNREFUSED");
  await redis.restart();

  expect(redis.port).toBe(port);
  expect(await redis.command("GET", "key")).toBe("value");
});

test("a paused Redis answers nothing until it is resumed", async () => {
  const redis = own(await startRedis());

  redis.pause();
  await expect(command(redis.port, ["PING"], { timeoutMs: 200 })).rejects.toThrow("no answer in 200 ms");
  redis.resume();

  expect(await redis.command("PING")).toBe("PONG");
});

test("a Redis with a password refuses a client without it", async () => {
  const redis = own(await startRedis({ password: "secret" }));

  await expect(command(redis.port, ["PING"])).rejects.toThrow("NOAUTH");
  expect(await redis.command("PING")).toBe("PONG");
  expect(redis.url).toBe(`redis://:secret@127.0.0.1:${redis.port}`);
});

test("a Redis with an ACL user lets in that user and not the default one", async () => {
  const redis = own(await startRedis({ aclUser: "router", password: "p@ss" }));

  await expect(command(redis.port, ["PING"], { auth: ["p@ss"] })).rejects.toThrow("WRONGPASS");
  expect(await redis.command("ACL", "WHOAMI")).toBe("router");
  expect(redis.url).toBe(`redis://router:p%40ss@127.0.0.1:${redis.port}`);
});

test("a Redis with TLS and a CA serves a client with a certificate and refuses one without", async () => {
  const { cert, private: key } = await generate([{ name: "commonName", value: "127.0.0.1" }], {
    extensions: [{ name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }],
  });
  const redis = own(await startRedis({ tls: { cert, key, ca: cert } }));
  expect(redis.url).toBe(`rediss://127.0.0.1:${redis.port}`);

  expect(await pingOverTls(redis.port, { ca: cert, cert, key })).toBe("+PONG\r\n");
  await expect(pingOverTls(redis.port, { ca: cert })).rejects.toThrow("certificate required");
});

test("a stopped Redis has ended and leaves no directory, also when it was paused", async () => {
  const redis = await startRedis();
  redis.pause();

  expect(await redis.stop()).toBe(0);

  expect(existsSync(redis.directory)).toBe(false);
});

test("a slot of a cluster moves with its keys, and clients are sent after it", async () => {
  const cluster = own(await startRedisCluster());
  const [source, target] = cluster.nodes;
  // Slot 5061 of 16384 is in the first third.
  expect(await source?.command("CLUSTER", "KEYSLOT", "bar")).toBe(5061);
  for (const name of ["{bar}:1", "{bar}:2"]) await source?.command("SET", name, name);

  await cluster.moveSlot(5061, 0, 1);

  expect(await target?.command("MGET", "{bar}:1", "{bar}:2")).toEqual(["{bar}:1", "{bar}:2"]);
  for (const at of [0, 2])
    await expect(cluster.nodes[at]?.command("GET", "{bar}:1")).rejects.toThrow(`MOVED 5061 127.0.0.1:${target?.port}`);
  for (const node of cluster.nodes) expect(await node.command("CLUSTER", "INFO")).toContain("cluster_state:ok");
});

test("a failover makes the replica the master, with the keys, and every Sentinel names it", async () => {
  const { master, replica, sentinels, masterName, failover } = own(await startSentinel());
  const named = () =>
    Promise.all(sentinels.map(({ port }) => command(port, ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName])));
  expect(await named()).toEqual(sentinels.map(() => ["127.0.0.1", String(master.port)]));
  await master.command("SET", "key", "value");
  await expect.poll(() => replica.command("GET", "key")).toBe("value");

  await failover();

  expect(await named()).toEqual(sentinels.map(() => ["127.0.0.1", String(replica.port)]));
  expect(await replica.command("ROLE")).toContain("master");
  expect(await replica.command("SET", "key", "newer")).toBe("OK");
});

function own<Server extends { stop(): Promise<unknown> }>(server: Server): Server {
  owner.defer(() => server.stop().then(() => undefined));
  return server;
}

async function pingOverTls(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", ...options });
  owner.defer(() => void socket.destroy());
  socket.write("PING\r\n");
  const [chunk] = await once(socket, "data");
  return String(chunk);
}
