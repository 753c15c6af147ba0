/** Builds the gateway of one process, and what runs beside its requests: the sweep, parking, and the touches of long requests. */
import { createAdmission } from "./admission/admission.ts";
import { createInUse, type InUse } from "./admission/in-use.ts";
import type { Ledger } from "./admission/ledger.ts";
import { parkingLedger } from "./admission/parking.ts";
import { startSweeper } from "./admission/sweeper.ts";
import { createEgress, type Egress } from "./backends/client.ts";
import { credentialHeaders } from "./backends/credentials.ts";
import { createSessionEnder, type SessionEnder } from "./backends/end.ts";
import { createFirstSessions } from "./backends/first-session.ts";
import { createSessionOpener } from "./backends/open.ts";
import { createRpc } from "./backends/rpc.ts";
import { createTurns } from "./backends/turns.ts";
import type { Config } from "./config/load.ts";
import { formatAddress } from "./core/address.ts";
import { lookEvery } from "./core/parking.ts";
import { type Catalogue, createCatalogue } from "./federation/catalogue.ts";
import type { CatalogueEvent } from "./federation/events.ts";
import { createFanOut } from "./federation/fan-out.ts";
import { createListeners, type Listeners } from "./federation/listeners.ts";
import type { Gateway } from "./gateway/exchange.ts";
import { createGateway } from "./gateway/gateway.ts";
import { type AtCap, capObserver } from "./observe/cap.ts";
import { catalogueObserver } from "./observe/catalogue.ts";
import { memberObserver } from "./observe/members.ts";
import { recoveryObserver } from "./observe/recoveries.ts";
import { requestObserver } from "./observe/requests.ts";
import { sweepObserver } from "./observe/sweeps.ts";
import { createBudget } from "./recovery/budget.ts";
import { createModeOverrideHealth } from "./recovery/mode-override.ts";
import { createRecovery } from "./recovery/recover.ts";
import { createRecoveredAnswers } from "./recovery/recovered-answer.ts";
import { createReplayableRequests } from "./recovery/replayable.ts";
import { createResume } from "./recovery/resume.ts";
import type { ConfigInForce } from "./reload.ts";
import type { SessionKey } from "./sessions/id.ts";
import type { SharedState } from "./shared-state.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { VERSION } from "./version.ts";

export interface GatewayParts {
  /** The configuration that the process was started with. */
  readonly config: Config;
  readonly inForce: ConfigInForce;
  readonly shared: SharedState;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Gets a release for each resource that is opened. */
  readonly started: AsyncDisposableStack;
}

export interface OpenedGateway {
  readonly gateway: Gateway;
  /** Streams of the gateway's own. */
  readonly streams: Pick<Listeners, "open" | "reconfigured" | "close">;
  readonly catalogue: Pick<Catalogue, "report">;
}

export function openGateway(parts: GatewayParts): OpenedGateway {
  const { config, inForce, shared, metrics, log, started } = parts;
  const { store, locks } = shared;
  const egress = createEgress(`http://${formatAddress(config.egress.address)}`);
  started.defer(() => egress.close());
  const atCap = capObserver(log, () => inForce.policy.admission.sessions);
  const { ender, ledger, inUse } = startUpkeep(parts, egress, atCap);
  const rpc = createRpc(egress);
  const opener = createSessionOpener({ store, locks, rpc, ender });
  const turns = createTurns();
  const recovery = createRecovery({ rpc, opener, turns, ender, observe: recoveryObserver(metrics, log) });
  const observeMember = memberObserver(metrics, log);
  const listeners = openListeners(parts, inUse);
  const catalogue = openCatalogue(parts, egress, listeners);
  const observer = requestObserver(metrics, log, atCap);
  const gateway = createGateway({
    policy: () => inForce.policy,
    store,
    ledger,
    admission: createAdmission(ledger),
    inUse,
    resume: createResume(recovery),
    openFirst: createFirstSessions({ opener, turns, observe: observeMember }),
    catalogue,
    endStream: listeners.end,
    rpc: createRpc(egress, "list"),
    fanOut: createFanOut({ store, egress, observe: observeMember }),
    replayable: createReplayableRequests(createBudget(config.limits.replayBodies)),
    recovered: createRecoveredAnswers({
      recovery,
      egress,
      overrides: createModeOverrideHealth(),
      answers: createBudget(config.limits.recoveredAnswers),
      overrideRefused: (missed, route) => observer({ kind: "override-refused", route, missed }),
    }),
    abandon: (backend, begun, headers) =>
      ender.end(backend, begun, credentialHeaders(headers, inForce.backend(backend)?.origin ?? "remove")),
    // Metrics and log lines relate no events to each other, so all requests share one observer.
    observe: { request: () => observer },
  });
  return { gateway, streams: streamsOf(parts, listeners, catalogue), catalogue };
}

/** What keeps sessions, slots and backend sessions in step beside requests. */
interface Upkeep {
  readonly ender: SessionEnder;
  readonly ledger: Ledger;
  readonly inUse: InUse;
}

function startUpkeep(
  { config, inForce, shared, metrics, log, started }: GatewayParts,
  egress: Egress,
  atCap: AtCap,
): Upkeep {
  const { store } = shared;
  const observe = sweepObserver(metrics, log, atCap);
  const ender = createSessionEnder({ egress, backendOf: inForce.backend, observe });
  const { sweep: interval, idle } = config.sessions;
  const sweeper = startSweeper({ ledger: shared.ledger, store, end: ender.end, interval, observe });
  started.defer(() => ender.stop(sweeper.stop()));
  const ledger = parkingLedger({
    ledger: shared.ledger,
    store,
    tell: ender.endInTurn,
    recovers: (backend) => inForce.backend(backend)?.onSessionLost === "recover",
    observe,
  });
  const inUse = createInUse({ store, ledger, every: () => lookEvery(inForce.policy.admission.parking, idle) });
  started.defer(() => inUse.stop());
  return { ender, ledger, inUse };
}

function openCatalogue(
  { inForce, metrics, log, started }: GatewayParts,
  egress: Egress,
  listeners: Pick<Listeners, "changed" | "paths">,
): Catalogue {
  const report = catalogueObserver(metrics, log);
  const observe = (event: CatalogueEvent) => {
    report(event);
    // What one principal is offered is nothing to the others.
    const isChange = event.kind === "changed" || (event.kind === "expired" && event.why === "failing");
    if (isChange && event.shared) listeners.changed(event.backend, event.list);
  };
  const heardOn = listeners.paths;
  const catalogue = createCatalogue({ egress, policy: () => inForce.policy, version: VERSION, observe, heardOn });
  started.defer(() => catalogue.close());
  return catalogue;
}

function openListeners({ inForce }: GatewayParts, inUse: InUse): Listeners {
  return createListeners({
    routes: () => [...inForce.policy.routes.values()].filter((route) => route.kind === "federated"),
    use({ key, owner }, gone) {
      // Safe: a processor has written the key of a session.
      const use = { key: key as SessionKey, principal: owner, backend: undefined, gone };
      inUse.begin(use);
      return () => inUse.end(use);
    },
  });
}

/** Another router may have served the client so far. From the first stream on, this one knows what the route offers. */
function streamsOf({ inForce }: GatewayParts, listeners: Listeners, catalogue: Catalogue): OpenedGateway["streams"] {
  return {
    open(of, sink) {
      const route = inForce.policy.routes.get(of.path);
      if (route?.kind === "federated") catalogue.view(route, undefined);
      return listeners.open(of, sink);
    },
    reconfigured: listeners.reconfigured,
    close: listeners.close,
  };
}
