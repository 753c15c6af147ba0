/** Which lists of which routes a new configuration changes. Pure, but for what it remembers of the last one. */
import { ALL_LISTS, LIST_KINDS } from "../core/federation/kinds.ts";
import type { FederatedRoute } from "../core/routes.ts";

/** Methods of the notifications that clients of a path should get. */
export type ChangesByPath = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Compares the configuration in force with that of the last call, or of the creation.
 * @param routes the routes in force
 */
export function createConfiguredLists(routes: () => Iterable<FederatedRoute>): () => ChangesByPath {
  let last = listsByPath(routes());
  return () => {
    const before = last;
    last = listsByPath(routes());
    const changes = new Map<string, ReadonlySet<string>>();
    for (const [path, lists] of last) {
      const known = before.get(path);
      changes.set(path, new Set([...lists].flatMap(([told, list]) => (known?.get(told) === list ? [] : [told]))));
    }
    return changes;
  };
}

function listsByPath(routes: Iterable<FederatedRoute>): Map<string, ReadonlyMap<string, string>> {
  return new Map(Array.from(routes, (route) => [route.path, listsOf(route)]));
}

/** For each notification, as text to compare: the settings that decide what is on its list. */
function listsOf({ members, filters, pins }: FederatedRoute): ReadonlyMap<string, string> {
  const offering = members.map(({ route, prefix, lists }) => [route.backend.name, route.backend.path, prefix, lists]);
  return new Map(
    ALL_LISTS.map((kind) => {
      const { listChanged, capability } = LIST_KINDS[kind];
      const pinned = kind === "tools" && pins ? [pins.onChange, pins.version] : undefined;
      return [listChanged, JSON.stringify([offering, filters[capability], pinned])];
    }),
  );
}
