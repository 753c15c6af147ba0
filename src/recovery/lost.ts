/** Whether an answer means that a backend has lost the session that the request was sent into. Pure. */

import { BACKEND_UNAVAILABLE, METHOD_NOT_FOUND, SESSION_NOT_FOUND } from "../core/codes.ts";
import { isSuccess } from "../core/http.ts";
import { UF, UH } from "../core/response-flags.ts";
import { withoutByteOrderMark } from "../core/sse/reader.ts";
import { saysSessionUnknown } from "./session-words.ts";

/**
 * What an answer's head tells of the session.
 * - `gone`: its endpoint takes no connections, or there is none: the request was not sent.
 * - `ask`: servers give this status for a session that they do not know, and for other things too: the backend must be asked
 *   whether it knows the session.
 * - `ask-and-log-in`: the same of a status that asks for a login (401, 403). Where no session can be begun with the client's
 *   credentials either, the answer is the client's matter.
 */
export type Suspicion = "gone" | "ask" | "ask-and-log-in";

/** Whether a status is seldom about the session. A session that was found alive after it is not asked for again at once. */
export function isSeldomLoss(status: number): boolean {
  return asksForLogin(status) || status === 503;
}

export function asksForLogin(status: number): boolean {
  return status === 401 || status === 403;
}

/**
 * @param flags Envoy's response flags; 0 where the backend answered
 * @param endpoint who answered; undefined where Envoy or one of its filters did
 */
export function suspect(
  status: string | undefined,
  flags: number,
  endpoint: string | undefined,
): Suspicion | undefined {
  if ((flags & (UH | UF)) !== 0) return "gone";
  if (endpoint === undefined || (status === "503" && flags !== 0)) return undefined;
  switch (status) {
    case "404":
    case "410":
    case "400":
    case "503":
      return "ask";
    case "401":
    case "403":
      return "ask-and-log-in";
    default:
      return undefined;
  }
}

/**
 * What the answer to a ping says of the session.
 * - `lost`: the server does not know it.
 * - `away`: nobody is there to know it, by Envoy's own word: a 503 of the backend, or of a connection that broke, says nothing.
 * - `refused`: a login is asked for, and nothing is said of the session.
 */
export type Said = "lost" | "alive" | "away" | "refused" | "unclear";

/** C#'s SDK once wrote the code without the sign. */
const SESSION_NOT_FOUND_CODES: readonly unknown[] = [SESSION_NOT_FOUND, -SESSION_NOT_FOUND];

/**
 * Reads an answer to a call of ours in a session.
 * @param body its text, or of an event stream the message; as much of it as words take
 */
export function readSaid(status: number, body: string): Said {
  if (isSuccess(status)) return "alive";
  if (status === 503 && body.includes(BACKEND_UNAVAILABLE)) return "away";
  const error = jsonRpcError(body);
  // The server has read the ping.
  // The server has read the ping, and has no such method.
  if (error?.code === METHOD_NOT_FOUND) return "alive";
  if (saysSessionUnknown(error ? JSON.stringify([error.message, error.data]) : plain(body))) return "lost";
  const isNotThere = status === 404 || status === 410;
  if (isNotThere && (!error || SESSION_NOT_FOUND_CODES.includes(error.code))) return "lost";
  if (asksForLogin(status)) return "refused";
  return error ? "alive" : "unclear";
}

/**
 * Whether a session is lost by what was said of it.
 * @param status of the answer that raised the suspicion
 * @param ping status of the ping's
 */
export function isLost(status: number, ping: number, said: Said): boolean {
  switch (said) {
    case "lost":
      return true;
    case "refused":
      // The ping is answered alike. Whether the credentials are good, the next initialize shows.
      return ping === status;
    case "away":
      // A backend that was about to stop may have refused the request by one of these statuses.
      return !isSeldomLoss(status);
    case "alive":
    case "unclear":
      return false;
    default:
      return said satisfies never;
  }
}

interface JsonRpcError {
  readonly code: unknown;
  readonly message: unknown;
  readonly data: unknown;
}

/** Reads the error of a JSON-RPC 2.0 answer. "jsonrpc" tells it from errors that frameworks write in JSON. */
function jsonRpcError(body: string): JsonRpcError | undefined {
  const value = parse(body);
  if (!isObject(value) || value.jsonrpc !== "2.0" || !isObject(value.error)) return undefined;
  const { code, message, data } = value.error;
  return { code, message, data };
}

/** JSON without its escapes, anything else as it is. */
function plain(body: string): string {
  const value = parse(body);
  return value === undefined ? body : JSON.stringify(value);
}

function parse(body: string): unknown {
  try {
    return JSON.parse(withoutByteOrderMark(body));
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
