import { isUtf8 } from "node:buffer";
import { CLOSE_BRACKET, isDigit, LETTER_N, MINUS, OPEN_BRACE, OPEN_BRACKET, QUOTE } from "../json/bytes.ts";
import { Keys } from "../json/keys.ts";
import { type Lookalike, Scanner } from "../json/scan.ts";
import type { StringAt } from "../json/span.ts";
import { ERROR, flawOf, ID_RULE, MESSAGE_MEMBERS, META_MEMBERS, METHOD, PARAMS_MEMBERS, RESULT } from "./members.ts";
import {
  type Body,
  ENVELOPE_CAPABILITIES,
  ENVELOPE_VERSION,
  type Envelope,
  type Message,
  type Params,
  type ReadLimits,
  type Unreadable,
} from "./message.ts";

/** Where nothing is left to be learnt but whether the rest is JSON. */
const NO_KEYS = new Keys([]);
/** A message with a lookalike is refused. Only its id is still told. */
const ID_KEY = new Keys(MESSAGE_MEMBERS, { matched: ["id"] });
const MESSAGE_KEYS = new Keys(MESSAGE_MEMBERS, { afterLookalike: ID_KEY });
const PARAMS_KEYS = new Keys(PARAMS_MEMBERS, { afterLookalike: NO_KEYS });
const META_KEYS = new Keys(META_MEMBERS, { afterLookalike: NO_KEYS });

const NOT_JSON: Unreadable = { kind: "unreadable", reason: "not-json" };
const MESSAGE_RULE = "a message must be an object";
const VERSION_RULE = 'jsonrpc must be "2.0"';

type Fault = Pick<Exclude<Unreadable, { reason: "not-json" }>, "reason" | "detail">;

/**
 * Reads a POST body: one JSON-RPC 2.0 message, or a batch. One pass over the bytes; no more is decoded than routing needs.
 * Takes what JSON.parse takes (RFC 8259 in UTF-8, no byte order mark), up to the limits.
 *
 * Of several things wrong, "not-json" goes first, wherever it stands; then "too-deep"; then whichever comes first in the text.
 * So the text is always scanned to its end, and the id is told even where it comes after what is wrong. It is not told when
 * `id` stands there twice, when it is no id, in a batch, or for a response, whose id is the server's and not the client's.
 */
export function readBody(body: Uint8Array, limits: ReadLimits): Body | Unreadable {
  if (!isUtf8(body)) return NOT_JSON;
  return new Reader(body, limits).body();
}

class Reader {
  readonly #scanner: Scanner;
  readonly #limits: ReadLimits;
  #fault: Fault | undefined;
  /** The id of the request that was read last, where it can be told. */
  #id: string | undefined;

  constructor(body: Uint8Array, limits: ReadLimits) {
    this.#scanner = new Scanner(body, limits.depth, limits.name);
    this.#limits = limits;
  }

  body(): Body | Unreadable {
    switch (this.#scanner.peek()) {
      case OPEN_BRACE: {
        const message = this.#message();
        return this.#refusal(this.#id) ?? { kind: "single", message };
      }
      case OPEN_BRACKET: {
        const messages = this.#batch();
        return this.#refusal(undefined) ?? { kind: "batch", messages };
      }
      default:
        this.#scanner.skip();
        this.#note("not-json-rpc", MESSAGE_RULE);
        return this.#refusal(undefined) ?? NOT_JSON;
    }
  }

  #refusal(id: string | undefined): Unreadable | undefined {
    if (!this.#scanner.finish()) return NOT_JSON;
    if (this.#scanner.tooDeep) {
      return { kind: "unreadable", reason: "too-deep", detail: `nested deeper than ${this.#limits.depth}`, id };
    }
    return this.#fault && { kind: "unreadable", ...this.#fault, id };
  }

