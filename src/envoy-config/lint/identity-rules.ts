/** Rules on how the processor learns who calls: jwt_authn ahead of it, and its claims handed on. */
import type { Config } from "../../config/load.ts";
import { JWT_METADATA } from "../../core/identity.ts";
import { spellingsOf } from "../../core/public-path.ts";
import { JWT_AUTHN_TYPE } from "../names.ts";
import { error, type Finding, warning } from "./finding.ts";
import { matches } from "./match.ts";
import type { ProtoView } from "./proto-view.ts";

/** Without tokens as principals there is nothing to check. */
export function identityFindings(manager: ProtoView, extProc: ProtoView, { identity, routes }: Config): Finding[] {
  if (identity.kind !== "jwt") return [];
  const paths = routes.flatMap(({ path }) => spellingsOf(path));
  return [...checkedTokens(manager, extProc, identity.issuer, paths), ...forwardedClaims(extProc)];
}

/** A filter ahead of the processor has a provider of our issuer, whose claims it keeps where the processor looks. */
function checkedTokens(manager: ProtoView, extProc: ProtoView, issuer: string, paths: readonly string[]): Finding[] {
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
  const elsewhere = ours
    .map((provider) => provider.get("payload_in_metadata"))
    .filter(({ text }) => text !== JWT_METADATA.key)
    .map((key) => error("identity", key, `is not ${JWT_METADATA.key}, where the processor looks for the claims`));
  const anywhere = ours
    .map((provider) => provider.get("from_headers"))
    .filter((headers) => headers.items().length === 0)
    .map((headers) =>
      warning(
        "identity",
        headers,
        'is absent: Envoy takes a token from the query too, where logs have it; write [{ name: Authorization, value_prefix: "Bearer " }]',
      ),
    );
  const off = authn.get("disabled");
  const switchedOff = off.isTrue ? [error("identity", off, "switches the check of tokens off; leave it out")] : [];
  return [
    ...elsewhere,
    ...anywhere,
    ...switchedOff,
    ...paths.flatMap((path) => ruleFor(authn.get("typed_config"), path)),
  ];
}

/** The first rule that takes a path decides (jwt_authn.v3.RequirementRule). */
function ruleFor(authn: ProtoView, path: string): Finding[] {
  const rules = authn.get("rules");
  const rule = rules.items().find((one) => matches(one.get("match"), { path, headers: { ":method": "POST" } }));
  const unchecked = `: tokens are not checked on ${path}, and nobody is known there; add`;
  if (!rule) return [error("identity", rules, `have none for ${path}${unchecked} { match: { path: ${path} }, … }`)];
  const named = rule.get("requirement_name").text;
  const requires = named === undefined ? rule.get("requires") : authn.get("requirement_map").key(named);
  if (!requires.exists) return [error("identity", requires, `is absent${unchecked} the provider of the issuer`)];
  // Anywhere in it: it may stand in a list of alternatives.
  if (!JSON.stringify(requires.value ?? null).match(/"allow_?missing_?or_?failed"/i)) return [];
  return [
    error("identity", requires, "lets a forged or expired token through as if there were none; use allow_missing: {}"),
  ];
}

function forwardedClaims(extProc: ProtoView): Finding[] {
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
