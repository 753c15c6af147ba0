/**
 * Whether a request that was answered as one in a lost session may have run all the same: a tool that says 404 in words of its own,
 * and whose session goes after it, looks like it. The words of the first answer are not there to be read: Envoy asks for the
 * verdict on its head before it has the body. Pure.
 */
import { MCP_SESSION_ID } from "../core/headers.ts";
import type { HeaderFields } from "../core/http.ts";

/** Bytes of a body, by its head: `unsaid` where it comes in chunks, `encoded` where they are not those of its words. */
export type Length = number | "unsaid" | "encoded";

/** What tells the answer of a ping from another in the same words. */
export interface PingAnswer {
  readonly status: number;
  /** It names the session, as servers do of one that they know. */
  readonly namesSession: boolean;
  readonly length: Length;
  /** How often it repeats the ping's id, and bytes of that as JSON text. */
  readonly ids: number;
  readonly idLength: number;
}

/** Bytes by which answers in the same words may differ: a number in them, in some digits more or less. */
const SLACK = 2;
/** Bytes of `null`, which stands for the id of a message that has none. */
const NULL_LENGTH = 4;

/** Which run twice as once: they read, or set what they set already. */
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
  // Whoever asks for compression may get it, and ping does not ask.
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
