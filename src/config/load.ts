/** From the text of a configuration file to a `Config`, or to errors that say what to change. */
import { Buffer } from "node:buffer";
import { type Address, fromSameMachine, type TcpAddress } from "../core/address.ts";
import type { Rule } from "../core/policy/rule.ts";
import type { Route } from "../core/routes.ts";
import type { ToolTimeout } from "../core/tool-timeouts.ts";
import { type BackendConfig, backendsOf, toolTimeoutsOf } from "./backends.ts";
import { type CallLimitConfig, callLimitsOf } from "./call-limits.ts";
import { cautions } from "./cautions.ts";
import { crossChecks } from "./checks.ts";
import { describeIssues, firstOf } from "./describe.ts";
import { type IdentityConfig, withMetadata } from "./identity.ts";
import { routesTo } from "./routes.ts";
import { rulesOf } from "./rules.ts";
import { parseShape, type RawConfig, withoutShortForms } from "./schema.ts";
import { workerAddresses, workerPorts } from "./workers.ts";
import { parseYaml } from "./yaml.ts";

/** A whole, checked configuration. Times in ms, sizes in bytes. */
export interface Config {
  readonly gateway: RawConfig["gateway"];
  readonly egress: { readonly listen: TcpAddress; readonly address: TcpAddress };
  readonly processor: Omit<RawConfig["processor"], "endpoints" | "streams"> & {
    readonly endpoints: readonly Address[];
    /** undefined: there are no streams of the gateway's own. */
    readonly streams: { readonly listen: TcpAddress; readonly endpoints: readonly TcpAddress[] } | undefined;
  };
  readonly envoy: Omit<RawConfig["envoy"], "discovery"> & {
    /** `endpoints` is empty without `processor.http`. `every` in ms. */
    readonly discovery: { readonly endpoints: readonly TcpAddress[]; readonly every: number };
  };
  readonly store: RawConfig["store"];
  readonly sessions: RawConfig["sessions"];
  readonly admission: Omit<RawConfig["admission"], "anonymous"> & { readonly anonymous: number | undefined };
  readonly identity: IdentityConfig;
  /** In their order. undefined: everything is allowed. */
  readonly policy: readonly Rule[] | undefined;
  readonly istio: RawConfig["istio"];
  readonly log: RawConfig["log"];
  readonly lists: RawConfig["lists"];
  readonly limits: Omit<RawConfig["limits"], "calls"> & { readonly calls: readonly CallLimitConfig[] };
  readonly toolTimeouts: readonly ToolTimeout[];
  readonly backends: readonly BackendConfig[];
  readonly routes: readonly Route[];
}

/** Settings of the command line. */
export interface Overrides {
  /** In place of `processor.workers`. */
  readonly workers?: number | undefined;
  /** `processor.http`, where the file has none. */
  readonly http?: TcpAddress | undefined;
}

export type Loaded =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly errors: readonly string[] };

/** Largest file in bytes: parsing a larger one takes long enough to delay requests. */
export const LARGEST_FILE = 512 * 1024;

/** Reads the text of `mcp-router.yaml`. Never throws. Errors name the path, the value and what was expected. */
export function loadConfig(text: string, overrides: Overrides = {}): Loaded {
  const size = Buffer.byteLength(text);
  if (size > LARGEST_FILE)
    return { ok: false, errors: [`the file has ${size} bytes, expected at most ${LARGEST_FILE} (512 KiB)`] };
  const parsed = parseYaml(text);
  if (!parsed.ok) return { ok: false, errors: firstOf(parsed.errors) };
  const written = withoutShortForms(parsed.value);
  const shape = parseShape(written);
  if (shape.success) return assemble(override(shape.data, overrides));
  return { ok: false, errors: describeIssues(shape.error.issues, written) };
}

function override(raw: RawConfig, { workers = raw.processor.workers, http }: Overrides): RawConfig {
  return { ...raw, processor: { ...raw.processor, workers, http: raw.processor.http ?? http } };
}

function assemble(raw: RawConfig): Loaded {
  const backends = backendsOf(raw);
  const { routes, errors: routeErrors } = routesTo(backends, raw);
  const errors = [...routeErrors, ...crossChecks(raw, backends)];
  if (errors.length > 0) return { ok: false, errors: firstOf(errors) };
  const { gateway, egress, processor, envoy, store, sessions, admission, identity, policy, istio, log, limits, lists } =
    raw;
  const config: Config = {
    gateway,
    egress: { listen: egress.listen, address: egress.address ?? fromSameMachine(egress.listen) },
    processor: {
      ...processor,
      endpoints: processor.endpoints ?? workerAddresses(processor.listen, processor.workers),
      streams: processor.streams && {
        listen: processor.streams.listen,
        endpoints: processor.streams.endpoints ?? workerPorts(processor.streams.listen, processor.workers),
      },
    },
    envoy: { ...envoy, discovery: { ...envoy.discovery, endpoints: discoveryEndpoints(raw) } },
    store,
    sessions: { ...sessions, idle: Math.min(sessions.idle, sessions.lifetime) },
    admission: { ...admission, anonymous: anonymousCap(raw) },
    identity: withMetadata(identity),
    policy: rulesOf(policy),
    istio,
    log,
    lists,
    limits: { ...limits, calls: callLimitsOf(limits) },
    toolTimeouts: toolTimeoutsOf(raw),
    backends,
    routes,
  };
  return { ok: true, config, warnings: cautions(raw, backends) };
}

function discoveryEndpoints({ processor: { http }, envoy: { discovery } }: RawConfig): readonly TcpAddress[] {
  return discovery.endpoints ?? (http ? [fromSameMachine(http)] : []);
}

/** Cap on the sessions of all anonymous callers; undefined = none, also if all callers are anonymous. */
function anonymousCap({ identity, admission: { anonymous, sessions } }: RawConfig): number | undefined {
  if (identity.kind === "none" || anonymous === "off") return undefined;
  return anonymous ?? (sessions && Math.ceil(sessions / 2));
}
