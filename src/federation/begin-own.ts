/** Begins a session of the router's own at a backend: to ask for its lists, or to listen there for a client that has no session. */
import type { Answer, Egress } from "../backends/client.ts";
import { keptCookies, withCookies } from "../backends/cookies.ts";
import { endSession } from "../backends/end.ts";
import { type Caller, type Rpc, type RpcPeer, readResponseBytes, readWords } from "../backends/rpc.ts";
import { readSaid } from "../backends/said.ts";
import { type Offer, readOffer } from "../core/federation/offer.ts";
import { MCP_SESSION_ID } from "../core/headers.ts";
import { isSuccess } from "../core/http.ts";
import { jsonString } from "../core/json/rewrite.ts";
import { LATEST_SESSION_VERSION } from "../core/mcp/versions.ts";
import { readSessionHeader } from "../core/session-header.ts";
import { failureOf, NO_RESPONSE, statusFailure } from "./ask.ts";
import type { AskFailure } from "./events.ts";

/** Most bytes that are read of the answer to an initialize. */
const LARGEST_ANSWER = 1024 * 1024;

/** Name that the router gives itself. */
const CLIENT_NAME = "envoy-mcp-router";

export interface BeginOwnDependencies {
  readonly egress: Egress;
  readonly rpc: Rpc;
  /** The router's own version. */
  readonly version: string;
}

/** A backend that has answered our initialize. */
export interface OwnPeer {
  readonly peer: RpcPeer;
  readonly offer: Offer;
}

export type BegunOwn =
  | ({ readonly kind: "begun" } & OwnPeer)
  | { readonly kind: "failed"; readonly failure: AskFailure };

/**
 * Sends initialize and notifications/initialized. Never rejects.
 * @param params of the initialize, as JSON text. Default: the router asks for itself
 */
export async function beginOwn(
  { egress, rpc, version }: BeginOwnDependencies,
  caller: Caller,
  depth: number,
  signal: AbortSignal,
  params = paramsOf(version),
): Promise<BegunOwn> {
  const sent = await rpc.request(caller, undefined, { method: "initialize", params }, signal);
  if (sent.kind !== "received") return failed(failureOf(sent));
  const { answer } = sent.value;
  if (!isSuccess(answer.status)) {
    answer.discard();
    return failed(statusFailure(answer));
  }
  const place = placeOf(answer);
  if (place.kind === "failed") {
    answer.discard();
    return place;
  }
  const offered = await offerIn(answer, depth, signal);
  const peer = { ...place.session, setCookies: keptCookies(answer.headers), version: offered.offer?.version };
  const failure = offered.failure ?? (await confirm(rpc, caller, peer, signal));
  if (!failure && offered.offer) return { kind: "begun", peer, offer: offered.offer };
  if (failure?.reason !== "lost-at-once") await endOwn(egress, caller, peer);
  return failed(failure ?? { reason: "unreadable", why: NO_RESPONSE });
}

function paramsOf(version: string): string {
  return `{"protocolVersion":"${LATEST_SESSION_VERSION}","capabilities":{},"clientInfo":${clientInfoOf(version)}}`;
}

/** What the router says of itself, as JSON text. `version`: its own. */
export function clientInfoOf(version: string): string {
  return `{"name":"${CLIENT_NAME}","version":${jsonString(version)}}`;
}

/** Ends a session of the router's own, also where there is no time for anything else. Never rejects. */
export async function endOwn(egress: Egress, caller: Caller, peer: RpcPeer): Promise<void> {
  if (peer.sessionId === undefined) return;
  // endSession has a bound of its own.
  const signal = new AbortController().signal;
  await endSession(egress, caller, peer, withCookies(caller.credentials, peer.setCookies), signal, "list");
}

type Place =
  | {
      readonly kind: "place";
      readonly session: { readonly sessionId: string; readonly endpoint: string } | { readonly sessionId: undefined };
    }
  | { readonly kind: "failed"; readonly failure: AskFailure };

/** Where the session is that an answer to initialize begins. */
function placeOf(answer: Answer): Place {
  const fields = answer.headers.filter(([name]) => name === MCP_SESSION_ID).map(([, value]) => value);
  const given = readSessionHeader(fields.join(", "));
  if (given.kind === "none") return { kind: "place", session: { sessionId: undefined } };
  if (given.kind !== "one") return failed({ reason: "several-sessions" });
  const { endpoint } = answer;
  if (endpoint === undefined) return failed({ reason: "no-endpoint" });
  return { kind: "place", session: { sessionId: given.id, endpoint } };
}

async function offerIn(
  answer: Answer,
  depth: number,
  signal: AbortSignal,
): Promise<{ readonly offer?: Offer; readonly failure?: AskFailure }> {
  const response = await readResponseBytes(answer, { bytes: LARGEST_ANSWER, depth }, signal);
  if (response.kind !== "received") return { failure: failureOf(response) };
  if (response.value.kind === "too-large") return { failure: { reason: "too-large" } };
  if (response.value.kind === "none") return { failure: { reason: "unreadable", why: NO_RESPONSE } };
  const read = readOffer(response.value.bytes, depth);
  switch (read.kind) {
    case "offer":
      return { offer: read.offer };
    case "error":
      return { failure: { reason: "error", code: read.code, message: read.message } };
    case "unreadable":
      return { failure: { reason: "unreadable", why: read.why } };
    default:
      return read satisfies never;
  }
}

/** Says that the session has begun. Only that it was lost meanwhile is a failure: servers answer this with all kinds of statuses. */
async function confirm(rpc: Rpc, caller: Caller, peer: RpcPeer, signal: AbortSignal): Promise<AskFailure | undefined> {
  const sent = await rpc.notify(caller, peer, { method: "notifications/initialized" }, signal);
  if (sent.kind !== "received") return failureOf(sent);
  const words = await readWords(sent.value, signal);
  if (words.kind !== "received") return failureOf(words);
  const isLost = peer.sessionId !== undefined && readSaid(sent.value.status, words.value) === "lost";
  return isLost ? { reason: "lost-at-once" } : undefined;
}

function failed(failure: AskFailure): { readonly kind: "failed"; readonly failure: AskFailure } {
  return { kind: "failed", failure };
}
