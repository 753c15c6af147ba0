/** Reads one string of a JSON text, and where it stands. Pure. */
import { type Path, placesOf } from "./places.ts";
import { type StringAt, textOf } from "./span.ts";

export type TextAt =
  | { readonly kind: "text"; readonly text: StringAt }
  | { readonly kind: "absent" }
  /** It is no string, or another parser may read another one. */
  | { readonly kind: "wrong" };

const ABSENT: TextAt = { kind: "absent" };
const WRONG: TextAt = { kind: "wrong" };

/** @param deepest nesting of arrays and objects that is read; the outermost is 1 */
export function textAt(bytes: Uint8Array, path: Path, deepest: number): TextAt {
  const places = placesOf(bytes, path, deepest);
  if (places.kind !== "found") return WRONG;
  const [span, ...others] = places.at;
  if (!span) return ABSENT;
  const value: unknown = others.length === 0 ? JSON.parse(textOf(bytes, span)) : undefined;
  return typeof value === "string" ? { kind: "text", text: { ...span, value } } : WRONG;
}
