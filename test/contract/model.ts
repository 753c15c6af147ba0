/**
 * The promises of src/sessions/store.ts as a pure model, which real stores are held against. What was at once has no
 * order of its own, and two orders may look the same from outside: so one keeps all worlds that explain what was seen.
 */

import { isDeepStrictEqual } from "node:util";
import type { BackendSession } from "../../src/core/session.ts";
import type { SessionKey } from "../../src/sessions/id.ts";
import {
  type Binding,
  type Lifespan,
  NO_STATE,
  parkedBinding,
  REAP_GRACE_MS,
  type Session,
  type StateChange,
  touchSlack,
} from "../../src/sessions/store.ts";

/** The backend that a touch tells the binding to. */
export const TOUCHED_FOR = "one";

export type Operation =
  | { readonly kind: "create"; readonly key: SessionKey; readonly session: Session }
  | { readonly kind: "load" | "touch" | "remove" | "reap"; readonly key: SessionKey }
  | { readonly kind: "find"; readonly key: SessionKey; readonly backend: string }
  | {
      readonly kind: "bind";
      readonly key: SessionKey;
      readonly backend: string;
      readonly expected: number;
      readonly to: BackendSession;
    }
  /** Of fewer subscriptions than a session remembers. */
  | { readonly kind: "remember"; readonly key: SessionKey; readonly backend: string; readonly change: StateChange }
  | { readonly kind: "park"; readonly key: SessionKey; readonly idle: number }
  | { readonly kind: "advance"; readonly ms: number };

/** An operation on what is real, and what that answered. */
export interface Seen<Asked = Operation> {
  readonly operation: Asked;
  readonly outcome: unknown;
}

/** What an operation answers in a world, and the world after it. */
export type Step<World, Asked> = (
  world: World,
  operation: Asked,
) => { readonly outcome: unknown; readonly world: World };

interface Lived {
  readonly session: Session;
  readonly createdAt: number;
  /** undefined: never. */
  readonly touchedAt: number | undefined;
  readonly lifetimeEnds: number;
}

export interface World {
  readonly lifespan: Lifespan;
  readonly now: number;
  /** Those alive now. */
  readonly sessions: ReadonlyMap<SessionKey, Lived>;
  /** Those that expired and can still be reaped. */
  readonly expired: ReadonlyMap<SessionKey, Expired>;
}

interface Expired {
  readonly session: Session;
  /** The first ms at which it can no longer be reaped. */
  readonly graceEnds: number;
}

export function emptyWorld(lifespan: Lifespan): World {
  return { lifespan, now: 0, sessions: new Map(), expired: new Map() };
}

export interface Deadlines {
  /** The first ms at which a touch is due. */
  readonly touchDue: number;
  /** The first that is not lived for want of a touch. */
  readonly idleEnds: number;
  /** The first that is not lived in any case. */
  readonly lifetimeEnds: number;
}

export function deadlines({ createdAt, touchedAt, lifetimeEnds }: Lived, lifespan: Lifespan): Deadlines {
  const slack = touchSlack(lifespan);
  if (touchedAt === undefined) {
    const firstLife = Math.min(lifespan.unused, lifespan.idle + slack);
    return { touchDue: createdAt, idleEnds: createdAt + firstLife, lifetimeEnds };
  }
  return { touchDue: touchedAt + slack + 1, idleEnds: touchedAt + lifespan.idle + slack, lifetimeEnds };
}

export function generation(session: Session | undefined, backend: string): number {
  return bindingOf(session, backend)?.generation ?? 0;
}

/** The worlds that some order of what was seen at once leads to, from some world of before. None: a promise is broken. */
export function explain<World, Asked>(
  step: Step<World, Asked>,
  worlds: readonly World[],
  seen: readonly Seen<Asked>[],
): readonly World[] {
  if (seen.length === 0) return worlds;
  const after = seen.flatMap(({ operation, outcome }, at) => {
    const next = worlds.map((world) => step(world, operation));
    const agreeing = next.filter((one) => isDeepStrictEqual(one.outcome, outcome)).map(({ world }) => world);
    return agreeing.length === 0 ? [] : explain(step, agreeing, seen.toSpliced(at, 1));
  });
  return after.filter((world, at) => after.findIndex((other) => isDeepStrictEqual(other, world)) === at);
}

/** Whether in no order of these a world comes nearer to a deadline ahead than by `grain`: there a running clock decides. */
export function keepsClear(worlds: readonly World[], operations: readonly Operation[], grain: number): boolean {
  return (
    worlds.every((world) => isClear(world, grain)) &&
    operations.every((operation, at) => {
      const next = worlds.map((world) => step(world, operation).world);
      return keepsClear(next, operations.toSpliced(at, 1), grain);
    })
  );
}

