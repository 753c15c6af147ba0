/**
 * Gives a session that its backend has lost another one there: asks whether it is lost, and has another one opened. One recovery at
 * a time for each binding in this process; over routers, the opening sees to that.
 */
import type { Turn } from "../backends/begin.ts";
import type { SessionEnder } from "../backends/end.ts";
import { createInFlight, type Waiters } from "../backends/in-flight.ts";
import type { OpenRequest, SessionOpener } from "../backends/open.ts";
import type { Rpc } from "../backends/rpc.ts";
import type { Turns } from "../backends/turns.ts";
import type { SessionKey } from "../sessions/id.ts";
import { createAliveSessions } from "./alive.ts";
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
  readonly rpc: Rpc;
  readonly opener: SessionOpener;
  readonly turns: Turns;
  readonly ender: Pick<SessionEnder, "endIfThere">;
  readonly observe: (event: RecoveryEvent) => void;
}

export interface Recovery {
  /** Resolves early where the signal says that the request has ended. Never rejects. */
  recover(loss: Loss, signal: AbortSignal): Promise<Outcome>;
}

export function createRecovery({ rpc, opener, turns, ender, observe }: RecoveryDependencies): Recovery {
  const inFlight = createInFlight<Outcome>();
  const alive = createAliveSessions();

  const run = async (loss: Loss, waiters: Waiters): Promise<Outcome> => {
    const started = performance.now();
    const attempted = await turns.run(loss.backend, waiters, (turn) => attempt(rpc, opener, loss, turn));
    const outcome = settle(attempted, waiters.left);
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

function openRequest({ backend, query, key, headers, used, version, ofSeveral, suspicion }: Loss): OpenRequest {
  return {
    backend,
    query,
    key,
    credentials: headers,
    expected: used.generation,
    lastEndpoint: used.endpoint,
    version,
    ofSeveral,
    surfacesLogin: suspicion === "probe-and-log-in",
  };
}
