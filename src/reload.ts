/** Reloads the configuration while the router serves, and logs what that changes. */
import { type Digests, digestsOf } from "./config/digests.ts";
import { createHold } from "./config/hold.ts";
import { type Config, loadConfig, type Overrides } from "./config/load.ts";
import { requestPolicy } from "./config/policy.ts";
import { whyUnreadable } from "./config/unreadable.ts";
import { POLL_MS, type WatchHandlers } from "./config/watch.ts";
import type { FederatedRoute, RequestPolicy, Route } from "./core/routes.ts";
import { type Adopted, createAdoption, type OffersForChanges, type Wanted } from "./discovery/adopt.ts";
import { refusalsInWords } from "./discovery/in-words.ts";
import { NO_OFFERS } from "./discovery/offers.ts";
import type { ConfigurationReport, LastChange } from "./discovery/report.ts";
import { staticBootstrap } from "./envoy-config/bootstrap.ts";
import { mayBeSeveral } from "./envoy-config/clusters.ts";
import { liveBootstrap } from "./envoy-config/live.ts";
import type { Logger } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

/** The configuration for new requests. */
export interface ConfigInForce {
  readonly policy: RequestPolicy;
  backend(name: string): Config["backends"][number] | undefined;
  /** Replaces the configuration. Requests under way keep the policy that they started with. */
  apply(config: Config): void;
}

export function configInForce(started: Config, metrics: Pick<Metrics, "sessionsCap">): ConfigInForce {
  const byName = (config: Config) => new Map(config.backends.map((backend) => [backend.name, backend]));
  let backends = byName(started);
  let policy = requestPolicy(started);
  metrics.sessionsCap(policy.admission.sessions);
  return {
    get policy() {
      return policy;
    },
    backend: (name) => backends.get(name),
    apply(config) {
      // First what may fail: then all of it is in force, or nothing.
      const next = requestPolicy(config);
      metrics.sessionsCap(next.admission.sessions);
      policy = next;
      backends = byName(config);
    },
  };
}

/** Whoever runs an Envoy of the configuration beside the router. */
export interface Beside {
  /** What this machine lacks of a changed configuration, in words: the last one stays in force meanwhile. Must not reject. */
  lacks(config: Config): Promise<readonly string[]>;
  /** A changed configuration is in force. Must not throw. */
  inForce(config: Config): void;
}

export interface ReloadOptions {
  readonly file: string;
  /** Text of the file that the process was started with. */
  readonly text: string;
  /** The configuration that the process was started with. */
  readonly started: Config;
  /** Settings from the command line. They override every configuration that is loaded. */
  readonly overrides?: Overrides;
  /** Puts a configuration in force for new requests; where it throws, the last one stays in force. */
  readonly apply: (config: Config, text: string) => void;
  /** What Envoys are offered that follow the configuration. Default: none can. */
  readonly offers?: OffersForChanges | undefined;
  readonly beside?: Beside | undefined;
  /** What the router itself lacks of a changed configuration, as `Beside.lacks`. undefined: there is nothing to look for. */
  readonly lacks?: readonly ((config: Config) => Promise<readonly string[]> | undefined)[];
  readonly metrics: Pick<Metrics, "configReloaded">;
  readonly log: Logger;
}

export interface Reloader extends WatchHandlers {
  /** Tries the last change again where an Envoy has refused it: what it lacked may be there. */
  retry(): void;
  /** What is in force, and what became of the last change. */
  report(): Pick<ConfigurationReport, "sections" | "lastChange" | "needRestart">;
  /** What is in force, and does not work before something else is done, in words. */
  troubles(): readonly string[];
  close(): void;
}

/** Applies each valid configuration, and keeps the last valid one while the file is invalid. Never throws. */
export function reloadOnChange(options: ReloadOptions): Reloader {
  const { file, started, overrides, offers = NO_OFFERS, beside, metrics, log } = options;
  let inForce = started;
  let sections = digestsOnDemand(options.text);
  const last = lastChangeOf(metrics);
  const adoption = createAdoption({
    started,
    several: mayBeSeveral(started.envoy.discovery.endpoints),
    offers,
    adopt(adopted) {
      try {
        take(options, inForce, adopted);
        inForce = adopted.config;
        sections = digestsOnDemand(adopted.text);
        last.inForce(adopted.text, isFollowed(adopted.outcome) || hasSameLimits(started, inForce) ? [] : [UNCOUNTED]);
        beside?.inForce(adopted.config);
        return true;
      } catch (error) {
        last.kept("fault");
        log.error(
          { file, err: error },
          "configuration not applied because of a fault in the router: the last one stays in force",
        );
        return false;
      }
    },
    refused(refusals) {
      last.refused();
      log.error(
        { file, refused: refusalsInWords(refusals) },
        "Envoy refuses what the configuration makes of it: the last one stays in force; Envoy's own log says why",
      );
    },
  });

  const refuse = (errors: readonly string[]) => {
    last.kept("invalid");
    log.error({ file, errors }, "configuration refused: the last valid one stays in force");
  };
  const want = (wanted: Wanted) => {
    last.waits(wanted.text);
    adoption.want(wanted);
  };
  const hold = createHold({ lacks: lackedBy(options), lacking: refuse, complete: want });

  const onChange = (text: string) => {
    const loaded = loadConfig(text, overrides);
    if (loaded.ok) return hold.want({ ...loaded, text });
    hold.drop();
    refuse(loaded.errors);
  };

  return {
    onChange,
    retry() {
      const text = last.refusedText();
      if (text !== undefined) onChange(text);
    },
    report: () => ({ sections: sections(), lastChange: last.change, needRestart: needRestart(started, inForce) }),
    troubles: () => last.troubles,
    close() {
      hold.drop();
      adoption.close();
    },
    onUnreadable(error) {
      hold.drop();
      last.kept("unreadable");
      log.error({ file, why: whyUnreadable(error) }, "configuration cannot be read: the last valid one stays in force");
    },
    onUnwatched(error) {
      log.warn({ file, why: error.message }, UNWATCHED);
    },
  };
}

