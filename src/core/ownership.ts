/** Whose a session is. Pure. */
import type { Route } from "./routes.ts";

/** What of a session says who may use it, and where. */
export interface Owned {
  /** Digest of the principal that began it; empty where there was none. */
  readonly owner: string;
  /** Public path of the route that it was begun on. */
  readonly route: string;
}

/**
 * Whether a request on this route by this principal may use a session. Whoever may not is told that there is none, so that
 * a leaked id says nothing; the session lives on, so that it cannot be ended by who holds no more than its id.
 */
export function mayUse({ owner, route }: Owned, onRoute: Route, principal: string): boolean {
  return route === onRoute.path && owner === principal;
}
