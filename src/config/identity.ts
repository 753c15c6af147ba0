/** What the configuration says of tokens, and what clients are told of where to get one. Pure. */
import type { ResourceMetadata } from "../core/identity.ts";
import type { RawConfig } from "./schema.ts";
import { webUrl } from "./values/urls.ts";

type RawIdentity = RawConfig["identity"];
type RawJwt = Extract<RawIdentity, { kind: "jwt" }>;

export type IdentityConfig =
  | Exclude<RawIdentity, RawJwt>
  | (Omit<RawJwt, "resource" | "scopes" | "authorizationServers"> & {
      readonly metadata: ResourceMetadata | undefined;
    });

export function withMetadata(identity: RawIdentity): IdentityConfig {
  if (identity.kind !== "jwt") return identity;
  const { resource, scopes, authorizationServers, ...rest } = identity;
  const servers = authorizationServers?.map(({ href }) => href) ?? issuerAsServer(identity);
  const metadata = servers.length === 0 ? undefined : { resource, authorizationServers: servers, scopes };
  return { ...rest, metadata };
}

/** An issuer need be no URL (RFC 7519 §4.1.1), and then nobody finds its server by it. */
export function issuerAsServer({ issuer }: Pick<RawJwt, "issuer">): readonly string[] {
  return webUrl.safeParse(issuer).success ? [issuer] : [];
}
