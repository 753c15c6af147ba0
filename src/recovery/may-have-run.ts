/**
 * Whether a request may have run although its answer looks like that of a lost session. A tool that answers 404 in its own words,
 * and whose session goes afterwards, looks the same. We cannot read the first answer's words: Envoy asks for the verdict on its
 * head before it has the body. Pure.
 */
import { MCP_SESSION_ID } from "../core/headers.ts";
import type { HeaderFields } from "../core/http.ts";

/** Bytes of a body, by its head: `unsaid` where it comes in chunks, `encoded` where it is compressed. */
export type Length = number | "unsaid" | "encoded";

/** What tells the answer to a ping from another answer in the same words. */
export interface PingAnswer {
  readonly status: number;
  /** It has `mcp-session-id`, as answers in a known session have. */
  readonly namesSession: boolean;
  readonly length: Length;
  /** How often it repeats the ping's id, and bytes of that as JSON text. */
  readonly ids: number;
  readonly idLength: number;
}

/** Bytes by which answers in the same words may differ: a number in them may have more digits. */
const SLACK = 2;
/** Bytes of `null`, the id in an answer to a message without one. */
const NULL_LENGTH = 4;

/** Methods that are safe to run twice: they read, or set the same again. */
const REPEATABLE: ReadonlySet<string> = new Set([
  "ping",
  "tools/list",
  "prompts/list",
  "prompts/get",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "resources/subscribe",
  "resources/unsubscribe",
  "completion/complete",
  "logging/setLevel",
  "tasks/get",
  "tasks/list",
  "tasks/result",
]);
const NOTIFICATIONS = "notifications/";

/** Whether a message may be sent again though it has run. undefined: a response, which is taken once. */
function isRepeatable(method: string | undefined): boolean {
  return method === undefined || REPEATABLE.has(method) || method.startsWith(NOTIFICATIONS);
}

/**
 * @param method of the request, as Envoy is told it
 * @param id JSON text of its id, where it has one
 * @param first head of its answer
 * @param ping what a ping in the session was answered; undefined where the request was not sent at all
 */
export function mayHaveRun(
  method: string | undefined,
  id: string | undefined,
  first: { readonly headers: HeaderFields; readonly endOfStream: boolean },
  ping: PingAnswer | undefined,
): boolean {
  if (!ping || isRepeatable(method)) return false;
  if (first.headers.get(":status") !== String(ping.status)) return true;
  if (first.headers.get(MCP_SESSION_ID) !== undefined && !ping.namesSession) return true;
  const length = first.endOfStream ? 0 : lengthOf((name) => first.headers.get(name));
  // A client may ask for compression; our ping does not.
  if (length === "encoded" || ping.length === "encoded") return false;
  // A server that writes the same words writes them in the same way.
  if (length === "unsaid" || ping.length === "unsaid") return length !== ping.length;
  const idLength = id === undefined ? NULL_LENGTH : Buffer.byteLength(id);
  return Math.abs(ping.length + ping.ids * (idLength - ping.idLength) - length) > SLACK;
}

export function lengthOf(header: (name: string) => string | undefined): Length {
  if ((header("content-encoding") ?? "identity") !== "identity") return "encoded";
  const length = header("content-length");
  return length === undefined ? "unsaid" : Number(length);
}
