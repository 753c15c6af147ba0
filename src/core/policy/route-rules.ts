/** The rules of `policy` that count on one route, and what they say to one caller. Pure. */
import type { MergedList } from "../federation/merge.ts";
import { type Caller, KnownCaller } from "./caller.ts";
import { OfferedLists } from "./offered.ts";
import { Patterns } from "./patterns.ts";
import type { Decision, Permits } from "./permits.ts";
import type { NamedKind, Rule, When } from "./rule.ts";

const ALLOWED: Decision = { kind: "allowed" };

/** A rule, and its place among those of the route. */
interface PlacedRule extends Rule {
  readonly place: number;
}

type ByKind = Readonly<Record<NamedKind, Patterns>>;

/** Bits of an outcome that one character of its text holds. */
const BITS = 4;

export class RouteRules {
  readonly #rules: readonly PlacedRule[];
  readonly #byKind: ByKind;
  readonly #offered = new OfferedLists();
  /** Tells these rules from those of another configuration, in `[\w]`. */
  readonly digest: string;

  /** @param rules of all routes, in their order */
  constructor(rules: readonly Rule[], path: string) {
    const here = rules.filter(({ when }) => when.routes?.includes(path) ?? true);
    this.#rules = here.map((rule, place) => ({ ...rule, place }));
    const patterns = (kind: NamedKind) =>
      new Patterns(this.#rules.flatMap(({ names, place }) => names[kind].map((glob) => ({ glob, place }))));
    this.#byKind = { tools: patterns("tools"), prompts: patterns("prompts"), resources: patterns("resources") };
    this.digest = digestOf(JSON.stringify(here));
  }

  of(caller: Caller): Standing {
    return new Standing(this.#rules, this.#byKind, this.digest, new KnownCaller(caller));
  }

  /** Those of its rules that count for a caller. */
  holding({ outcome }: Standing): readonly Rule[] {
    const bits = outcome.slice(this.digest.length + 1);
    return this.#rules.filter(({ place }) => bitAt(bits, place));
  }

  /** What of a list of the route's a caller is offered. */
  offered(list: MergedList, { outcome }: Standing): MergedList {
    return this.#offered.of(list, outcome, () => this.ofOutcome(outcome));
  }

  /** Whether an outcome is of these rules. */
  knows(outcome: string): boolean {
    return outcome.startsWith(`${this.digest}-`);
  }

  /** What a caller of that outcome may see, at another place or later. Nothing, where the outcome is of other rules. */
  ofOutcome(outcome: string): Permits {
    if (!this.knows(outcome)) return NOTHING;
    const bits = outcome.slice(this.digest.length + 1);
    const held = this.#rules.map(({ place }) => bitAt(bits, place));
    const holds = (place: number) => held[place] === true;
    return { permits: (kind, name) => this.#rules[this.#byKind[kind].first(name, holds)]?.verdict === "allow" };
  }
}

const NOTHING: Permits = { permits: () => false };

/** What the rules of a route say to one caller. Conditions are looked at when they matter, and once. */
export class Standing implements Permits {
  readonly #rules: readonly PlacedRule[];
  readonly #byKind: ByKind;
  readonly #digest: string;
  readonly #caller: KnownCaller;
  readonly #held: (boolean | undefined)[] = [];

  constructor(rules: readonly PlacedRule[], byKind: ByKind, digest: string, caller: KnownCaller) {
    this.#rules = rules;
    this.#byKind = byKind;
    this.#digest = digest;
    this.#caller = caller;
  }

  /** Which conditions hold, as text in `[\w-]`. Callers of one outcome may see and use the same. */
  get outcome(): string {
    let text = "";
    for (let place = 0; place < this.#rules.length; place += BITS) {
      let bits = 0;
      for (let bit = 0; bit < BITS; bit++) {
        const rule = this.#rules[place + bit];
        if (rule && this.#holds(rule.place)) bits |= 1 << bit;
      }
      text += bits.toString(16);
    }
    return `${this.#digest}-${text}`;
  }

  /** Lists and calls ask the same. */
  permits(kind: NamedKind, name: string): boolean {
    return this.#rules[this.#byKind[kind].first(name, this.#holds)]?.verdict === "allow";
  }

  decide(kind: NamedKind, name: string): Decision {
    return this.permits(kind, name) ? ALLOWED : { kind: "denied", scopes: this.#scopesFor(kind, name) };
  }

  readonly #holds = (place: number): boolean => {
    const known = this.#held[place];
    if (known !== undefined) return known;
    const when = this.#rules[place]?.when;
    const holds = when !== undefined && doesHold(when, this.#caller, undefined);
    this.#held[place] = holds;
    return holds;
  };

  /**
   * The scopes of the first rule that allows it to a caller who has them: more scopes may also bring a rule that denies it. With them
   * those that the caller has and that rules ask for, or a client's next token would lack these (MCP 2025-11-25, "Scope Challenge
   * Handling").
   */
  #scopesFor(kind: NamedKind, name: string): readonly string[] | undefined {
    const granted = this.#caller.scopes;
    const patterns = this.#byKind[kind];
    for (const place of patterns.all(name)) {
      const rule = this.#rules[place];
      if (!rule || rule.verdict === "deny" || rule.when.scopes.length === 0) continue;
      const scopes = new Set([...granted, ...rule.when.scopes]);
      const holds = (at: number) => {
        const when = this.#rules[at]?.when;
        return when !== undefined && doesHold(when, this.#caller, scopes);
      };
      if (this.#rules[patterns.first(name, holds)]?.verdict === "allow")
        return [...new Set([...this.#scopesInUse(), ...rule.when.scopes])];
    }
    return undefined;
  }

  /** Scopes of the caller that rules of the route ask for. */
  #scopesInUse(): readonly string[] {
    return this.#rules.flatMap(({ when }) => when.scopes).filter((scope) => this.#caller.scopes.has(scope));
  }
}

/** @param granted scopes; undefined: the caller's own */
function doesHold(
  { scopes, claims, principals }: When,
  caller: KnownCaller,
  granted: ReadonlySet<string> | undefined,
): boolean {
  if (principals && (caller.name === undefined || !principals.includes(caller.name))) return false;
  for (const scope of scopes) if (!(granted ?? caller.scopes).has(scope)) return false;
  for (const condition of claims) if (!caller.has(condition)) return false;
  return true;
}

function bitAt(text: string, place: number): boolean {
  const bits = Number.parseInt(text.charAt(Math.floor(place / BITS)), 16);
  return ((bits >> (place % BITS)) & 1) === 1;
}

/** FNV-1a, 64 bits: no secret, and only to be told apart from rules of before. */
function digestOf(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (let at = 0; at < text.length; at++)
    hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(at))) * 0x100000001b3n);
  return hash.toString(36);
}
