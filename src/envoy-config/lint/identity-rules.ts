/** Rules on how the processor learns who calls: jwt_authn ahead of it, and its claims handed on. */
import type { Config } from "../../config/load.ts";
import { JWT_METADATA } from "../../core/identity.ts";
import { JWT_AUTHN_TYPE } from "../names.ts";
import { error, type Finding } from "./finding.ts";
import type { View } from "./view.ts";

/** Without tokens as principals there is nothing to check. */
export function identityFindings(manager: View, extProc: View, { identity }: Config): Finding[] {
  if (identity.kind !== "jwt") return [];
  return [...checkedTokens(manager, extProc, identity.issuer), ...forwardedClaims(extProc)];
}

/** A filter ahead of the processor has a provider of our issuer, whose claims it keeps where the processor looks. */
function checkedTokens(manager: View, extProc: View, issuer: string): Finding[] {
  const filters = manager.get("http_filters");
  const all = filters.items();
  const ahead = all.slice(
    0,
    all.findIndex(({ path }) => path === extProc.path),
  );
  const authn = ahead.find((filter) => filter.get("typed_config").isType(JWT_AUTHN_TYPE));
  if (!authn)
    return [
      error(
        "identity",
        filters,
        `have no ${JWT_AUTHN_TYPE} ahead of the processor, as identity.kind jwt needs it: ` +
          `no token would count; write it as "mcp-router envoy" prints it`,
      ),
    ];
  const providers = authn.get("typed_config.providers");
  const ours = providers
    .keys()
    .map((name) => providers.key(name))
    .filter((provider) => provider.get("issuer").text === issuer);
  if (ours.length === 0)
    return [error("identity", providers, `have none with the issuer ${issuer} of identity: no token would count`)];
  return ours
    .map((provider) => provider.get("payload_in_metadata"))
    .filter(({ text }) => text !== JWT_METADATA.key)
    .map((key) => error("identity", key, `is not ${JWT_METADATA.key}, where the processor looks for the claims`));
}

function forwardedClaims(extProc: View): Finding[] {
  const untyped = extProc.get("typed_config.metadata_options.forwarding_namespaces.untyped");
  if (untyped.items().some(({ text }) => text === JWT_METADATA.namespace)) return [];
  return [
    error(
      "identity",
      untyped,
      `lacks ${JWT_METADATA.namespace}: the processor would see no claims; add it to the list`,
    ),
  ];
}
