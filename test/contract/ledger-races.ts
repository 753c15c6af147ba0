/** Two routers on the same leases: whatever they do at once, and whenever, is what a model of the ledger's contract explains. */
import fc from "fast-check";
import { describe, test } from "vitest";
import type { CapName, Caps, Lease, Ledger, Use } from "../../src/admission/ledger.ts";
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
  | { readonly kind: "hold"; readonly lease: Lease; readonly ms: number; readonly caps: Caps; readonly use: Use }
  | { readonly kind: "release"; readonly lease: Lease }
  | { readonly kind: "expired" | "count" }
  | { readonly kind: "advance"; readonly ms: number };

interface World {
  readonly now: number;
  /** Those that were not released, in the order in which they were held last: no Map, whose order makes no difference to equality. */
  readonly held: Live;
  /** When each that is parked would have run out. */
  readonly parked: ReadonlyMap<Lease, number>;
}

interface HeldLease {
  readonly expires: number;
  readonly since: number;
  readonly use: Use;
}

type Model = Explained<World, Operation>;

/** ms of which all times are multiples, so that it does not matter how long a run takes by Redis's clock. */
const GRAIN = 600_000;
/** More than there are. */
const LIMIT = 100;

/** Not random, so that failures are easy to read. Safe: as long as a digest, and in its letters. */
const LEASES = ["a", "b", "cA", "dA", "eA", "fB"].map(([key = "", principal]): Lease => {
  return { key: key.repeat(43) as SessionKey, principal: principal?.repeat(43) ?? ANONYMOUS };
});

/** Between two leases' ends: no two run out at once, or one could not tell which of two parked ones goes first. */
const APART = 60_000;

const lease = fc.constantFrom(...LEASES);
const ms = fc.integer({ min: 1, max: 4 }).map((n) => n * GRAIN);
const caps = fc.record({
  sessions: fc.constantFrom(undefined, 2, 3, 4),
  perPrincipal: fc.constantFrom(undefined, 1, 2),
  anonymous: fc.constantFrom(undefined, 1, 2),
  parking: fc.constantFrom(undefined, { idle: 2 * GRAIN, unnamed: GRAIN }, { idle: GRAIN, unnamed: 0 }),
});
const use = fc.constantFrom<Use>("waiting", "unnamed", "used", "used");
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { arbitrary: fc.record({ kind: fc.constant("hold" as const), lease, ms, caps, use }), weight: 4 },
  { arbitrary: fc.record({ kind: fc.constant("release" as const), lease }), weight: 1 },
  { arbitrary: fc.record({ kind: fc.constantFrom("expired" as const, "count" as const) }), weight: 1 },
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
          const model: Model = { worlds: [{ now: 0, held: [], parked: new Map() }], history: [] };
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
    case "hold": {
      const { lease, caps, use } = operation;
      const outcome = await ledger.hold(lease, msOf(operation), caps, use);
      // By Redis's clock, which goes on.
      if (outcome.kind !== "exhausted") return outcome;
      const { freeIn: _, idleIn: __, ...told } = outcome;
      return told;
    }
    case "count":
      return ledger.count();
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

function msOf({ lease, ms }: Extract<Operation, { kind: "hold" }>): number {
  return ms + LEASES.indexOf(lease) * APART;
}

/** In no order: of what was held at once, Redis's clock alone knows which came first. */
function keysOf(leases: readonly Lease[]): readonly string[] {
  return leases.map(({ key }) => key).sort();
}

const step: Step<World, Operation> = (world, operation) => {
  const { now, held, parked } = world;
  switch (operation.kind) {
    case "hold":
      return hold(world, operation);
    case "release": {
      const left = held.filter(([lease]) => lease !== operation.lease);
      const stillParked = new Map(parked);
      stillParked.delete(operation.lease);
      return { outcome: { kind: "released" }, world: { now, held: left, parked: stillParked } };
    }
    case "expired": {
      const ends = [...held.map(([lease, { expires }]) => [lease, expires] as const), ...parked];
      return { outcome: keysOf(ends.filter(([, expires]) => expires <= now).map(([lease]) => lease)), world };
    }
    case "count": {
      const stillParked = [...parked.values()].filter((expires) => expires > now).length;
      return { outcome: { kind: "counted", live: liveOf(world).length, parked: stillParked }, world };
    }
    case "advance":
      return { outcome: undefined, world: { ...world, now: now + operation.ms } };
    default:
      return operation satisfies never;
  }
};

function liveOf({ now, held }: World) {
  return held.filter(([, { expires }]) => expires > now);
}

function hold(world: World, operation: Extract<Operation, { kind: "hold" }>): ReturnType<Step<World, Operation>> {
  const { now } = world;
  const { lease, caps, use } = operation;
  const live = liveOf(world);
  const anew = !live.some(([one]) => one === lease);
  const room = anew ? makeRoom(world, lease, caps) : { ...world, made: {}, by: undefined };
  if (room.by)
    return {
      outcome: { kind: "exhausted", by: room.by, ...room.made },
      world: { now, held: room.held, parked: room.parked },
    };
  const parked = new Map(room.parked);
  parked.delete(lease);
  const one = { expires: now + msOf(operation), since: now, use };
  const held: Live = [...room.held.filter(([other]) => other !== lease), [lease, one]];
  return { outcome: { kind: "held", anew, ...room.made }, world: { now, held, parked } };
}

type Live = readonly (readonly [Lease, HeldLease])[];

/** Parks idle ones until there is room for one more; `by` says which cap leaves none. */
function makeRoom(world: World, { principal }: Lease, caps: Caps) {
  const { now } = world;
  const parked = new Map(world.parked);
  let { held } = world;
  const given: Lease[] = [];
  const ended: Lease[] = [];
  const staysFull = (of: () => Live, cap: number | undefined): boolean => {
    while (cap !== undefined && of().length >= cap) {
      const idle = idlest(of(), caps, now);
      if (!idle) return true;
      const [lease, { expires }] = idle;
      held = held.filter(([other]) => other !== lease);
      parked.set(lease, expires);
      given.push(lease);
      const running = [...parked].filter(([, at]) => at > now).toSorted(([, one], [, other]) => one - other);
      const over = caps.sessions !== undefined && running.length > caps.sessions ? running[0]?.[0] : undefined;
      if (!over) continue;
      parked.delete(over);
      ended.push(over);
    }
    return false;
  };
  const live = () => liveOf({ now, held, parked });
  const own = principal === ANONYMOUS ? "anonymous" : "perPrincipal";
  const ofOwner = () => live().filter(([lease]) => lease.principal === principal);
  let by: CapName | undefined;
  if (staysFull(ofOwner, caps[own])) by = own;
  else if (staysFull(live, caps.sessions)) by = "sessions";
  const made = { ...(given.length > 0 && { parked: given }), ...(ended.length > 0 && { ended }) };
  return { held, parked, made, by };
}

function idlest(live: Live, { parking }: Caps, now: number) {
  if (!parking) return undefined;
  for (const [use, patience] of [
    ["unnamed", parking.unnamed],
    ["used", parking.idle],
  ] as const) {
    const first = live.find(([, one]) => one.use === use);
    if (first && now - first[1].since >= patience) return first;
  }
  return undefined;
}
