/** Two routers on the same leases: whatever they do at once, and whenever, is what a model of the ledger's contract explains. */
import fc from "fast-check";
import { describe, test } from "vitest";
import type { Caps, Lease, Ledger } from "../../src/admission/ledger.ts";
import type { SessionKey } from "../../src/sessions/id.ts";
import { ANONYMOUS } from "../../src/sessions/store.ts";
import { type Explained, performAtOnce } from "./at-once.ts";
import type { Step } from "./model.ts";
import type { OpenedLedgers } from "./open.ts";

interface LedgerRacesOptions {
  /** Two routers on a ledger without leases. */
  open(): Promise<OpenedLedgers>;
  readonly numRuns: number;
}

type Operation =
  | { readonly kind: "hold"; readonly lease: Lease; readonly ms: number; readonly caps: Caps }
  | { readonly kind: "release"; readonly lease: Lease }
  | { readonly kind: "expired" }
  | { readonly kind: "advance"; readonly ms: number };

interface World {
  readonly now: number;
  /** When each lease that was not released runs out, or ran out. */
  readonly expires: ReadonlyMap<Lease, number>;
}

type Model = Explained<World, Operation>;

/** ms of which all times are multiples, so that it does not matter how long a run takes by Redis's clock. */
const GRAIN = 60_000;
/** More than there are. */
const LIMIT = 100;

/** Not random, so that failures are easy to read. Safe: as long as a digest, and in its letters. */
const LEASES = ["a", "b", "cA", "dA", "eA", "fB"].map(([key = "", principal]): Lease => {
  return { key: key.repeat(43) as SessionKey, principal: principal?.repeat(43) ?? ANONYMOUS };
});

const lease = fc.constantFrom(...LEASES);
const ms = fc.integer({ min: 1, max: 4 }).map((n) => n * GRAIN);
const caps = fc.record({
  sessions: fc.constantFrom(undefined, 2, 3, 4),
  perPrincipal: fc.constantFrom(undefined, 1, 2),
  anonymous: fc.constantFrom(undefined, 1, 2),
});
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { arbitrary: fc.record({ kind: fc.constant("hold" as const), lease, ms, caps }), weight: 4 },
  { arbitrary: fc.record({ kind: fc.constant("release" as const), lease }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constant("expired" as const) }), weight: 1 },
);
const advance = fc.record({ kind: fc.constant("advance" as const), ms });

/** One thing at a time, or several at once. */
const commands = fc.commands(
  [
    operation.map((operation) => new AtOnce([operation])),
    fc.array(operation, { minLength: 2, maxLength: 4 }).map((operations) => new AtOnce(operations)),
    advance.map((advance) => new AtOnce([advance])),
  ],
  { maxCommands: 40, size: "+1" },
);

export function describeLedgerRaces(name: string, { open, numRuns }: LedgerRacesOptions): void {
  // A busy machine takes longer than vitest's 5 s, and then fast-check could not tell the seed.
  describe(name, () => {
    test("answers as the model does, one at a time, and at once as in some order of these", async () => {
      await fc.assert(
        fc.asyncProperty(commands, async (list) => {
          const real = await open();
          const model: Model = { worlds: [{ now: 0, expires: new Map() }], history: [] };
          try {
            await fc.asyncModelRun(() => ({ model, real }), list);
          } finally {
            await real.close();
          }
        }),
        { numRuns },
      );
    });
  });
}

/** Operations that are asked at once, in turn of either router. */
class AtOnce implements fc.AsyncCommand<Model, OpenedLedgers> {
  readonly #operations: readonly Operation[];

  constructor(operations: readonly Operation[]) {
    this.#operations = operations;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, real: OpenedLedgers): Promise<void> {
    const ask = (operation: Operation, router: 0 | 1) => perform(real.ledgers[router], real, operation);
    await performAtOnce(model, step, this.#operations, ask);
  }

  toString(): string {
    return this.#operations.map((operation) => fc.stringify(operation)).join(" | ");
  }
}

async function perform(ledger: Ledger, { advance }: OpenedLedgers, operation: Operation): Promise<unknown> {
  switch (operation.kind) {
    case "hold":
      return ledger.hold(operation.lease, operation.ms, operation.caps);
    case "release":
      return ledger.release(operation.lease);
    case "expired": {
      const outcome = await ledger.expired(LIMIT);
      return outcome.kind === "expired" ? keysOf(outcome.leases) : outcome;
    }
    case "advance":
      return advance(operation.ms);
    default:
      return operation satisfies never;
  }
}

/** In no order: of what was held at once, Redis's clock alone knows which came first. */
function keysOf(leases: readonly Lease[]): readonly string[] {
  return leases.map(({ key }) => key).sort();
}

const step: Step<World, Operation> = (world, operation) => {
  const { now, expires } = world;
  const live = [...expires].filter(([, at]) => at > now).map(([lease]) => lease);
  switch (operation.kind) {
    case "hold": {
      const { lease, ms, caps } = operation;
      const anew = !live.includes(lease);
      const by = anew ? exhausted(live, lease.principal, caps) : undefined;
      if (by) return { outcome: { kind: "exhausted", by }, world };
      return { outcome: { kind: "held", anew }, world: { now, expires: new Map(expires).set(lease, now + ms) } };
    }
    case "release": {
      const left = [...expires].filter(([lease]) => lease !== operation.lease);
      return { outcome: { kind: "released" }, world: { now, expires: new Map(left) } };
    }
    case "expired":
      return { outcome: keysOf([...expires.keys()].filter((lease) => !live.includes(lease))), world };
    case "advance":
      return { outcome: undefined, world: { now: now + operation.ms, expires } };
    default:
      return operation satisfies never;
  }
};

function exhausted(live: readonly Lease[], principal: string, caps: Caps): keyof Caps | undefined {
  const own = live.filter((lease) => lease.principal === principal).length;
  if (caps.sessions !== undefined && live.length >= caps.sessions) return "sessions";
  const by = principal === ANONYMOUS ? "anonymous" : "perPrincipal";
  const cap = caps[by];
  return cap !== undefined && own >= cap ? by : undefined;
}
