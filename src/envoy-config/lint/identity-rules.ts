/** Rules on how the processor learns who calls: jwt_authn ahead of it, and the claims handed on to it. */
import type { Config } from "../../config/load.ts";
import { JWT_METADATA } from "../../core/identity.ts";
import { spellingsOf } from "../../core/public-path.ts";
import { JWT_AUTHN_TYPE } from "../names.ts";
import { type Finding, found } from "./finding.ts";
import { matches } from "./match.ts";
import type { ProtoView } from "./proto-view.ts";

/** Without tokens as principals there is nothing to check. */
export function identityFindings(manager: ProtoView, extProc: ProtoView, { identity, routes }: Config): Finding[] {
  if (identity.kind !== "jwt") return [];
  const paths = routes.flatMap(({ path }) => spellingsOf(path));
  return [
    ...checkedTokens(manager, extProc, identity.issuer, paths),
    ...forwardedClaims(extProc),
    ...(identity.metadata ? challenges(manager) : []),
  ];
}

/** A filter ahead of the processor has a provider of our issuer, and puts its claims where the processor looks. */
function checkedTokens(manager: ProtoView, extProc: ProtoView, issuer: string, paths: readonly string[]): Finding[] {
  const filters = manager.get("http_filters");
  const all = filters.items();
  const ahead = all.slice(
    0,
    all.findIndex(({ path }) => path === extProc.path),
  );
  const authn = ahead.find((filter) => filter.get("typed_config").isType(JWT_AUTHN_TYPE));
  if (!authn) return [found("identity", filters, `${filters.field} have no ${JWT_AUTHN_TYPE} ahead of the processor`)];
  const providers = authn.get("typed_config.providers");
  const ours = providers
    .keys()
    .map((name) => providers.key(name))
    .filter((provider) => provider.get("issuer").text === issuer);
  if (ours.length === 0)
    return [found("identity/issuer", providers, `${providers.field} have none with the issuer ${issuer}`, { issuer })];
  const disabled = authn.get("disabled");
  return [
    ...ours.flatMap(claimsElsewhere),
    ...ours.flatMap(tokenFromAnywhere),
    ...(disabled.isTrue
      ? [found("identity/disabled", disabled, `${disabled.field} switches the check of tokens off`)]
      : []),
    ...paths.flatMap((path) => requirementFor(authn.get("typed_config"), path)),
  ];
}

function claimsElsewhere(provider: ProtoView): Finding[] {
  const key = provider.get("payload_in_metadata");
  if (key.text === JWT_METADATA.key) return [];
  return [found("identity/metadata", key, `${key.field} is not ${JWT_METADATA.key}`)];
}

function tokenFromAnywhere(provider: ProtoView): Finding[] {
  const headers = provider.get("from_headers");
  if (headers.items().length > 0) return [];
  return [found("identity/query", headers, `${headers.field} is absent`)];
}

/** The first rule that matches a path decides (jwt_authn.v3.RequirementRule). */
function requirementFor(authn: ProtoView, path: string): Finding[] {
  const rules = authn.get("rules");
  const rule = rules.items().find((one) => matches(one.get("match"), { path, headers: { ":method": "POST" } }));
  if (!rule) return [found("identity/no-rule", rules, `${rules.field} have none for ${path}`, { path })];
  const named = rule.get("requirement_name").text;
  const requires = named === undefined ? rule.get("requires") : authn.get("requirement_map").key(named);
  if (!requires.exists) return [found("identity/no-requirement", requires, `The rule for ${path} requires nothing`)];
  // Anywhere in it: it may stand in a list of alternatives.
  if (!/"allow_?missing_?or_?failed"/i.test(JSON.stringify(requires.value))) return [];
  return [found("identity/bad-token", requires, `The rule for ${path} lets a forged or expired token through`)];
}

/** Envoy refuses tokens ahead of the processor, and its own challenge does not say where to get one. */
function challenges(manager: ProtoView): Finding[] {
  const mappers = manager.get("local_reply_config.mappers");
  const added = mappers.items().map((mapper) => JSON.stringify(mapper.get("headers_to_add").value) ?? "");
  if (added.some((headers) => headers.includes("resource_metadata="))) return [];
  return [
    found("identity/challenge", mappers, `${mappers.field} add no challenge that names the metadata of the resource`),
  ];
}

function forwardedClaims(extProc: ProtoView): Finding[] {
  const untyped = extProc.get("typed_config.metadata_options.forwarding_namespaces.untyped");
  if (untyped.items().some(({ text }) => text === JWT_METADATA.namespace)) return [];
  return [found("identity/claims", untyped, `${untyped.field} lacks ${JWT_METADATA.namespace}`)];
}
