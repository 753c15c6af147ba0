/** What routers may ask of a session store, one thing at a time and several at once, for fast-check to draw from. */

import fc from "fast-check";
import type { BackendSession } from "../../src/core/session.ts";
import type { SessionKey } from "../../src/sessions/id.ts";
import { ANONYMOUS, type Session, type SessionStore, type StateChange } from "../../src/sessions/store.ts";
import { type Explained, performAtOnce } from "./at-once.ts";
import {
  type Deadlines,
  deadlines,
  generation,
  keepsClear,
  type Operation,
  step,
  TOUCHED_FOR,
  type World,
} from "./model.ts";

/** Some routers that share their sessions, and the clock of these. */
export interface Routers {
  readonly stores: readonly [SessionStore, SessionStore];
  advance(ms: number): Promise<void>;
}

interface Model extends Explained<World, Operation> {
  /** ms to keep away from a deadline; 1 where the clock stands still. */
  readonly grain: number;
}

/** An operation that is yet to be told the key and what holds there. */
type Intent =
  | { readonly kind: "load" | "touch" | "remove" | "reap" }
  | { readonly kind: "find"; readonly backend: string }
  | { readonly kind: "create"; readonly session: Session }
  /** `ahead`: of the generation that holds. */
  | {
      readonly kind: "bind";
      readonly backend: string;
      readonly ahead: number;
      readonly to: BackendSession;
    }
  | { readonly kind: "remember"; readonly backend: string; readonly change: StateChange }
  | { readonly kind: "park"; readonly grains: number }
  | { readonly kind: "advance"; readonly to: keyof Deadlines | "most of idle"; readonly short: boolean };

/** Not random, so that failures are easy to read. Safe: as long as a digest, and in its letters. */
const KEYS = ["a", "b"].map((letter) => letter.repeat(43) as SessionKey);

const bindings = [1, 9].map((generation) => ({ one: { sessionId: "first", endpoint: "10.0.0.1:80", generation } }));
const session = fc.tuple(fc.constantFrom("/a", "/b"), fc.constantFrom({}, ...bindings)).map(
  ([route, bindings]): Session => ({
    owner: ANONYMOUS,
    route,
    protocolVersion: "2025-11-25",
    initializeParams: "{}",
    bindings,
  }),
);
const create = fc.record({ kind: fc.constant("create" as const), session });
const read = fc.oneof(
  fc.record({ kind: fc.constantFrom("load" as const, "touch" as const) }),
  fc.record({ kind: fc.constant("find" as const), backend: fc.constantFrom("one", "constructor") }),
);
const remove = fc.record({ kind: fc.constantFrom("remove" as const, "reap" as const) });
const bind = fc.record({
  kind: fc.constant("bind" as const),
  // The second is also what every object has.
  backend: fc.constantFrom("one", "constructor"),
  // Mostly what who has just read it expects.
  ahead: fc.constantFrom(0, 0, 0, 1, -1),
  to: fc.record({ sessionId: fc.nat(99).map((n) => `backend ${n}`), endpoint: fc.constant("10.0.0.2:80") }),
});
const uri = fc.constantFrom("a:b", "__proto__");
const params = fc.nat(9).map((n) => `{"n":${n}}`);
const remember = fc.record({
  kind: fc.constant("remember" as const),
  backend: fc.constantFrom("one", "constructor"),
  change: fc.oneof(
    fc.record({ kind: fc.constant("level" as const), params }),
    fc.record({ kind: fc.constant("subscribe" as const), uri, params }),
    fc.record({ kind: fc.constant("unsubscribe" as const), uri }),
    fc.record({ kind: fc.constant("listening" as const), generation: fc.constantFrom(2, 10) }),
  ),
});
const park = fc.record({ kind: fc.constant("park" as const), grains: fc.nat(2) });
const advance = fc.record({
  kind: fc.constant("advance" as const),
  to: fc.constantFrom("touchDue" as const, "idleEnds" as const, "lifetimeEnds" as const, "most of idle" as const),
  short: fc.boolean(),
});