const UNWATCHED =
  `the configuration's folder cannot be watched: changes of the file are seen within ${POLL_MS / 1_000} s; ` +
  "send SIGHUP to reload at once";

/** What is lacking of a configuration, of the router's and of what runs beside it. */
function lackedBy({ beside, lacks = [] }: ReloadOptions): (config: Config) => Promise<readonly string[]> | undefined {
  return (config) => {
    const looks = [beside?.lacks(config), ...lacks.map((lack) => lack(config))].filter((look) => look !== undefined);
    return looks.length === 0 ? undefined : Promise.all(looks).then((lacked) => lacked.flat());
  };
}

/** They take another reading of the YAML, which only `check --live` needs: made once, when they are asked for. */
function digestsOnDemand(text: string): () => Digests {
  let made: Digests | undefined;
  return () => {
    made ??= digestsOf(text);
    return made;
  };
}

/** What became of the last change that the router has seen. An older one may settle after it, and changes nothing of that. */
function lastChangeOf(metrics: ReloadOptions["metrics"]) {
  let change: LastChange = "in-force";
  /** Text of the file where it waits or has settled; undefined: it cannot come in force. */
  let text: string | undefined;
  let troubles: readonly string[] = [];
  return {
    /** Of what is in force. */
    get troubles() {
      return troubles;
    },
    get change() {
      return change;
    },
    waits(of: string) {
      text = of;
      change = "waiting";
    },
    inForce(of: string, its: readonly string[]) {
      troubles = its;
      metrics.configReloaded(true, of !== text);
      if (of === text) change = "in-force";
    },
    refused() {
      metrics.configReloaded(false);
      if (text !== undefined) change = "refused";
    },
    kept(why: LastChange) {
      if (why !== "fault") text = undefined;
      change = why;
      metrics.configReloaded(false);
    },
    refusedText: () => (change === "refused" ? text : undefined),
  };
}

function take(
  { file, started, apply, log }: ReloadOptions,
  inForce: Config,
  { text, config, warnings, outcome }: Adopted,
): void {
  const settings = needRestart(started, config);
  const command = commandFor(outcome, inForce, config);
  // The last step that may fail.
  apply({ ...config, routes: config.routes.map((route) => withStreamsOf(started, route)) }, text);
  for (const warning of warnings) log.warn({ file }, warning);
  if (settings.length > 0) log.warn({ file, settings }, "these settings change only with a restart of mcp-router");
  if (outcome.kind === "late") log.warn({ file }, "an Envoy that follows the configuration has not taken it in time");
  if (command !== undefined)
    log.warn(
      { file },
      `Envoy's configuration changes too: print it with "${command} --config ${file}" and restart Envoy`,
    );
  log.info({ file, routes: config.routes.map(({ path }) => path) }, "configuration reloaded");
}

/** Whether an Envoy follows the configuration. */
function isFollowed(outcome: Adopted["outcome"]): boolean {
  return outcome.kind === "late" || outcome.envoys > 0;
}

/** Whether Envoys that were started with one configuration count calls as the other one says. */
function hasSameLimits({ limits: one }: Config, { limits: other }: Config): boolean {
  const counted = ({ calls, service, principals }: Config["limits"]) => JSON.stringify([calls, service, principals]);
  return counted(one) === counted(other);
}

const UNCOUNTED =
  "limits.calls has changed since the router started: an Envoy that has not been started with it since counts no call under a new limit; " +
  'print its configuration with "mcp-router envoy", and restart Envoy, and then the router';

/** What prints the bootstrap that Envoys need now. undefined: they have all that changes. */
function commandFor(outcome: Adopted["outcome"], inForce: Config, config: Config): string | undefined {
  const doFollow = isFollowed(outcome);
  const bootstrap = doFollow ? liveBootstrap : staticBootstrap;
  // As JSON: the YAML of 1,000 backends takes seconds, in which the router would answer nobody.
  if (JSON.stringify(bootstrap(config)) === JSON.stringify(bootstrap(inForce))) return undefined;
  return doFollow ? "mcp-router envoy --live" : "mcp-router envoy";
}

/** The server of streams is there from the start or never, so a route must not promise more than that. */
function withStreamsOf(started: Config, route: Route): Route {
  if (route.kind === "transparent") return route;
  if (route.kind === "bridged") return { ...route, federated: withOwnStreamOf(started, route.federated) };
  return withOwnStreamOf(started, route);
}

function withOwnStreamOf({ processor }: Config, route: FederatedRoute): FederatedRoute {
  return route.stream === "backend" ? route : { ...route, stream: processor.streams ? "own" : "none" };
}

/** The settings that differ between two configurations and that the process reads only at its start. */
export function needRestart(started: Config, wanted: Config): string[] {
  const fixed = ["egress", "processor", "store", "sessions", "log"] as const;
  const changed: string[] = fixed.filter((key) => JSON.stringify(started[key]) !== JSON.stringify(wanted[key]));
  // gRPC's own limit is set when the server is created.
  if (wanted.limits.body > started.limits.body) changed.push("limits.body");
  for (const budget of ["replayBodies", "recoveredAnswers"] as const)
    if (wanted.limits[budget] !== started.limits[budget]) changed.push(`limits.${budget}`);
  // The ledger counts anonymous callers apart only if there are named ones, and it is created at the start.
  if (started.identity.kind === "none" && wanted.identity.kind !== "none") changed.push("admission.anonymous");
  return changed;
}
