/**
 * What is refused because another reader may take it for a method that the gateway acts on. Pure.
 *
 * MCP's methods are compared byte by byte. A lenient server may take "Initialize" or "initialize " for the method that it looks
 * like, and begin a session without a slot, or run a tool that no label names. No client needs such a spelling, so it is refused,
 * as a key in another case is (rpc/read.ts).
 */
import type { RequestPolicy } from "../routes.ts";
import type { Message } from "../rpc/message.ts";
import { METHODS } from "./methods.ts";
import { SUBJECTS, subjectOf } from "./subjects.ts";

/**
 * Requests that begin a session or change what a server keeps of one. The modern era has none of them (MCP 2026-07-28,
 * changelog). One without an id is no request, though a server may obey it.
 */
const OF_SESSIONS: ReadonlySet<string> = new Set(METHODS.filter((row) => row.ofSessions).map(({ method }) => method));

export function isOfSessions(method: string): boolean {
  return OF_SESSIONS.has(method);
}

const ACTED_ON: ReadonlySet<string> = new Set([...OF_SESSIONS, ...SUBJECTS.keys()]);
const BY_FOLDED: ReadonlyMap<string, string> = new Map([...ACTED_ON].map((method) => [folded(method), method]));
const LONGEST = Math.max(...[...ACTED_ON].map(({ length }) => length));

/**
 * What is wrong with a message's method, or with the name of what it is about; undefined where nothing is. Lengths are compared
 * first, so a long text costs no more than a short one.
 */
export function methodFault(message: Message, limits: Pick<RequestPolicy["limits"], "name">): string | undefined {
  if (message.kind === "response") return undefined;
  const { method } = message;
  if (method.length > limits.name) return tooLong("method", limits.name);
  const name = subjectOf(message)?.value;
  if (name !== undefined && name.length > limits.name) return tooLong("name", limits.name);
  // A C string ends there: we alone would read what follows.
  if (method.includes("\0") || name?.includes("\0")) return "a method or name must not hold U+0000";
  const meant = lookalike(method);
  if (meant !== undefined) return `the method differs from "${meant}" only in case or in space around it`;
  if (message.kind === "notification" && isOfSessions(method)) return `${method} must be a request, with an id`;
  return undefined;
}

/** The refusal of a method or name that is longer than the request header that it would become may be. */
export function tooLong(what: "method" | "name", limit: number): string {
  return `the ${what} is longer than ${limit} bytes as a header value`;
}

/** Most methods have no capitals, and so are folded already. */
const FOLDED = /^[a-z0-9/_.-]*$/;

/** The method that a lenient server may take this one for. */
function lookalike(method: string): string | undefined {
  // A longer one can match only with space around it; it is not even hashed.
  if (method.length <= LONGEST) {
    if (ACTED_ON.has(method)) return undefined;
    if (FOLDED.test(method)) return BY_FOLDED.get(method);
  }
  let start = 0;
  let end = method.length;
  while (start < end && isBlank(method.charCodeAt(start))) start++;
  while (end > start && isBlank(method.charCodeAt(end - 1))) end--;
  return end - start > LONGEST ? undefined : BY_FOLDED.get(folded(method.slice(start, end)));
}

/** White space and control characters in ASCII; beyond it what String.trim removes. */
function isBlank(unit: number): boolean {
  return unit <= 0x20 || unit === 0x7f || (unit > 0x7f && String.fromCharCode(unit).trim() === "");
}

/**
 * Lower case, as lenient comparisons fold it: U+017F, the long s, and U+212A, the Kelvin sign, become letters of ASCII. So do
 * U+0130 and U+0131, the i with and without its dot, in Java's equalsIgnoreCase.
 */
function folded(method: string): string {
  return method.replaceAll("\u0130", "i").toLowerCase().replaceAll("\u017f", "s").replaceAll("\u0131", "i");
}