const key = fc.constantFrom(...KEYS);
const intent: fc.Arbitrary<Intent> = fc.oneof(
  { arbitrary: create, weight: 3 },
  { arbitrary: read, weight: 4 },
  { arbitrary: remove, weight: 2 },
  { arbitrary: bind, weight: 4 },
  { arbitrary: remember, weight: 3 },
  { arbitrary: park, weight: 2 },
  { arbitrary: advance, weight: 3 },
);

/** Up to so many commands, each of one operation or of several at once. */
export function commands(maxCommands: number) {
  const several = fc.array(intent, { minLength: 2, maxLength: 4 });
  return fc.commands(
    [
      fc.tuple(key, intent).map(([key, intent]) => new AtOnce(key, [intent])),
      fc.tuple(key, several).map(([key, intents]) => new AtOnce(key, intents)),
    ],
    { maxCommands, size: "+1" },
  );
}

/** Operations on one key that are asked at once, in turn of either router. */
class AtOnce implements fc.AsyncCommand<Model, Routers> {
  readonly #key: SessionKey;
  readonly #intents: readonly Intent[];

  constructor(key: SessionKey, intents: readonly Intent[]) {
    this.#key = key;
    this.#intents = intents;
  }

  check(model: Readonly<Model>): boolean {
    const operations = this.#operations(model);
    return operations.length > 0 && keepsClear(model.worlds, operations, model.grain);
  }

  async run(model: Model, routers: Routers): Promise<void> {
    const operations = this.#operations(model);
    const ask = (operation: Operation, router: 0 | 1) => perform(routers.stores[router], routers, operation);
    await performAtOnce(model, step, operations, ask);
    // Not after each one: what is read is expired, also where the next would forget to look.
    if (operations.length > 1) await performAtOnce(model, step, [{ kind: "load", key: this.#key }], ask);
  }

  toString(): string {
    return `${this.#key.slice(0, 1)}: ${this.#intents.map((intent) => fc.stringify(intent)).join(" | ")}`;
  }

  #operations({ worlds: [world], grain }: Readonly<Model>): Operation[] {
    return world ? this.#intents.flatMap((intent) => operationOf(intent, this.#key, world, grain) ?? []) : [];
  }
}

function operationOf(intent: Intent, key: SessionKey, world: World, grain: number): Operation | undefined {
  const lived = world.sessions.get(key);
  switch (intent.kind) {
    case "bind": {
      const { kind, backend, ahead, to } = intent;
      return { kind, key, backend, expected: Math.max(0, generation(lived?.session, backend) + ahead), to };
    }
    case "park":
      return { kind: "park", key, idle: intent.grains * grain };
    case "advance": {
      if (!lived) return undefined;
      const { idle } = world.lifespan;
      const until = { ...deadlines(lived, world.lifespan), "most of idle": world.now + idle - (idle % grain) };
      const ms = until[intent.to] - world.now - (intent.short ? grain : 0);
      return ms > 0 ? { kind: "advance", ms } : undefined;
    }
    default:
      return { ...intent, key };
  }
}

async function perform(store: SessionStore, { advance }: Routers, operation: Operation): Promise<unknown> {
  switch (operation.kind) {
    case "create":
      return withoutTime(await store.create(operation.key, operation.session));
    case "find":
      return store.find(operation.key, operation.backend);
    case "load":
      return store.load(operation.key);
    case "touch":
      return withoutTime(await store.touch(operation.key, TOUCHED_FOR));
    case "park":
      return withoutTime(await store.park(operation.key, operation.idle));
    case "reap":
      return withoutTime(await store.reap(operation.key));
    case "bind":
      return store.bind(operation.key, operation.backend, operation.expected, operation.to);
    case "remember":
      return store.remember(operation.key, operation.backend, operation.change);
    case "remove":
      return store.remove(operation.key);
    case "advance":
      return advance(operation.ms);
    default:
      return operation satisfies never;
  }
}

/** Where the store's clock runs, what is left of a session differs by what went by. */
function withoutTime(outcome: object): object {
  return Object.fromEntries(Object.entries(outcome).filter(([name]) => name !== "expiresIn"));
}
