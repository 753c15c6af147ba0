/** Reads the members of one object of a JSON text, for changes that go by their keys. Pure. */
import { Buffer } from "node:buffer";
import { CLOSE_BRACE, COMMA, NOTHING } from "./bytes.ts";
import type { Edit } from "./rewrite.ts";
import { afterValue } from "./skip.ts";
import type { Span } from "./span.ts";
import { afterColon, afterSpace, afterString } from "./tokens.ts";

export interface MemberAt extends Span {
  /** What the key decodes to. */
  readonly key: string;
  readonly value: Span;
}

/**
 * The members of an object, in their order.
 * @param object where it stands in a text that was found to be JSON; deeper than `deepest` its values are not nested
 */
export function membersAt(bytes: Uint8Array, object: Span, deepest: number): readonly MemberAt[] {
  const from = object.start;
  // The functions that scan stop at the byte behind the text.
  const text = Buffer.alloc(object.end - from + 1, NOTHING);
  text.set(bytes.subarray(from, object.end));
  const members: MemberAt[] = [];
  for (let at = afterSpace(text, 1); at > 0 && text[at] !== CLOSE_BRACE; ) {
    const keyEnd = afterString(text, at);
    const value = afterColon(text, keyEnd);
    const end = afterValue(text, value, deepest);
    // Not so in a text that is JSON.
    if (keyEnd < 0 || value < 0 || end < 0) return members;
    const key: unknown = JSON.parse(text.toString("utf8", at, keyEnd));
    members.push({
      key: String(key),
      start: at + from,
      end: end + from,
      value: { start: value + from, end: end + from },
    });
    const next = afterSpace(text, end);
    at = text[next] === COMMA ? afterSpace(text, next + 1) : next;
  }
  return members;
}

/** Takes members out of an object, each with one comma. Every other byte stays as it is. */
export function withoutMembers(
  bytes: Uint8Array,
  object: Span,
  deepest: number,
  isOut: (key: string) => boolean,
): readonly Edit[] {
  const members = membersAt(bytes, object, deepest);
  const edits: Edit[] = [];
  let kept: MemberAt | undefined;
  let firstOut: MemberAt | undefined;
  let lastOut: MemberAt | undefined;
  for (const member of members) {
    if (isOut(member.key)) {
      firstOut ??= member;
      lastOut = member;
      continue;
    }
    if (firstOut) edits.push({ start: firstOut.start, end: member.start, text: "" });
    kept = member;
    firstOut = undefined;
  }
  if (firstOut && lastOut) edits.push({ start: kept?.end ?? firstOut.start, end: lastOut.end, text: "" });
  return edits;
}
