/** The composition root: configuration → store → gateway → server. Everything that waits or holds a resource is here. */
import { readFile } from "node:fs/promises";
import { type Config, loadConfig } from "./config/load.ts";
import { requestPolicy } from "./config/policy.ts";
import { watchFile } from "./config/watch.ts";
import { createExtProcServer } from "./ext-proc/server.ts";
import { createGateway, type RequestEvent } from "./gateway.ts";
import { memoryStore } from "./sessions/memory.ts";
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

/** A configuration that cannot be used, with every error in it. */
export class ConfigError extends Error {
  readonly errors: readonly string[];

  constructor(file: string, errors: readonly string[]) {
    super(`${file}: ${errors.join("; ")}`);
    this.name = "ConfigError";
    this.errors = errors;
  }
}

/**
 * Reads and checks a configuration file.
 * @throws ConfigError when it is not there or not right
 */
export async function readConfig(file: string): Promise<{ text: string; config: Config; warnings: readonly string[] }> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new ConfigError(file, [`cannot be read: ${error instanceof Error ? error.message : String(error)}`]);
  }
  const loaded = loadConfig(text);
  if (!loaded.ok) throw new ConfigError(file, loaded.errors);
  return { text, config: loaded.config, warnings: loaded.warnings };
}

/**
 * Runs the processor until `stop`.
 * @throws ConfigError, or an Error when an address cannot be listened on
 */
export async function serve(file: string, environment: NodeJS.ProcessEnv): Promise<Router> {
  const { text, config, warnings } = await readConfig(file);
  const log = createLogger(config.log.level, environment);
  for (const warning of warnings) log.warn({ file }, warning);

  const metrics = createMetrics();
  const store = memoryStore(config.sessions);
  let policy = requestPolicy(config);
  const gateway = createGateway({ policy: () => policy, store, observe: observer(metrics, log) });
  const server = createExtProcServer({
    gateway,
    bodyLimit: config.limits.body,
    reportFault: (error) => log.error({ err: error }, "a request failed inside the router and was answered with 500"),
  });

  let ready = false;
  const { http, listen, drain } = config.processor;
  const health = http && (await serveHealth({ ...http, ready: () => ready, metrics }));
  try {
    await server.listen(listen);
  } catch (error) {
    await health?.close();
    await store.close();
    throw error;
  }
  ready = true;
  log.info({ listen, http, routes: config.routes.map(({ path }) => path) }, "serving");

  const watcher = watchFile(
    file,
    text,
    (changed) => {
      const loaded = loadConfig(changed);
      metrics.configReloaded(loaded.ok);
      if (!loaded.ok) {
        log.error({ file, errors: loaded.errors }, "configuration refused: the last good one stays in force");
        return;
      }
      policy = requestPolicy(loaded.config);
      const fixed = needRestart(config, loaded.config);
      if (fixed.length > 0) log.warn({ file, settings: fixed }, "these settings change only with a restart");
      log.info({ file, routes: loaded.config.routes.map(({ path }) => path) }, "configuration reloaded");
    },
    (error) => {
      metrics.configReloaded(false);
      log.error({ file, err: error }, "configuration cannot be read: the last good one stays in force");
    },
  );

  return {
    reload: () => watcher.check(),
    async stop() {
      ready = false;
      log.info({ drain }, "draining");
      watcher.close();
      const clean = await server.drain(drain);
      await store.close();
      await health?.close();
      log.info({ clean }, "stopped");
      return clean;
    },
  };
}

/** The settings that differ between two configurations and are read only at the start. */
function needRestart(running: Config, wanted: Config): string[] {
  const fixed = ["processor", "sessions", "log"] as const;
  const changed: string[] = fixed.filter((key) => JSON.stringify(running[key]) !== JSON.stringify(wanted[key]));
  // gRPC's own limit is set when the server is made.
  if (wanted.limits.body > running.limits.body) changed.push("limits.body");
  return changed;
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
        throw new Error(`unmapped: ${JSON.stringify(event satisfies never)}`);
    }
  };
}
