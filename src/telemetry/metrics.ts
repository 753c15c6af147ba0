/** What Prometheus is told. Each metric, its labels and its meaning are defined here. */
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** The values of one process at one moment, to be sent to another. */
export type MetricsSnapshot = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

export interface Metrics {
  /** Requests sent on to a backend. */
  forwarded(route: string, how: string): void;
  /** Requests that we answered with a refusal. */
  rejected(reason: string): void;
  /** A request of a session was not kept, so it is not sent again if that is lost. */
  requestNotKept(reason: string): void;
  /** What a backend was told in a session is not remembered, so it is not told again if it loses the session. */
  notRemembered(reason: string): void;
  sessionCreated(route: string): void;
  sessionEnded(route: string): void;
  /** A session expired, and was taken away. */
  sessionExpired(route: string): void;
  /** A session was parked: its slot went to another. */
  sessionParked(route: string): void;
  /** How many sessions hold a slot, and how many are parked, of all routers that share them. */
  sessions(live: number, parked: number): void;
  /** How many may hold a slot; undefined: any number. */
  sessionsCap(cap: number | undefined): void;
  /** A session that seemed lost was looked at, and what came of it. */
  recovered(backend: string, outcome: string, seconds: number): void;
  /** Envoy refused to take an answer in place of a backend's. */
  overrideRefused(): void;
  /** A backend was not told that a session of it has ended. */
  backendNotTold(backend: string): void;
  /** A change of the configuration file was taken, or refused (then the last good one stays in force). */
  configReloaded(ok: boolean): void;
  /** Whether the session store answers. */
  storeUp(up: boolean): void;
  /**
   * The session store is there, and may refuse something: for want of memory, say.
   * @param reasons all that there can be
   * @param current those for which it does now
   */
  storeRefuses(reasons: readonly string[], current: () => readonly string[]): void;
  /** An operation of the session store failed, or took too long. */
  storeFailed(operation: string): void;
  /** An error came that nobody took. */
  untaken(how: string): void;
  /** A worker process ended by itself. */
  workerRestarted(): void;
  /** The text format of Prometheus, of this process and of those that others are. */
  render(others?: readonly MetricsSnapshot[]): Promise<string>;
  snapshot(): Promise<MetricsSnapshot>;
  readonly contentType: string;
}

/** @param worker of several: a label of all that it counts, so that its restart is not taken for one of all */
export function createMetrics(worker?: number): Metrics {
  const registry = new Registry();
  if (worker !== undefined) registry.setDefaultLabels({ worker });
  collectDefaultMetrics({ register: registry });
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name: `mcp_router_${name}`, help, labelNames, registers: [registry] });

  const forwarded = counter("requests_forwarded_total", "Requests sent on to a backend", ["route", "how"]);
  const children = new Map<string, ReturnType<typeof forwarded.labels>>();
  const rejected = counter("requests_rejected_total", "Requests refused by the router, by reason", ["reason"]);
  const notKept = counter(
    "requests_not_kept_total",
    "Requests that could not be sent again if their session were lost",
    ["reason"],
  );
  const notRemembered = counter(
    "not_remembered_total",
    "Subscriptions and log levels that would not be told again if a session were lost",
    ["reason"],
  );
  const created = counter("sessions_created_total", "Sessions begun", ["route"]);
  const ended = counter("sessions_ended_total", "Sessions ended by DELETE", ["route"]);
  const expired = counter("sessions_expired_total", "Sessions ended by their expiry", ["route"]);
  const parkedTotal = counter("sessions_parked_total", "Sessions whose slot went to another", ["route"]);
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Gauge({ name: `mcp_router_${name}`, help, labelNames, registers: [registry] });
  const sessions = gauge("sessions", "Sessions of all routers that share them: that hold a slot, or are parked", [
    "state",
  ]);
  // Where there are sessions: the primary of several workers has none.
  let cap: Gauge | undefined;
  const sessionsCap = () => {
    cap ??= gauge("sessions_cap", "Most sessions that may hold a slot (admission.sessions)", []);
    return cap;
  };
  const recoveries = new Histogram({
    name: "mcp_router_recovery_seconds",
    help: "How long it took to recover sessions that seemed lost, by what came of it",
    labelNames: ["backend", "outcome"],
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers: [registry],
  });
  const overridesRefused = counter("overrides_refused_total", "Answers of ours that Envoy did not take", []);
  const notTold = counter("backends_not_told_total", "Ends of sessions that a backend could not be told of", [
    "backend",
  ]);
  const reloads = counter("config_reloads_total", "Changes of the configuration file, by outcome", ["outcome"]);
  const failures = counter("store_failures_total", "Operations of the session store that failed", ["operation"]);
  // Where there is a store: the primary of several workers has none.
  let up: Gauge | undefined;
  const storeUp = () => {
    up ??= new Gauge({
      name: "mcp_router_store_up",
      help: "1 while the session store answers",
      registers: [registry],
    });
    return up;
  };
  const untaken = counter("untaken_errors_total", "Errors of the router or its libraries that nobody took", ["how"]);
  const restarts = counter("worker_restarts_total", "Worker processes that ended by themselves", []);
  const stale = new Gauge({
    name: "mcp_router_config_stale",
    help: "1 while the configuration file was refused and an older one is in force",
    registers: [registry],
  });

  return {
    forwarded: (route, how) => {
      // Looked up by its labels once, since every request is counted here.
      const key = `${how} ${route}`;
      const child = children.get(key) ?? forwarded.labels(route, how);
      children.set(key, child);
      child.inc();
    },
    rejected: (reason) => rejected.inc({ reason }),
    requestNotKept: (reason) => notKept.inc({ reason }),
    notRemembered: (reason) => notRemembered.inc({ reason }),
    sessionCreated: (route) => created.inc({ route }),
    sessionEnded: (route) => ended.inc({ route }),
    sessionExpired: (route) => expired.inc({ route }),
    sessionParked: (route) => parkedTotal.inc({ route }),
    sessions: (live, parked) => {
      sessions.set({ state: "live" }, live);
      sessions.set({ state: "parked" }, parked);
    },
    sessionsCap: (most) => sessionsCap().set(most ?? Number.POSITIVE_INFINITY),
    recovered: (backend, outcome, seconds) => recoveries.observe({ backend, outcome }, seconds),
    overrideRefused: () => overridesRefused.inc(),
    backendNotTold: (backend) => notTold.inc({ backend }),
    storeRefuses: (reasons, current) => {
      new Gauge({
        name: "mcp_router_store_refusing",
        help: "1 while the session store answers, and refuses something for this reason",
        labelNames: ["reason"],
        registers: [registry],
        collect() {
          const now = current();
          for (const reason of reasons) this.set({ reason }, now.includes(reason) ? 1 : 0);
        },
      });
    },
    storeUp: (answers) => storeUp().set(answers ? 1 : 0),
    storeFailed: (operation) => failures.inc({ operation }),
    configReloaded: (ok) => {
      reloads.inc({ outcome: ok ? "applied" : "refused" });
      stale.set(ok ? 0 : 1);
    },
    untaken: (how) => untaken.inc({ how }),
    workerRestarted: () => restarts.inc(),
    render: async (others = []) => {
      if (others.length === 0) return registry.metrics();
      return AggregatorRegistry.aggregate([await registry.getMetricsAsJSON(), ...others]).metrics();
    },
    snapshot: () => registry.getMetricsAsJSON(),
    contentType: registry.contentType,
  };
}
