/** What a new configuration takes from sessions that were begun under an older one. Pure. */
import { assertNever } from "./assert-never.ts";
import type { Backend, RequestPolicy, Route } from "./routes.ts";

type Routes = RequestPolicy["routes"];

/** What a path led to, and those of it that it leads to no more: one at least. */
interface Departure {
  readonly led: readonly Backend[];
  readonly gone: readonly Backend[];
}

/** By public path. */
export type Departures = ReadonlyMap<string, Departure>;

/** The backends that have left a path from one configuration to the next. */
export function departuresBetween(before: Routes, now: Routes): Departures {
  return departuresOf(
    [...before].map(([path, route]) => [path, backendsOf(route)]),
    now,
  );
}

/** Those of the departures that another configuration has not taken back. */
export function stillDeparted(departures: Departures, now: Routes): Departures {
  return departuresOf(
    [...departures].map(([path, { led }]) => [path, led]),
    now,
  );
}

function departuresOf(all: readonly (readonly [path: string, led: readonly Backend[]])[], now: Routes): Departures {
  const departures = new Map<string, Departure>();
  for (const [path, led] of all) {
    const there = new Set(backendsAt(now, path).map(({ name }) => name));
    const gone = led.filter(({ name }) => !there.has(name));
    if (gone.length > 0) departures.set(path, { led, gone });
  }
  return departures;
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
  const departure = departures.get(path);
  if (!departure) return STAYS;
  const { led, gone } = departure;
  const route = now.get(path);
  if (!route || !canGoOn(route, bindings, gone.length === led.length)) return ENDS;
  const lost = gone.filter(({ name }) => Object.hasOwn(bindings, name));
  return lost.length > 0 ? { kind: "loses", backends: lost } : STAYS;
}

/**
 * A session of one backend is never another one's. At several a session opens others as it needs them, unless none is left of those
 * that it was begun over.
 */
function canGoOn(route: Route, bindings: Bound["bindings"], isReplaced: boolean): boolean {
  if (route.kind === "federated") return !isReplaced;
  return backendsOf(route).some(({ name }) => Object.hasOwn(bindings, name));
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
