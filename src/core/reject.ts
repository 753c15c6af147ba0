/**
 * Why a request is refused, and the answer that a client can act on. Statuses and codes: docs/operations.md, "What each error means".
 * Long because every refusal stands in it.
 */
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
  METHODS_WITHOUT_STREAM,
  PARSE_ERROR,
  RATE_LIMIT_REACHED,
  RATE_LIMITS_UNAVAILABLE,
  REPLY_DETAILS_PREFIX,
  SERVER_BUSY,
  SESSION_NOT_FOUND,
  UNSUPPORTED_VERSION,
} from "./codes.ts";
import type { Header, Reply } from "./http.ts";

/** A refusal. `id` is the JSON text of the request's id as it was written, absent where there is none to echo. */
export type Reject =
  | { readonly reason: "host-not-allowed" | "origin-not-allowed" }
  | { readonly reason: "not-acceptable" | "content-type" | "content-encoding" | "not-json" }
  | { readonly reason: "no-route" | "method-not-allowed" }
  /** `challenge`: value of `www-authenticate`. */
  | { readonly reason: "unauthenticated"; readonly challenge: string }
  /** `policy` would allow it to a token with more scopes. `challenge`: value of `www-authenticate`. */
  | { readonly reason: "insufficient-scope"; readonly challenge: string; readonly id?: Id }
  | {
      readonly reason: "body-too-large" | "session-unknown" | "session-required";
      readonly id?: Id;
    }
  /** `inBand`: answers a request in a session with 200. Some SDKs end the session at any other status. */
  | { readonly reason: "store-unavailable"; readonly id?: Id; readonly inBand?: boolean }
  /** A cap of `admission`: on all sessions, on those of one principal, on those of anonymous callers, on initializes that wait. */
  | {
      readonly reason: "sessions-exhausted" | "principal-exhausted" | "anonymous-exhausted" | "initializes-exhausted";
      /** Seconds. */
      readonly retryAfter: number;
      readonly id?: Id;
      /** Answers a request that needs a session by 200: only this one fails, and not the whole URL. */
      readonly inBand?: boolean;
    }
  /** As many subscriptions are open in this process as those caps allow sessions. `retryAfter`: seconds. */
  | { readonly reason: "subscriptions-exhausted"; readonly retryAfter: number; readonly id?: Id }
  /** A limit of `limits.calls` is used up. `retryAfter`: seconds. */
  | { readonly reason: "calls-exhausted"; readonly retryAfter: number; readonly id?: Id }
  /** The service that counts calls (`limits.service`) does not answer. */
  | { readonly reason: "limits-unavailable"; readonly id?: Id }
  | {
      readonly reason: "invalid-request" | "header-mismatch" | "invalid-envelope";
      readonly detail: string;
      readonly id?: Id;
    }
  /** The modern era has no such method. */
  | { readonly reason: "method-unknown"; readonly id?: Id }
  /** A request was sent again and may have run, but its answer did not come whole. */
  | { readonly reason: "answer-lost"; readonly id?: Id }
  /**
   * No endpoint of the backend accepts connections, and the request was not sent; or the backend of a parked session cannot begin
   * another one now. `inBand`: as of `store-unavailable`.
   */
  | { readonly reason: "backend-unavailable"; readonly id?: Id; readonly inBand?: boolean }
  /**
   * The credential that the backend is to have of the gateway cannot be had, and the request was not sent. `retryAfter`: seconds;
   * undefined: a retry is of no use. `inBand`: as of `store-unavailable`.
   */
  | NoCredentialReject
  /** One of several backends has failed one request. `status`: of its answer, where there was one. */
  | {
      readonly reason: "backend-failed";
      readonly backend: string;
      readonly why: string;
      readonly status?: number | undefined;
      readonly id?: Id;
    }
  /** No backend of the route offers what the request names, or clients of the route may not use it. */
  | { readonly reason: "not-offered"; readonly what: OfferedKind; readonly name: string; readonly id?: Id }
  /** No backend of the route is known to have such a method, or the one that the request is for has it not in its era. */
  | { readonly reason: "method-not-offered"; readonly backend?: string; readonly id?: Id }
  /** The params of a request that the gateway answers itself. */
  | { readonly reason: "invalid-params"; readonly detail: string; readonly id?: Id }
  /** The route has no stream for a GET. */
  | { readonly reason: "no-stream" }
  /** A modern request of a version that the route does not speak. `requested`: the version that it names. */
  | {
      readonly reason: "version-unsupported";
      readonly supported: readonly string[];
      readonly requested: string | undefined;
      readonly id?: Id;
    }
  /** The backend answered with a redirect. Some clients would follow it around the gateway. */
  | { readonly reason: "backend-redirects"; readonly id?: Id }
  /** The backend gave different session ids for one session. */
  | { readonly reason: "session-ambiguous"; readonly id?: Id }
  | { readonly reason: "internal"; readonly id?: Id };

