/** Runs Redis commands behind a circuit breaker: a Redis that is down costs callers next to nothing, and never throws. */
import { readFileSync } from "node:fs";
import type { Cluster, Redis } from "ioredis";
import type { OutageWait } from "../core/outage-wait.ts";
import { createBreaker } from "./breaker.ts";
import { createOutage } from "./outage.ts";
import { createRefusals, type Refusal } from "./refusals.ts";
import { isReply, replyCode } from "./reply.ts";

export type RedisEvent =
  /** The breaker opened after several failures, or closed again. */
  | { readonly kind: "down" | "up" }
  | { readonly kind: "failed"; readonly operation: string; readonly error: Error }
  /** Redis answers, and refuses this operation; or it accepts every operation again. */
  | { readonly kind: "refused"; readonly operation: string; readonly why: Refusal; readonly error: Error }
  | { readonly kind: "accepted" };

const FAILURES_THAT_OPEN = 3;
/** ms between two trials of a Redis that is down; also the longest that its recovery goes unnoticed. */
const COOLDOWN_MS = 500;

/** Largest timer delay (ms) in a process that runs normally. A later timer means that the process was busy or suspended. */
const PUNCTUAL_MS = 20;

const UNAVAILABLE = { kind: "unavailable" } as const;

/** One per connection, shared by all its users. */
export interface RedisCircuit {
  /** Runs an operation unless the breaker is open. An error of the operation counts as a failure and becomes `unavailable`. */
  run<Outcome>(operation: string, run: () => Promise<Outcome>): Promise<Outcome | typeof UNAVAILABLE>;
  /** Reasons for which Redis currently refuses operations, though it answers. */
  refuses(): readonly Refusal[];
  /** The connection to Redis was lost, or is established. */
  disconnected(): void;
  connected(): void;
  /**
   * For a request whose operation was `unavailable`: lets it wait until Redis answers again.
   * @param bytes what the request keeps in memory while it waits
   */
  outageWait(bytes: number): OutageWait;
}

/**
 * @param timeout ms that an operation may take
 * @param patience ms after the start of an outage for which requests wait
 */
export function createRedisCircuit(timeout: number, notify: (event: RedisEvent) => void, patience = 0): RedisCircuit {
  const breaker = createBreaker({
    failures: FAILURES_THAT_OPEN,
    cooldown: COOLDOWN_MS,
    now: () => performance.now(),
    onChange: (open) => notify({ kind: open ? "down" : "up" }),
  });
  const refusals = createRefusals(() => performance.now());
  const outage = createOutage({ patience, tryEvery: COOLDOWN_MS, now: () => performance.now() });
  const succeeded = () => {
    breaker.succeeded();
    outage.ended();
  };
  return {
    refuses: () => refusals.current(),
    disconnected: () => outage.began(performance.now()),
    connected() {
      breaker.mayTry();
      outage.mayBeOver();
    },
    outageWait: (bytes) => outage.wait(bytes),
    async run(operation, run) {
      if (!breaker.allows()) return UNAVAILABLE;
      const started = performance.now();
      try {
        const outcome = await withTimeout(run(), timeout);
        succeeded();
        if (refusals.accepted(operation)) notify({ kind: "accepted" });
        return outcome;
      } catch (error) {
        // Reported before the event that it causes (`down` or `refused`).
        notify({ kind: "failed", operation, error: error instanceof Error ? error : new Error(String(error)) });
        if (isCommandRefusal(error)) {
          succeeded();
          notify({ kind: "refused", operation, why: refusals.refused(operation, error.message), error });
        } else {
          outage.began(started);
          breaker.failed();
        }
        return UNAVAILABLE;
      }
    },
  };
}

/**
 * Rejects after `ms` without a reply. A timer that fires late means that this process was paused: the reply may be waiting unread,
 * or the command may not be sent yet. The command then gets the lost time again, so that a pause of at most `ms` does not look
 * like an outage. After twice `ms` ioredis gives up the connection (socketTimeout in connection.ts).
 */
function withTimeout<Outcome>(outcome: Promise<Outcome>, ms: number): Promise<Outcome> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error("Command timed out"));
    let timer = setTimeout(() => {
      const late = performance.now() - started - ms;
      if (late > PUNCTUAL_MS) timer = setTimeout(fail, Math.min(late, ms));
      else fail();
    }, ms);
    outcome.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

/** Error codes with which Redis answers every command while it cannot serve. */
const CANNOT_SERVE: ReadonlySet<string> = new Set([
  "LOADING",
  "MASTERDOWN",
  "CLUSTERDOWN",
  "READONLY",
  "NOAUTH",
  "UNKILLABLE",
  "BUSY",
]);

/** Whether Redis refused this one command (out of memory, no permission) and may accept others: that is no outage. */
function isCommandRefusal(error: unknown): error is Error {
  return isReply(error) && !CANNOT_SERVE.has(replyCode(error.message));
}

/** Runs a script. Arguments: the number of keys if ScriptFile has no `keys`, then keys, then arguments. */
export type Script = (...args: (string | number)[]) => Promise<unknown>;

export interface ScriptFile {
  readonly file: string;
  /** Number of keys; absent if it differs between calls. */
  readonly keys?: number;
  readonly readOnly?: boolean;
}

/**
 * Adds each script to the connection as a command of that name. ioredis sends EVALSHA, and EVAL if the server does not know the
 * script yet. The names share the connection's namespace, so they must differ from Redis's own commands.
 */
export function defineScripts<Name extends string>(
  connection: Redis | Cluster,
  scripts: Readonly<Record<Name, ScriptFile>>,
): Record<Name, Script> {
  for (const [name, { file, keys, readOnly = false }] of Object.entries<ScriptFile>(scripts)) {
    const lua = readFileSync(file, "utf8");
    connection.defineCommand(name, { lua, readOnly, ...(keys !== undefined && { numberOfKeys: keys }) });
  }
  // Safe: defineCommand has just added these methods; its types cannot express that.
  return connection as unknown as Record<Name, Script>;
}
