/** What a backend's answer to a call of ours says of the session that the call was made in. Pure. */
import { BACKEND_UNAVAILABLE, METHOD_NOT_FOUND, SESSION_NOT_FOUND } from "../core/codes.ts";
import { isSuccess } from "../core/http.ts";
import { parseJson } from "../core/json/parse.ts";
import { saysSessionUnknown } from "./session-words.ts";

/**
 * - `lost`: the server does not know the session.
 * - `alive`: the server has taken the call.
 * - `away`: no endpoint takes connections, in Envoy's own words. A backend's own 503, or a connection that broke, says nothing.
 * - `refused`: a login is asked for, and nothing is said of the session.
 * - `unclear`: anything else.
 */
export type Said = "lost" | "alive" | "away" | "refused" | "unclear";

/** C#'s SDK once wrote the code without the sign. */
const SESSION_NOT_FOUND_CODES: readonly unknown[] = [SESSION_NOT_FOUND, -SESSION_NOT_FOUND];

/** Whether a status asks for a login. */
export function asksForLogin(status: number): boolean {
  return status === 401 || status === 403;
}

/** @param body its text, or the JSON-RPC response of an event stream; its beginning is enough */
export function readSaid(status: number, body: string): Said {
  if (isSuccess(status)) return "alive";
  if (status === 503 && body.includes(BACKEND_UNAVAILABLE)) return "away";
  const error = jsonRpcError(body);
  // The server has read the call, and has no such method.
  if (error?.code === METHOD_NOT_FOUND) return "alive";
  if (saysSessionUnknown(error ? JSON.stringify([error.message, error.data]) : unescaped(body))) return "lost";
  const isNotThere = status === 404 || status === 410;
  if (isNotThere && (!error || SESSION_NOT_FOUND_CODES.includes(error.code))) return "lost";
  if (asksForLogin(status)) return "refused";
  return error ? "alive" : "unclear";
}

interface JsonRpcError {
  readonly code: unknown;
  readonly message: unknown;
  readonly data: unknown;
}

/** Reads the error of a JSON-RPC 2.0 response. "jsonrpc" tells it from errors that frameworks write in JSON. */
function jsonRpcError(body: string): JsonRpcError | undefined {
  const value = parseJson(body);
  if (!isObject(value) || value.jsonrpc !== "2.0" || !isObject(value.error)) return undefined;
  const { code, message, data } = value.error;
  return { code, message, data };
}

/** JSON without its escapes, other text unchanged. */
function unescaped(body: string): string {
  const value = parseJson(body);
  return value === undefined ? body : JSON.stringify(value);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