export type RejectReason = Reject["reason"];

export interface NoCredentialReject {
  readonly reason: "credential-unavailable";
  readonly retryAfter: number | undefined;
  readonly id?: Id;
  readonly inBand?: boolean;
}

type Id = string | undefined;

type Limited = Extract<Reject, { reason: "calls-exhausted" | "limits-unavailable" }>;

type OfferedKind = "tool" | "prompt" | "resource" | "task" | "request";

/** The router's log alone says where to: that is the backend's own address. */
const BACKEND_REDIRECTS = "Backend redirects: the gateway is not configured with the path of its MCP endpoint";

const INSUFFICIENT_SCOPE = "Insufficient scope: the token lacks scopes that the challenge names";
const CREDENTIAL_UNAVAILABLE = "The gateway has no credential for the backend";

const STORE_UNAVAILABLE = "Session store unavailable";

/** ms after which a client may try again while the store is away. `Retry-After` takes whole seconds only. */
export const STORE_RETRY_AFTER_MS = 1_000;

/** Answers that are the same for every request, but for its id. */
const FIXED = {
  "host-not-allowed": [403, INVALID_REQUEST, "Host not allowed: gateway.hosts lists those that are"],
  "origin-not-allowed": [403, INVALID_REQUEST, "Origin not allowed: gateway.origins lists those that are"],
  "not-acceptable": [406, INVALID_REQUEST, "Not acceptable: a GET must accept text/event-stream"],
  "content-type": [
    415,
    INVALID_REQUEST,
    "Unsupported media type: content-type must be application/json, its charset utf-8 or not named",
  ],
  "content-encoding": [415, INVALID_REQUEST, "Unsupported media type: the body must not be encoded"],
  "body-too-large": [413, INVALID_REQUEST, "Request body too large"],
  "not-json": [400, PARSE_ERROR, "Parse error: the body is not JSON"],
  // MCP 2026-07-28, basic/transports: 404 is for methods there, since it has no sessions that could be gone.
  "method-unknown": [404, METHOD_NOT_FOUND, "Method not found"],
  "session-required": [400, INVALID_REQUEST, "Bad Request: Mcp-Session-Id header is required"],
  "session-unknown": [404, SESSION_NOT_FOUND, "Session not found"],
  // It must not invite the client to send the request again, nor look like a lost session, after which clients do that too.
  "answer-lost": [502, INTERNAL_ERROR, ANSWER_LOST],
  "session-ambiguous": [502, INTERNAL_ERROR, "Backend gave different session ids"],
  "backend-redirects": [502, INTERNAL_ERROR, BACKEND_REDIRECTS],
  internal: [500, INTERNAL_ERROR, "Internal error"],
} as const satisfies Partial<Record<RejectReason, readonly [status: number, code: number, message: string]>>;

function isFixed(reject: Reject): reject is Extract<Reject, { reason: keyof typeof FIXED }> {
  return Object.hasOwn(FIXED, reject.reason);
}

