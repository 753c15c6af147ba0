/**
 * Leaves out of a backend's JSON-RPC messages what a caller may not see: items of lists, and updates of resources. All else stays as it
 * is, to the byte. It goes by the form of a result and not by what was asked, since a stream may bring the answer to another request.
 * Where another parser may read something else, a message cannot be filtered. Pure.
 */
import { Buffer, isUtf8 } from "node:buffer";
import { ALL_LISTS, LIST_KINDS } from "../federation/kinds.ts";
import { UPDATED } from "../federation/subscription.ts";
import { CLOSE_BRACKET, LETTER_N, OPEN_BRACE, OPEN_BRACKET } from "../json/bytes.ts";
import { Keys } from "../json/keys.ts";
import { type Edit, rewrite } from "../json/rewrite.ts";
import { Scanner } from "../json/scan.ts";
import { type Span, textOf } from "../json/span.ts";
import { textAt } from "../json/text-at.ts";
import type { Permits } from "./permits.ts";
import type { NamedKind } from "./rule.ts";

export interface ListFilter {
  readonly permits: Permits;
  /** The request is one of MCP 2026-07-28, where a list says who else may be given it. */
  readonly isModern: boolean;
  /** Nesting of arrays and objects that is read; the outermost is 1. */
  readonly deepest: number;
  /** Messages of a batch that are read. */
  readonly mostMessages: number;
}

export type Filtered =
  | {
      readonly kind: "filtered";
      readonly edits: readonly Edit[];
      /** JSON texts of the ids of its responses. */
      readonly answered: readonly string[];
    }
  /** Nothing of it may go on. */
  | { readonly kind: "hidden" }
  /** What a client makes of it cannot be told. */
  | { readonly kind: "unreadable" };

const UNREADABLE: Filtered = { kind: "unreadable" };
const HIDDEN: Filtered = { kind: "hidden" };

const MESSAGE_NAMES = ["result", "method", "params", "id"] as const;
const MESSAGE = new Keys(MESSAGE_NAMES);
const SCOPE_OF_CACHE = "cacheScope";
const RESULT = new Keys([...ALL_LISTS.map((kind) => LIST_KINDS[kind].member), SCOPE_OF_CACHE]);

interface ListIn {
  readonly kind: NamedKind;
  readonly key: Keys;
}

const LISTS: readonly ListIn[] = ALL_LISTS.map((kind) => ({
  kind: kind === "templates" ? "resources" : kind,
  key: new Keys([LIST_KINDS[kind].key]),
}));

/** Characters of a key that are decoded. No request could name an item with a longer one. */
const LONGEST_KEY = 8 * 1024;
const PRIVATE = '"private"';

/** @param data one JSON text: a message, or a batch (MCP 2025-03-26) */
export function filterMessages(data: Uint8Array, filter: ListFilter): Filtered {
  return isUtf8(data) ? new MessagesReader(data, filter).read() : UNREADABLE;
}

/** What a message comes to: its own edits, or that it is left out. */
interface Judged extends Span {
  readonly isHidden: boolean;
}

class MessagesReader {
  readonly #data: Uint8Array;
  readonly #filter: ListFilter;
  readonly #scanner: Scanner;
  readonly #edits: Edit[] = [];
  readonly #answered: string[] = [];
  #isUnclear = false;

  constructor(data: Uint8Array, filter: ListFilter) {
    this.#data = data;
    this.#filter = filter;
    this.#scanner = new Scanner(data, filter.deepest, LONGEST_KEY);
  }

