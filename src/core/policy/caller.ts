/** Who asks, as the conditions of rules see it. Pure. */
import type { ClaimCondition, ClaimValue } from "./rule.ts";

export interface Caller {
  /** The subject of the token, or the value of the principal's header. undefined: nobody is known. */
  readonly name: string | undefined;
  /** The values of a claim, by member names from the outermost on: its items where it is a list. Empty where it is absent. */
  values(...path: readonly [string, ...string[]]): readonly ClaimValue[];
}

/** A caller's claims, each read once. */
export class KnownCaller {
  readonly #caller: Caller;
  /** Made for the first one: most calls need none. */
  #claims: Map<string, Values> | undefined;
  #scopes: ReadonlySet<string> | undefined;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  get name(): string | undefined {
    return this.#caller.name;
  }

  has({ claim, values }: ClaimCondition): boolean {
    const own = this.#claim(claim);
    return values.some((value) => own.has(value));
  }

  /** What the token grants: `scope` (RFC 8693 §4.2) or `scp`, as a text with spaces or as a list. */
  get scopes(): ReadonlySet<string> {
    this.#scopes ??= new Set(
      [...this.#caller.values("scope"), ...this.#caller.values("scp")]
        .flatMap((value) => (typeof value === "string" ? value.split(" ") : []))
        .filter((scope) => scope !== ""),
    );
    return this.#scopes;
  }

  #claim(name: string): Values {
    this.#claims ??= new Map();
    const known = this.#claims.get(name);
    if (known) return known;
    const values = valuesOf(claimValues(this.#caller, name));
    this.#claims.set(name, values);
    return values;
  }
}

type Values = Pick<ReadonlySet<ClaimValue>, "has">;

/** More values than this are looked for in a set, which takes longer to make than to look at a few. */
const FEW = 32;

function valuesOf(all: readonly ClaimValue[]): Values {
  return all.length > FEW ? new Set(all) : { has: (value) => all.includes(value) };
}

/** A name of a claim may have dots itself: some issuers use URLs. */
function claimValues(caller: Caller, name: string): readonly ClaimValue[] {
  const whole = caller.values(name);
  if (whole.length > 0) return whole;
  const [first = name, ...others] = name.split(".");
  return others.length === 0 ? whole : caller.values(first, ...others);
}
