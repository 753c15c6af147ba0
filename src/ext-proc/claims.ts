/** Reads the claims of a verified token from the dynamic metadata that Envoy sends (docs/internals/envoy-facts.md §7). */
import type { Claims } from "../core/http.ts";
import { JWT_METADATA } from "../core/identity.ts";
import { entryValue, type MessageSpan, scalarsIn, stringIn, structIn } from "./struct.ts";
import { METADATA } from "./tags.ts";
import { FieldCursor } from "./wire.ts";

/** The claims in a Metadata message; undefined where it has no payload of a token. */
export function readClaims(bytes: Buffer, start: number, end: number): Claims | undefined {
  const metadata = new FieldCursor(bytes, start, end);
  while (metadata.next()) {
    if (metadata.tag !== METADATA.filterMetadata) continue;
    const struct = entryValue(bytes, metadata.start, metadata.end, JWT_METADATA.namespace);
    const payload = struct && structIn(bytes, struct, JWT_METADATA.key);
    if (payload) return new WireClaims(bytes, payload);
  }
  return undefined;
}

class WireClaims implements Claims {
  readonly #bytes: Buffer;
  readonly #payload: MessageSpan;

  constructor(bytes: Buffer, payload: MessageSpan) {
    this.#bytes = bytes;
    this.#payload = payload;
  }

  text(...path: readonly [string, ...string[]]): string | undefined {
    const struct = this.#around(path);
    return struct && stringIn(this.#bytes, struct, path.at(-1) ?? "", "utf8");
  }

  values(...path: readonly [string, ...string[]]): readonly (string | number | boolean)[] {
    const struct = this.#around(path);
    return struct ? scalarsIn(this.#bytes, struct, path.at(-1) ?? "") : [];
  }

  /** The Struct that holds the last member of a path. */
  #around(path: readonly string[]): MessageSpan | undefined {
    let struct: MessageSpan | undefined = this.#payload;
    for (const name of path.slice(0, -1)) struct = struct && structIn(this.#bytes, struct, name);
    return struct;
  }
}
