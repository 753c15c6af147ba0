/** Connections to Redis: single, Sentinel or Cluster, tuned to fail at once rather than to wait. */
import type { ConnectionOptions } from "node:tls";
import { Cluster, Redis } from "ioredis";
import { replyCode } from "./reply.ts";

/** Where Redis is, and how to enter. */
export interface RedisSettings {
  readonly at:
    | { readonly kind: "single"; readonly host: string; readonly port: number }
    | { readonly kind: "sentinel"; readonly master: string; readonly nodes: readonly Node[] }
    | { readonly kind: "cluster"; readonly nodes: readonly Node[] };
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Number of the database; 0 in a cluster. */
  readonly database: number;
  /** ms that a command may take, which the circuit sees to, and a connection attempt. */
  readonly timeout: number;
  /** PEM texts. undefined = no TLS. */
  readonly tls: TlsSettings | undefined;
}

interface Node {
  readonly host: string;
  readonly port: number;
}

interface TlsSettings {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly serverName: string | undefined;
}

/** Longest pause (ms) between two attempts to connect again: bounds how long Redis's return goes unnoticed. */
const LONGEST_RECONNECT_PAUSE_MS = 500;

/** ms for Redis to close a connection that we have ended. What was in flight on it has failed by then. */
const DISCONNECT_MS = 100;

/**
 * Starts to connect. Commands fail until it has, and while it is cut off: nothing is queued for later. Of what ioredis does by
 * itself nothing rejects or throws without somebody to take it: that would end the process.
 */
export function connectRedis(settings: RedisSettings): Redis | Cluster {
  const { at, username, password, database, timeout, tls } = settings;
  const common = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls: tlsOptions(tls) }),
    connectTimeout: Math.max(timeout, 1_000),
    disconnectTimeout: DISCONNECT_MS,
    // Commands are bounded by the circuit. A connection that is silent for so long (ms), with commands waiting, is given up: ioredis
    // keeps a command until its connection ends, and the kernel keeps one whose peer is gone for a quarter of an hour.
    socketTimeout: 2 * timeout,
    // A command that was in flight when the connection broke may have run: the caller is told, and decides.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // A replica that was promoted elsewhere, or is being demoted: find the new master, and run the command there.
    reconnectOnError: (error: Error) => (replyCode(error.message) === "READONLY" ? (2 as const) : false),
    connectionName: "mcp-router",
  };
  const retryStrategy = (attempt: number) => Math.min(attempt * 50, LONGEST_RECONNECT_PAUSE_MS);
  const alone = { ...common, db: database, retryStrategy, enableOfflineQueue: false, enableAutoPipelining: true };
  switch (at.kind) {
    case "single":
      return insistOnDatabase(new Redis({ ...alone, host: at.host, port: at.port }));
    case "sentinel":
      return insistOnDatabase(
        quietSentinels(
          new Redis({
            ...alone,
            name: at.master,
            sentinels: [...at.nodes],
            sentinelRetryStrategy: retryStrategy,
            sentinelCommandTimeout: Math.max(timeout, 1_000),
            failoverDetector: true,
            ...(tls && { sentinelTLS: tlsOptions(tls), enableTLSForSentinelMode: true }),
          }),
        ),
      );
    case "cluster":
      return takeAsking(
        new Cluster([...at.nodes], {
          redisOptions: common,
          clusterRetryStrategy: retryStrategy,
          enableOfflineQueue: false,
          // Not pipelined: of a pipeline in which some slots have moved and some have not, ioredis follows no MOVED.
        }),
      );
    default:
      return at satisfies never;
  }
}

/** Where the database is refused, ioredis would go on in database 0, which may be another's: better no connection. */
function insistOnDatabase(connection: Redis): Redis {
  return connection.on("error", (error: Error) => {
    // An answer of Redis, to which ioredis has added the command.
    const { command } = error as Error & { readonly command?: { readonly name: string } };
    if (command?.name === "select") connection.disconnect(true);
  });
}

/**
 * Ahead of a command that a node redirects by ASK, ioredis sends ASKING to the other one and lets go of its promise. Where that
 * rejects (the node hangs, or may not be said ASKING to), the command fails too, and whoever sent it is told.
 */
function takeAsking(cluster: Cluster): Cluster {
  return cluster.on("+node", (node: Redis) => {
    const ask = node.asking.bind(node);
    node.asking = () => {
      const asked = ask();
      asked.catch(() => undefined);
      return asked;
    };
  });
}

/**
 * To hear of a failover ioredis keeps a connection to each Sentinel, on which it does not listen for errors: it would write them
 * to stderr, between the lines of the log, and throw some. A Sentinel that is away is missed when the master is looked for.
 */
function quietSentinels(connection: Redis): Redis {
  // Private to ioredis, hence the cast and the check: a release that moves it must fail here and not when a Sentinel does.
  const { connector } = connection as unknown as {
    readonly connector?: { connectToSentinel?: (...args: unknown[]) => Redis };
  };
  const connect = connector?.connectToSentinel;
  if (!connect) throw new Error("this ioredis has no connectToSentinel: errors of Sentinels cannot be taken");
  connector.connectToSentinel = (...args) => connect.apply(connector, args).on("error", () => undefined);
  return connection;
}

/** What of the server's own configuration loses sessions, in words for the operator. Empty where it does not tell. */
export async function redisWarnings(connection: Redis | Cluster): Promise<readonly string[]> {
  const warnings: string[] = [];
  const ask = async (setting: string): Promise<string | undefined> => {
    try {
      const [, value] = (await connection.config("GET", setting)) as string[]; // Name and value.
      return value;
    } catch {
      // Managed Redis and narrow ACLs refuse CONFIG.
      return undefined;
    }
  };
  const policy = await ask("maxmemory-policy");
  if (policy !== undefined && policy !== "noeviction")
    warnings.push(`Redis may evict live sessions: its maxmemory-policy is ${policy}, set noeviction`);
  const [save, appendonly] = [await ask("save"), await ask("appendonly")];
  if (save === "" && appendonly === "no")
    warnings.push("Redis keeps nothing on disk: when it restarts, every session ends and clients initialize again");
  return warnings;
}

function tlsOptions({ ca, cert, key, serverName }: TlsSettings): ConnectionOptions {
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(serverName !== undefined && { servername: serverName }),
  };
}
