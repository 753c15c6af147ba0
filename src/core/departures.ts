/** What a new configuration takes from sessions that were begun under an older one. Pure. */
import { type Backend, backendsOf, type RequestPolicy, type Route } from "./routes.ts";

type Routes = RequestPolicy["routes"];

/** What paths led to of which a configuration has taken some, by public path. */
export type Departures = ReadonlyMap<string, readonly Backend[]>;

/** The paths that have lost backends from one configuration to the next. */
export function departuresBetween(before: Routes, now: Routes): Departures {
  const led = [...before].map(([path, route]) => [path, backendsOf(route)] as const);
  return new Map(led.filter(([path, backends]) => goneOf(backends, now.get(path)).length > 0));
}

/** What becomes of a session. `loses`: it goes on without these backends. `ends`: these have left it. */
export type Fate =
  | { readonly kind: "stays" }
  | { readonly kind: "loses" | "ends"; readonly backends: readonly Backend[] };

/** A session, and the names of the backends that it has sessions at. */
interface Bound {
  readonly route: string;
  readonly bindings: Readonly<Record<string, unknown>>;
}

const STAYS = { kind: "stays" } as const;

/**
 * A session of a path that no configuration here has had is another router's.
 * @param now the routes in force, which may have changed again since the departures: what is back has not left
 */
export function fateOf({ route: path, bindings }: Bound, departures: Departures, now: Routes): Fate {
  const led = departures.get(path) ?? [];
  const route = now.get(path);
  const gone = goneOf(led, route);
  if (gone.length === 0) return STAYS;
  if (!route || !canGoOn(route, bindings, gone.length === led.length)) return { kind: "ends", backends: gone };
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

/** @param route undefined: the path is gone */
function goneOf(led: readonly Backend[], route: Route | undefined): readonly Backend[] {
  const there = new Set(route && backendsOf(route).map(({ name }) => name));
  return led.filter(({ name }) => !there.has(name));
}
