/** What `mcp-router check` says of `policy`: what somebody with certain claims may do, and rules about nothing. Pure. */
import type { Config } from "../config/load.ts";
import { requestPolicy } from "../config/policy.ts";
import { matchesGlob } from "../core/federation/glob.ts";
import type { ListKind } from "../core/federation/kinds.ts";
import { isJsonObject } from "../core/json/parse.ts";
import type { Caller } from "../core/policy/caller.ts";
import type { Standing } from "../core/policy/route-rules.ts";
import type { ClaimValue, NamedKind, Rule } from "../core/policy/rule.ts";
import { backendsOf, type Route } from "../core/routes.ts";
import type { CatalogueReport } from "../federation/report.ts";
import { printable } from "./printable.ts";
import { error, type Said, warning } from "./said.ts";

type Claims = Readonly<Record<string, unknown>>;
type RouteReport = CatalogueReport["routes"][number];

const LISTS: readonly (readonly [list: ListKind, kind: NamedKind])[] = [
  ["tools", "tools"],
  ["prompts", "prompts"],
  ["resources", "resources"],
  ["templates", "resources"],
];

/** @param claims of a token, as JSON has them; `sub` names the principal */
export function callerWith(claims: Claims): Caller {
  return {
    name: typeof claims.sub === "string" ? claims.sub : undefined,
    values(...path) {
      const value = path.reduce<unknown>((within, name) => (isJsonObject(within) ? within[name] : undefined), claims);
      return [value].flat().filter(isClaimValue);
    },
  };
}

function isClaimValue(value: unknown): value is ClaimValue {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

/** For each route, which rules hold for the claims, and what becomes of what the backends list. @param report undefined: nobody was asked */
export function mayDo(config: Config, claims: Claims, report: CatalogueReport | undefined): string {
  const { access } = requestPolicy(config);
  if (!access || !config.policy) return "policy: not set, so everybody may use everything";
  const caller = callerWith(claims);
  const rules = config.policy;
  return config.routes
    .map(({ path }) => {
      const standing = access.on(path).of(caller);
      const holding = access.on(path).holding(standing);
      const listed = report?.routes.find((route) => route.path === path);
      const lines = [`${path}, with these claims:`, ...rules.flatMap((rule, n) => ruleLine(rule, n, path, holding))];
      return [
        ...lines,
        ...(listed ? LISTS.flatMap(([list, kind]) => listLines(listed, list, kind, standing)) : []),
      ].join("\n");
    })
    .join("\n");
}

function ruleLine(rule: Rule, place: number, path: string, holding: readonly Rule[]): string[] {
  if (rule.when.routes?.includes(path) === false) return [];
  const isHolding = holding.some(({ names, when }) => names === rule.names && when === rule.when);
  return [`  policy[${place}] ${described(rule)}: ${isHolding ? "counts" : "does not count"}`];
}

function described({ verdict, names }: Rule): string {
  const kinds = Object.entries(names).filter(([, globs]) => globs.length > 0);
  return `${verdict} ${kinds.map(([kind, globs]) => `${kind} ${globs.map((glob) => glob.join("*")).join(", ")}`).join("; ")}`;
}

function listLines(route: RouteReport, list: ListKind, kind: NamedKind, standing: Standing): string[] {
  const items = route[list];
  if (items.length === 0) return [];
  const width = Math.max(...items.map(({ key }) => printable(key).length));
  const lines = items.map(({ key }) => {
    const decision = standing.decide(kind, key);
    const word = decision.kind === "allowed" ? "allowed" : "denied";
    const more =
      decision.kind === "denied" && decision.scopes ? `, allowed with scope ${decision.scopes.join(" ")}` : "";
    return `    ${printable(key).padEnd(width)}  ${word}${more}`;
  });
  return [`  ${list}:`, ...lines];
}

/**
 * Patterns of tools and prompts that match nothing on the routes of their rule: a name was changed, or is written wrong. Whether all the
 * same some backend has it is not known where one of these routes has not listed everything. A resource may be there without being
 * listed, and a pattern of all is no name.
 */
export function idlePatterns({ policy = [], routes }: Config, report: CatalogueReport): readonly Said[] {
  return policy.flatMap((rule, place) => {
    const own = routes.filter(({ path }) => rule.when.routes?.includes(path) ?? true);
    return (["tools", "prompts"] as const).flatMap((kind) => idleOf(rule, place, kind, own, report));
  });
}

function idleOf(
  { verdict, names }: Rule,
  place: number,
  kind: "tools" | "prompts",
  routes: readonly Route[],
  report: CatalogueReport,
): Said[] {
  const listed = report.routes.filter(({ path }) => routes.some((route) => route.path === path));
  const idle = names[kind]
    .filter((glob) => glob.join("") !== "" || glob.length === 1)
    .filter((glob) => !listed.some((route) => route[kind].some(({ key }) => matchesGlob(glob, key))))
    .map((glob) => `"${printable(glob.join("*"))}"`);
  if (idle.length === 0) return [];
  const where = `policy[${place}].${verdict}.${kind}`;
  const unknown = [...new Set(routes.flatMap(backendsOf).map(({ name }) => name))].flatMap((name) =>
    whyUnknown(name, kind, report),
  );
  if (unknown.length > 0)
    return [warning(`${where}: whether ${idle.join(", ")} match anything is not known: ${unknown.join("; ")}`)];
  return idle.map((pattern) =>
    error(`${where}: ${pattern} matches none of the ${kind} that the backends list; mend or remove it`),
  );
}

/** Why a backend may have more than it has listed here; nothing, where it has not. */
function whyUnknown(name: string, kind: ListKind, { backends }: CatalogueReport): string[] {
  const own = backends.find(({ backend }) => backend === name);
  if (own?.lists === "principal") return [`backend ${name} has lists: principal`];
  if (own?.asked?.failure !== null)
    return [`backend ${name} has not answered: ${printable(own?.asked?.failure ?? "it was not asked")}`];
  return own.offered[kind]?.cut ? [`the list of backend ${name} is cut off`] : [];
}
