/** Builds the gateway of one process, and what runs beside its requests: the sweep, parking, and the touches of long requests and streams. */
import { createAdmission } from "./admission/admission.ts";
import { createDismissals, type Dismissals } from "./admission/dismiss.ts";
import { createInUse, type InUse } from "./admission/in-use.ts";
import type { Ledger } from "./admission/ledger.ts";
import { parkingLedger } from "./admission/parking.ts";
import { createRelayedUses, type RelayedUses } from "./admission/relayed-uses.ts";
import { startSweeper } from "./admission/sweeper.ts";
import { createEgress, type Egress } from "./backends/client.ts";
import { credentialHeaders } from "./backends/credentials.ts";
import { createSessionEnder, type SessionEnder } from "./backends/end.ts";
import { createFirstSessions } from "./backends/first-session.ts";
import { createLoginMetadata } from "./backends/metadata.ts";
import { createSessionOpener } from "./backends/open.ts";
import { createRpc } from "./backends/rpc.ts";
import { createTurns } from "./backends/turns.ts";
import { formatAddress } from "./core/address.ts";
import { lookEvery } from "./core/parking.ts";
import type { RequestPolicy } from "./core/routes.ts";
import type { Catalogue } from "./federation/catalogue.ts";
import { createFanOut } from "./federation/fan-out.ts";
import { UnfinishedEvents } from "./federation/unfinished.ts";
import type { Gateway } from "./gateway/exchange.ts";
import { createGateway } from "./gateway/gateway.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { joinedFirst, joinedRecovery } from "./joined.ts";
import { type AtCap, capObserver } from "./observe/cap.ts";
import { memberObserver } from "./observe/members.ts";
import { recoveryObserver } from "./observe/recoveries.ts";
import { requestObserver } from "./observe/requests.ts";
import { sweepObserver } from "./observe/sweeps.ts";
import { openStreams, type Streams } from "./open-streams.ts";
import { createBudget } from "./recovery/budget.ts";
import { createListensAgain } from "./recovery/listened.ts";
import { createModeOverrideHealth } from "./recovery/mode-override.ts";
import { createRecovery } from "./recovery/recover.ts";
import { createRecoveredAnswers } from "./recovery/recovered-answer.ts";
import { createReplayableRequests } from "./recovery/replayable.ts";
import { createResume } from "./recovery/resume.ts";
import type { SessionKey } from "./sessions/id.ts";
import type { SessionStore } from "./sessions/store.ts";
import { telling } from "./told-store.ts";

export interface OpenedGateway {
  readonly gateway: Gateway;
  readonly streams: Pick<Streams, "open" | "subscribe" | "close">;
  readonly catalogue: Pick<Catalogue, "report">;
  readonly relayed: RelayedUses["report"];
  /** Another configuration is in force. @param before the routes until now */
  reconfigured(before: RequestPolicy["routes"]): void;
}

export function openGateway(parts: GatewayParts): OpenedGateway {
  const { config, inForce, shared, credentials, metrics, log, started } = parts;
  const { locks } = shared;
  const store = telling(shared.store, (key) => streams.sessionChanged(key));
  const egress = createEgress(`http://${formatAddress(config.egress.address)}`, credentials);
  started.defer(() => egress.close());
  const atCap = capObserver(log, () => inForce.policy.admission.sessions);
  const upkeep = startUpkeep(parts, { store, egress, atCap, closed: (key) => streams.sessionEnded(key) });
  const { ender, ledger, inUse, relayed, dismissals } = upkeep;
  const rpc = createRpc(egress);
  const opener = createSessionOpener({ store, locks, rpc, ender });
  const turns = createTurns();
  const recovery = joinedRecovery(
    createRecovery({ rpc, opener, turns, ender, observe: recoveryObserver(metrics, log) }),
    (...at) => streams.joined(...at),
  );
  const observeMember = memberObserver(metrics, log);
  const resume = createResume(recovery);
  const observer = requestObserver(metrics, log, atCap);
  const streams = openStreams(parts, { egress, inUse, resume, observe: observer });
  const { catalogue } = streams;
  const filtered = new UnfinishedEvents(() => inForce.policy.limits.filteredAnswers);
  const gateway = createGateway({
    policy: () => inForce.policy,
    credentials,
    login: createLoginMetadata(egress),
    store,
    ledger,
    admission: createAdmission(ledger),
    inUse,
    resume,
    openFirst: joinedFirst(createFirstSessions({ opener, turns, observe: observeMember }), streams.joined),
    catalogue,
    endStream: streams.sessionEnded,
    rpc: createRpc(egress, "list"),
    fanOut: createFanOut({ store, egress, observe: observeMember }),
    rewrites: createModeOverrideHealth(),
    hold: (holder) => filtered.at(holder).set,
    replayable: createReplayableRequests(createBudget(config.limits.replayBodies)),
    recovered: createRecoveredAnswers({
      recovery,
      egress,
      listensAgain: createListensAgain(store),
      overrides: createModeOverrideHealth(),
      answers: createBudget(config.limits.recoveredAnswers),
      overrideRefused: (missed, route) => observer({ kind: "override-refused", route, missed }),
    }),
    abandon: (backend, begun, headers) =>
      ender.end(backend, begun, credentialHeaders(headers, inForce.backend(backend)?.origin ?? "remove")),
    // Metrics and log lines relate no events to each other, so all requests share one observer.
    observe: { request: () => observer },
  });
  return {
    gateway,
    streams,
    catalogue,
    relayed,
    reconfigured(before) {
      streams.reconfigured();
      dismissals.reconfigured(before);
    },
  };
}

/** What keeps sessions, slots and backend sessions in step beside requests. */
interface Upkeep {
  readonly ender: SessionEnder;
  readonly ledger: Ledger;
  readonly inUse: InUse;
  readonly relayed: RelayedUses["report"];
  readonly dismissals: Dismissals;
}

interface UpkeepNeeds {
  /** Tells streams of what changes in it. */
  readonly store: SessionStore;
  readonly egress: Egress;
  readonly atCap: AtCap;
  /** Ends what the gateway itself keeps open for a session. */
  readonly closed: (key: SessionKey) => void;
}

function startUpkeep(
  { config, inForce, shared, metrics, log, started }: GatewayParts,
  { store: telling, egress, atCap, closed }: UpkeepNeeds,
): Upkeep {
  const { store } = shared;
  const observe = sweepObserver(metrics, log, atCap);
  const ender = createSessionEnder({ egress, backendOf: inForce.backend, observe });
  const { sweep: interval, idle } = config.sessions;
  const sweeper = startSweeper({ ledger: shared.ledger, store, end: ender.end, interval, observe });
  const dismissals = createDismissals({
    ledger: shared.ledger,
    store: telling,
    routes: () => inForce.policy.routes,
    tell: ender.endAt,
    closed,
    observe,
  });
  started.defer(() => ender.stop(Promise.all([sweeper.stop(), dismissals.stop()]).then(() => undefined)));
  const ledger = parkingLedger({
    ledger: shared.ledger,
    store,
    tell: ender.endInTurn,
    recovers: (backend) => inForce.backend(backend)?.onSessionLost === "recover",
    observe,
  });
  const inUse = createInUse({ store, ledger, every: () => lookEvery(inForce.policy.admission.parking, idle) });
  started.defer(() => inUse.stop());
  const relayed = createRelayedUses(store, ledger);
  started.defer(() => relayed.settled());
  return { ender, ledger, inUse, relayed: relayed.report, dismissals };
}
