/** Why a request is refused, and the answer that a client can act on. Statuses and codes: docs/operations.md, "What each error means". */
import { assertNever } from "./assert-never.ts";
import {
  ANSWER_LOST,
  AUTHENTICATION_REQUIRED,
  BACKEND_UNAVAILABLE,
  ENDPOINT_METHODS,
  HEADER_MISMATCH,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  INVALID_REQUEST,
  METHOD_NOT_FOUND,
  PARSE_ERROR,
  REPLY_DETAILS_PREFIX,
  SERVER_BUSY,
  SESSION_NOT_FOUND,
} from "./codes.ts";
import type { Header, Reply } from "./http.ts";
import { BEARER_CHALLENGE } from "./identity.ts";

/** A refusal. `id` is the JSON text of the request's id as it was written, absent where there is none to echo. */
export type Reject =
  | { readonly reason: "host-not-allowed" | "origin-not-allowed" }
  | { readonly reason: "no-route" | "method-not-allowed" | "not-acceptable" | "content-type" | "content-encoding" }
  | { readonly reason: "not-json" | "unauthenticated" }
  | {
      readonly reason: "body-too-large" | "session-unknown" | "session-required";
      readonly id?: Id;
    }
  /** `inBand`: to a request in a session, whose client some SDKs end by any other status than 200. */
  | { readonly reason: "store-unavailable"; readonly id?: Id; readonly inBand?: boolean }
  /** A cap of `admission`: on all sessions, on those of one principal, on those of anonymous callers, on initializes that wait. */
  | {
      readonly reason: "sessions-exhausted" | "principal-exhausted" | "anonymous-exhausted" | "initializes-exhausted";
      /** Seconds. */
      readonly retryAfter: number;
      readonly id?: Id;
    }
  | {
      readonly reason: "invalid-request" | "header-mismatch" | "invalid-envelope";
      readonly detail: string;
      readonly id?: Id;
    }
  /** The modern era has no such method. */
  | { readonly reason: "method-unknown"; readonly id?: Id }
  /** A request was sent again, and what came back did not come whole: it may have run. */
  | { readonly reason: "answer-lost"; readonly id?: Id }
  /** The backend of a parked session can begin no other one now. */
  | { readonly reason: "backend-unavailable"; readonly id?: Id }
  /** The backend answered by a redirect, at which some clients would go around the gateway. */
  | { readonly reason: "backend-redirects"; readonly id?: Id }
  /** The backend gave different session ids for one session. */
  | { readonly reason: "session-ambiguous"; readonly id?: Id }
  | { readonly reason: "internal"; readonly id?: Id };

export type RejectReason = Reject["reason"];

type Id = string | undefined;

/** Where to is in the router's log alone: it is the backend's own address. */
const BACKEND_REDIRECTS = "Backend redirects: the gateway is not configured with the path of its MCP endpoint";

const STORE_UNAVAILABLE = "Session store unavailable";

/** ms after which a client is told to come again while the store is away. Whole seconds, as `Retry-After` takes no others. */
export const STORE_RETRY_AFTER_MS = 1_000;

