/** Reads one page of a backend's list. No more of an item is read than its name: everything else goes through as it is. Pure. */
import { Buffer, isUtf8 } from "node:buffer";
import { CLOSE_BRACKET, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../json/bytes.ts";
import { Keys } from "../json/keys.ts";
import { withoutMark } from "../json/parse.ts";
import { Scanner } from "../json/scan.ts";
import type { Span } from "../json/span.ts";
import { LIST_KINDS, type ListKind } from "./kinds.ts";

/** An item as its backend wrote it. */
export interface RawItem {
  /** What its name, URI or template decodes to. */
  readonly key: string;
  /** JSON text. */
  readonly bytes: Uint8Array;
  /** Where the string of the key stands in `bytes`. */
  readonly keyAt: Span;
}

export type ListPage =
  | {
      readonly kind: "page";
      /** At most one beyond MOST_ITEMS, which shows that there are more. */
      readonly items: readonly RawItem[];
      /** Number of items that have no key, or more than one that another parser may read, or that some parsers refuse. */
      readonly leftOut: number;
      /** undefined: this is the last page. A server of the legacy era may say so by an empty text. */
      readonly nextCursor: string | undefined;
    }
  /** The backend refuses. */
  | { readonly kind: "error"; readonly code: number | undefined; readonly message: string }
  /** It is no answer to a request for a list. */
  | { readonly kind: "unreadable"; readonly why: string };

/** Most items of one list: each costs memory beside its bytes. */
export const MOST_ITEMS = 50_000;

/** Characters of a key that are decoded. An item with a longer key is left out: no request could name it. */
const LONGEST_KEY = 8 * 1024;
/** Characters of an error's message that are kept. */
const LONGEST_MESSAGE = 500;

/** Stands in a text that may hold half a surrogate pair. UTF-8 itself has none. */
const MAY_BE_HALVED = [Buffer.from("\\ud"), Buffer.from("\\uD")];
/** Half a pair as JSON.stringify writes it. Another backslash in front of this one would make it plain text. */
const HALVED = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

/** Whether an item holds half a surrogate pair: to some clients' parsers an error, which costs them the lists of all backends. */
function isHalved({ bytes, keyAt }: RawItem, isRenamed: boolean): boolean {
  const json = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!MAY_BE_HALVED.some((mark) => json.includes(mark))) return false;
  // A name becomes one that all clients take.
  const text = isRenamed
    ? `${json.toString("utf8", 0, keyAt.start)}""${json.toString("utf8", keyAt.end)}`
    : json.toString();
  return HALVED.test(JSON.stringify(JSON.parse(text)));
}

const RESPONSE_KEYS = new Keys(["result", "error"]);
const ERROR_KEYS = new Keys(["code", "message"]);

interface KindKeys {
  readonly result: Keys;
  readonly item: Keys;
  /** Clients see other keys than the backend's own. */
  readonly isRenamed: boolean;
}

function keysOf(kind: ListKind): KindKeys {
  const { member, key } = LIST_KINDS[kind];
  return { result: new Keys([member, "nextCursor"]), item: new Keys([key]), isRenamed: key === "name" };
}

const KEYS: Readonly<Record<ListKind, KindKeys>> = {
  tools: keysOf("tools"),
  prompts: keysOf("prompts"),
  resources: keysOf("resources"),
  templates: keysOf("templates"),
};

/**
 * @param response a JSON-RPC response; a byte order mark in front is ignored, as clients ignore it
 * @param deepest nesting of arrays and objects that is read; the outermost is 1
 */
export function readListPage(response: Uint8Array, kind: ListKind, deepest: number): ListPage {
  const bytes = withoutMark(response);
  if (!isUtf8(bytes)) return unreadable("it is not UTF-8");
  return new PageReader(bytes, kind, deepest).read();
}

function unreadable(why: string): ListPage {
  return { kind: "unreadable", why };
}

/** Past the value at the cursor. Gives it where it is a string, of any length: a cursor that is cut would lead elsewhere. */
function wholeString(scanner: Scanner): string | undefined {
  const isString = scanner.peek() === QUOTE;
  const text = scanner.raw();
  // What was scanned is well-formed, so this does not throw.
  return isString && !scanner.broken ? String(JSON.parse(text)) : undefined;
}

