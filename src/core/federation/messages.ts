/** The messages in the data of an event, and what in them says whose they are. Pure. */
import { isUtf8 } from "node:buffer";
import { CLOSE_BRACKET, isDigit, MINUS, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../json/bytes.ts";
import { Keys } from "../json/keys.ts";
import { parseJson } from "../json/parse.ts";
import { type Path, placesOf } from "../json/places.ts";
import type { Edit } from "../json/rewrite.ts";
import { Scanner } from "../json/scan.ts";
import { type Span, textOf } from "../json/span.ts";
import { type IdOwner, idForClient } from "./ids.ts";

/** Most messages of a batch that are looked at one by one. No client sends more (`limits.batch`), so no answer needs more. */
export const MOST_MESSAGES = 10_000;

/** A message in the data of an event. */
export interface MessageAt extends Span {
  /** By them its ids say whose they are. undefined: it has no `method`, so it is no request and no notification. */
  readonly edits: readonly Edit[] | undefined;
  /** Its `id`, if that is a string or a number: others are no ids, to nobody. */
  readonly id: Span | undefined;
}

/** What one scan finds in a message. */
interface Head extends Span {
  readonly id: Span | undefined;
  readonly method: Span | undefined;
}

const HEAD = new Keys(["id", "method"]);
const ID = 0;

/**
 * The message, or each of a batch (MCP 2025-03-26). undefined: what a client makes of it cannot be told.
 * @param owner undefined: its ids stay as they are
 */
export function messagesIn(
  data: Uint8Array,
  owner: IdOwner | undefined,
  deepest: number,
): readonly MessageAt[] | undefined {
  const heads = headsIn(data, deepest);
  if (!heads) return undefined;
  const messages: MessageAt[] = [];
  for (const { start, end, id, method } of heads) {
    const edits = method && (owner ? idEdits(data, { start, end, id, method }, owner, deepest) : []);
    if (edits === "unclear") return undefined;
    messages.push({ start, end, edits, id: id && isId(data[id.start]) ? id : undefined });
  }
  return messages;
}

function headsIn(data: Uint8Array, deepest: number): readonly Head[] | undefined {
  if (!isUtf8(data)) return undefined;
  const scanner = new Scanner(data, deepest, 0);
  const heads: (Head | undefined)[] = [];
  if (scanner.peek() !== OPEN_BRACKET) heads.push(headAt(scanner));
  else if (scanner.enter(CLOSE_BRACKET)) {
    do heads.push(headAt(scanner));
    while (scanner.more(CLOSE_BRACKET));
  }
  // A member that is there twice, or that another parser may take for one of these, may be read otherwise by the client.
  if (!scanner.finish() || scanner.tooDeep || scanner.lookalike || heads.length > MOST_MESSAGES) return undefined;
  const clear = heads.filter((head) => head !== undefined);
  return clear.length === heads.length ? clear : undefined;
}

/** Passes the value at the cursor. undefined: one of its members is there twice, or it is a batch in a batch. */
function headAt(scanner: Scanner): Head | undefined {
  const start = scanner.at;
  const opens = scanner.peek();
  if (opens !== OPEN_BRACE) {
    scanner.skip();
    return opens === OPEN_BRACKET ? undefined : { start, end: scanner.at, id: undefined, method: undefined };
  }
  let id: Span | undefined;
  let method: Span | undefined;
  let isClear = true;
  for (let member = scanner.firstMember(HEAD); member >= 0; member = scanner.nextMember(HEAD)) {
    const from = scanner.at;
    scanner.skip();
    const value = { start: from, end: scanner.at };
    if (member === ID ? id : method) isClear = false;
    if (member === ID) id = value;
    else method = value;
  }
  return isClear ? { start, end: scanner.at, id, method } : undefined;
}

/** Edits of the ids of a request or a notification that are the backend's own. `unclear`: another parser may see other ids. */
function idEdits(
  data: Uint8Array,
  head: Head & { readonly method: Span },
  owner: IdOwner,
  deepest: number,
): readonly Edit[] | "unclear" {
  const { start, end, id } = head;
  const ids: Span[] = id && isId(data[id.start]) ? [id] : [];
  // The server waits for the client's answer to a request, and hears of its progress by this token.
  const paths: Path[] = id ? [["params", "_meta", "progressToken"]] : [];
  if (parseJson(textOf(data, head.method)) === "notifications/cancelled") paths.push(["params", "requestId"]);
  for (const path of paths) {
    const places = placesOf(data.subarray(start, end), path, deepest);
    if (places.kind !== "found") return "unclear";
    for (const at of places.at)
      if (isId(data[start + at.start])) ids.push({ start: start + at.start, end: start + at.end });
  }
  const inOrder = ids.toSorted((one, other) => one.start - other.start);
  return inOrder.map((at) => ({ ...at, text: idForClient(owner, textOf(data, at)) }));
}

/** Whether a value that begins so is a string or a number. */
function isId(byte: number | undefined): boolean {
  return byte === QUOTE || byte === MINUS || (byte !== undefined && isDigit(byte));
}
