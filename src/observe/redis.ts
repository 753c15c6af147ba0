/** What is counted and logged of Redis, and what health says of it. */
import type { RedisEvent } from "../redis/circuit.ts";
import { reasonOf } from "../redis/watch.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { seldom, seldomCounted } from "../telemetry/seldom.ts";

export interface RedisObserver {
  /** An event of the circuit. */
  circuit(event: RedisEvent): void;
  /** The connection stands. `warnings`: settings of the server that lose sessions. */
  reached(): void;
  warnings(warnings: readonly string[]): void;
  unreachable(why: string | undefined): void;
  /** A session's record could not be read. */
  unreadable(why: string): void;
  /** Whether Redis was ever reached. */
  wasReached(): boolean;
  /** Whether Redis is away now. */
  isAway(): boolean;
}

export function redisObserver(metrics: Metrics, log: Logger): RedisObserver {
  /** `reached` and `unreachable` tell of the connection, the circuit of the commands on it. */
  let connection: "never" | "up" | "down" = "never";
  let failing = false;
  let lastFailure: string | undefined;
  const warned = new Set<string>();
  const isDue = seldom();
  const countUntilDue = seldomCounted();
  return {
    circuit(event) {
      switch (event.kind) {
        case "down":
          failing = true;
          metrics.storeUp(false);
          log.error(
            { why: lastFailure },
            "Redis fails: requests of sessions wait as long as store.patience says, and are then refused until it works again",
          );
          return;
        case "up":
          failing = false;
          metrics.storeUp(true);
          log.info("Redis works again");
          return;
        case "failed":
          lastFailure = reasonOf(event.error);
          metrics.storeFailed(event.operation);
          log.debug({ operation: event.operation, why: lastFailure }, "a command of Redis failed");
          return;
        case "refused": {
          const { operation, why, error } = event;
          const refused = countUntilDue(why);
          if (refused === 0) return;
          log.warn(
            { why: reasonOf(error), operation, refused },
            "Redis is there and refuses commands: what needs them is refused until it takes them again",
          );
          return;
        }
        case "accepted":
          // At its memory limit Redis refuses and accepts in turn.
          if (isDue("accepted")) log.info("Redis takes again all that it had refused");
          return;
        default:
          throw new Error(`unmapped: ${JSON.stringify(event satisfies never)}`);
      }
    },
    reached() {
      if (connection !== "up") log.info("Redis reached");
      connection = "up";
      metrics.storeUp(true);
    },
    warnings(warnings) {
      for (const warning of warnings) if (!warned.has(warning)) log.warn(warning);
      for (const warning of warnings) warned.add(warning);
    },
    unreachable(why) {
      connection = connection === "never" ? "never" : "down";
      metrics.storeUp(false);
      log.error({ why }, "Redis cannot be reached");
    },
    unreadable(why) {
      // Each request of such a session meets it.
      if (isDue("unreadable"))
        log.error({ why }, "a session in Redis cannot be read by this router: is a newer one running?");
    },
    wasReached: () => connection !== "never",
    isAway: () => failing || connection !== "up",
  };
}