function isClear({ lifespan, now, sessions, expired }: World, grain: number): boolean {
  const ahead = [...sessions.values()].flatMap((lived) => Object.values(deadlines(lived, lifespan)));
  ahead.push(...[...expired.values()].map(({ graceEnds }) => graceEnds));
  return ahead.every((deadline) => deadline <= now || deadline - now >= grain);
}

export function step(world: World, operation: Operation): ReturnType<Step<World, Operation>> {
  const same = (outcome: unknown) => ({ outcome, world });
  if (operation.kind === "advance") return { outcome: undefined, world: later(world, operation.ms) };

  const { key } = operation;
  const lived = world.sessions.get(key);
  const becomes = (outcome: unknown, next: Lived | undefined) => {
    const sessions = new Map(world.sessions);
    if (next) sessions.set(key, next);
    else sessions.delete(key);
    const expired = new Map(world.expired);
    expired.delete(key);
    return { outcome, world: { ...world, sessions, expired } };
  };
  if (operation.kind === "create") {
    if (lived) return same({ kind: "exists" });
    const { session } = operation;
    const lifetimeEnds = world.now + world.lifespan.lifetime;
    return becomes({ kind: "created" }, { session, createdAt: world.now, touchedAt: undefined, lifetimeEnds });
  }
  const gone = world.expired.get(key);
  if (operation.kind === "reap" && gone) return becomes({ kind: "reaped", session: gone.session }, undefined);
  if (!lived) return same({ kind: "unknown" });
  const { session } = lived;
  switch (operation.kind) {
    case "find": {
      const { owner, route, remembered } = session;
      const view = {
        owner,
        route,
        binding: bindingOf(session, operation.backend),
        listening: remembered?.get(operation.backend)?.listening,
      };
      return same({ kind: "found", session: view, touchDue: world.now >= deadlines(lived, world.lifespan).touchDue });
    }
    case "load":
      return same({ kind: "loaded", session });
    case "touch":
      return becomes({ kind: "touched", binding: bindingOf(session, TOUCHED_FOR) }, { ...lived, touchedAt: world.now });
    case "park": {
      if (lived.touchedAt !== undefined && world.now - lived.touchedAt < operation.idle) return same({ kind: "used" });
      const parked = Object.entries(session.bindings).map(([backend, one]) => [backend, parkedBinding(one)]);
      const bindings = Object.fromEntries(parked);
      return becomes({ kind: "parked", session }, { ...lived, session: { ...session, bindings } });
    }
    case "remove":
      return becomes({ kind: "removed", session }, undefined);
    case "reap":
      return same({ kind: "alive" });
    case "bind": {
      const { backend, expected, to } = operation;
      if (generation(session, backend) !== expected)
        return same({ kind: "conflict", binding: bindingOf(session, backend) });
      const binding = { ...to, generation: expected + 1 };
      const bindings = { ...session.bindings, [backend]: binding };
      return becomes({ kind: "bound", binding }, { ...lived, session: { ...session, bindings } });
    }
    case "remember":
      return becomes(
        { kind: "remembered" },
        { ...lived, session: remembering(session, operation.backend, operation.change) },
      );
    default:
      return operation satisfies never;
  }
}

function remembering({ remembered: before, ...session }: Session, backend: string, change: StateChange): Session {
  const told = before?.get(backend) ?? NO_STATE;
  const subscriptions = new Map(told.subscriptions);
  if (change.kind === "subscribe") subscriptions.set(change.uri, change.params);
  if (change.kind === "unsubscribe") subscriptions.delete(change.uri);
  const level = change.kind === "level" ? change.params : told.level;
  const listening = change.kind === "listening" ? change.generation : told.listening;
  const after = new Map(before).set(backend, { level, subscriptions, listening });
  // Nothing is known of a backend in whose session nothing was said.
  if (level === undefined && subscriptions.size === 0 && listening === undefined) after.delete(backend);
  return after.size === 0 ? session : { ...session, remembered: after };
}

function later(world: World, ms: number): World {
  const now = world.now + ms;
  const sessions = new Map<SessionKey, Lived>();
  const expired = new Map([...world.expired].filter(([, { graceEnds }]) => now < graceEnds));
  for (const [key, lived] of world.sessions) {
    const { idleEnds, lifetimeEnds } = deadlines(lived, world.lifespan);
    const ends = Math.min(idleEnds, lifetimeEnds);
    if (now < ends) sessions.set(key, lived);
    else if (now < ends + REAP_GRACE_MS) expired.set(key, { session: lived.session, graceEnds: ends + REAP_GRACE_MS });
  }
  return { ...world, now, sessions, expired };
}

function bindingOf(session: Session | undefined, backend: string): Binding | undefined {
  return session && Object.hasOwn(session.bindings, backend) ? session.bindings[backend] : undefined;
}
