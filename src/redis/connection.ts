/** Connections to Redis (single, Sentinel or Cluster), configured to fail fast instead of queueing. */
import type { ConnectionOptions } from "node:tls";
import { Cluster, Redis } from "ioredis";
import { replyCode } from "./reply.ts";

/** Address and credentials of Redis. */
export interface RedisSettings {
  readonly at:
    | { readonly kind: "single"; readonly host: string; readonly port: number }
    | { readonly kind: "sentinel"; readonly master: string; readonly nodes: readonly Node[] }
    | { readonly kind: "cluster"; readonly nodes: readonly Node[] };
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Database number; 0 in a cluster. */
  readonly database: number;
  /** ms that a command (enforced by the circuit) and a connection attempt may take. */
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

/** Maximum back-off (ms) between reconnection attempts; bounds how long Redis's recovery goes unnoticed. */
const LONGEST_RECONNECT_PAUSE_MS = 500;

/** ms for Redis to close a connection that we ended. Commands in flight on it have failed by then. */
const DISCONNECT_MS = 100;

/**
 * Starts to connect. While there is no connection, commands fail: nothing is queued. Errors of ioredis's own background work are
 * handled here too, since an unhandled rejection would end the process.
 */
export function connectRedis(settings: RedisSettings): Redis | Cluster {
  const { at, username, password, database, timeout, tls } = settings;
  const common = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls: tlsOptions(tls) }),
    connectTimeout: Math.max(timeout, 1_000),
    disconnectTimeout: DISCONNECT_MS,
    // ms of silence, with commands waiting, after which ioredis closes the connection. The circuit bounds each command, but ioredis
    // holds it until the connection ends, and the kernel keeps a connection to a dead peer for about 15 minutes.
    socketTimeout: 2 * timeout,
    // A command that was in flight when the connection broke may have run: fail it, and let the caller decide.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // READONLY: this master was demoted. 2 = reconnect to the new master and run the command there.
    reconnectOnError: (error: Error) => (replyCode(error.message) === "READONLY" ? (2 as const) : false),
    connectionName: "mcp-router",
  };
  const retryStrategy = (attempt: number) => Math.min(attempt * 50, LONGEST_RECONNECT_PAUSE_MS);
  const alone = {
    ...common,
    db: database,
    retryStrategy,
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    // ioredis takes no rejection of a subscription that it makes by itself.
    autoResubscribe: false,
  };
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
      return ignoreAskingRejection(
        new Cluster([...at.nodes], {
          redisOptions: common,
          clusterRetryStrategy: retryStrategy,
          enableOfflineQueue: false,
          // No auto-pipelining: ioredis follows no MOVED in a pipeline of which only some slots have moved.
        }),
      );
    default:
      return at satisfies never;
  }
}

/** Disconnects if SELECT fails: ioredis would go on in database 0, which may belong to another application. */
function insistOnDatabase(connection: Redis): Redis {
  return connection.on("error", (error: Error) => {
    // ioredis adds the command to the error that Redis answered.
    const { command } = error as Error & { readonly command?: { readonly name: string } };
    if (command?.name === "select") connection.disconnect(true);
  });
}

/**
 * Handles the rejection of ASKING. On an ASK redirect ioredis sends ASKING to the target node and ignores its promise. If ASKING
 * fails (the node hangs, or an ACL forbids the command), the redirected command fails too, and its caller sees that.
 */
function ignoreAskingRejection(cluster: Cluster): Cluster {
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
 * Ignores errors of the connections to Sentinels that ioredis keeps for its failover detector. ioredis has no error listener there,
 * so it would print the errors to stderr between our log lines, and throw some. An unreachable Sentinel is reported when ioredis
 * looks for the master.
 */
function quietSentinels(connection: Redis): Redis {
  // A private member of ioredis, hence the cast and the check: if a release moves it, fail at the start, not at a Sentinel's error.
  const { connector } = connection as unknown as {
    readonly connector?: { connectToSentinel?: (...args: unknown[]) => Redis };
  };
  const connect = connector?.connectToSentinel;
  if (!connect) throw new Error("this ioredis has no connectToSentinel: errors of Sentinels cannot be taken");
  connector.connectToSentinel = (...args) => connect.apply(connector, args).on("error", () => undefined);
  return connection;
}

/** Settings of the Redis server that lose sessions, as warnings for the operator. Empty if the server does not tell them. */
export async function redisWarnings(connection: Redis | Cluster): Promise<readonly string[]> {
  const warnings: string[] = [];
  const ask = async (setting: string): Promise<string | undefined> => {
    try {
      const [, value] = (await connection.config("GET", setting)) as string[]; // Name and value.
      return value;
    } catch {
      // Managed Redis services and narrow ACLs refuse CONFIG.
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
