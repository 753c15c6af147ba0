/** Runs commands of Redis so that one which is away costs its callers next to nothing, and never an exception. */
import { readFileSync } from "node:fs";
import type { Cluster, Redis } from "ioredis";
import { createBreaker } from "./breaker.ts";
import { createOutage, type Patience } from "./outage.ts";
import { createRefusals, type Refusal } from "./refusals.ts";
import { isReply, replyCode } from "./reply.ts";

export type RedisEvent =
  /** Commands fail, so none is tried for a while; or they work again. */
  | { readonly kind: "down" | "up" }
  | { readonly kind: "failed"; readonly operation: string; readonly error: Error }
  /** Redis refuses this operation and does others; or it does again all that it had refused. */
  | { readonly kind: "refused"; readonly operation: string; readonly why: Refusal; readonly error: Error }
  | { readonly kind: "accepted" };

const FAILURES_THAT_OPEN = 3;
/** ms between two tries of a Redis that is down: also the longest that its return goes unnoticed. */
const COOLDOWN_MS = 500;

/** How late (ms) a timer may be that was not held up: beyond it this process was busy, or did not run at all. */
const PUNCTUAL_MS = 20;

const UNAVAILABLE = { kind: "unavailable" } as const;

/** Of one connection, whoever uses it. */
export interface RedisCircuit {
  /** Runs an operation unless Redis is known to be away; what it throws is a failure, and becomes `unavailable`. */
  run<Outcome>(operation: string, run: () => Promise<Outcome>): Promise<Outcome | typeof UNAVAILABLE>;
  /** Why Redis refuses something now, though it is there. */
  refuses(): readonly Refusal[];
  /** The connection to Redis is gone, or stands again. */
  disconnected(): void;
  connected(): void;
  /**
   * For a request whose operation was `unavailable`, while Redis is away.
   * @param bytes what the request keeps in memory while it waits
   */
  patience(bytes: number): Patience;
}

/**
 * @param timeout ms that an operation may take
 * @param patience ms after Redis went away that requests wait for it
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
    patience: (bytes) => outage.patience(bytes),
    async run(operation, run) {
      if (!breaker.allows()) return UNAVAILABLE;
      const started = performance.now();
      try {
        const outcome = await inTime(run(), timeout);
        succeeded();
        if (refusals.accepted(operation)) notify({ kind: "accepted" });
        return outcome;
      } catch (error) {
        // Before what it leads to.
        notify({ kind: "failed", operation, error: error instanceof Error ? error : new Error(String(error)) });
        if (isOfOneCommand(error)) {
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
 * Rejects where nothing has come in so many ms. Where the timer itself comes late, the answer may be there already, unread, or
 * the question not yet sent: as much time again is given, or a pause of this process would look like a Redis that is away. (One
 * of twice `ms` does, to the connection: socketTimeout in connection.ts.)
 */
function inTime<Outcome>(outcome: Promise<Outcome>, ms: number): Promise<Outcome> {
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

/** What Redis answers to every command while it cannot serve. */
const CANNOT_SERVE: ReadonlySet<string> = new Set([
  "LOADING",
  "MASTERDOWN",
  "CLUSTERDOWN",
  "READONLY",
  "NOAUTH",
  "UNKILLABLE",
  "BUSY",
]);

/** Redis refuses this command, for want of memory (OOM) or of a permission, say, and may well take others: it is not away. */
function isOfOneCommand(error: unknown): error is Error {
  return isReply(error) && !CANNOT_SERVE.has(replyCode(error.message));
}

/** Runs a script: the number of keys where `keys` was left out, then keys and arguments. */
export type Script = (...args: (string | number)[]) => Promise<unknown>;

export interface ScriptFile {
  readonly file: string;
  /** Keys that it takes; left out where it differs from call to call. */
  readonly keys?: number;
  readonly readOnly?: boolean;
}

/**
 * Makes each script a command of the connection, by its name: EVALSHA, and EVAL where the server does not know it yet.
 * Names are the connection's, so they must not be those of Redis's own commands.
 */
export function defineScripts<Name extends string>(
  connection: Redis | Cluster,
  scripts: Readonly<Record<Name, ScriptFile>>,
): Record<Name, Script> {
  for (const [name, { file, keys, readOnly = false }] of Object.entries<ScriptFile>(scripts)) {
    const lua = readFileSync(file, "utf8");
    connection.defineCommand(name, { lua, readOnly, ...(keys !== undefined && { numberOfKeys: keys }) });
  }
  // Safe: defineCommand has just added these methods, which its types cannot say.
  return connection as unknown as Record<Name, Script>;
}