class PageReader {
  readonly #bytes: Uint8Array;
  readonly #keys: KindKeys;
  readonly #member: string;
  readonly #scanner: Scanner;

  constructor(bytes: Uint8Array, kind: ListKind, deepest: number) {
    this.#bytes = bytes;
    this.#keys = KEYS[kind];
    this.#member = LIST_KINDS[kind].member;
    this.#scanner = new Scanner(bytes, deepest, LONGEST_KEY);
  }

  read(): ListPage {
    const scanner = this.#scanner;
    if (scanner.peek() !== OPEN_BRACE) return unreadable("it is no JSON object");
    let page: ListPage | undefined;
    let seen = 0;
    for (let at = scanner.firstMember(RESPONSE_KEYS); at >= 0; at = scanner.nextMember(RESPONSE_KEYS)) {
      seen++;
      page = at === 0 ? this.#result() : this.#error();
    }
    if (!scanner.finish()) return unreadable("it is not JSON");
    if (scanner.tooDeep) return unreadable("it is nested too deep");
    if (seen > 1 || scanner.lookalike) return unreadable("it has more than one result or error");
    return page ?? unreadable("it has neither a result nor an error");
  }

  #result(): ListPage {
    const scanner = this.#scanner;
    if (scanner.peek() !== OPEN_BRACE) {
      scanner.skip();
      return unreadable("its result is no object");
    }
    const items: RawItem[] = [];
    let lists = 0;
    let isList = true;
    let leftOut = 0;
    let nextCursor: string | undefined;
    const { result } = this.#keys;
    for (let at = scanner.firstMember(result); at >= 0; at = scanner.nextMember(result)) {
      if (at !== 0) nextCursor = wholeString(scanner);
      else if (scanner.peek() === OPEN_BRACKET) {
        lists++;
        leftOut += this.#items(items);
      } else {
        isList = false;
        scanner.skip();
      }
    }
    if (!isList || lists !== 1) return unreadable(`its result has no list of ${this.#member}`);
    return { kind: "page", items, leftOut, nextCursor };
  }

  /** Returns how many items were left out. */
  #items(items: RawItem[]): number {
    const scanner = this.#scanner;
    let leftOut = 0;
    if (!scanner.enter(CLOSE_BRACKET)) return 0;
    do {
      if (items.length > MOST_ITEMS) {
        scanner.skip();
        continue;
      }
      const item = this.#item();
      if (item) items.push(item);
      else leftOut++;
    } while (scanner.more(CLOSE_BRACKET));
    return leftOut;
  }

  #item(): RawItem | undefined {
    const scanner = this.#scanner;
    const start = scanner.at;
    if (scanner.peek() !== OPEN_BRACE) {
      scanner.skip();
      return undefined;
    }
    // What looks like a key elsewhere says nothing of this item, and the other way round.
    const elsewhere = scanner.lookalike;
    scanner.lookalike = undefined;
    let keys = 0;
    let key: { readonly value: string; readonly start: number; readonly end: number } | undefined;
    for (let at = scanner.firstMember(this.#keys.item); at >= 0; at = scanner.nextMember(this.#keys.item)) {
      keys++;
      key = scanner.stringIfAny();
    }
    const isAmbiguous = keys !== 1 || scanner.lookalike !== undefined;
    scanner.lookalike = elsewhere;
    if (isAmbiguous || !key || key.value === "" || key.value.length > LONGEST_KEY) return undefined;
    const bytes = this.#bytes.subarray(start, scanner.at);
    const item = { key: key.value, bytes, keyAt: { start: key.start - start, end: key.end - start } };
    // What was read of broken JSON is thrown away in the end.
    return !scanner.broken && isHalved(item, this.#keys.isRenamed) ? undefined : item;
  }

  #error(): ListPage {
    const scanner = this.#scanner;
    if (scanner.peek() !== OPEN_BRACE) {
      scanner.skip();
      return unreadable("its error is no object");
    }
    let code: number | undefined;
    let message = "";
    for (let at = scanner.firstMember(ERROR_KEYS); at >= 0; at = scanner.nextMember(ERROR_KEYS)) {
      if (at === 0) code = Number(scanner.raw());
      else message = scanner.stringIfAny()?.value ?? "";
    }
    return {
      kind: "error",
      code: Number.isInteger(code) ? code : undefined,
      message: message.slice(0, LONGEST_MESSAGE),
    };
  }
}
