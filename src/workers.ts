/**
 * Several worker processes as one router, since Node runs JavaScript on one core. Each worker listens on its own address
 * (config/workers.ts) and does not know the others; they share Redis. The primary starts them, restarts those that exit
 * unexpectedly, and serves health and metrics of all.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { extname, join } from "node:path";
import type { Readiness } from "./http/health.ts";
import { catchTheRest, type Served } from "./last-net.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics, MetricsSnapshot } from "./telemetry/metrics.ts";
import { paced } from "./telemetry/paced.ts";

/** A worker's answer to the primary's `report`. */
export interface Report extends Readiness {
  readonly metrics: MetricsSnapshot;
}

/** Messages of a worker to the primary, over their IPC channel. */
type FromWorker =
  | { readonly kind: "serving" }
  | ({ readonly kind: "report" } & Report)
  /** `text`: JSON. */
  | { readonly kind: "catalogue"; readonly text: string | undefined };

/** Messages of the primary to a worker. The first is `start`, with the configuration that the primary was started with. */
type ToWorker =
  | { readonly kind: "start"; readonly text: string }
  | { readonly kind: "reload"; readonly text: string }
  | { readonly kind: "report" | "catalogue" | "stop" };

/** How long (ms) the primary waits for a worker's report. A stuck worker never sends one. */
const REPORT_TIMEOUT_MS = 1_000;
/** Minimum ms between two reports of a worker. */
const REPORT_PAUSE_MS = 50;
/** ms before an exited worker is restarted, so that a worker which cannot start does not keep a core busy. */
const RESTART_PAUSE_MS = 500;
/** ms beyond its drain that a worker may take to exit. */
const STOP_GRACE_MS = 5_000;

/** The program of a worker: main, with the same extension as this file (TypeScript or compiled). */
const MAIN = join(import.meta.dirname, `main${extname(import.meta.filename)}`);

