/** Runs commands of Redis so that one which is away costs its callers next to nothing, and never an exception. */
import { readFileSync } from "node:fs";
import type { Cluster, Redis } from "ioredis";
import { createBreaker } from "./breaker.ts";

export type RedisEvent =
  /** Commands fail, so none is tried for a while; or they work again. */
  { readonly kind: "down" | "up" } | { readonly kind: "failed"; readonly operation: string; readonly error: Error };

const FAILURES_THAT_OPEN = 3;
/** ms between two tries of a Redis that is down: also the longest that its return goes unnoticed. */
const COOLDOWN_MS = 500;

const UNAVAILABLE = { kind: "unavailable" } as const;

/** Of one connection, whoever uses it. */
export interface Guard {
  /** Runs an operation unless Redis is known to be away; what it throws is a failure, and becomes `unavailable`. */
  run<Outcome>(operation: string, run: () => Promise<Outcome>): Promise<Outcome | typeof UNAVAILABLE>;
}

export function createGuard(notify: (event: RedisEvent) => void): Guard {
  const breaker = createBreaker({
    failures: FAILURES_THAT_OPEN,
    cooldown: COOLDOWN_MS,
    now: () => performance.now(),
    onChange: (open) => notify({ kind: open ? "down" : "up" }),
  });
  return {
    async run(operation, run) {
      if (!breaker.allows()) return UNAVAILABLE;
      try {
        const outcome = await run();
        breaker.succeeded();
        return outcome;
      } catch (error) {
        // Before what it leads to.
        notify({ kind: "failed", operation, error: error instanceof Error ? error : new Error(String(error)) });
        if (isOfOneCommand(error)) breaker.succeeded();
        else breaker.failed();
        return UNAVAILABLE;
      }
    },
  };
}

/** What Redis answers to every command while it cannot serve. */
const CANNOT_SERVE = /^(?:LOADING|MASTERDOWN|CLUSTERDOWN|READONLY|NOAUTH|UNKILLABLE|BUSY)\b/;

/** Redis refuses this command, for want of memory (OOM) or of a permission, say, and may well take others: it is not away. */
function isOfOneCommand(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError" && !CANNOT_SERVE.test(error.message);
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
