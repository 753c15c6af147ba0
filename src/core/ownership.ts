/** Whose a session is. Pure. */
import type { PublicPath } from "./routes.ts";

/** The members of a session that say who may use it, and where. */
export interface Owned {
  /** Digest of the principal that began it; empty where there was none. */
  readonly owner: string;
  /** Public path of the route that it was begun on. */
  readonly route: string;
}

/**
 * Whether a request on this route by this principal may use a session. Otherwise the answer says that there is no such session, so
 * that a leaked id tells nothing. The session lives on: nobody can end it with its id alone.
 */
export function mayUse({ owner, route }: Owned, onRoute: PublicPath, principal: string): boolean {
  return route === onRoute.path && owner === principal;
}
