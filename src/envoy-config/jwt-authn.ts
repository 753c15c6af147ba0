/** Who calls: Envoy checks each token before the processor is asked (envoy.extensions.filters.http.jwt_authn.v3). */
import type { Config } from "../config/load.ts";
import { JWT_METADATA } from "../core/identity.ts";
import { JWT_AUTHN_TYPE } from "./names.ts";
import { extension, type Message } from "./proto-json.ts";

/** The one provider, by the name that the rules know it by. */
const PROVIDER = "principal";

type JwtIdentity = Extract<Config["identity"], { kind: "jwt" }>;

/**
 * After cors, whose preflights carry no token, and ahead of ext_proc. Its rules are for the public paths alone: what else is
 * asked for, as below /.well-known, the processor answers without a token.
 */
export function jwtAuthnFilter({ issuer, audiences, jwks, required }: JwtIdentity, { routes }: Config): Message {
  const provider = { provider_name: PROVIDER };
  return extension(JWT_METADATA.namespace, JWT_AUTHN_TYPE, {
    providers: {
      [PROVIDER]: {
        issuer,
        audiences,
        local_jwks: { filename: jwks.file },
        // By default Envoy takes a token from the query too, where it ends up in logs.
        from_headers: [{ name: "Authorization", value_prefix: "Bearer " }],
        forward: true,
        payload_in_metadata: JWT_METADATA.key,
      },
    },
    rules: routes.map(({ path }) => ({
      match: { path },
      requires: required ? provider : { requires_any: { requirements: [provider, { allow_missing: {} }] } },
    })),
    bypass_cors_preflight: true,
  });
}
