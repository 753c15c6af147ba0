/** The metrics for Prometheus. Each one, its labels and its help text are defined here. */
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { type CatalogueMetrics, catalogueMetrics } from "./catalogue-metrics.ts";
import { type CredentialMetrics, credentialMetrics } from "./credential-metrics.ts";

/** The values of one process at one moment, as it sends them to the primary. */
export type MetricsSnapshot = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

export interface Metrics
  extends CatalogueMetrics,
    CredentialMetrics,
    RequestMetrics,
    SessionMetrics,
    StoreMetrics,
    ProcessMetrics {
  /**
   * Renders Prometheus's text format.
   * @param others snapshots of other processes, to be aggregated with this one's
   */
  render(others?: readonly MetricsSnapshot[]): Promise<string>;
  snapshot(): Promise<MetricsSnapshot>;
  readonly contentType: string;
}

interface RequestMetrics {
  /** A request was sent on to a backend. */
  forwarded(route: string, how: string): void;
  /** The router answered a request with a refusal. */
  rejected(reason: string): void;
  /** A request in a session was not buffered, so it is not replayed if its session is lost. */
  requestNotKept(reason: string): void;
  /** A subscription or log level was not stored, so it is not restored if its session is lost. */
  notRemembered(reason: string): void;
  /** Envoy refused the mode override of a replayed answer. */
  overrideRefused(): void;
}

interface SessionMetrics {
  sessionCreated(route: string): void;
  sessionEnded(route: string): void;
  /** A session expired and was deleted. */
  sessionExpired(route: string): void;
  /** A session ended because a new configuration leads its route elsewhere. */
  sessionDismissed(route: string): void;
  /** A session was parked: its slot went to another session. */
  sessionParked(route: string): void;
  /** Numbers of sessions with a slot and of parked ones, of all routers that share the store. */
  sessions(live: number, parked: number): void;
  /** Maximum number of slots; undefined: unlimited. */
  sessionsCap(cap: number | undefined): void;
  /** A recovery ended with this outcome. */
  recovered(backend: string, outcome: string, seconds: number): void;
  /** A backend could not be told that one of its sessions ended. */
  backendNotTold(backend: string): void;
  /** The first session of a client at one of several backends was opened, or was not. */
  memberSession(backend: string, outcome: string): void;
  /** A backend's stream to a client was cut off, since an event of it did not end. */
  streamCutOff(backend: string, reason: string): void;
  /** Registers the gauge of the gateway's own streams. @param open reads how many there are now, and how many of backends they join */
  streams(open: () => { readonly clients: number; readonly backends: number }): void;
}

interface StoreMetrics {
  /** Whether the session store answers. */
  storeUp(up: boolean): void;
  /**
   * Registers the gauge of refusals: the session store answers, and refuses operations (out of memory, for example).
   * @param reasons all possible reasons
   * @param current reads the current ones
   */
  storeRefuses(reasons: readonly string[], current: () => readonly string[]): void;
  /** An operation of the session store failed or timed out. */
  storeFailed(operation: string): void;
}

interface ProcessMetrics {
  /**
   * A change of the configuration file was applied, or refused (then the last valid one stays in force).
   * @param isStale whether another file than the last one is in force. Default: where it was not ok
   */
  configReloaded(ok: boolean, isStale?: boolean): void;
  /** An Envoy that follows the configuration refuses what it was given. */
  envoyRefused(resource: string): void;
  /** An error was not handled. */
  untaken(how: string): void;
  /** A worker process exited unexpectedly. */
  workerRestarted(): void;
}

/** @param worker number of this worker, a label of all its metrics: so a worker's restart does not look like a restart of all */
export function createMetrics(worker?: number): Metrics {
  const registry = new Registry();
  if (worker !== undefined) registry.setDefaultLabels({ worker });
  collectDefaultMetrics({ register: registry });
  return {
    ...requestMetrics(registry),
    ...sessionMetrics(registry),
    ...storeMetrics(registry),
    ...processMetrics(registry),
    ...catalogueMetrics(registry),
    ...credentialMetrics(registry),
    render: async (others = []) => {
      if (others.length === 0) return registry.metrics();
      return AggregatorRegistry.aggregate([await registry.getMetricsAsJSON(), ...others]).metrics();
    },
    snapshot: () => registry.getMetricsAsJSON(),
    contentType: registry.contentType,
  };
}

function counterIn<Label extends string>(registry: Registry, name: string, help: string, labelNames: Label[] = []) {
  return new Counter({ name: `mcp_router_${name}`, help, labelNames, registers: [registry] });
}

function gaugeIn<Label extends string>(registry: Registry, name: string, help: string, labelNames: Label[] = []) {
  return new Gauge({ name: `mcp_router_${name}`, help, labelNames, registers: [registry] });
}

function requestMetrics(registry: Registry): RequestMetrics {
  const forwarded = counterIn(registry, "requests_forwarded_total", "Requests sent on to a backend", ["route", "how"]);
  const children = new Map<string, ReturnType<typeof forwarded.labels>>();
  const rejected = counterIn(registry, "requests_rejected_total", "Requests refused by the router, by reason", [
    "reason",
  ]);
  const notKept = counterIn(
    registry,
    "requests_not_kept_total",
    "Requests that the router could not replay if their session were lost",
    ["reason"],
  );
  const notRemembered = counterIn(
    registry,
    "not_remembered_total",
    "Subscriptions and log levels that the router could not restore if their session were lost",
    ["reason"],
  );
  const overridesRefused = counterIn(
    registry,
    "overrides_refused_total",
    "Times that a backend's answers were found not to be taken as Envoy was told, by mode overrides that it did not accept",
  );
  return {
    forwarded: (route, how) => {
      // One look-up of the labels per pair: every request is counted here.
      const key = `${how} ${route}`;
      const child = children.get(key) ?? forwarded.labels(route, how);
      children.set(key, child);
      child.inc();
    },
    rejected: (reason) => rejected.inc({ reason }),
    requestNotKept: (reason) => notKept.inc({ reason }),
    notRemembered: (reason) => notRemembered.inc({ reason }),
    overrideRefused: () => overridesRefused.inc(),
  };
}

