/** Signals over Redis's Pub/Sub: one channel, `{prefix}:signals`, of one connection that does nothing else. */
import { randomUUID } from "node:crypto";
import type { Cluster, Redis } from "ioredis";
import { readSignal, type Signal, type Signals, writeSignal } from "./signals.ts";

/**
 * ms between two subscriptions. A peer that has gone without a word would not be missed otherwise, and a user may be let into the channel
 * meanwhile.
 */
const SUBSCRIBE_EVERY_MS = 10_000;

export interface RedisSignalsOptions {
  /** For commands. The caller closes it. */
  readonly connection: Redis | Cluster;
  /** For the channel alone, connecting. Closed by `close`. */
  readonly subscriber: Redis | Cluster;
  readonly prefix: string;
  readonly onSignal: (signal: Signal) => void;
  /** Redis refuses the channel, or cannot be reached. */
  readonly onFailure: (error: Error) => void;
}

export function redisSignals({ connection, subscriber, prefix, onSignal, onFailure }: RedisSignalsOptions): Signals {
  const channel = `${prefix}:signals`;
  const own = randomUUID();
  const failed = (error: unknown) => onFailure(error instanceof Error ? error : new Error(String(error)));
  let asked = 0;
  let answered = 0;
  const subscribe = async () => {
    // The last one was never answered: the connection is dead.
    if (asked > answered) subscriber.disconnect(true);
    const asking = ++asked;
    try {
      await subscriber.subscribe(channel);
    } catch (error) {
      failed(error);
    }
    answered = Math.max(answered, asking);
  };
  subscriber.on("ready", subscribe);
  subscriber.on("error", failed);
  subscriber.on("message", (_, text) => {
    const signal = readSignal(own, text);
    if (signal) onSignal(signal);
  });
  const looks = setInterval(() => {
    if (subscriber.status === "ready") void subscribe();
  }, SUBSCRIBE_EVERY_MS).unref();
  return {
    tell: (signal) => void connection.publish(channel, writeSignal(own, signal)).catch(failed),
    async close() {
      clearInterval(looks);
      subscriber.removeAllListeners("message");
      subscriber.disconnect();
    },
  };
}
