import { Buffer } from "node:buffer";
import type { Message, StringAt } from "./message.ts";

/** The keys in `params._meta` that make up the envelope of a modern request. MCP 2026-07-28, basic/index, "_meta". */
export const ENVELOPE_VERSION = "io.modelcontextprotocol/protocolVersion";
export const ENVELOPE_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";

/** Where a method says what it is about. */
export interface Subject {
  /** The member of `params` that names it. */
  readonly member: "name" | "uri" | "taskId";
  /** Whether a modern client must repeat it in the Mcp-Name header (SEP-2243 "Standard Request Headers", SEP-2663). */
  readonly mirrored: boolean;
}

/** The methods that are about one named thing. A Map, since a method is the client's text and may be "constructor". */
export const SUBJECTS: ReadonlyMap<string, Subject> = new Map([
  ["tools/call", { member: "name", mirrored: true }],
  ["prompts/get", { member: "name", mirrored: true }],
  ["resources/read", { member: "uri", mirrored: true }],
  ["tasks/get", { member: "taskId", mirrored: true }],
  ["tasks/update", { member: "taskId", mirrored: true }],
  ["tasks/cancel", { member: "taskId", mirrored: true }],
  // Legacy only: no Mcp-Name was ever asked for.
  ["resources/subscribe", { member: "uri", mirrored: false }],
  ["resources/unsubscribe", { member: "uri", mirrored: false }],
  ["tasks/result", { member: "taskId", mirrored: false }],
]);

/** What the message is about: the tool, prompt, resource or task that it names, where its method has one and it is a string. */
export function subjectOf(message: Message): StringAt | undefined {
  if (message.kind === "response") return undefined;
  const subject = SUBJECTS.get(message.method);
  return subject && message.params?.[subject.member];
}

const SAFE = /^[\x21-\x24\x26-\x7e]*$/;
/** All that must be encoded: what is no visible ASCII, and the percent sign. With `u`, a surrogate pair is one character. */
const UNSAFE = /[^\x21-\x24\x26-\x7e]/gu;

/**
 * `text` as a header value: what is not visible ASCII (RFC 5234 VCHAR), and "%", is percent-encoded as UTF-8 bytes.
 * Different texts give different values. A comma stays, so these headers must be read as one value and not as a list.
 */
export function headerValue(text: string): string {
  return SAFE.test(text) ? text : text.replace(UNSAFE, percentEncoded);
}

function percentEncoded(character: string): string {
  const hex = utf8(character).toString("hex").toUpperCase();
  return hex.replace(/../g, "%$&");
}

/**
 * JSON can write half a surrogate pair, which has no UTF-8. Such a one gets the three bytes that UTF-8's scheme would give
 * (as in WTF-8), since Buffer would turn each of them into the same U+FFFD, and two names into one.
 */
function utf8(character: string): Buffer {
  const unit = character.charCodeAt(0);
  const isLone = character.length === 1 && unit >= 0xd800 && unit <= 0xdfff;
  return isLone
    ? Buffer.from([0xed, 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)])
    : Buffer.from(character, "utf8");
}
