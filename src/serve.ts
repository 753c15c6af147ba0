/** The composition root: configuration → store → gateway → server. Everything that waits or holds a resource is here. */
import { requestPolicy } from "./config/policy.ts";
import { readConfig } from "./config/read.ts";
import { watchFile } from "./config/watch.ts";
import { assertNever } from "./core/assert-never.ts";
import { createExtProcServer } from "./ext-proc/server.ts";
import { createGateway, type RequestEvent } from "./gateway.ts";
import { reloadOnChange } from "./reload.ts";
import { openStore } from "./store.ts";
import { serveHealth } from "./telemetry/http.ts";
import { createLogger, type Logger } from "./telemetry/log.ts";
import { createMetrics, type Metrics } from "./telemetry/metrics.ts";

export interface Router {
  /** Reads the configuration file again, as a change of it does. */
  reload(): Promise<void>;
  /**
   * Refuses new connections, lets requests under way finish within `processor.drain`, and lets go of everything.
   * Resolves to whether nothing had to be cut.
   */
  stop(): Promise<boolean>;
}

/**
 * Runs the processor until `stop`. What fails at the start takes down what was started before it.
 * @throws ConfigError, or an Error when an address cannot be listened on
 */
export async function serve(file: string, environment: NodeJS.ProcessEnv): Promise<Router> {
  const { text, config, warnings } = await readConfig(file);
  const log = createLogger(config.log.level, environment);
  for (const warning of warnings) log.warn({ file }, warning);

  const { http, listen, drain } = config.processor;
  const metrics = createMetrics();
  let policy = requestPolicy(config);
  let ready = false;
  /** How long (ms) requests under way may take when we stop. Not at all where the start failed. */
  let patience = 0;
  let clean = true;

  // Let go of in reverse: first nothing new begins, last the store that requests under way need.
  const started = new AsyncDisposableStack();
  try {
    const { store, reached } = await openStore(config, metrics, log);
    started.defer(() => store.close());
    const gateway = createGateway({ policy: () => policy, store, observe: observer(metrics, log) });
    const server = createExtProcServer({
      gateway,
      bodyLimit: config.limits.body,
      reportFault: (error) => log.error({ err: error }, "a request failed inside the router and was answered with 500"),
    });
    if (http)
      started.adopt(await serveHealth({ ...http, ready: () => ready && reached(), metrics }), (it) => it.close());
    await server.listen(listen);
    started.defer(async () => {
      clean = await server.drain(patience);
    });
    const apply = (wanted: typeof config) => {
      policy = requestPolicy(wanted);
    };
    const watcher = watchFile(file, text, reloadOnChange({ file, started: config, apply, metrics, log }));
    started.defer(() => watcher.close());

    ready = true;
    patience = drain;
    log.info({ listen, http, routes: config.routes.map(({ path }) => path) }, "serving");
    return {
      reload: () => watcher.check(),
      async stop() {
        ready = false;
        log.info({ drain }, "draining");
        await started.disposeAsync();
        log.info({ clean }, "stopped");
        return clean;
      },
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

function observer(metrics: Metrics, log: Logger): (event: RequestEvent) => void {
  return (event) => {
    switch (event.kind) {
      case "forwarded":
        return metrics.forwarded(event.route.path, event.how);
      case "rejected":
        log.debug({ reason: event.reason, route: event.route?.path }, "refused");
        return metrics.rejected(event.reason);
      case "session-created":
        log.debug({ session: event.tag, route: event.route.path, endpoint: event.endpoint }, "session created");
        return metrics.sessionCreated(event.route.path);
      case "session-ended":
        log.debug({ session: event.tag, route: event.route.path }, "session ended");
        return metrics.sessionEnded(event.route.path);
      default:
        return assertNever(event);
    }
  };
}
