/** The one rule on slashes in public paths: configuration, router, Envoy's configuration and lint all use it. Pure. */

/**
 * The path that identifies a route: slashes in a row become one, as with Envoy's `merge_slashes`, and a slash at the end is removed.
 * "/" stays. Nothing else is changed: `%2F` is no slash (`path_with_escaped_slashes_action: KEEP_UNCHANGED`).
 * @param path without its query
 */
export function publicPath(path: string): string {
  const merged = path.replace(/\/{2,}/g, "/");
  return merged.length > 1 && merged.endsWith("/") ? merged.slice(0, -1) : merged;
}

/**
 * The spellings of a public path that are left once Envoy has merged slashes. Matches on paths in Envoy must accept each of them,
 * since Envoy has no setting that ignores a trailing slash.
 */
export function spellingsOf(path: string): readonly string[] {
  return path === "/" ? [path] : [path, `${path}/`];
}
