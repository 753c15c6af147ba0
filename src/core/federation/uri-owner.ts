/** Which backend of several a URI is of. URIs are compared byte by byte, never cleaned: two spellings are two resources. Pure. */
import { type Glob, matchesGlob } from "./glob.ts";
import type { MergedList } from "./merge.ts";
import { templateGlob } from "./template.ts";

interface Known {
  readonly resources: MergedList;
  readonly templates: MergedList;
  /** Patterns of the configuration, by member. */
  readonly patterns: readonly (readonly Glob[])[];
}

/**
 * Place of the backend in the route: by the lists, then by the patterns, then by the templates; undefined where none says so. A
 * template is its backend's claim, and may be of any URI: it takes none that the configuration gives to another one.
 */
export function memberOfUri(uri: string, { resources, templates, patterns }: Known): number | undefined {
  const listed = resources.find(uri);
  if (listed) return listed.member;
  const byPattern = patterns.findIndex((globs) => globs.some((glob) => matchesGlob(glob, uri)));
  if (byPattern >= 0) return byPattern;
  let first: number | undefined;
  for (const { item, member } of templates.items)
    if ((first === undefined || member < first) && matchesGlob(templateGlob(item.own), uri)) first = member;
  return first;
}
