/** The answer to a client's request for a list. Items are copied once, and neither parsed nor printed. Pure. */
import { Buffer } from "node:buffer";
import { jsonString } from "../json/rewrite.ts";
import { LIST_KINDS } from "./kinds.ts";
import { compareKeys } from "./listing.ts";
import type { MergedList, Offered } from "./merge.ts";

const COMMA = Buffer.from(",");

/**
 * The whole JSON-RPC response. A cursor says after which key to go on, so that a page is never doubled or lost while the list changes.
 * @param id JSON text of the request's id; undefined for none
 * @param cursor of the client; undefined for the first page
 * @param most bytes of the items of a page, which has at least one
 * @param more further members of the result: JSON text that begins with a comma, or ""
 */
export function listAnswer(
  id: string | undefined,
  { kind, items }: MergedList,
  cursor: string | undefined,
  most: number,
  more = "",
): Uint8Array | "bad-cursor" {
  const after = cursor === undefined ? undefined : keyIn(cursor);
  if (cursor !== undefined && after === undefined) return "bad-cursor";
  const begin = after === undefined ? 0 : firstBehind(items, after);
  const end = endOfPage(items, begin, most);
  const last = end < items.length ? items[end - 1] : undefined;
  const idMember = id === undefined ? "" : `"id":${id},`;
  const pieces: Uint8Array[] = [Buffer.from(`{"jsonrpc":"2.0",${idMember}"result":{"${LIST_KINDS[kind].member}":[`)];
  for (let n = begin; n < end; n++) {
    const offered = items[n];
    if (!offered) break;
    if (n > begin) pieces.push(COMMA);
    pieces.push(offered.item.bytes);
  }
  const nextCursor = last ? `,"nextCursor":"${cursorFor(last.item.key)}"` : "";
  pieces.push(Buffer.from(`]${nextCursor}${more}}}`));
  return Buffer.concat(pieces);
}

function endOfPage(items: readonly Offered[], begin: number, most: number): number {
  let size = 0;
  let end = begin;
  for (; end < items.length; end++) {
    size += items[end]?.item.bytes.length ?? 0;
    if (size > most && end > begin) break;
  }
  return end;
}

/** The place of the first key behind one that may be gone by now. */
function firstBehind(items: readonly Offered[], key: string): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const at = items[middle];
    if (at && compareKeys(at.item.key, key) > 0) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** JSON keeps half a surrogate pair, which has no UTF-8. */
function cursorFor(key: string): string {
  return Buffer.from(jsonString(key)).toString("base64url");
}

/** Reads a cursor; undefined where it is none of ours. */
function keyIn(cursor: string): string | undefined {
  const bytes = Buffer.from(cursor, "base64url");
  if (bytes.toString("base64url") !== cursor) return undefined;
  try {
    const key: unknown = JSON.parse(bytes.toString());
    return typeof key === "string" ? key : undefined;
  } catch {
    return undefined;
  }
}
