/** The composition root: configuration → store → gateway → server. Everything that waits or holds a resource is here. */
import { createAdmission } from "./admission/admission.ts";
import { createInUse } from "./admission/in-use.ts";
import { parkingLedger } from "./admission/parking.ts";
import { startSweeper } from "./admission/sweeper.ts";
import { createEgress } from "./backends/client.ts";
import { credentialHeaders } from "./backends/credentials.ts";
import { createSessionEnder } from "./backends/end.ts";
import type { Config, Overrides } from "./config/load.ts";
import { requestPolicy } from "./config/policy.ts";
import { readConfig, readConfigText } from "./config/read.ts";
import { watchFile } from "./config/watch.ts";
import { workerAddress } from "./config/workers.ts";
import { formatAddress } from "./core/address.ts";
import { lookEvery } from "./core/parking.ts";
import { createExtProcServer } from "./ext-proc/server.ts";
import { createGateway } from "./gateway/gateway.ts";
import { serveHealth } from "./http/health.ts";
import type { Served } from "./last-net.ts";
import { capObserver } from "./observe/cap.ts";
import { recoveryObserver } from "./observe/recoveries.ts";
import { requestObserver } from "./observe/requests.ts";
import { sweepObserver } from "./observe/sweeps.ts";
import { untakenObserver } from "./observe/untaken.ts";
import { createBudget } from "./recovery/budget.ts";
import { createModeOverrideHealth } from "./recovery/mode-override.ts";
import { createRecovery } from "./recovery/recover.ts";
import { createRecoveredAnswers } from "./recovery/recovered-answer.ts";
import { createReplayableRequests } from "./recovery/replayable.ts";
import { createResume } from "./recovery/resume.ts";
import { reloadOnChange } from "./reload.ts";
import { openSharedState } from "./shared-state.ts";
import { errorLine } from "./telemetry/error-line.ts";
import { createLogger, type Logger } from "./telemetry/log.ts";
import { createMetrics, type Metrics } from "./telemetry/metrics.ts";
import { type Report, startWorkers, type Workers } from "./workers.ts";

export interface ServeOptions extends Overrides {
  /** Which of several workers this process is. */
  readonly worker?: number | undefined;
  /** What the file is to be taken to say, until it changes. Default: it is read. */
  readonly text?: string | undefined;
}

export interface Router extends Served {
  /** Reads the configuration file again, as a change of it does. */
  reload(): Promise<void>;
  /** What a primary asks of it. */
  report(): Promise<Report>;
  /**
   * Refuses new connections, lets requests under way finish within `processor.drain`, and lets go of everything.
   * Resolves to whether nothing had to be cut.
   */
  stop(): Promise<boolean>;
}

/**
 * Runs the processor, or the workers that the configuration asks for, until `stop`. What fails at the start takes down
 * what was started before it.
 * @throws ConfigError, or an Error when an address cannot be listened on
 */
export async function serve(
  file: string,
  environment: NodeJS.ProcessEnv,
  { workers, worker, text: given }: ServeOptions = {},
): Promise<Router> {
  const { text, config, warnings } =
    given === undefined ? await readConfig(file, { workers }) : readConfigText(file, given, { workers });
  const isWorker = worker !== undefined;
  const log = createLogger(config.log.level, environment, isWorker ? { worker } : undefined);
  const metrics = createMetrics(worker);
  const primary = { file, text, config, metrics, log };
  // The primary has said what is to be said of the file.
  if (!isWorker) for (const warning of warnings) log.warn({ file }, warning);
  if (config.processor.workers > 1 && !isWorker) return serveByWorkers(primary, environment);
  return serveHere({ ...primary, overrides: { workers }, worker });
}

interface Start {
  readonly file: string;
  /** What the file said. */
  readonly text: string;
  readonly config: Config;
  readonly metrics: Metrics;
  readonly log: Logger;
}

interface ProcessStart extends Start {
  readonly overrides: Overrides;
  readonly worker: number | undefined;
}

