/** URI templates of resources (RFC 6570), as patterns of the URIs that they may become. Pure. */
import type { Glob } from "./glob.ts";

/** Each expression may become any text. An unclosed brace stands for itself. */
export function templateGlob(uriTemplate: string): Glob {
  const parts: string[] = [];
  let at = 0;
  for (;;) {
    const open = uriTemplate.indexOf("{", at);
    const close = open < 0 ? -1 : uriTemplate.indexOf("}", open);
    if (close < 0) return [...parts, uriTemplate.slice(at)];
    parts.push(uriTemplate.slice(at, open));
    at = close + 1;
  }
}