export interface WorkersOptions {
  readonly file: string;
  /**
   * Text of the file when the primary read it. A restarted worker starts with it too, and then takes the text that is in force. So all
   * workers agree in settings that need a restart of the router.
   */
  readonly text: string;
  readonly workers: number;
  /** ms for requests under way to finish when a worker stops. */
  readonly drain: number;
  readonly environment: NodeJS.ProcessEnv;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export interface Workers {
  /** Puts a valid text of the configuration file in force at each worker. */
  reload(text: string): void;
  /** Reports of the workers that answered in time. */
  reports(): Promise<readonly Report[]>;
  /** Ready if one worker is: Envoy's health checks find out which ones. */
  readiness(): Promise<Readiness>;
  /** JSON text of what backends offer, as the first worker that answers in time knows it. Each worker asks them itself. */
  catalogue(): Promise<string | undefined>;
  /** Drains and ends all workers. Resolves to whether all their requests finished. */
  stop(): Promise<boolean>;
}

/**
 * Starts the workers. Resolves when all of them serve.
 * @throws if a worker exits before it serves; its stderr tells why
 */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  let inForce: string | undefined;
  const of = { ...options, changed: () => inForce };
  const all = Array.from({ length: options.workers }, (_, number) => new Worker(number, of));
  const stop = async () => (await Promise.all(all.map((worker) => worker.stop()))).every(Boolean);
  try {
    await Promise.all(all.map((worker) => worker.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    reload(text) {
      inForce = text;
      for (const worker of all) worker.reload();
    },
    reports: async () =>
      (await Promise.all(all.map((worker) => worker.report()))).filter((report) => report !== undefined),
    async readiness() {
      // The first ready worker decides: a stuck one must not delay the probe.
      const asked = all.map(async (worker) => (await worker.report())?.ready || Promise.reject(new Error("not ready")));
      const ready = await Promise.any(asked).catch(() => false);
      return { ready, troubles: [...new Set(all.flatMap((worker) => worker.troubles))] };
    },
    async catalogue() {
      for (const worker of all) {
        const text = await worker.catalogue();
        if (text !== undefined) return text;
      }
      return undefined;
    },
    stop,
  };
}

interface WorkerOptions extends WorkersOptions {
  /** The text that has come in force since the start. */
  readonly changed: () => string | undefined;
}

class Worker {
  readonly #number: number;
  readonly #options: WorkerOptions;
  #process: ChildProcess | undefined;
  #stopping = false;
  #last: Report | undefined;
  #restart: NodeJS.Timeout | undefined;

  constructor(number: number, options: WorkerOptions) {
    this.#number = number;
    this.#options = options;
  }

  /** Resolves when the worker serves. From then on it is restarted whenever it exits. */
  async start(): Promise<void> {
    const child = this.#launch();
    await new Promise<void>((resolve, reject) => {
      const ended = (code: number | null, signal: string | null) =>
        reject(new Error(`worker ${this.#number} ended with ${code ?? signal} before it served`));
      child.once("exit", ended);
      child.once("error", reject);
      // Any message: the first one is `serving`.
      child.once("message", () => {
        child.off("exit", ended);
        child.once("exit", (code, signal) => this.#ended(code, signal));
        this.reload();
        resolve();
      });
    });
  }

  tell(message: ToWorker): void {
    // The worker may exit at this moment. Callers that wait for an answer have a timeout.
    this.#process?.send(message, () => undefined);
  }

  reload(): void {
    const text = this.#options.changed();
    if (text !== undefined) this.tell({ kind: "reload", text });
  }

  /** Troubles in the last report. */
  get troubles(): readonly string[] {
    return this.#last?.troubles ?? [];
  }

  /** Shared by simultaneous callers: each report costs the worker about as much as some requests. */
  readonly report = paced(() => this.#ask(), REPORT_PAUSE_MS);

  async catalogue(): Promise<string | undefined> {
    return (await this.#answer("catalogue"))?.text;
  }

  async #ask(): Promise<Report | undefined> {
    this.#last = await this.#answer("report");
    return this.#last;
  }

  /** Asks the worker; undefined where it does not answer in time. */
  async #answer<Kind extends "report" | "catalogue">(
    kind: Kind,
  ): Promise<Extract<FromWorker, { kind: Kind }> | undefined> {
    const child = this.#process;
    if (!child?.connected) return undefined;
    const signal = AbortSignal.timeout(REPORT_TIMEOUT_MS);
    this.tell({ kind });
    try {
      for (;;) {
        // Safe: the sender is `serveForPrimary` below.
        const [message] = (await once(child, "message", { signal })) as [FromWorker];
        if (isOf(message, kind)) return message;
      }
    } catch {
      return undefined;
    }
  }

  /** Resolves to whether all its requests finished. */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return true;
    const exited = once(child, "exit");
    this.tell({ kind: "stop" });
    const timer = setTimeout(() => child.kill("SIGKILL"), this.#options.drain + STOP_GRACE_MS);
    const [code] = await exited;
    clearTimeout(timer);
    return code === 0;
  }

  #launch(): ChildProcess {
    const { file, text, workers, environment } = this.#options;
    const args = ["serve", "--config", file, "--workers", String(workers), "--worker", String(this.#number)];
    this.#process = fork(MAIN, args, { env: environment, stdio: ["ignore", "inherit", "inherit", "ipc"] });
    // An `error` event without a listener would throw. It needs no handling: a worker that fails also emits `exit`.
    this.#process.on("error", () => undefined);
    this.tell({ kind: "start", text });
    return this.#process;
  }

  #ended(code: number | null, signal: string | null): void {
    if (this.#stopping) return;
    this.#last = undefined;
    const { log, metrics } = this.#options;
    log.error({ worker: this.#number, code, signal }, "a worker exited unexpectedly: it is restarted");
    metrics.workerRestarted();
    this.#restart = setTimeout(() => {
      this.start().catch(() => this.#ended(this.#process?.exitCode ?? null, this.#process?.signalCode ?? null));
    }, RESTART_PAUSE_MS);
  }
}

function isOf<Kind extends FromWorker["kind"]>(
  message: FromWorker,
  kind: Kind,
): message is Extract<FromWorker, { kind: Kind }> {
  return message.kind === kind;
}

/** The router of a worker, as the primary controls it. */
export interface WorkerRouter extends Served {
  /** Puts a text of the configuration file in force. */
  take(text: string): void;
  report(): Promise<Report>;
  catalogue(): Promise<string | undefined>;
  stop(): Promise<boolean>;
}

/**
 * Serves as a worker: tells the primary when it serves, and executes its messages. Stops when the primary is gone.
 * @param serve starts the router with a text of the configuration file
 * @throws if the start fails
 */
export async function serveForPrimary(serve: (text: string) => Promise<WorkerRouter>): Promise<void> {
  // A terminal sends SIGINT (Ctrl-C) and SIGHUP to all its processes. Workers wait for the primary's message.
  process.on("SIGINT", () => undefined);
  process.on("SIGHUP", () => undefined);
  // Safe: the sender is `Worker` above.
  const [start] = (await once(process, "message")) as [Extract<ToWorker, { kind: "start" }>];
  let router: WorkerRouter;
  try {
    router = await serve(start.text);
  } catch (error) {
    process.disconnect();
    throw error;
  }
  catchTheRest(process, router);
  const send = (message: FromWorker) => process.send?.(message, () => undefined);
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    process.exitCode = (await router.stop()) ? 0 : 1;
    if (process.connected) process.disconnect();
  };
  process.on("message", async (message: ToWorker) => {
    switch (message.kind) {
      case "start":
        return;
      case "report":
        send({ kind: "report", ...(await router.report()) });
        return;
      case "catalogue":
        send({ kind: "catalogue", text: await router.catalogue() });
        return;
      case "reload":
        return router.take(message.text);
      case "stop":
        return stop();
      default:
        throw new Error(`the primary says ${JSON.stringify(message satisfies never)}`);
    }
  });
  process.on("disconnect", stop);
  process.on("SIGTERM", stop);
  send({ kind: "serving" });
}
