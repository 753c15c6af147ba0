/** Tells who a request is from, by what a filter or proxy ahead of the processor has checked. Pure. */
import { assertNever } from "./assert-never.ts";
import type { Claims, HeaderFields } from "./http.ts";

/** The `identity` section of mcp-router.yaml, with what each request needs. */
export type Identity =
  | { readonly kind: "none" }
  /** Claims that Envoy's jwt_authn filter verified. */
  | {
      readonly kind: "jwt";
      readonly issuer: string;
      readonly required: boolean;
      /** undefined: clients are not told where to get a token. */
      readonly metadata?: ResourceMetadata | undefined;
    }
  /** A header that a filter or proxy ahead of the processor sets, over a client's copy. Its name is lower case. */
  | { readonly kind: "header"; readonly name: string; readonly required: boolean };

/** What a client needs to know to get a token (RFC 9728). */
export interface ResourceMetadata {
  /** The URL that clients know the gateway by; undefined: that of each request. */
  readonly resource: string | undefined;
  /** Issuers (RFC 8414); at least one. */
  readonly authorizationServers: readonly string[];
  /** What tokens are to have; empty: clients are told of none. */
  readonly scopes: readonly string[];
}

/**
 * Where verified claims are in Envoy's dynamic metadata: the namespace of the filter, and the key that the provider puts
 * the token's payload under: the one that Istio's RequestAuthentication chooses, so that its claims are found too. Clients
 * cannot write there. Read by ext-proc/claims.ts.
 */
export const JWT_METADATA = { namespace: "envoy.filters.http.jwt_authn", key: "payload" } as const;

/**
 * The texts that name the principal of a request; undefined where it has none. A token's own bytes are never among them: they
 * change whenever it is refreshed. Claims of an issuer other than the configured one do not count.
 */
export function principalNames(
  headers: HeaderFields,
  claims: Claims | undefined,
  identity: Identity,
): readonly string[] | undefined {
  switch (identity.kind) {
    case "none":
      return undefined;
    case "jwt": {
      // `iss` and `sub` say who issued the token, and for whom (RFC 7519 §4.1).
      if (claims?.text("iss") !== identity.issuer) return undefined;
      const subject = claims.text("sub");
      return subject === undefined ? undefined : [identity.issuer, subject];
    }
    case "header":
      return nonEmpty(headers.get(identity.name));
    default:
      return assertNever(identity);
  }
}

function nonEmpty(value: string | undefined): readonly string[] | undefined {
  return value === undefined || value === "" ? undefined : [value];
}

/**
 * Whether a request is refused for want of a principal. Envoy refuses most such requests first. A request that Envoy does not
 * check, or reads as one without a token, must not go on: a backend may accept its token.
 * @param names of the request's principal
 * @param query with its question mark, or ""
 */
export function mustAuthenticate(
  identity: Identity,
  names: readonly string[] | undefined,
  headers: HeaderFields,
  query: string,
): boolean {
  switch (identity.kind) {
    case "none":
      return false;
    case "header":
      return identity.required && names === undefined;
    case "jwt": {
      const authorization = headers.get("authorization");
      if (names === undefined) return identity.required || isBearer(authorization) || hasTokenIn(query);
      // Envoy has verified one token. A backend, or an exchange, may take another one, or none, of whatever stands beside it.
      return (authorization !== undefined && !ONE_TOKEN.test(authorization)) || hasTokenIn(query);
    }
    default:
      return assertNever(identity);
  }
}

/**
 * An Authorization that is one JWT (RFC 7519 §3, RFC 6750 §2.1) to whoever reads it. Envoy's jwt_authn takes the first one behind a
 * "Bearer " that stands anywhere, and passes over what no token has in it. It compares the scheme's case.
 */
const ONE_TOKEN = /^Bearer [A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Schemes have no case (RFC 9110 §11.1), though Envoy's jwt_authn compares it. Any of repeated fields counts. */
function isBearer(authorization: string | undefined): boolean {
  return authorization !== undefined && /(?:^|,)\s*bearer(?:\s|$)/i.test(authorization);
}

/**
 * The name of a parameter that a server may read as access_token. ASP.NET ignores case; PHP drops spaces in front of a name, and
 * reads ".", " " and "[" in it as "_".
 */
const TOKEN_PARAMETER = /^ *access[_. []token(?:$|[[\0])/i;

/**
 * Whether the query has a token (RFC 6750 §2.3). MCP forbids it, and Envoy is told not to look there. Some servers (older ones in
 * Python and Ruby) also separate parameters by ";".
 */
function hasTokenIn(query: string): boolean {
  if (query === "") return false;
  for (const name of new URLSearchParams(query.replaceAll(";", "&")).keys())
    if (TOKEN_PARAMETER.test(name)) return true;
  return false;
}
