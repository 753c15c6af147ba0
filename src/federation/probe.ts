/**
 * Asks a backend whether it speaks the modern era: by server/discover, which each server of that era has (MCP 2026-07-28). A request
 * of that era belongs to no session.
 */
import { type Caller, readResponseBytes } from "../backends/rpc.ts";
import { INVALID_PARAMS, METHOD_NOT_FOUND, UNSUPPORTED_VERSION } from "../core/codes.ts";
import { type DiscoverRead, readDiscover } from "../core/federation/discover-read.ts";
import { isSuccess } from "../core/http.ts";
import { DISCOVER } from "../core/mcp/methods.ts";
import { MODERN_VERSION } from "../core/mcp/versions.ts";
import { ENVELOPE_CAPABILITIES, ENVELOPE_CLIENT_INFO, ENVELOPE_VERSION } from "../core/rpc/message.ts";
import { type BeginOwnDependencies, clientInfoOf } from "./begin-own.ts";
import type { AskFailure } from "./events.ts";

export type EraVerdict =
  | Extract<DiscoverRead, { kind: "modern" }>
  | { readonly kind: "not-modern" }
  /** The answer, or that there is none, says nothing of the era. */
  | { readonly kind: "unsaid" };

const NOT_MODERN: EraVerdict = { kind: "not-modern" };
export const UNSAID: EraVerdict = { kind: "unsaid" };

/** Most bytes that are read of the answer. */
const LARGEST_ANSWER = 1024 * 1024;

/** By which a server refuses a message of the other era: one that it does not know, or one without a session. */
const REFUSALS: ReadonlySet<number> = new Set([400, 404, 405]);
/** By which it refuses the method, the version, or params that are not its own. */
const REFUSAL_CODES: ReadonlySet<number | undefined> = new Set([METHOD_NOT_FOUND, UNSUPPORTED_VERSION, INVALID_PARAMS]);

/** Never rejects. */
export async function probe(
  { rpc, version }: Pick<BeginOwnDependencies, "rpc" | "version">,
  caller: Caller,
  depth: number,
  signal: AbortSignal,
): Promise<EraVerdict> {
  const sent = await rpc.requestModern(
    caller,
    { method: DISCOVER, params: `{${envelopeOf(version)}}` },
    undefined,
    signal,
  );
  if (sent.kind !== "received") return UNSAID;
  const { answer } = sent.value;
  if (!isSuccess(answer.status)) {
    answer.discard();
    return REFUSALS.has(answer.status) ? NOT_MODERN : UNSAID;
  }
  const response = await readResponseBytes(answer, { bytes: LARGEST_ANSWER, depth }, signal);
  if (response.kind !== "received" || response.value.kind !== "response") return UNSAID;
  return verdictOf(readDiscover(response.value.bytes, depth));
}

function verdictOf(read: DiscoverRead): EraVerdict {
  switch (read.kind) {
    case "modern":
      return read;
    case "error":
      return REFUSAL_CODES.has(read.code) ? NOT_MODERN : UNSAID;
    case "other-result":
      return NOT_MODERN;
    case "unreadable":
      return UNSAID;
    default:
      return read satisfies never;
  }
}

/** Whether a backend refuses our initialize as one does that has no sessions. */
export function refusesSessions(failure: AskFailure): boolean {
  if (failure.reason === "status") return REFUSALS.has(failure.status);
  return failure.reason === "error" && REFUSAL_CODES.has(failure.code);
}

/** JSON text of the member that each of our requests of the modern era has. `version`: the router's own. */
export function envelopeOf(version: string): string {
  const members = [
    `"${ENVELOPE_VERSION}":"${MODERN_VERSION}"`,
    `"${ENVELOPE_CAPABILITIES}":{}`,
    `"${ENVELOPE_CLIENT_INFO}":${clientInfoOf(version)}`,
  ];
  return `"_meta":{${members.join(",")}}`;
}
