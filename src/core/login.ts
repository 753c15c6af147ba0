/**
 * Logins of backends' own, at routes that pass everything on: their metadata (RFC 9728) and challenges name the gateway's URL, the only
 * one that clients have. Pure.
 */
import { type Decision, type Header, type HeaderFields, mapVerdict, type ResponseHead, type Verdict } from "./http.ts";
import { isJsonObject, parseJson } from "./json/parse.ts";
import { describedPath, originOf, resourceAt, WELL_KNOWN_RESOURCE, wellKnownAt } from "./resource-metadata.ts";
import type { PublicPath, RequestPolicy, Route, TransparentRoute } from "./routes.ts";

/** A request for the metadata of a route whose backend has a login of its own. */
export interface LoginAsked {
  readonly route: TransparentRoute;
  /** The route's URL, as the client knows it. */
  readonly resource: string;
}

type Logins = Pick<RequestPolicy, "identity" | "routes">;

/** undefined: the path is no such request's. @param path without the query */
export function loginAskedAt(
  headers: HeaderFields,
  path: string,
  { identity, routes }: Logins,
): LoginAsked | undefined {
  if (identity.kind !== "none" || headers.get(":method") !== "GET") return undefined;
  const described = describedPath(path, { resource: undefined }, routes);
  const route = described === undefined ? undefined : routes.get(described);
  if (!route || !hasOwnLogin(route)) return undefined;
  return { route, resource: resourceAt(originOf(headers), route.path) };
}

/** The gateway asks for no login, and the backend gets what clients have for it. */
function hasOwnLogin(route: Route): route is TransparentRoute {
  return route.kind === "transparent" && route.backend.credentials.kind === "forward";
}

/**
 * Where a backend may have its metadata: at its own path, at the one that clients know, as a server has it that was told the gateway's
 * URL, and at the root (RFC 9728 §3.1).
 */
export function metadataPathsOf({ path, backend }: TransparentRoute): readonly string[] {
  return [...new Set([backend.path, path, "/"].map((of) => resourceAt(WELL_KNOWN_RESOURCE, of)))];
}

/** A backend's document as clients get it; undefined: it is none. */
export function documentFor(resource: string, text: string): string | undefined {
  const document = parseJson(text);
  if (!isJsonObject(document) || !Array.isArray(document.authorization_servers)) return undefined;
  return JSON.stringify({ ...document, resource });
}

/** What a challenge says of the document's place (RFC 9728 §5.1). */
const PLACE = /\bresource_metadata\s*=\s*(?:"[^"]*"|[^\s",]+)/i;

/** The decision on a 401 of a backend, with a challenge that a client can follow. */
export function withChallenge(
  decision: Decision,
  { headers: answered, endpoint }: ResponseHead,
  { headers, route, policy }: { readonly headers: HeaderFields; readonly route: PublicPath; readonly policy: Logins },
): Decision {
  const challenge = answered.get("www-authenticate");
  const of = policy.routes.get(route.path);
  const isBackends = endpoint !== undefined && policy.identity.kind === "none" && of !== undefined && hasOwnLogin(of);
  if (!isBackends || challenge === undefined || !PLACE.test(challenge)) return decision;
  const url = wellKnownAt(originOf(headers), route.path);
  const named: Header = ["www-authenticate", challenge.replace(PLACE, () => `resource_metadata="${url}"`)];
  return mapVerdict(decision, (verdict) => withHeader(verdict, named));
}

function withHeader(verdict: Verdict, named: Header): Verdict {
  switch (verdict.kind) {
    case "continue":
      return { kind: "mutate", set: [named], remove: [], clearRoute: false };
    case "mutate":
      return { ...verdict, set: [...verdict.set, named] };
    default:
      return verdict;
  }
}
