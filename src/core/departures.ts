/** What a new configuration takes from sessions that were begun under an older one. Pure. */
import { assertNever } from "./assert-never.ts";
import type { Backend, RequestPolicy, Route } from "./routes.ts";

type Routes = RequestPolicy["routes"];

/** By public path: the backends that it led to, and leads to no more. No path without one. */
export type Departures = ReadonlyMap<string, readonly Backend[]>;

/** The backends that have left a path from one configuration to the next. */
export function departuresBetween(before: Routes, now: Routes): Departures {
  const led = new Map([...before].map(([path, route]) => [path, backendsOf(route)]));
  return stillDeparted(led, now);
}

/** Those of the departures that another configuration has not taken back. */
export function stillDeparted(departures: Departures, now: Routes): Departures {
  const still = new Map<string, readonly Backend[]>();
  for (const [path, backends] of departures) {
    const there = new Set(backendsAt(now, path).map(({ name }) => name));
    const gone = backends.filter(({ name }) => !there.has(name));
    if (gone.length > 0) still.set(path, gone);
  }
  return still;
}

/** What becomes of a session. `loses`: it goes on without these backends. */
export type Fate =
  | { readonly kind: "stays" }
  | { readonly kind: "loses"; readonly backends: readonly Backend[] }
  | { readonly kind: "ends" };

/** A session, and the names of the backends that it has sessions at. */
interface Bound {
  readonly route: string;
  readonly bindings: Readonly<Record<string, unknown>>;
}

const STAYS = { kind: "stays" } as const;
const ENDS = { kind: "ends" } as const;

/** A session of a path that no configuration here has had is another router's. */
export function fateOf({ route: path, bindings }: Bound, departures: Departures, now: Routes): Fate {
  const gone = departures.get(path);
  if (!gone) return STAYS;
  const route = now.get(path);
  if (!route || !canUse(route, bindings)) return ENDS;
  const lost = gone.filter(({ name }) => Object.hasOwn(bindings, name));
  return lost.length > 0 ? { kind: "loses", backends: lost } : STAYS;
}

/** A session of one backend is never another one's. Only a route to several opens sessions at them as they are needed. */
function canUse(route: Route, bindings: Bound["bindings"]): boolean {
  return route.kind === "federated" || backendsOf(route).some(({ name }) => Object.hasOwn(bindings, name));
}

function backendsAt(routes: Routes, path: string): readonly Backend[] {
  const route = routes.get(path);
  return route ? backendsOf(route) : [];
}

function backendsOf(route: Route): readonly Backend[] {
  switch (route.kind) {
    case "transparent":
      return [route.backend];
    case "federated":
      return route.members.map((member) => member.route.backend);
    case "bridged":
      return [route.transparent.backend];
    default:
      return assertNever(route);
  }
}
