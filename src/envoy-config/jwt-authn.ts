/** Who calls: Envoy checks each token before the processor is asked (envoy.extensions.filters.http.jwt_authn.v3). */
import type { Config } from "../config/load.ts";
import type { Jwks } from "../config/schema/identity.ts";
import { JWT_METADATA } from "../core/identity.ts";
import { spellingsOf } from "../core/public-path.ts";
import { JWKS_CLUSTER, JWT_AUTHN_TYPE } from "./names.ts";
import { duration, extension, type Message } from "./proto-json.ts";

/** The name of the one provider in the rules. */
const PROVIDER = "principal";

/** How long (ms) one attempt to fetch the keys may take, and after how long Envoy repeats a failed one. */
const JWKS_TIMEOUT = 5_000;
const JWKS_RETRY = 1_000;

type JwtIdentity = Extract<Config["identity"], { kind: "jwt" }>;

/**
 * After cors, whose preflights carry no token, and ahead of ext_proc. Its rules are for the public paths alone: the processor
 * answers other paths, as below /.well-known, without a token.
 */
export function jwtAuthnFilter({ issuer, audiences, jwks, required }: JwtIdentity, { routes }: Config): Message {
  const provider = { provider_name: PROVIDER };
  return extension(JWT_METADATA.namespace, JWT_AUTHN_TYPE, {
    providers: {
      [PROVIDER]: {
        issuer,
        audiences,
        ...keys(jwks),
        // By default Envoy takes a token from the query too, where logs show it.
        from_headers: [{ name: "Authorization", value_prefix: "Bearer " }],
        forward: true,
        payload_in_metadata: JWT_METADATA.key,
      },
    },
    rules: routes
      .flatMap(({ path }) => spellingsOf(path))
      .map((path) => ({
        match: { path },
        requires: required ? provider : { requires_any: { requirements: [provider, { allow_missing: {} }] } },
      })),
    bypass_cors_preflight: true,
  });
}

/**
 * Envoy fetches the keys before it accepts its first request, and again before they are too old: no request waits for them. While
 * Envoy cannot fetch them, it refuses tokens.
 */
function keys(jwks: Jwks): Message {
  if (jwks.kind === "file") return { local_jwks: { filename: jwks.file } };
  return {
    remote_jwks: {
      http_uri: { uri: jwks.uri.href, cluster: JWKS_CLUSTER, timeout: duration(JWKS_TIMEOUT) },
      cache_duration: duration(jwks.refresh),
      async_fetch: { failed_refetch_duration: duration(JWKS_RETRY) },
    },
  };
}
