/**
 * Gives a session that its backend has lost another one there: asks whether it is lost, and has another one opened. One recovery at
 * a time for each binding in this process; over routers, the opening sees to that.
 */
import type { Turn } from "../backends/begin.ts";
import type { Egress } from "../backends/client.ts";
import type { SessionEnder } from "../backends/end.ts";
import { createSessionOpener, type OpenRequest, type SessionOpener } from "../backends/open.ts";
import { createRpc, type Rpc } from "../backends/rpc.ts";
import { sleep } from "../backends/sleep.ts";
import type { Locks } from "../locks/locks.ts";
import { createSemaphore, type Semaphore } from "../locks/semaphore.ts";
import type { SessionKey } from "../sessions/id.ts";
import type { SessionStore } from "../sessions/store.ts";
import { createAliveSessions } from "./alive.ts";
import { createInFlight, type Waiters } from "./in-flight.ts";
import { type Loss, recoveryName } from "./loss.ts";
import { type Attempted, LEFT, type Outcome, outcomeOf, settle, whyOf } from "./outcome.ts";
import { probe } from "./probe.ts";

export type RecoveryEvent = {
  readonly kind: "recovery";
  readonly key: SessionKey;
  readonly backend: string;
  readonly suspicion: Loss["suspicion"];
  readonly outcome: Outcome["kind"];
  readonly why: string | undefined;
  readonly from: string;
  readonly to: string | undefined;
  readonly ms: number;
};

export interface RecoveryDependencies {
  readonly store: SessionStore;
  readonly locks: Locks;
  readonly egress: Egress;
  readonly ender: Pick<SessionEnder, "end" | "endIfThere">;
  readonly observe: (event: RecoveryEvent) => void;
}

export interface Recovery {
  /** Resolves early where the signal says that the request has ended. Never rejects. */
  recover(loss: Loss, signal: AbortSignal): Promise<Outcome>;
}

/** Recoveries under way at once at one backend: when one with thousands of sessions restarts, they take turns. */
const MOST_AT_ONCE = 128;

export function createRecovery({ store, locks, egress, ender, observe }: RecoveryDependencies): Recovery {
  const rpc = createRpc(egress);
  const opener = createSessionOpener({ store, locks, rpc, ender });
  const inFlight = createInFlight<Outcome>();
  const alive = createAliveSessions();
  /** By backend: a slow one must not hold up another. Backends come from the configuration, so these are few. */
  const turns = new Map<string, Semaphore>();
  const turnsOf = (backend: string): Semaphore => {
    const known = turns.get(backend) ?? createSemaphore(MOST_AT_ONCE);
    turns.set(backend, known);
    return known;
  };

  const run = async (loss: Loss, waiters: Waiters): Promise<Outcome> => {
    const started = performance.now();
    const outcome = await inTurn(turnsOf(loss.backend.name), loss, waiters, (turn) => attempt(rpc, opener, loss, turn));
    // The lost session may live on: where nobody could reach it, or behind an address that leads to several servers. A parked one
    // was ended already.
    if (outcome.kind === "recovered" && loss.suspicion !== "parked") ender.endIfThere(loss, loss.used, loss.headers);
    observe({
      kind: "recovery",
      key: loss.key,
      backend: loss.backend.name,
      suspicion: loss.suspicion,
      outcome: outcome.kind,
      why: whyOf(outcome),
      from: loss.used.endpoint,
      to: "binding" in outcome ? outcome.binding.endpoint : undefined,
      ms: performance.now() - started,
    });
    return outcome;
  };

  return {
    async recover(loss, signal) {
      const by = alive.find(loss);
      if (by) return { kind: "alive", by };
      const outcome = await inFlight.join(recoveryName(loss), (waiters) => run(loss, waiters), signal);
      if (outcome?.kind === "alive") alive.add(loss, outcome.by);
      return outcome ?? LEFT;
    },
  };
}

/** Runs an attempt while it holds one of the permits of its backend. Never rejects. */
async function inTurn(
  permits: Semaphore,
  loss: Loss,
  { left, commit }: Waiters,
  run: (turn: Turn) => Promise<Attempted>,
): Promise<Outcome> {
  const bound = AbortSignal.timeout(loss.backend.timeouts.initialize);
  const signal = AbortSignal.any([left, bound]);
  let release = await permits.acquire(signal);
  const rest = async (ms: number) => {
    release?.();
    release = undefined;
    if (!(await sleep(ms, signal))) return false;
    release = await permits.acquire(signal);
    return release !== undefined;
  };
  try {
    const attempted: Attempted = release ? await run({ signal, bound, rest, commit }) : { kind: "aborted" };
    return settle(attempted, left);
  } catch (fault) {
    // A store or lock has broken its promise not to reject.
    const error = fault instanceof Error ? fault.message : String(fault);
    return left.aborted ? LEFT : { kind: "failed", why: { reason: "broken", error }, passes: bound.aborted };
  } finally {
    release?.();
  }
}

async function attempt(rpc: Rpc, opener: SessionOpener, loss: Loss, turn: Turn): Promise<Attempted> {
  const { suspicion } = loss;
  if (suspicion === "unreachable" || suspicion === "parked")
    return outcomeOf(await opener.open(openRequest(loss), turn));
  // Also where the session has moved on meanwhile: a backend that still serves the old one has served this request.
  const probed = await probe(rpc, loss, turn.signal);
  if (probed.kind !== "probed") return probed;
  if (!probed.isLost) return { kind: "alive", by: "ping" };
  const outcome = outcomeOf(await opener.open(openRequest(loss), turn));
  return "binding" in outcome ? { ...outcome, ping: probed.ping } : outcome;
}

function openRequest({ backend, query, key, headers, used, version, suspicion }: Loss): OpenRequest {
  return {
    backend,
    query,
    key,
    credentials: headers,
    expected: used.generation,
    lastEndpoint: used.endpoint,
    version,
    surfacesLogin: suspicion === "probe-and-log-in",
  };
}