function sessionMetrics(registry: Registry): SessionMetrics {
  const created = counterIn(registry, "sessions_created_total", "Sessions begun", ["route"]);
  const ended = counterIn(registry, "sessions_ended_total", "Sessions ended by DELETE", ["route"]);
  const expired = counterIn(registry, "sessions_expired_total", "Sessions ended by their expiry", ["route"]);
  const dismissed = counterIn(
    registry,
    "sessions_dismissed_total",
    "Sessions ended because a new configuration leads their route elsewhere",
    ["route"],
  );
  const parkedTotal = counterIn(registry, "sessions_parked_total", "Sessions whose slot went to another", ["route"]);
  const sessions = gaugeIn(
    registry,
    "sessions",
    "Sessions that hold a slot (live) or are parked, of all routers that share the store",
    ["state"],
  );
  // Created on first use: the primary of several workers has no sessions.
  let cap: Gauge | undefined;
  const recoveries = new Histogram({
    name: "mcp_router_recovery_seconds",
    help: "Duration of recoveries of sessions that seemed lost, by outcome",
    labelNames: ["backend", "outcome"],
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers: [registry],
  });
  const notTold = counterIn(
    registry,
    "backends_not_told_total",
    "Ended sessions of which a backend could not be told",
    ["backend"],
  );
  const members = counterIn(
    registry,
    "member_sessions_total",
    "First sessions of clients at a backend of a federated route, by outcome",
    ["backend", "outcome"],
  );
  const cutOff = counterIn(
    registry,
    "streams_cut_off_total",
    "Streams of backends to clients of federated routes that were cut off for an event that did not end",
    ["backend", "reason"],
  );
  return {
    sessionCreated: (route) => created.inc({ route }),
    sessionEnded: (route) => ended.inc({ route }),
    sessionExpired: (route) => expired.inc({ route }),
    sessionDismissed: (route) => dismissed.inc({ route }),
    sessionParked: (route) => parkedTotal.inc({ route }),
    sessions: (live, parked) => {
      sessions.set({ state: "live" }, live);
      sessions.set({ state: "parked" }, parked);
    },
    sessionsCap: (most) => {
      cap ??= gaugeIn(registry, "sessions_cap", "Maximum number of sessions that hold a slot (admission.sessions)");
      cap.set(most ?? Number.POSITIVE_INFINITY);
    },
    recovered: (backend, outcome, seconds) => recoveries.observe({ backend, outcome }, seconds),
    backendNotTold: (backend) => notTold.inc({ backend }),
    memberSession: (backend, outcome) => members.inc({ backend, outcome }),
    streamCutOff: (backend, reason) => cutOff.inc({ backend, reason }),
    streams: streamGauge(registry),
  };
}

function streamGauge(registry: Registry): SessionMetrics["streams"] {
  return (open) => {
    new Gauge({
      name: "mcp_router_streams",
      help: "Event streams of the gateway's own: of clients, and those of backends that they join",
      labelNames: ["of"],
      registers: [registry],
      collect() {
        const { clients, backends } = open();
        this.set({ of: "client" }, clients);
        this.set({ of: "backend" }, backends);
      },
    });
  };
}

function storeMetrics(registry: Registry): StoreMetrics {
  const failures = counterIn(registry, "store_failures_total", "Operations of the session store that failed", [
    "operation",
  ]);
  // Created on first use: the primary of several workers has no store.
  let up: Gauge | undefined;
  return {
    storeUp: (answers) => {
      up ??= gaugeIn(registry, "store_up", "1 while the session store answers");
      up.set(answers ? 1 : 0);
    },
    storeRefuses: (reasons, current) => {
      new Gauge({
        name: "mcp_router_store_refusing",
        help: "1 while the session store answers and refuses operations for this reason",
        labelNames: ["reason"],
        registers: [registry],
        collect() {
          const now = current();
          for (const reason of reasons) this.set({ reason }, now.includes(reason) ? 1 : 0);
        },
      });
    },
    storeFailed: (operation) => failures.inc({ operation }),
  };
}

function processMetrics(registry: Registry): ProcessMetrics {
  const reloads = counterIn(registry, "config_reloads_total", "Changes of the configuration file, by outcome", [
    "outcome",
  ]);
  const stale = gaugeIn(
    registry,
    "config_stale",
    "1 while an older configuration is in force because the file was refused",
  );
  const refusals = counterIn(
    registry,
    "envoy_refusals_total",
    "Configurations that an Envoy which follows them has refused, by what Envoy asked for",
    ["resource"],
  );
  const untaken = counterIn(registry, "untaken_errors_total", "Unhandled errors of the router or its libraries", [
    "how",
  ]);
  const restarts = counterIn(registry, "worker_restarts_total", "Worker processes that exited unexpectedly");
  return {
    configReloaded: (ok, isStale = !ok) => {
      reloads.inc({ outcome: ok ? "applied" : "refused" });
      stale.set(isStale ? 1 : 0);
    },
    envoyRefused: (resource) => refusals.inc({ resource }),
    untaken: (how) => untaken.inc({ how }),
    workerRestarted: () => restarts.inc(),
  };
}
