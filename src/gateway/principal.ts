/** Who a request is from. */
import type { Claims, RequestHead } from "../core/http.ts";
import { type Identity, mustAuthenticate, principalNames } from "../core/identity.ts";
import type { Caller } from "../core/policy/caller.ts";
import { principalDigest } from "../sessions/id.ts";
import { ANONYMOUS } from "../sessions/store.ts";

export interface Principal extends Caller {
  /** Digest of the principal's names; ANONYMOUS for nobody. Sessions belong to it. */
  readonly digest: string;
  /** A claim of the token that Envoy verified, as `Claims.text`; undefined without a token. Read when it is asked for. */
  claim: Claims["text"];
}

const NOBODY: Principal = { digest: ANONYMOUS, claim: () => undefined, name: undefined, values: () => [] };

/** @param query with its question mark, or "" */
export function principalOf(
  { headers, claims }: RequestHead,
  identity: Identity,
  query: string,
): Principal | "unauthenticated" {
  const names = principalNames(headers, claims, identity);
  if (mustAuthenticate(identity, names, headers, query)) return "unauthenticated";
  if (!names) return NOBODY;
  return {
    digest: principalDigest(names),
    claim: (...path) => claims?.text(...path),
    get name() {
      const name = names.at(-1);
      // Headers are latin1, and what a configuration says is not.
      return identity.kind === "header" && name !== undefined ? Buffer.from(name, "latin1").toString() : name;
    },
    values: (...path) => claims?.values(...path) ?? [],
  };
}
