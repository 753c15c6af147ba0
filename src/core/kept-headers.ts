/** Headers that are kept for as long as a stream is open. Pure. */
import type { Header, HeaderFields, HeaderNames } from "./http.ts";

/**
 * One text is kept, and read again at each use: headers are kept as long as a stream is open, and used seldom. Node's own strings hold
 * buffers of the connection.
 */
export class KeptHeaders implements HeaderFields {
  /** Names and values by turns. No header has a line break. */
  readonly #text: string;
  readonly size: number;

  /** @param headers in lower case, in latin1 */
  constructor(headers: readonly Header[]) {
    const lines = headers.flat();
    this.#text = lines.join("\n");
    this.size = this.#text.length - Math.max(lines.length - 1, 0);
  }

  get(name: string): string | undefined {
    const values = this.entries().flatMap(([one, value]) => (one === name ? [value] : []));
    // RFC 9113 §8.2.3: HTTP/2 may split this one.
    return values.length === 0 ? undefined : values.join(name === "cookie" ? "; " : ", ");
  }

  present({ names }: HeaderNames): string[] {
    const entries = this.entries();
    return names.filter((name) => entries.some(([one]) => one === name));
  }

  entries(): Header[] {
    const lines = this.#text.split("\n");
    return lines.flatMap((name, n) => (n % 2 === 0 && lines.length > 1 ? [[name, lines[n + 1] ?? ""]] : []));
  }
}
