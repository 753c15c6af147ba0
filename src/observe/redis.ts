/** Metrics and log lines about Redis, and its state for the health check. */
import type { RedisEvent } from "../redis/circuit.ts";
import { reasonOf } from "../redis/watch.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { seldom, seldomCounted } from "../telemetry/seldom.ts";

export interface RedisObserver {
  /** An event of the circuit. */
  circuit(event: RedisEvent): void;
  /** The connection is established. */
  reached(): void;
  /** Settings of the server that lose sessions. Each is logged once. */
  warnings(warnings: readonly string[]): void;
  unreachable(why: string | undefined): void;
  /** A session's record could not be read. */
  unreadable(why: string): void;
  /** Whether Redis was ever reached. */
  wasReached(): boolean;
  /** Whether Redis is unavailable now. */
  isAway(): boolean;
}

export function redisObserver(metrics: Metrics, log: Logger): RedisObserver {
  /** From `reached` and `unreachable`. `failing` comes from the circuit: commands may fail on a connection that is up. */
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
            "Redis fails: requests in sessions wait for store.patience, and are then refused until Redis works again",
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
            "Redis answers but refuses commands: requests that need them are refused until it accepts them again",
          );
          return;
        }
        case "accepted":
          // At its memory limit Redis alternates between refusing and accepting.
          if (isDue("accepted")) log.info("Redis accepts every command again");
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
      // Every request of such a session fails so.
      if (isDue("unreadable"))
        log.error({ why }, "this router cannot read the record of a session in Redis: is a newer router running?");
    },
    wasReached: () => connection !== "never",
    isAway: () => failing || connection !== "up",
  };
}