/** Maps a refusal to its answer. */
export function answer(reject: Reject): Reply {
  const { reason } = reject;
  switch (reason) {
    case "host-not-allowed":
      return jsonRpcError(reason, 403, INVALID_REQUEST, "Host not allowed: gateway.hosts lists those that are");
    case "origin-not-allowed":
      return jsonRpcError(reason, 403, INVALID_REQUEST, "Origin not allowed: gateway.origins lists those that are");
    case "no-route":
      return plain(reason, 404, "Not Found");
    case "method-not-allowed":
      return plain(reason, 405, "Method Not Allowed", [["allow", ENDPOINT_METHODS]]);
    case "not-acceptable":
      return jsonRpcError(reason, 406, INVALID_REQUEST, "Not acceptable: a GET must accept text/event-stream");
    case "content-type":
      return jsonRpcError(
        reason,
        415,
        INVALID_REQUEST,
        "Unsupported media type: content-type must be application/json, its charset utf-8 or not named",
      );
    case "content-encoding":
      return jsonRpcError(reason, 415, INVALID_REQUEST, "Unsupported media type: the body must not be encoded");
    case "unauthenticated":
      return jsonRpcError(reason, 401, INVALID_REQUEST, AUTHENTICATION_REQUIRED, undefined, [
        ["www-authenticate", BEARER_CHALLENGE],
      ]);
    case "body-too-large":
      return jsonRpcError(reason, 413, INVALID_REQUEST, "Request body too large", reject.id);
    case "not-json":
      return jsonRpcError(reason, 400, PARSE_ERROR, "Parse error: the body is not JSON");
    case "invalid-request":
      return jsonRpcError(reason, 400, INVALID_REQUEST, `Invalid request: ${reject.detail}`, reject.id);
    case "header-mismatch":
      return jsonRpcError(reason, 400, HEADER_MISMATCH, `Header mismatch: ${reject.detail}`, reject.id);
    case "invalid-envelope":
      return jsonRpcError(reason, 400, INVALID_PARAMS, `Invalid params: ${reject.detail}`, reject.id);
    // MCP 2026-07-28, basic/transports: 404 is for methods there, since it has no sessions that could be gone.
    case "method-unknown":
      return jsonRpcError(reason, 404, METHOD_NOT_FOUND, "Method not found", reject.id);
    case "session-required":
      return jsonRpcError(reason, 400, INVALID_REQUEST, "Bad Request: Mcp-Session-Id header is required", reject.id);
    case "session-unknown":
      return jsonRpcError(reason, 404, SESSION_NOT_FOUND, "Session not found", reject.id);
    case "store-unavailable":
      if (reject.inBand && reject.id !== undefined) {
        const data = `{"retryAfterMs":${STORE_RETRY_AFTER_MS}}`;
        return jsonRpcError(reason, 200, INTERNAL_ERROR, STORE_UNAVAILABLE, reject.id, [], data);
      }
      return jsonRpcError(reason, 503, INTERNAL_ERROR, STORE_UNAVAILABLE, reject.id, [
        ["retry-after", String(STORE_RETRY_AFTER_MS / 1_000)],
      ]);
    // Not how many there are, nor under which cap: it would tell one client of the others.
    case "sessions-exhausted":
    case "principal-exhausted":
    case "anonymous-exhausted":
    case "initializes-exhausted":
      return jsonRpcError(reason, 503, SERVER_BUSY, "Session limit reached", reject.id, [
        ["retry-after", String(reject.retryAfter)],
      ]);
    // No invitation to send it again; nor may it look like a lost session, after which clients do that too.
    case "answer-lost":
      return jsonRpcError(reason, 502, INTERNAL_ERROR, ANSWER_LOST, reject.id);
    case "backend-unavailable":
      return jsonRpcError(reason, 503, INTERNAL_ERROR, BACKEND_UNAVAILABLE, reject.id);
    case "session-ambiguous":
      return jsonRpcError(reason, 502, INTERNAL_ERROR, "Backend gave different session ids", reject.id);
    case "backend-redirects":
      return jsonRpcError(reason, 502, INTERNAL_ERROR, BACKEND_REDIRECTS, reject.id);
    case "internal":
      return jsonRpcError(reason, 500, INTERNAL_ERROR, "Internal error", reject.id);
    default:
      return assertNever(reason);
  }
}

function jsonRpcError(
  reason: RejectReason,
  status: number,
  code: number,
  message: string,
  id?: Id,
  headers: readonly Header[] = [],
  /** JSON text of the error's data. */
  data?: string,
): Reply {
  // The id goes back as it was written: no parse and print in between, so 9007199254740993 and "é" stay what they are.
  const idMember = id === undefined ? "" : `"id":${id},`;
  const dataMember = data === undefined ? "" : `,"data":${data}`;
  const body = `{"jsonrpc":"2.0",${idMember}"error":{"code":${code},"message":${JSON.stringify(message)}${dataMember}}}`;
  return reply(reason, status, "application/json", body, headers);
}

function plain(reason: RejectReason, status: number, text: string, headers: readonly Header[] = []): Reply {
  return reply(reason, status, "text/plain; charset=utf-8", `${text}\n`, headers);
}

function reply(
  reason: RejectReason,
  status: number,
  contentType: string,
  body: string,
  headers: readonly Header[],
): Reply {
  return {
    kind: "reply",
    status,
    headers: [["content-type", contentType], ...headers],
    body,
    details: REPLY_DETAILS_PREFIX + reason.replaceAll("-", "_"),
  };
}