/** Maps a refusal to its answer. */
export function answer(reject: Reject): Reply {
  if (isFixed(reject)) {
    const [status, code, message] = FIXED[reject.reason];
    return jsonRpcError(reject.reason, status, code, message, "id" in reject ? reject.id : undefined);
  }
  const { reason } = reject;
  switch (reason) {
    case "no-route":
      return plain(reason, 404, "Not Found");
    case "method-not-allowed":
      return plain(reason, 405, "Method Not Allowed", [["allow", ENDPOINT_METHODS]]);
    case "unauthenticated":
    case "insufficient-scope":
      return challenged(reject);
    case "invalid-request":
      return jsonRpcError(reason, 400, INVALID_REQUEST, `Invalid request: ${reject.detail}`, reject.id);
    case "header-mismatch":
      return jsonRpcError(reason, 400, HEADER_MISMATCH, `Header mismatch: ${reject.detail}`, reject.id);
    case "invalid-envelope":
      return jsonRpcError(reason, 400, INVALID_PARAMS, `Invalid params: ${reject.detail}`, reject.id);
    // In band: some clients end a session at another status, or give all servers of a URL up.
    case "backend-failed": {
      const { backend, why, status } = reject;
      const data = JSON.stringify({ backend, status });
      return jsonRpcError(reason, 200, INTERNAL_ERROR, `Backend ${backend} failed: ${why}`, reject.id, [], data);
    }
    case "not-offered":
      return notOffered(reject);
    case "method-not-offered": {
      const { backend } = reject;
      const message = backend === undefined ? "Method not found" : `Method not found: backend ${backend} has it not`;
      return jsonRpcError(reason, 200, METHOD_NOT_FOUND, message, reject.id);
    }
    case "invalid-params":
      return jsonRpcError(reason, 200, INVALID_PARAMS, `Invalid params: ${reject.detail}`, reject.id);
    case "no-stream":
      return plain(reason, 405, "Method Not Allowed", [["allow", METHODS_WITHOUT_STREAM]]);
    // Where only versions with sessions are supported, a client of both eras begins one then (MCP 2026-07-28, "Error codes").
    case "version-unsupported": {
      const data = JSON.stringify({ supported: reject.supported, requested: reject.requested ?? "" });
      return jsonRpcError(reason, 400, UNSUPPORTED_VERSION, "Unsupported protocol version", reject.id, [], data);
    }
    case "backend-unavailable":
      return jsonRpcError(reason, isInBand(reject) ? 200 : 503, INTERNAL_ERROR, BACKEND_UNAVAILABLE, reject.id);
    case "store-unavailable":
      return storeUnavailable(reject);
    case "credential-unavailable":
      return credentialUnavailable(reject);
    // Neither the number of sessions nor the cap is told: that would tell one client of the others.
    case "sessions-exhausted":
    case "principal-exhausted":
    case "anonymous-exhausted":
    case "initializes-exhausted":
      return busy(reject, "Session limit reached");
    case "subscriptions-exhausted":
      return busy(reject, "Subscription limit reached");
    case "calls-exhausted":
    case "limits-unavailable":
      return limited(reject);
    default:
      return assertNever(reason);
  }
}

function challenged(reject: Extract<Reject, { challenge: string }>): Reply {
  const headers = [["www-authenticate", reject.challenge]] as const;
  if (reject.reason === "unauthenticated")
    return jsonRpcError(reject.reason, 401, INVALID_REQUEST, AUTHENTICATION_REQUIRED, undefined, headers);
  return jsonRpcError(reject.reason, 403, INVALID_REQUEST, INSUFFICIENT_SCOPE, reject.id, headers);
}

/** Seconds after which a client may try again while nobody counts its calls. */
export const LIMITS_RETRY_AFTER = 1;

/**
 * In band, as some SDKs end their session at another status. SDKs show a caller the data and not the headers, so both tell when to
 * come again. Neither the limit nor what is left of it is told: that would tell one client of the others.
 */
function limited(reject: Limited): Reply {
  const { reason, id } = reject;
  const [status, message, retryAfter] =
    reason === "calls-exhausted"
      ? [429, RATE_LIMIT_REACHED, reject.retryAfter]
      : [503, RATE_LIMITS_UNAVAILABLE, LIMITS_RETRY_AFTER];
  const data = JSON.stringify({ retryAfterMs: retryAfter * 1_000 });
  const headers: readonly Header[] = [["retry-after", String(retryAfter)]];
  return jsonRpcError(reason, id === undefined ? status : 200, SERVER_BUSY, message, id, headers, data);
}