  read(): Filtered {
    const scanner = this.#scanner;
    const isBatch = scanner.peek() === OPEN_BRACKET;
    const messages = isBatch ? this.#batch() : [this.#message()];
    if (!scanner.finish() || scanner.tooDeep || scanner.lookalike || this.#isUnclear) return UNREADABLE;
    const edits = this.#edits;
    const answered = this.#answered;
    if (!messages.some(({ isHidden }) => isHidden)) return { kind: "filtered", edits, answered };
    if (messages.every(({ isHidden }) => isHidden)) return HIDDEN;
    return { kind: "filtered", edits: [this.#only(messages)], answered };
  }

  #batch(): Judged[] {
    const scanner = this.#scanner;
    const messages: Judged[] = [];
    if (!scanner.enter(CLOSE_BRACKET)) return messages;
    do {
      if (scanner.peek() === OPEN_BRACKET || messages.length === this.#filter.mostMessages) this.#isUnclear = true;
      if (this.#isUnclear) return messages;
      messages.push(this.#message());
    } while (scanner.more(CLOSE_BRACKET));
    return messages;
  }

  /** All messages in one edit: those that are shown, with their own edits made. */
  #only(all: readonly Judged[]): Edit {
    const edits = this.#edits.toSorted((one, other) => one.start - other.start);
    let next = 0;
    const pieces = all.flatMap((message) => {
      const first = next;
      while ((edits[next]?.start ?? Infinity) < message.end) next++;
      return message.isHidden ? [] : [edited(this.#data, message, edits.slice(first, next))];
    });
    return { start: all[0]?.start ?? 0, end: all.at(-1)?.end ?? 0, text: joined(pieces) };
  }

  /** Passes the value at the cursor. */
  #message(): Judged {
    const scanner = this.#scanner;
    const start = scanner.at;
    if (scanner.peek() !== OPEN_BRACE) {
      scanner.skip();
      return { start, end: scanner.at, isHidden: false };
    }
    let seen = 0;
    let method: string | undefined;
    let params: Span | undefined;
    let id: string | undefined;
    for (let at = scanner.firstMember(MESSAGE); at >= 0; at = scanner.nextMember(MESSAGE)) {
      if ((seen & (1 << at)) !== 0) this.#isUnclear = true;
      seen |= 1 << at;
      switch (MESSAGE_NAMES[at]) {
        case "result":
          this.#result();
          break;
        case "method":
          method = scanner.stringIfAny()?.value;
          break;
        case "params":
          params = this.#span();
          break;
        default:
          id = scanner.raw();
      }
    }
    if (method === undefined && id !== undefined) this.#answered.push(id);
    const isHidden = method === UPDATED && !scanner.broken && !this.#mayHear(params);
    return { start, end: scanner.at, isHidden };
  }

  #mayHear(params: Span | undefined): boolean {
    const within = params && this.#data.subarray(params.start, params.end);
    const uri = within && textAt(within, ["uri"], this.#filter.deepest);
    return uri?.kind === "text" && this.#filter.permits.permits("resources", uri.text.value);
  }

  #span(): Span {
    const start = this.#scanner.at;
    this.#scanner.skip();
    return { start, end: this.#scanner.at };
  }

  #result(): void {
    const scanner = this.#scanner;
    const start = scanner.at;
    if (scanner.peek() !== OPEN_BRACE) {
      // No list is anything else, and a client that reads one from it would be another parser.
      if (scanner.peek() !== LETTER_N) this.#isUnclear = true;
      scanner.skip();
      return;
    }
    let seen = 0;
    let lists = 0;
    for (let at = scanner.firstMember(RESULT); at >= 0; at = scanner.nextMember(RESULT)) {
      if ((seen & (1 << at)) !== 0) this.#isUnclear = true;
      seen |= 1 << at;
      const list = LISTS[at];
      if (list) {
        lists++;
        this.#list(list);
      } else this.#keepPrivate();
    }
    const saysScope = (seen & (1 << LISTS.length)) !== 0;
    if (lists > 0 && !saysScope && this.#filter.isModern)
      this.#edits.push({ start: start + 1, end: start + 1, text: `"${SCOPE_OF_CACHE}":${PRIVATE},` });
  }

  /** What one caller may see is not for others. */
  #keepPrivate(): void {
    const span = this.#span();
    if (textOf(this.#data, span) !== PRIVATE) this.#edits.push({ ...span, text: PRIVATE });
  }

  #list({ kind, key }: ListIn): void {
    const scanner = this.#scanner;
    if (scanner.peek() !== OPEN_BRACKET) {
      if (scanner.peek() !== LETTER_N) this.#isUnclear = true;
      scanner.skip();
      return;
    }
    const items: Judged[] = [];
    if (!scanner.enter(CLOSE_BRACKET)) return;
    do items.push(this.#item(kind, key));
    while (scanner.more(CLOSE_BRACKET));
    const shown = items.filter(({ isHidden }) => !isHidden);
    if (shown.length === items.length || scanner.broken) return;
    const text = joined(shown.map(({ start, end }) => this.#data.subarray(start, end)));
    this.#edits.push({ start: items[0]?.start ?? 0, end: items.at(-1)?.end ?? 0, text });
  }

  /** An item that nobody can name, or that others may name otherwise, is left out. */
  #item(kind: NamedKind, key: Keys): Judged {
    const scanner = this.#scanner;
    const start = scanner.at;
    if (scanner.peek() !== OPEN_BRACE) {
      scanner.skip();
      return { start, end: scanner.at, isHidden: true };
    }
    const elsewhere = scanner.lookalike;
    scanner.lookalike = undefined;
    let keys = 0;
    let name: string | undefined;
    for (let at = scanner.firstMember(key); at >= 0; at = scanner.nextMember(key)) {
      keys++;
      name = scanner.stringIfAny()?.value;
    }
    const isNamed = keys === 1 && !scanner.lookalike && name !== undefined && name.length <= LONGEST_KEY;
    scanner.lookalike = elsewhere;
    const isHidden = !isNamed || name === undefined || !this.#filter.permits.permits(kind, name);
    return { start, end: scanner.at, isHidden };
  }
}

/** @param own those edits that are in this part of the text */
function edited(data: Uint8Array, { start, end }: Span, own: readonly Edit[]): Uint8Array {
  const moved = own.map((edit) => ({ ...edit, start: edit.start - start, end: edit.end - start }));
  return rewrite(data.subarray(start, end), moved);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(pieces.flatMap((piece, n) => (n === 0 ? [piece] : [COMMA, piece])));
}

const COMMA = Buffer.from(",");
