/** The composition root: configuration → shared state → gateway → servers. It creates and ends whatever waits or holds a resource. */
import type { Config, Overrides } from "./config/load.ts";
import { readConfig, readConfigText } from "./config/read.ts";
import { watchFile } from "./config/watch.ts";
import { workerAddress, workerPort } from "./config/workers.ts";
import { secretFilesOf } from "./core/credentials.ts";
import type { Secrets } from "./credentials/secrets.ts";
import { troublesInWords } from "./discovery/in-words.ts";
import { NO_OFFERS, type Offers } from "./discovery/offers.ts";
import { createExtProcServer } from "./ext-proc/server.ts";
import { serveHealth } from "./http/health.ts";
import { serveStreams } from "./http/streams.ts";
import type { Served } from "./last-net.ts";
import { healthFault, noHttp2, requestFault, streamFault } from "./observe/faults.ts";
import { untakenObserver } from "./observe/untaken.ts";
import { type OpenedCredentials, openCredentials, openSecrets } from "./open-credentials.ts";
import { type OpenedGateway, openGateway } from "./open-gateway.ts";
import { openPins, type PinsInForce } from "./pins/in-force.ts";
import { type Beside, type ConfigInForce, configInForce, type Reloader, reloadOnChange } from "./reload.ts";
import { configurationOf, discoveryOf, openOffers } from "./serve-discovery.ts";
import { openSharedState } from "./shared-state.ts";
import { errorLine } from "./telemetry/error-line.ts";
import { createLogger, type Logger } from "./telemetry/log.ts";
import { createMetrics, type Metrics } from "./telemetry/metrics.ts";
import { type Report, startWorkers, type Workers } from "./workers.ts";

export interface ServeOptions extends Overrides {
  /** Number of this worker, if there are several. */
  readonly worker?: number | undefined;
  /** Text of the configuration file, valid until the file changes. Default: the file is read. */
  readonly text?: string | undefined;
  readonly beside?: Beside | undefined;
}

export interface Router extends Served {
  /** Reads the configuration file again, as a change of the file does. */
  reload(): Promise<void>;
  /** Takes a text of the configuration file as a change of it: the primary of a worker reads the file. */
  take(text: string): void;
  /** Readiness and metrics, for a primary. */
  report(): Promise<Report>;
  /** JSON text of what backends offer, for a primary; undefined: no worker tells it. */
  catalogue(): Promise<string | undefined>;
  /**
   * Refuses new connections, lets requests under way finish within `processor.drain`, and releases everything. Resolves to whether
   * all of them finished.
   */
  stop(): Promise<boolean>;
}

/**
 * Runs the processor, or the configured number of workers, until `stop`. A failure at the start releases what was started before.
 * @throws ConfigError, or an Error when an address cannot be listened on
 */
export async function serve(
  file: string,
  environment: NodeJS.ProcessEnv,
  { worker, text: given, beside, ...overrides }: ServeOptions = {},
): Promise<Router> {
  const { text, config, warnings } =
    given === undefined ? await readConfig(file, overrides) : readConfigText(file, given, overrides);
  const isWorker = worker !== undefined;
  const log = createLogger(config.log.level, environment, isWorker ? { worker } : undefined);
  const metrics = createMetrics(worker);
  const start = { file, text, config, overrides, worker, beside, metrics, log };
  // The primary has logged the warnings already.
  if (!isWorker) for (const warning of warnings) log.warn({ file }, warning);
  if (config.processor.workers > 1 && !isWorker) return serveByWorkers(start, environment);
  return serveHere(start);
}

