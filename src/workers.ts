/**
 * Several workers, a process each, as one router: Node runs JavaScript on one core. Each worker listens on an address of
 * its own (config/workers.ts) and knows nothing of the others; they share Redis. The primary starts them, starts again
 * what ends by itself, and answers for all of them over HTTP.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { extname, join } from "node:path";
import type { Readiness } from "./http/health.ts";
import { catchTheRest, type Served } from "./last-net.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics, MetricsSnapshot } from "./telemetry/metrics.ts";
import { paced } from "./telemetry/paced.ts";

/** What a worker says of itself when it is asked. */
export interface Report extends Readiness {
  readonly metrics: MetricsSnapshot;
}

/** What a worker tells the primary, over the IPC channel between them. */
type FromWorker = { readonly kind: "serving" } | ({ readonly kind: "report" } & Report);

/** What the primary asks of a worker. First of all to start, with the configuration that the primary was started with. */
type ToWorker = { readonly kind: "start"; readonly text: string } | { readonly kind: "report" | "reload" | "stop" };

/** How long (ms) the primary waits for a worker's report, which a worker that is stuck never sends. */
const REPORT_TIMEOUT_MS = 1_000;
/** Least ms between two reports of a worker. */
const REPORT_PAUSE_MS = 50;
/** How long (ms) a worker that ended stays down, so that one which cannot start does not keep a core busy. */
const RESTART_PAUSE_MS = 500;
/** How much longer (ms) than its drain a worker may take to end. */
const STOP_GRACE_MS = 5_000;

/** The program that a worker runs: main, as TypeScript or compiled, as this file is. */
const MAIN = join(import.meta.dirname, `main${extname(import.meta.filename)}`);

export interface WorkersOptions {
  readonly file: string;
  /**
   * What the file said when the primary read it. A worker that is started again starts with it, and takes what the file says
   * by now for a change: so one that is wrong keeps no worker away, and no worker differs in what needs a restart of all.
   */
  readonly text: string;
  readonly workers: number;
  /** ms that requests under way may take when a worker stops. */
  readonly drain: number;
  readonly environment: NodeJS.ProcessEnv;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export interface Workers {
  /** Has each read the configuration file again. */
  reload(): void;
  /** Those that answered in time. */
  reports(): Promise<readonly Report[]>;
  /** Whether one of them is, which is enough: which of them take requests, Envoy finds out by itself. */
  readiness(): Promise<Readiness>;
  /** Drains and ends all. Resolves to whether nothing had to be cut. */
  stop(): Promise<boolean>;
}

/**
 * Starts the workers, and resolves when each of them serves.
 * @throws where one of them ends before it does; it has said why on stderr
 */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  const all = Array.from({ length: options.workers }, (_, number) => new Worker(number, options));
  const stop = async () => (await Promise.all(all.map((worker) => worker.stop()))).every(Boolean);
  try {
    await Promise.all(all.map((worker) => worker.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    reload: () => {
      for (const worker of all) worker.tell({ kind: "reload" });
    },
    reports: async () =>
      (await Promise.all(all.map((worker) => worker.report()))).filter((report) => report !== undefined),
    async readiness() {
      // The first that is ready decides: one that is stuck must not hold up whoever asks.
      const asked = all.map(async (worker) => (await worker.report())?.ready || Promise.reject(new Error("not ready")));
      const ready = await Promise.any(asked).catch(() => false);
      return { ready, troubles: [...new Set(all.flatMap((worker) => worker.troubles))] };
    },
    stop,
  };
}

class Worker {
  readonly #number: number;
  readonly #options: WorkersOptions;
  #process: ChildProcess | undefined;
  #stopping = false;
  #last: Report | undefined;
  #restart: NodeJS.Timeout | undefined;

  constructor(number: number, options: WorkersOptions) {
    this.#number = number;
    this.#options = options;
  }

  /** Resolves when it serves, and from then on it is started again whenever it ends. */
  async start(): Promise<void> {
    const child = this.#launch();
    await new Promise<void>((resolve, reject) => {
      const ended = (code: number | null, signal: string | null) =>
        reject(new Error(`worker ${this.#number} ended with ${code ?? signal} before it served`));
      child.once("exit", ended);
      child.once("error", reject);
      // Any message: it serves before it is asked anything.
      child.once("message", () => {
        child.off("exit", ended);
        child.once("exit", (code, signal) => this.#ended(code, signal));
        resolve();
      });
    });
  }

  tell(message: ToWorker): void {
    // It may end at this moment: whoever waits for an answer has a timeout.
    this.#process?.send(message, () => undefined);
  }

  /** Its troubles as of its last report. */
  get troubles(): readonly string[] {
    return this.#last?.troubles ?? [];
  }

  /** One for all who ask at once: each would listen for it, and it costs the worker the time of some requests. */
  readonly report = paced(() => this.#ask(), REPORT_PAUSE_MS);

  async #ask(): Promise<Report | undefined> {
    const child = this.#process;
    if (!child?.connected) return undefined;
    const signal = AbortSignal.timeout(REPORT_TIMEOUT_MS);
    this.tell({ kind: "report" });
    try {
      for (;;) {
        // Safe: this file sends it, at the other end.
        const [message] = (await once(child, "message", { signal })) as [FromWorker];
        if (message.kind !== "report") continue;
        this.#last = message;
        return message;
      }
    } catch {
      this.#last = undefined;
      return undefined;
    }
  }

  /** Resolves to whether it cut nothing. */
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
    // One that cannot be started or told ends, and that it ends is seen: `error` besides is no news, but must be taken.
    this.#process.on("error", () => undefined);
    this.tell({ kind: "start", text });
    return this.#process;
  }

  #ended(code: number | null, signal: string | null): void {
    if (this.#stopping) return;
    this.#last = undefined;
    const { log, metrics } = this.#options;
    log.error({ worker: this.#number, code, signal }, "a worker ended by itself: it is started again");
    metrics.workerRestarted();
    this.#restart = setTimeout(() => {
      this.start().catch(() => this.#ended(this.#process?.exitCode ?? null, this.#process?.signalCode ?? null));
    }, RESTART_PAUSE_MS);
  }
}

/** The router of one process, as far as a primary directs it. */
export interface WorkerRouter extends Served {
  reload(): Promise<void>;
  report(): Promise<Report>;
  stop(): Promise<boolean>;
}

/**
 * What a worker does for its primary: it serves, says so, and does as it is told. Without a primary it stops.
 * @param serve starts the router with a text of the configuration file
 * @throws where the start fails
 */
export async function serveForPrimary(serve: (text: string) => Promise<WorkerRouter>): Promise<void> {
  // Ctrl-C in a terminal, and its end, reach every process of it: the primary tells us.
  process.on("SIGINT", () => undefined);
  process.on("SIGHUP", () => undefined);
  // Safe: this file sends it, at the other end.
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
  process.on("message", async ({ kind }: ToWorker) => {
    switch (kind) {
      case "start":
        return;
      case "report":
        send({ kind, ...(await router.report()) });
        return;
      case "reload":
        return router.reload();
      case "stop":
        return stop();
      default:
        throw new Error(`the primary asks for ${kind satisfies never}`);
    }
  });
  process.on("disconnect", stop);
  process.on("SIGTERM", stop);
  send({ kind: "serving" });
}
