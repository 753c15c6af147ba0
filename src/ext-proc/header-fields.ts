/** The headers of an HttpHeaders message, read in place. */
import type { Header, HeaderFields, HeaderNames } from "../core/http.ts";
import { HEADER_MAP, HEADER_VALUE, HTTP_HEADERS } from "./tags.ts";
import { equals, FieldCursor } from "./wire.ts";

/** Where one header stands in a message. */
interface HeaderPlace {
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

const NO_NAMES: readonly string[] = [];

/** Decodes a header when it is asked for: a request carries many that nobody reads. */
export class WireHeaderFields implements HeaderFields {
  readonly #bytes: Buffer;
  readonly #places: HeaderPlace[] = [];
  readonly endOfStream: boolean;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    const message = new FieldCursor(bytes, start, end);
    const map = new FieldCursor(bytes);
    const header = new FieldCursor(bytes);
    let endOfStream = false;
    while (message.next()) {
      if (message.tag === HTTP_HEADERS.endOfStream) endOfStream = message.varint !== 0;
      if (message.tag !== HTTP_HEADERS.headers) continue;
      map.enter(message.start, message.end);
      while (map.next()) {
        if (map.tag !== HEADER_MAP.headers) continue;
        header.enter(map.start, map.end);
        this.#places.push(placeOf(header));
      }
    }
    this.endOfStream = endOfStream;
  }

  get size(): number {
    return this.#bytes.length;
  }

  get(name: string): string | undefined {
    let value: string | undefined;
    for (const place of this.#places) {
      if (!equals(this.#bytes, place.nameStart, place.nameEnd, name)) continue;
      const text = this.#bytes.toString("latin1", place.valueStart, place.valueEnd);
      value = value === undefined ? text : `${value}, ${text}`;
    }
    return value;
  }

  present(names: HeaderNames): readonly string[] {
    let found: string[] | undefined;
    for (const { nameStart, nameEnd } of this.#places) {
      for (const name of names.ofLength(nameEnd - nameStart)) {
        if (!equals(this.#bytes, nameStart, nameEnd, name) || found?.includes(name)) continue;
        found ??= [];
        found.push(name);
      }
    }
    return found ?? NO_NAMES;
  }

  *entries(): Generator<Header> {
    for (const { nameStart, nameEnd, valueStart, valueEnd } of this.#places)
      yield [this.#bytes.toString("latin1", nameStart, nameEnd), this.#bytes.toString("latin1", valueStart, valueEnd)];
  }
}

/** Envoy sends `raw_value`, or `value` where a runtime flag tells it to. */
function placeOf(header: FieldCursor): HeaderPlace {
  let nameStart = 0;
  let nameEnd = 0;
  let valueStart = 0;
  let valueEnd = 0;
  while (header.next()) {
    if (header.tag === HEADER_VALUE.key) {
      nameStart = header.start;
      nameEnd = header.end;
    } else if (
      (header.tag === HEADER_VALUE.rawValue || header.tag === HEADER_VALUE.value) &&
      header.end > header.start
    ) {
      valueStart = header.start;
      valueEnd = header.end;
    }
  }
  return { nameStart, nameEnd, valueStart, valueEnd };
}
