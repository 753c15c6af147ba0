/** Names of tools and prompts that clients can meet, as far as the configuration says: on federated routes by their prefixes. Pure. */
import { publicPath } from "../core/public-path.ts";
import { prefixOf } from "./backends.ts";
import { isFederated } from "./federated.ts";
import { withoutSecrets } from "./redact.ts";
import type { RawConfig } from "./schema.ts";

type Routed = Pick<RawConfig, "routes" | "backends">;

/**
 * What names begin with on these routes. undefined: with anything on one of them, where a backend's own names are those that clients see.
 * @param paths those of the routes; undefined for all
 */
export function prefixesOn({ routes, backends }: Routed, paths?: readonly string[]): readonly string[] | undefined {
  const asked = paths?.map(publicPath);
  const on = routes.filter(({ path }) => asked?.includes(publicPath(path)) ?? true);
  const prefixes = on.flatMap((route) =>
    isFederated(route) ? route.backends.map((name) => prefixOf(name, backends[name])) : [""],
  );
  return on.length === 0 || prefixes.includes("") ? undefined : [...new Set(prefixes)];
}

/** Whether no name that begins so can match the pattern. */
export function isOfNone(pattern: string, prefixes: readonly string[] | undefined): boolean {
  const [head = "", ...others] = pattern.split("*");
  return (
    prefixes !== undefined &&
    !prefixes.some((prefix) => head.startsWith(prefix) || (others.length > 0 && prefix.startsWith(head)))
  );
}

/** How such a pattern can be written. */
export function expectedPrefixes(prefixes: readonly string[]): string {
  return `expected names that begin with ${prefixes.join(" or ")}, or patterns that begin with *`;
}

/** Patterns of settings that hold on all routes and match no tool. @param where by the place of the entry */
export function toolsOfNone(
  raw: Routed,
  entries: readonly { readonly tools: readonly string[] }[],
  where: string,
): string[] {
  const prefixes = prefixesOn(raw);
  if (!prefixes) return [];
  return entries.flatMap(({ tools }, index) =>
    tools
      .filter((pattern) => isOfNone(pattern, prefixes))
      .map(
        (pattern) =>
          `${where}[${index}].tools: "${withoutSecrets(pattern)}" matches nothing, ${expectedPrefixes(prefixes)}`,
      ),
  );
}
