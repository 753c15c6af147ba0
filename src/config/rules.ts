/** The rules of `policy`, from what is written, and the errors in them. Pure. */
import { compileGlob, matchesGlob } from "../core/federation/glob.ts";
import type { ClaimCondition, NamedKind, Rule, When } from "../core/policy/rule.ts";
import { publicPath } from "../core/public-path.ts";
import { expectedPrefixes, isOfNone, prefixesOn } from "./offered-names.ts";
import { withoutSecrets } from "./redact.ts";
import type { RawConfig } from "./schema.ts";

type Written = NonNullable<RawConfig["policy"]>[number];
type Names = NonNullable<Written["allow"]>;

const KINDS = ["tools", "prompts", "resources"] as const satisfies readonly NamedKind[];

export function rulesOf(policy: RawConfig["policy"]): readonly Rule[] | undefined {
  return policy?.map(ruleOf);
}

function ruleOf(written: Written): Rule {
  const { allow, deny, when } = written;
  const names = allow ?? deny;
  const globs = (kind: NamedKind) => (names?.[kind] ?? []).map(compileGlob);
  return {
    verdict: allow ? "allow" : "deny",
    names: { tools: globs("tools"), prompts: globs("prompts"), resources: globs("resources") },
    when: whenOf(when),
  };
}

function whenOf(when: Written["when"]): When {
  return {
    scopes: when?.scope ?? [],
    claims: Object.entries(when?.claim ?? {}).map(([claim, values]) => ({ claim, values })),
    principals: when?.principal,
    routes: when?.route?.map(publicPath),
  };
}

export function ruleFaults(raw: RawConfig): string[] {
  const { policy = [], identity, routes } = raw;
  const paths = new Set(routes.map(({ path }) => publicPath(path)));
  return policy.flatMap((rule, index) => {
    const where = `policy[${index}]`;
    return [
      ...saysNothing(where, rule),
      ...withoutToken(where, rule, identity.kind),
      ...unknownRoutes(where, rule, paths),
      ...neverReached(where, rule, policy.slice(0, index)),
      ...ofNoName(where, rule, raw),
    ];
  });
}

function saysNothing(where: string, { allow, deny, when }: Written): string[] {
  const isEmpty = (settings: object) => Object.values(settings).every((value) => value === undefined);
  if ((allow === undefined) === (deny === undefined))
    return [`${where}: got ${allow ? "both" : "neither"} of allow and deny, expected one of them`];
  const errors: string[] = [];
  if (isEmpty(allow ?? deny ?? {}))
    errors.push(`${where}: names nothing, expected tools, prompts or resources, each with patterns`);
  if (when && isEmpty(when))
    errors.push(
      `${where}.when: is empty, expected scope, claim, principal or route; remove it for a rule that always counts`,
    );
  if (when?.claim && isEmpty(when.claim))
    errors.push(`${where}.when.claim: is empty, expected claims with their values; set them, or remove it`);
  return errors;
}

/** Conditions that can never hold, as nobody says who asks. */
function withoutToken(where: string, { when }: Written, kind: RawConfig["identity"]["kind"]): string[] {
  const errors: string[] = [];
  for (const member of ["scope", "claim"] as const)
    if (when?.[member] !== undefined && kind !== "jwt")
      errors.push(
        `${where}.when.${member}: needs the claims of a token, expected identity.kind: jwt, and it is ${kind}; set it, or remove ${member}`,
      );
  if (when?.principal !== undefined && kind === "none")
    errors.push(
      `${where}.when.principal: needs principals, and with identity.kind: none there are none; set identity.kind: jwt or header, ` +
        "or remove principal",
    );
  return errors;
}

function unknownRoutes(where: string, { when }: Written, paths: ReadonlySet<string>): string[] {
  const listed = [...paths].join(", ");
  return (when?.route ?? [])
    .filter((path) => !paths.has(publicPath(path)))
    .map((path) => `${where}.when.route: got "${withoutSecrets(path)}", expected the path of a route: ${listed}`);
}

/** Patterns of the rule that are within one of an earlier rule's, which counts whenever this one does. */
function neverReached(where: string, written: Written, earlier: readonly Written[]): string[] {
  const { when } = ruleOf(written);
  const counting = earlier
    .map((each, place) => ({ each, place }))
    .filter(({ each }) => holdsWith(whenOf(each.when), when));
  const patterns = patternsOf(written);
  const dead = patterns.flatMap(({ at, kind, pattern }) => {
    const by = counting.find(({ each }) => (namesOf(each)[kind] ?? []).some((other) => covers(other, pattern)));
    return by ? [{ at, pattern, by: `policy[${by.place}]` }] : [];
  });
  if (dead.length === 0) return [];
  const rules = [...new Set(dead.map(({ by }) => by))];
  if (dead.length === patterns.length) {
    const decide = `${rules.join(" and ")} ${rules.length === 1 ? "decides" : "decide"}`;
    return [`${where}: can never match, since ${decide} all of it before; move it up, or remove it`];
  }
  return dead.map(
    ({ at, pattern, by }) =>
      `${where}.${at}: "${withoutSecrets(pattern)}" can never match, since ${by} decides all of it before; move it up, or remove it`,
  );
}

/** Names begin with the backend's on federated routes, so a pattern without it denies nothing there. */
function ofNoName(where: string, written: Written, raw: RawConfig): string[] {
  const prefixes = prefixesOn(raw, written.when?.route);
  if (!prefixes) return [];
  return patternsOf(written)
    .filter(({ kind, pattern }) => kind !== "resources" && isOfNone(pattern, prefixes))
    .map(
      ({ at, pattern }) =>
        `${where}.${at}: "${withoutSecrets(pattern)}" matches nothing, ${expectedPrefixes(prefixes)}`,
    );
}

function patternsOf(written: Written) {
  const verdict = written.allow ? "allow" : "deny";
  return KINDS.flatMap((kind) =>
    (namesOf(written)[kind] ?? []).map((pattern) => ({ at: `${verdict}.${kind}`, kind, pattern })),
  );
}

function namesOf({ allow, deny }: Written): Names {
  return allow ?? deny ?? {};
}

/** Whether the pattern matches all that the other one matches: an asterisk of the other stands for text that only an asterisk matches. */
function covers(pattern: string, other: string): boolean {
  return matchesGlob(compileGlob(pattern), other);
}

/** Whether the first condition holds whenever the second one does. */
function holdsWith(first: When, second: When): boolean {
  return (
    first.scopes.every((scope) => second.scopes.includes(scope)) &&
    first.claims.every((claim) => second.claims.some((other) => isWithin(other, claim))) &&
    among(second.principals, first.principals) &&
    among(second.routes, first.routes)
  );
}

function isWithin(one: ClaimCondition, other: ClaimCondition): boolean {
  return one.claim === other.claim && one.values.every((value) => other.values.includes(value));
}

function among(some: readonly string[] | undefined, all: readonly string[] | undefined): boolean {
  return all === undefined || (some?.every((each) => all.includes(each)) ?? false);
}
