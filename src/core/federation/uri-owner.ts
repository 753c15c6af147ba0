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

/** Place of the backend in the route: by the lists, then by the templates, then by the patterns; undefined where none says so. */
export function memberOfUri(uri: string, { resources, templates, patterns }: Known): number | undefined {
  const listed = resources.find(uri);
  if (listed) return listed.member;
  const members = templates.items
    .filter(({ item }) => matchesGlob(templateGlob(item.own), uri))
    .map(({ member }) => member);
  if (members.length > 0) return Math.min(...members);
  const byPattern = patterns.findIndex((globs) => globs.some((glob) => matchesGlob(glob, uri)));
  return byPattern < 0 ? undefined : byPattern;
}
