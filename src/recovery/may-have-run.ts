/**
 * Whether a request may have run although its answer looks like that of a lost session: a tool may answer 404 itself, and its session
 * end afterwards. The words of the first answer cannot be read, as Envoy wants the verdict on its head before it has the body. So its
 * head is compared with the answer to a ping. Pure.
 */
import { MCP_SESSION_ID } from "../core/headers.ts";
import type { HeaderFields } from "../core/http.ts";

/** Length (bytes) of a body by its head. `unsaid`: it has no content-length. `encoded`: it is compressed. */
export type Length = number | "unsaid" | "encoded";

/** What is compared of the answer to a ping. */
export interface PingAnswer {
  readonly status: number;
  /** Whether it has `mcp-session-id`, as answers in a known session have. */
  readonly namesSession: boolean;
  readonly length: Length;
  /** How often it repeats the id of the ping, and bytes of that id as JSON text. */
  readonly ids: number;
  readonly idLength: number;
}

/** Bytes by which two answers in the same words may differ: a number in them may have more digits. */
const SLACK = 2;
/** Bytes of `null`, the id of the answer to a message without an id. */
const NULL_LENGTH = 4;

/** Methods that are safe to run twice: they read, or set the same value again. */
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

/** Whether a message may be sent again although it has run. `method` is undefined for a response, which servers take once. */
function isRepeatable(method: string | undefined): boolean {
  return method === undefined || REPEATABLE.has(method) || method.startsWith(NOTIFICATIONS);
}

/**
 * @param method of the request, as in `x-mcp-method`
 * @param id JSON text of its id, where it has one
 * @param first head of its answer
 * @param ping undefined where the request was not sent at all
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
  // The client may have asked for compression, which our ping does not.
  if (length === "encoded" || ping.length === "encoded") return false;
  // One server frames the same words in the same way.
  if (length === "unsaid" || ping.length === "unsaid") return length !== ping.length;
  const idLength = id === undefined ? NULL_LENGTH : Buffer.byteLength(id);
  return Math.abs(ping.length + ping.ids * (idLength - ping.idLength) - length) > SLACK;
}

export function lengthOf(header: (name: string) => string | undefined): Length {
  if ((header("content-encoding") ?? "identity") !== "identity") return "encoded";
  const length = header("content-length");
  return length === undefined ? "unsaid" : Number(length);
}