function storeUnavailable(reject: Extract<Reject, { reason: "store-unavailable" }>): Reply {
  const { reason, id } = reject;
  if (isInBand(reject)) {
    const data = `{"retryAfterMs":${STORE_RETRY_AFTER_MS}}`;
    return jsonRpcError(reason, 200, INTERNAL_ERROR, STORE_UNAVAILABLE, id, [], data);
  }
  const headers = [["retry-after", String(STORE_RETRY_AFTER_MS / 1_000)]] as const;
  return jsonRpcError(reason, 503, INTERNAL_ERROR, STORE_UNAVAILABLE, id, headers);
}

/** Where there is no id to answer, only the status tells of the failure. */
function isInBand({ inBand, id }: { readonly inBand?: boolean; readonly id?: Id }): boolean {
  return inBand === true && id !== undefined;
}

/** Retry-After says that it may be had later: without one, the token endpoint has said no. */
function credentialUnavailable(reject: NoCredentialReject): Reply {
  const { reason, id, retryAfter } = reject;
  const data = JSON.stringify({
    reason,
    ...(retryAfter !== undefined && { retryAfterMs: retryAfter * 1_000 }),
  });
  const headers: readonly Header[] = retryAfter === undefined ? [] : [["retry-after", String(retryAfter)]];
  if (isInBand(reject)) return jsonRpcError(reason, 200, INTERNAL_ERROR, CREDENTIAL_UNAVAILABLE, id, [], data);
  const status = retryAfter === undefined ? 502 : 503;
  return jsonRpcError(reason, status, INTERNAL_ERROR, CREDENTIAL_UNAVAILABLE, id, headers, data);
}

/** A cap is reached, which may be over after a while. */
function busy(
  reject: Exclude<Extract<Reject, { retryAfter: number }>, { reason: "calls-exhausted" }>,
  message: string,
): Reply {
  const { reason, id, retryAfter } = reject;
  if (isInBand(reject)) {
    const data = JSON.stringify({ retryAfterMs: retryAfter * 1_000 });
    return jsonRpcError(reason, 200, SERVER_BUSY, message, id, [], data);
  }
  return jsonRpcError(reason, 503, SERVER_BUSY, message, id, [["retry-after", String(retryAfter)]]);
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
  // The id goes back as it was written: parsing and printing would change 9007199254740993.
  const idMember = id === undefined ? "" : `"id":${id},`;
  const dataMember = data === undefined ? "" : `,"data":${data}`;
  const body = `{"jsonrpc":"2.0",${idMember}"error":{"code":${code},"message":${JSON.stringify(message)}${dataMember}}}`;
  return reply(reason, status, "application/json", body, headers);
}

function notOffered({ what, name, id }: Extract<Reject, { reason: "not-offered" }>): Reply {
  const message = `Unknown ${what}: ${shownName(name)}`;
  // MCP 2026-07-28, "Resources", "Error Handling".
  const data = what === "resource" && name.length <= LONGEST_URI ? JSON.stringify({ uri: name }) : undefined;
  return jsonRpcError("not-offered", 200, INVALID_PARAMS, message, id, [], data);
}

/** Most characters of a client's own text in the message of an answer. */
const LONGEST_SHOWN = 200;
/** The same of a URI in its data, where a part of it would be another one. */
const LONGEST_URI = 4 * 1024;

function shownName(name: string): string {
  return name.length > LONGEST_SHOWN ? `${name.slice(0, LONGEST_SHOWN)}…` : name;
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
    details: detailsOf(reason),
  };
}

/** %RESPONSE_CODE_DETAILS% of a refusal. */
export function detailsOf(reason: Reject["reason"]): string {
  return REPLY_DETAILS_PREFIX + reason.replaceAll("-", "_");
}