interface Start {
  readonly file: string;
  /** Text of the configuration file. */
  readonly text: string;
  readonly config: Config;
  readonly overrides: Overrides;
  readonly worker: number | undefined;
  readonly beside: Beside | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** Serves in this process: the only one, or one of several workers. */
async function serveHere(start: Start): Promise<Router> {
  const { config, worker, metrics, log } = start;
  // The primary of a worker serves HTTP.
  const http = worker === undefined ? config.processor.http : undefined;
  const listen = workerAddress(config.processor.listen, worker ?? 0);
  const pins = await openPins(start, logOfFiles(start));
  const inForce = configInForce(pins.onto(config), metrics);
  let stage: "starting" | "serving" | "stopping" = "starting";
  let clean = true;

  // Released in reverse order: first what admits requests, last the store that requests under way need.
  const started = new AsyncDisposableStack();
  try {
    started.adopt(pins, (it) => it.close());
    const shared = await openSharedState(config, metrics, log);
    started.defer(() => shared.close());
    const credentials = openCredentials(start, logOfFiles(start), started);
    const opened = openGateway({ config, inForce, shared, credentials, metrics, log, started });
    const { gateway, streams, catalogue, relayed } = opened;
    const { body: bodyLimit } = config.limits;
    const server = createExtProcServer({ gateway, bodyLimit, reportFault: requestFault(log), relayed });
    const offers = worker === undefined ? openOffers(config, metrics, log) : NO_OFFERS;
    const files = { pins, credentials };
    const reloader = reloaderOf(start, applying(start, inForce, opened, files), offers, files);
    const readiness = () => ({
      ready: stage === "serving" && shared.reached(),
      troubles: [shared.trouble() ?? [], worker === undefined ? troublesInWords(offers, reloader) : []].flat(),
    });
    const report = async () => JSON.stringify(catalogue.report());
    const source = {
      ...metrics,
      readiness,
      catalogue: report,
      configuration: configurationOf(offers, reloader),
      discovery: discoveryOf(offers),
      fault: healthFault(log),
    };
    if (http) started.adopt(await serveHealth(http, source), (it) => it.close());
    const { listen: streamsAt } = config.processor.streams ?? {};
    if (streamsAt) {
      const address = workerPort(streamsAt, worker ?? 0);
      const streamSource = { ...streams, fault: streamFault(log), noHttp2: noHttp2(log) };
      started.adopt(await serveStreams(address, streamSource), (it) => it.close());
    }
    await server.listen(listen);
    // Their clients come back, to a router that is not stopping.
    started.defer(() => streams.close());
    started.defer(async () => {
      // A failed start has served no requests.
      clean = await server.drain(stage === "starting" ? 0 : config.processor.drain);
    });
    const follow = followFile(start, started, reloader, pins);

    stage = "serving";
    log.info({ listen, http, routes: config.routes.map(({ path }) => path) }, "serving");
    return {
      untaken: untakenObserver(metrics, log),
      ...follow,
      report: async () => ({ ...readiness(), metrics: await metrics.snapshot() }),
      catalogue: report,
      stop() {
        stage = "stopping";
        return letGo(start, started, () => clean);
      },
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

/** In force is what the requests have; whatever becomes of streams and sessions changes nothing of it. */
function applying(
  { config, log }: Start,
  inForce: ConfigInForce,
  opened: Pick<OpenedGateway, "reconfigured">,
  { pins, credentials }: { readonly pins: PinsInForce; readonly credentials: Pick<OpenedCredentials, "reconfigure"> },
): (config: Config) => void {
  const apply = (wanted: Config) => {
    const before = inForce.policy.routes;
    // First what may fail.
    credentials.reconfigure(wanted);
    inForce.apply(pins.onto(wanted));
    pins.follow(wanted, apply);
    try {
      opened.reconfigured(before);
    } catch (error) {
      log.error(errorLine(error), "open streams and sessions of clients go on by the configuration of before");
    }
  };
  pins.follow(config, apply);
  return apply;
}

type Apply = (config: Config, text: string) => void;

/** Whoever knows which files of a configuration are lacking. */
interface Files {
  readonly pins: Pick<PinsInForce, "lacks">;
  readonly credentials: Pick<Secrets, "lacks">;
}

/** Puts each change of the file in force. */
function reloaderOf(start: Start, apply: Apply, offers: Offers, { pins, credentials }: Files): Reloader {
  const lacksSecrets = ({ backends }: Config) => {
    // The primary of a worker has looked: one that is gone since then keeps a worker from its backend alone.
    const lacked = start.worker === undefined ? credentials.lacks(backends) : undefined;
    return lacked && Promise.resolve(lacked);
  };
  const lacks = [pins.lacks, lacksSecrets];
  return reloadOnChange({ ...start, started: start.config, apply, offers, lacks, log: logOfFiles(start) });
}

/** The primary logs about files for its workers, and watches them too. */
function logOfFiles({ worker, log }: Start): Logger {
  return worker === undefined ? log : log.child({}, { level: "silent" });
}

/** The primary watches the file for its workers. */
function followFile(
  { file, text, worker }: Start,
  started: AsyncDisposableStack,
  reloader: Reloader,
  pins: PinsInForce,
): Pick<Router, "reload" | "take"> {
  started.defer(() => reloader.close());
  const watcher = worker === undefined ? started.adopt(watchFile(file, text, reloader), (it) => it.close()) : undefined;
  const reload = async () => {
    await watcher?.check();
    await pins.check();
    reloader.retry();
  };
  return { reload, take: (changed) => reloader.onChange(changed) };
}

/** Releases everything. Resolves to whether all requests finished, which is known only afterwards. */
async function letGo({ config, log }: Start, started: AsyncDisposableStack, isClean: () => boolean): Promise<boolean> {
  log.info({ drain: config.processor.drain }, "draining");
  await started.disposeAsync();
  const clean = isClean();
  log.info({ clean }, "stopped");
  return clean;
}

/** Serves by several workers. This process is their primary, which serves no requests itself. */
async function serveByWorkers(start: Start, environment: NodeJS.ProcessEnv): Promise<Router> {
  const { file, text, config, metrics, log } = start;
  const { workers: count, drain, http } = config.processor;
  const pins = await openPins(start, log);
  // Workers read them by themselves: here they are looked at, and what becomes of them is logged once.
  const secrets = openSecrets(start, logOfFiles(start));
  const offers = openOffers(config, metrics, log);
  let workers: Workers | undefined;
  let stopping = false;
  let clean = true;
  const started = new AsyncDisposableStack();
  try {
    const readiness = async () => {
      const { ready, troubles } = (await workers?.readiness()) ?? { ready: false, troubles: [] };
      return {
        ready: ready && !stopping,
        troubles: [...troubles, ...troublesInWords(offers, reloader)],
      };
    };
    const reports = async () => (await workers?.reports()) ?? [];
    const render = async () => metrics.render((await reports()).map((report) => report.metrics));
    const catalogue = async () => workers?.catalogue();
    started.adopt(pins, (it) => it.close());
    started.adopt(secrets, (it) => it.close());
    pins.follow(config);
    const apply = (wanted: Config, changed: string) => {
      secrets.want(secretFilesOf(wanted.backends));
      workers?.reload(changed);
      pins.follow(wanted);
    };
    const reloader = reloaderOf(start, apply, offers, { pins, credentials: secrets });
    const source = {
      ...metrics,
      readiness,
      render,
      catalogue,
      configuration: configurationOf(offers, reloader),
      discovery: discoveryOf(offers),
      fault: healthFault(log),
    };
    // Released last: during the drain probes must see that the router is not ready.
    if (http) started.adopt(await serveHealth(http, source), (it) => it.close());
    workers = await startWorkers({ file, text, workers: count, drain, environment, metrics, log });
    started.defer(async () => {
      clean = (await workers?.stop()) ?? true;
    });
    const follow = followFile(start, started, reloader, pins);
    log.info({ workers: count, http }, "serving by workers");
    return {
      untaken: untakenObserver(metrics, log),
      ...follow,
      report: async () => ({ ...(await readiness()), metrics: await metrics.snapshot() }),
      catalogue,
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
