/**
 * Tells clients where to get a token: the metadata of the protected resource (RFC 9728) and the challenges that name it (RFC 6750 §3).
 * MCP 2025-11-25 and 2026-07-28, "Authorization". Pure.
 */
import { REPLY_DETAILS } from "./codes.ts";
import { AUTHORIZATION, X_FORWARDED_PROTO } from "./headers.ts";
import type { HeaderFields, Reply } from "./http.ts";
import type { Identity, ResourceMetadata } from "./identity.ts";
import { publicPath } from "./public-path.ts";
import type { RequestPolicy } from "./routes.ts";

/** Where the metadata of a resource is: this, and then the path of the resource (RFC 9728 §3.1). */
export const WELL_KNOWN_RESOURCE = "/.well-known/oauth-protected-resource";

/** The error of a challenge to a request whose token is no good (RFC 6750 §3.1). One without a token gets none. */
const INVALID_TOKEN = "invalid_token";
/** The error of a challenge to a request whose token lacks scopes (RFC 6750 §3.1; MCP 2025-11-25, "Scope Challenge Handling"). */
const INSUFFICIENT_SCOPE = "insufficient_scope";

/** Value of `www-authenticate` where nobody says where tokens come from. */
const BEARER_CHALLENGE = "Bearer";

const METHODS = "GET, HEAD";

/**
 * The answer to a request for metadata; undefined: the path is none of it, or there is none. A route's document is at its own path;
 * that of the root is of the only route, or of all of them.
 * @param path without the query
 */
export function metadataReply(
  headers: HeaderFields,
  path: string,
  { identity, routes }: Pick<RequestPolicy, "identity" | "routes">,
): Reply | undefined {
  const metadata = metadataOf(identity);
  const described = metadata && describedPath(path, metadata, routes);
  if (!metadata || described === undefined) return undefined;
  const method = headers.get(":method");
  const details = REPLY_DETAILS.resourceMetadata;
  if (method !== "GET" && method !== "HEAD") {
    const told = [["allow", METHODS]] as const;
    return { kind: "reply", status: 405, headers: told, body: "Method Not Allowed\n", details };
  }
  return {
    kind: "reply",
    status: 200,
    // The document depends on the host and the scheme by which it was asked for.
    headers: [
      ["content-type", "application/json"],
      ["cache-control", "no-store"],
    ],
    body: JSON.stringify(documentOf(metadata, metadata.resource ?? resourceAt(originOf(headers), described))),
    details,
  };
}

/** The challenge to a request that is not let in. */
export function challengeTo(headers: HeaderFields, path: string, identity: Identity): string {
  const metadata = metadataOf(identity);
  if (!metadata) return BEARER_CHALLENGE;
  const hasToken = headers.get(AUTHORIZATION) !== undefined;
  return challenge(metadata, metadataUrl(metadata) ?? wellKnownAt(originOf(headers), path), hasToken);
}

/** The challenge to a request that more scopes would allow. It names all that a token for it is to have. */
export function scopeChallenge(
  headers: HeaderFields,
  path: string,
  identity: Identity,
  lacking: readonly string[],
): string {
  const metadata = metadataOf(identity);
  const scopes = [...new Set([...(metadata?.scopes ?? []), ...lacking])];
  const url = metadata && (metadataUrl(metadata) ?? wellKnownAt(originOf(headers), path));
  const parts = [
    `error="${INSUFFICIENT_SCOPE}"`,
    `scope="${scopes.join(" ")}"`,
    ...(url === undefined ? [] : [`resource_metadata="${url}"`]),
  ];
  return `${BEARER_CHALLENGE} ${parts.join(", ")}`;
}

/** @param url of the metadata */
export function challenge({ scopes }: Pick<ResourceMetadata, "scopes">, url: string, hasToken: boolean): string {
  const parts = [
    ...(hasToken ? [`error="${INVALID_TOKEN}"`] : []),
    `resource_metadata="${url}"`,
    ...(scopes.length > 0 ? [`scope="${scopes.join(" ")}"`] : []),
  ];
  return `${BEARER_CHALLENGE} ${parts.join(", ")}`;
}

/** The URL of the one document; undefined: each route has its own. */
export function metadataUrl({ resource }: Pick<ResourceMetadata, "resource">): string | undefined {
  if (resource === undefined) return undefined;
  const { origin, pathname } = new URL(resource);
  return wellKnownAt(origin, pathname);
}

/** A resource is named without a slash at its end (MCP, "Canonical Server URI"), so the root's is the origin. */
export function wellKnownAt(origin: string, path: string): string {
  return resourceAt(origin + WELL_KNOWN_RESOURCE, publicPath(path));
}

export function resourceAt(base: string, path: string): string {
  return path === "/" ? base : base + path;
}

function metadataOf(identity: Identity): ResourceMetadata | undefined {
  return identity.kind === "jwt" ? identity.metadata : undefined;
}

/** The public path that a document's path tells of; "/" for all that there are. */
export function describedPath(
  path: string,
  { resource }: Pick<ResourceMetadata, "resource">,
  routes: RequestPolicy["routes"],
): string | undefined {
  if (!path.startsWith(WELL_KNOWN_RESOURCE)) return undefined;
  const rest = path.slice(WELL_KNOWN_RESOURCE.length);
  if (rest !== "" && !rest.startsWith("/")) return undefined;
  const described = publicPath(rest);
  if (described !== "" && described !== "/") {
    // The challenge names the document of the configured resource, which need be no route's.
    const isResource = resource !== undefined && publicPath(new URL(resource).pathname) === described;
    return routes.has(described) || isResource ? described : undefined;
  }
  const [only, ...others] = routes.keys();
  return only === undefined || others.length > 0 ? "/" : only;
}

/** The scheme and host that the client has used. Envoy writes the scheme, or leaves that of a proxy that it trusts. */
export function originOf(headers: HeaderFields): string {
  const scheme = headers.get(X_FORWARDED_PROTO) === "http" ? "http" : "https";
  return `${scheme}://${headers.get(":authority") ?? ""}`;
}

function documentOf({ authorizationServers, scopes }: ResourceMetadata, resource: string): object {
  return {
    resource,
    authorization_servers: authorizationServers,
    ...(scopes.length > 0 && { scopes_supported: scopes }),
    bearer_methods_supported: ["header"],
  };
}
