/**
 * How often tools may be called (`limits.calls`). The router says which limits a call counts under, since it alone reads names as
 * clients write them; Envoy's filters behind it count, and refuse. Pure.
 */
import { callsOneOf } from "./called-tool.ts";
import type { Glob } from "./federation/glob.ts";
import type { Message } from "./rpc/message.ts";

export interface CallLimit {
  readonly name: string;
  /** Names of tools, as clients see them. */
  readonly tools: readonly Glob[];
  readonly per: "principal" | "all";
  /** Most calls in a time, and that time in seconds. */
  readonly calls: number;
  readonly seconds: number;
}

/** What Envoy is to count of a request. */
export interface CountedCalls {
  /** The limits that it counts under, and how many calls under each. */
  readonly hits: readonly { readonly limit: CallLimit; readonly calls: number }[];
  /** Whose calls they are, by the tag of the principal's digest. */
  readonly principal: string;
  /** Seconds after which they may be sent again, if they are refused. */
  readonly retryAfter: number;
  /** JSON text of the id of a single request; undefined where there is none, or more. */
  readonly id: string | undefined;
}

/** In place of a principal's tag: callers whom nobody can tell apart count together. No tag has so few characters. */
export const ANONYMOUS_CALLER = "anonymous";

/**
 * Where the processor tells Envoy's filters: in dynamic metadata of the request, which no client can write and no backend gets. All of
 * them are texts.
 */
export const CALLS_METADATA = {
  namespace: "mcp_calls",
  /** Whose calls they are. */
  principal: "principal",
  /** The limit's own name, where the request counts under it. */
  limit: (name: string) => `limit.${name}`,
  /** The number of calls under it. */
  hits: (name: string) => `hits.${name}`,
  /** What an answer of Envoy's own says: JSON text of the request's id, and seconds. */
  id: "id",
  retryAfter: "retry_after",
} as const;

/** undefined: the messages count under no limit. A call without a name counts under the limits of all tools. */
export function countCalls(
  messages: readonly Message[],
  limits: readonly CallLimit[],
): CountedCalls["hits"] | undefined {
  const hits = limits.flatMap((limit) => {
    const calls = messages.filter((message) => callsOneOf(limit.tools, message)).length;
    return calls === 0 ? [] : [{ limit, calls }];
  });
  return hits.length === 0 ? undefined : hits;
}

/**
 * Ids that Envoy may write into an answer as they are. It is a text of JSON that the router has read; in ASCII, and short, since it
 * stays with the request.
 */
const ECHOED_ID = /^[\x20-\x7e]{1,256}$/;

/** Members of CALLS_METADATA. */
export function metadataOf(counted: CountedCalls): readonly (readonly [key: string, text: string])[] {
  const { hits, principal, retryAfter, id } = counted;
  const { limit: limitKey, hits: hitsKey } = CALLS_METADATA;
  const members = hits.flatMap(({ limit: { name }, calls }): [string, string][] => [
    [limitKey(name), name],
    [hitsKey(name), String(calls)],
  ]);
  if (id !== undefined && ECHOED_ID.test(id)) members.push([CALLS_METADATA.id, id]);
  return [[CALLS_METADATA.principal, principal], [CALLS_METADATA.retryAfter, String(retryAfter)], ...members];
}

/**
 * Seconds after which a refused request may be sent again: none of the limits says which of them has refused it, nor how much is
 * left. Buckets of Envoy's fill in small steps. The service counts from the beginning of a minute to its end.
 */
export function retryAfterOf(hits: CountedCalls["hits"], counts: "steps" | "windows", now: number): number {
  const waits = hits.map(({ limit: { calls: most, seconds }, calls }) =>
    counts === "steps"
      ? Math.ceil((seconds * Math.min(calls, most)) / most)
      : seconds - (Math.floor(now / 1_000) % seconds),
  );
  return Math.max(1, ...waits);
}
