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

/** `unsaid`: the answer, or that there is none, says nothing of the era. */
export type EraVerdict = "modern" | "not-modern" | "unsaid";

/** Most bytes that are read of the answer. */
const LARGEST_ANSWER = 1024 * 1024;

/** By which a server of the legacy era refuses a message that it does not know, or one without a session. */
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
  const sent = await rpc.requestModern(caller, { method: DISCOVER, params: envelope(version) }, undefined, signal);
  if (sent.kind !== "received") return "unsaid";
  const { answer } = sent.value;
  if (!isSuccess(answer.status)) {
    answer.discard();
    return REFUSALS.has(answer.status) ? "not-modern" : "unsaid";
  }
  const response = await readResponseBytes(answer, { bytes: LARGEST_ANSWER, depth }, signal);
  if (response.kind !== "received" || response.value.kind !== "response") return "unsaid";
  return verdictOf(readDiscover(response.value.bytes, depth));
}

function verdictOf(read: DiscoverRead): EraVerdict {
  switch (read.kind) {
    case "versions":
      return read.versions.includes(MODERN_VERSION) ? "modern" : "not-modern";
    case "error":
      return REFUSAL_CODES.has(read.code) ? "not-modern" : "unsaid";
    case "other-result":
      return "not-modern";
    case "unreadable":
      return "unsaid";
    default:
      return read satisfies never;
  }
}

function envelope(version: string): string {
  const members = [
    `"${ENVELOPE_VERSION}":"${MODERN_VERSION}"`,
    `"${ENVELOPE_CAPABILITIES}":{}`,
    `"${ENVELOPE_CLIENT_INFO}":${clientInfoOf(version)}`,
  ];
  return `{"_meta":{${members.join(",")}}}`;
}
