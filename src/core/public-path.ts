/** One rule on the slashes of a public path, for the configuration, the router, what is made for Envoy, and the lint. Pure. */

/**
 * The path that a route is known by: slashes in a row are one, as Envoy's `merge_slashes` has it, and one at the end is none.
 * "/" stays. Nothing else is changed: `%2F` is no slash (`path_with_escaped_slashes_action: KEEP_UNCHANGED`).
 * @param path without its query
 */
export function publicPath(path: string): string {
  const merged = path.replace(/\/{2,}/g, "/");
  return merged.length > 1 && merged.endsWith("/") ? merged.slice(0, -1) : merged;
}

/**
 * All that a public path may look like once slashes in a row are one: what Envoy's own matches on paths must take. Envoy
 * has no setting for a slash at the end.
 */
export function spellingsOf(path: string): readonly string[] {
  return path === "/" ? [path] : [path, `${path}/`];
}
