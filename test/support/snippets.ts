/** What a page of the documentation has to copy. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The block of YAML on a page that begins so. */
export function snippetOf(page: string, beginning: string): string {
  const text = readFileSync(join(import.meta.dirname, "../..", page), "utf8");
  const [found, ...others] = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)]
    .map(([, block = ""]) => block)
    .filter((block) => block.startsWith(beginning));
  if (found === undefined || others.length > 0) throw new Error(`${page} has not one block "${beginning}"`);
  return found;
}

/** The AuthorizationPolicy of docs/istio.md. */
export function claimsPolicy(): string {
  return snippetOf("docs/istio.md", "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n");
}