  #note(reason: Fault["reason"], detail: string): void {
    this.#fault ??= { reason, detail };
  }

  #batch(): Message[] {
    const scanner = this.#scanner;
    const messages: Message[] = [];
    if (!scanner.enter(CLOSE_BRACKET)) {
      this.#note("empty-batch", "a batch holds at least one message");
      return messages;
    }
    do {
      if (messages.length === this.#limits.batch) {
        this.#note("batch-too-long", `a batch holds at most ${this.#limits.batch} messages`);
      }
      if (scanner.peek() !== OPEN_BRACE) this.#note("not-json-rpc", MESSAGE_RULE);
      // After a fault all there is to learn is whether the rest is JSON.
      if (this.#fault !== undefined) scanner.skip();
      else messages.push(this.#message());
    } while (scanner.more(CLOSE_BRACKET));
    return messages;
  }

  /** The message at the cursor. Where a fault is noted, what this gives is not used. */
  #message(): Message {
    const scanner = this.#scanner;
    let seen = 0;
    let versioned = false;
    let method = "";
    let params: Params | undefined;
    let id: string | undefined;
    let ids = 0;
    let hasNoError = false;

    for (
      let member = scanner.firstMember(MESSAGE_KEYS);
      member >= 0;
      member = scanner.nextMember(ids > 1 ? NO_KEYS : MESSAGE_KEYS)
    ) {
      seen = this.#once(seen, member, MESSAGE_MEMBERS, "");
      const name = MESSAGE_MEMBERS[member];
      // After a fault the id is all there is to learn of a message.
      if (this.#fault !== undefined && name !== "id") {
        scanner.skip();
        continue;
      }
      switch (name) {
        case "jsonrpc":
          versioned = scanner.isString("2.0");
          if (!versioned) this.#note("not-json-rpc", VERSION_RULE);
          break;
        case "method":
          if (scanner.peek() === QUOTE) method = scanner.string().value;
          else this.#skipFaulty("method must be a string");
          break;
        case "id":
          // Of two, neither is told.
          if (ids++ === 0) id = this.#idText();
          else scanner.skip();
          break;
        case "params":
          if (scanner.peek() === OPEN_BRACE) params = this.#params();
          // null is as good as absent: encoders write it for what is not set.
          else if (scanner.peek() === LETTER_N) scanner.skip();
          else this.#skipFaulty("params must be an object");
          break;
        case "error":
          hasNoError = scanner.peek() === LETTER_N;
          scanner.skip();
          break;
        default:
          scanner.skip();
      }
    }
    this.#noteLookalike("");

    if (!versioned) this.#note("not-json-rpc", VERSION_RULE);
    // Not so a result, which may be null.
    if (hasNoError) seen &= ~ERROR;
    const flaw = flawOf(seen, id);
    if (flaw !== undefined) this.#note("not-json-rpc", flaw);
    const isResponse = (seen & METHOD) === 0 && (seen & (RESULT | ERROR)) !== 0;
    this.#id = ids > 1 || isResponse ? undefined : id;
    if (isResponse) return { kind: "response", id };
    return id === undefined ? { kind: "notification", method, params } : { kind: "request", id, method, params };
  }

  /** The text of the id at the cursor; undefined for null, which an error response may carry. */
  #idText(): string | undefined {
    const first = this.#scanner.peek();
    if (first === QUOTE || first === MINUS || isDigit(first)) return this.#scanner.raw();
    if (first === LETTER_N) this.#scanner.skip();
    else this.#skipFaulty(ID_RULE);
    return undefined;
  }

  #params(): Params {
    const scanner = this.#scanner;
    const start = scanner.at;
    let seen = 0;
    let name: StringAt | undefined;
    let uri: StringAt | undefined;
    let taskId: StringAt | undefined;
    let protocolVersion: string | undefined;
    let meta: Envelope | undefined;

    for (
      let member = scanner.firstMember(PARAMS_KEYS);
      member >= 0;
      member = scanner.nextMember(this.#unlessFaulty(PARAMS_KEYS))
    ) {
      seen = this.#once(seen, member, PARAMS_MEMBERS, "params.");
      if (this.#fault !== undefined) {
        scanner.skip();
        continue;
      }
      switch (PARAMS_MEMBERS[member]) {
        case "name":
          name = scanner.stringIfAny();
          break;
        case "uri":
          uri = scanner.stringIfAny();
          break;
        case "taskId":
          taskId = scanner.stringIfAny();
          break;
        case "protocolVersion":
          protocolVersion = scanner.stringIfAny()?.value;
          break;
        case "_meta":
          if (scanner.peek() === OPEN_BRACE) meta = this.#envelope();
          else scanner.skip();
          break;
        default:
          scanner.skip();
      }
    }
    this.#noteLookalike("params.");
    return { start, end: scanner.at, name, uri, taskId, protocolVersion, meta };
  }

  #envelope(): Envelope {
    const scanner = this.#scanner;
    let seen = 0;
    let protocolVersion: Envelope["protocolVersion"];
    let clientCapabilities: Envelope["clientCapabilities"];

    for (
      let member = scanner.firstMember(META_KEYS);
      member >= 0;
      member = scanner.nextMember(this.#unlessFaulty(META_KEYS))
    ) {
      seen = this.#once(seen, member, META_MEMBERS, "params._meta.");
      if (this.#fault !== undefined) {
        scanner.skip();
        continue;
      }
      switch (META_MEMBERS[member]) {
        case ENVELOPE_VERSION:
          protocolVersion = scanner.stringIfAny()?.value ?? null;
          break;
        case ENVELOPE_CAPABILITIES:
          clientCapabilities = scanner.peek() === OPEN_BRACE ? "object" : "malformed";
          scanner.skip();
          break;
        default:
          scanner.skip();
      }
    }
    this.#noteLookalike("params._meta.");
    return { protocolVersion, clientCapabilities };
  }

  /** `seen` with the member at place `member` of `names` added; notes a fault where it was in there. */
  #once(seen: number, member: number, names: readonly string[], inside: string): number {
    this.#noteLookalike(inside);
    const bit = 1 << member;
    if ((seen & bit) !== 0) this.#note("duplicate-key", `duplicate member "${inside}${names[member]}"`);
    return seen | bit;
  }

  /** After a fault nothing more is learnt of a message's parts. */
  #unlessFaulty(keys: Keys): Keys {
    return this.#fault === undefined ? keys : NO_KEYS;
  }

  /** Notes a fault where a member that was passed may be one of ours to another parser. */
  #noteLookalike(inside: string): void {
    const { lookalike } = this.#scanner;
    // It may be an earlier key's: then there is a fault already, and the first one stays.
    if (lookalike !== undefined) this.#note("duplicate-key", saysLookalike(lookalike, inside));
  }

  #skipFaulty(rule: string): void {
    this.#note("not-json-rpc", rule);
    this.#scanner.skip();
  }
}

function saysLookalike({ key, name }: Lookalike, inside: string): string {
  return key === name
    ? `member "${inside}${name}" is written with U+0000 behind it`
    : `member "${inside}${key}" differs from "${inside}${name}" only in case`;
}
