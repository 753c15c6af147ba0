/** One list of one backend, under the names that clients see. Pure. */
import { Buffer } from "node:buffer";
import { jsonString } from "../json/rewrite.ts";
import type { ListKind } from "./kinds.ts";
import type { RawItem } from "./list-page.ts";
import { publicName } from "./naming.ts";

export interface ListItem {
  /** The name, URI or template as clients see it. */
  readonly key: string;
  /** The same as the backend has it. */
  readonly own: string;
  /** JSON text, with the public name in place of the backend's own. */
  readonly bytes: Uint8Array;
}

export interface Listing {
  readonly kind: ListKind;
  /** Sorted by key. */
  readonly items: readonly ListItem[];
  /** Bytes of all items. */
  readonly size: number;
  /** Number of items of the backend that are in no list, since nothing could name them. */
  readonly leftOut: number;
  /** Number of items that have the key of another one of the same backend, and are left out. */
  readonly duplicates: number;
}

/** @param prefix of the names that clients see (naming.ts); URIs stay as they are */
export function listingOf(
  kind: ListKind,
  prefix: string | undefined,
  raw: readonly RawItem[],
  leftOut: number,
): Listing {
  const isNamed = kind === "tools" || kind === "prompts";
  const first = new Map<string, RawItem>();
  for (const item of raw) {
    const key = isNamed ? publicName(prefix, item.key) : item.key;
    if (!first.has(key)) first.set(key, item);
  }
  const sorted = [...first].toSorted(([one], [other]) => compareKeys(one, other));
  const texts = sorted.map(([key, item]) => (key === item.key ? undefined : Buffer.from(jsonString(key))));
  const size = sorted.reduce((sum, [, item], n) => sum + sizeOf(item, texts[n]), 0);
  // One piece of memory for all items: the answers that they came in are let go of.
  const all = Buffer.allocUnsafeSlow(size);
  let at = 0;
  const items = sorted.map(([key, item], n): ListItem => {
    const start = at;
    at = write(all, start, item, texts[n]);
    return { key, own: item.key, bytes: all.subarray(start, at) };
  });
  return { kind, items, size, leftOut, duplicates: raw.length - first.size };
}

/** By UTF-16 units: the same in every process. */
export function compareKeys(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

/** Whether two lists are the same, to the byte. */
export function sameListing(one: Listing, other: Listing): boolean {
  if (one.items.length !== other.items.length || one.size !== other.size) return false;
  return one.items.every(({ key, bytes }, n) => {
    const twin = other.items[n];
    return twin !== undefined && twin.key === key && Buffer.compare(bytes, twin.bytes) === 0;
  });
}

function sizeOf({ bytes, keyAt }: RawItem, text: Uint8Array | undefined): number {
  return text ? bytes.length - (keyAt.end - keyAt.start) + text.length : bytes.length;
}

function write(all: Buffer, start: number, { bytes, keyAt }: RawItem, text: Uint8Array | undefined): number {
  if (!text) {
    all.set(bytes, start);
    return start + bytes.length;
  }
  all.set(bytes.subarray(0, keyAt.start), start);
  all.set(text, start + keyAt.start);
  all.set(bytes.subarray(keyAt.end), start + keyAt.start + text.length);
  return start + bytes.length - (keyAt.end - keyAt.start) + text.length;
}