async function serveHere(start: ProcessStart): Promise<Router> {
  const { file, text, config, overrides, worker, metrics, log } = start;
  const { drain } = config.processor;
  // A worker's primary answers for it.
  const http = worker === undefined ? config.processor.http : undefined;
  const listen = workerAddress(config.processor.listen, worker ?? 0);
  let inForce = config;
  let policy = requestPolicy(config);
  metrics.sessionsCap(policy.admission.sessions);
  let ready = false;
  /** How long (ms) requests under way may take when we stop. Not at all where the start failed. */
  let patience = 0;
  let clean = true;

  // Let go of in reverse: first nothing new begins, last the store that requests under way need.
  const started = new AsyncDisposableStack();
  try {
    const opened = await openSharedState(config, metrics, log);
    const { store, locks, reached } = opened;
    started.defer(() => opened.close());
    const egress = createEgress(`http://${formatAddress(config.egress.address)}`);
    started.defer(() => egress.close());
    const atCap = capObserver(log, () => policy.admission.sessions);
    const observeSweep = sweepObserver(metrics, log, atCap);
    const backendOf = (name: string) => inForce.backends.find((backend) => backend.name === name);
    const ender = createSessionEnder({ egress, backendOf, observe: observeSweep });
    const sweeper = startSweeper({
      ledger: opened.ledger,
      store,
      end: ender.end,
      interval: config.sessions.sweep,
      observe: observeSweep,
    });
    started.defer(() => ender.stop(sweeper.stop()));
    const ledger = parkingLedger({
      ledger: opened.ledger,
      store,
      tell: ender.endInTurn,
      recovers: (backend) => backendOf(backend)?.onSessionLost === "recover",
      observe: observeSweep,
    });
    const inUse = createInUse({
      store,
      ledger,
      every: () => lookEvery(policy.admission.parking, config.sessions.idle),
    });
    started.defer(() => inUse.stop());
    const recovery = createRecovery({
      store,
      locks,
      egress,
      ender,
      observe: recoveryObserver(metrics, log),
    });
    const observeRequest = requestObserver(metrics, log, atCap);
    const gateway = createGateway({
      policy: () => policy,
      store,
      ledger,
      admission: createAdmission(ledger),
      inUse,
      resume: createResume(recovery),
      replayable: createReplayableRequests(createBudget(config.limits.replayBodies)),
      recovered: createRecoveredAnswers({
        recovery,
        egress,
        overrides: createModeOverrideHealth(),
        answers: createBudget(config.limits.recoveredAnswers),
        overrideRefused: (missed, route) => observeRequest({ kind: "override-refused", route, missed }),
      }),
      abandon: (backend, begun, headers) =>
        ender.end(backend, begun, credentialHeaders(headers, backendOf(backend)?.origin ?? "remove")),
      observe: observeRequest,
    });
    const server = createExtProcServer({
      gateway,
      bodyLimit: config.limits.body,
      reportFault: (error) =>
        log.error(
          { err: error },
          "a request failed inside the router and was answered with 500, or its answer was cut off",
        ),
    });
    const readiness = () => ({ ready: ready && reached(), troubles: [opened.trouble() ?? []].flat() });
    if (http)
      started.adopt(await serveHealth(http, { ...metrics, readiness, fault: healthFault(log) }), (it) => it.close());
    await server.listen(listen);
    started.defer(async () => {
      clean = await server.drain(patience);
    });
    const apply = (wanted: Config) => {
      policy = requestPolicy(wanted);
      metrics.sessionsCap(policy.admission.sessions);
      inForce = wanted;
    };
    // Of several workers, who all read the same, one tells.
    const reloadLog = worker ? log.child({}, { level: "silent" }) : log;
    const watcher = watchFile(
      file,
      text,
      reloadOnChange({ file, started: config, overrides, apply, metrics, log: reloadLog }),
    );
    started.defer(() => watcher.close());

    ready = true;
    patience = drain;
    log.info({ listen, http, routes: config.routes.map(({ path }) => path) }, "serving");
    return {
      untaken: untakenObserver(metrics, log),
      reload: () => watcher.check(),
      report: async () => ({ ...readiness(), metrics: await metrics.snapshot() }),
      stop() {
        ready = false;
        return letGo(start, started, () => clean);
      },
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

/** Ends all that was started, and resolves to whether nothing had to be cut, which is known only then. */
async function letGo({ config, log }: Start, started: AsyncDisposableStack, isClean: () => boolean): Promise<boolean> {
  log.info({ drain: config.processor.drain }, "draining");
  await started.disposeAsync();
  const clean = isClean();
  log.info({ clean }, "stopped");
  return clean;
}

function healthFault(log: Logger): (error: unknown) => void {
  return (error) => log.error(errorLine(error), "health or metrics could not be told");
}

/** The primary of several workers: it serves no requests itself. */
async function serveByWorkers(start: Start, environment: NodeJS.ProcessEnv): Promise<Router> {
  const { file, text, config, metrics, log } = start;
  const { workers: count, drain, http } = config.processor;
  let workers: Workers | undefined;
  let stopping = false;
  let clean = true;
  const started = new AsyncDisposableStack();
  try {
    const readiness = async () => {
      const { ready, troubles } = (await workers?.readiness()) ?? { ready: false, troubles: [] };
      return { ready: ready && !stopping, troubles };
    };
    const reports = async () => (await workers?.reports()) ?? [];
    const render = async () => metrics.render((await reports()).map((report) => report.metrics));
    // Let go of last: whoever asks during the drain is told that we are not ready.
    if (http)
      started.adopt(await serveHealth(http, { ...metrics, readiness, render, fault: healthFault(log) }), (server) =>
        server.close(),
      );
    workers = await startWorkers({ file, text, workers: count, drain, environment, metrics, log });
    started.defer(async () => {
      clean = (await workers?.stop()) ?? true;
    });
    log.info({ workers: count, http }, "serving by workers");
    return {
      untaken: untakenObserver(metrics, log),
      reload: async () => workers?.reload(),
      report: async () => ({ ...(await readiness()), metrics: await metrics.snapshot() }),
      stop() {
        stopping = true;
        return letGo(start, started, () => clean);
      },
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}
