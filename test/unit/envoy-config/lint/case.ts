/**
 * What a row of the lint's tables is: a change of a generated bootstrap, and what the lint finds then. Changes and places are those of
 * a bootstrap with lists of routes; what is found in it must be found with trees too.
 */
import { expect } from "vitest";
import type { Config } from "../../../../src/config/load.ts";
import type { Severity } from "../../../../src/envoy-config/lint/rules.ts";
import { type Finding, lintEnvoy } from "../../../../src/envoy-config/lint.ts";
import { intoList, intoTree } from "../../../support/route-forms.ts";
import { bootstrapOf, configOf, type Json, partsOf } from "../configs.ts";

export const JWT = { kind: "jwt", issuer: "https://issuer", audiences: ["mcp"], jwks: { file: "/keys.json" } };
const GUARD = { identity: JWT, admission: { guard: { perSecond: 10, burst: 20 } } };
export const CONFIG = configOf();
export const WITH_TOKENS = configOf({ identity: JWT });
export const GUARDED = configOf(GUARD);
const CALLS = [
  { tools: ["files__*"], per: "principal", rate: "10/m" },
  { tools: ["*"], rate: "5/s" },
];
export const LIMITED = configOf({ limits: { calls: CALLS } });
export const LIMITED_BY_SERVICE = configOf({ limits: { calls: CALLS, service: { address: "ratelimit:8081" } } });
export const LIMITED_IF_COUNTED = configOf({
  limits: { calls: CALLS, service: { address: "ratelimit:8081", onFailure: "allow" } },
});
export const QUICK_TOOL = configOf({ timeouts: { tools: [{ tools: ["quick"], call: "1s" }] } });
export const SEVERAL = configOf({ processor: { endpoints: ["10.0.0.1:50051", "10.0.0.2:50051"] } });

export const GATEWAY = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
export const EGRESS = "static_resources.listeners[1].filter_chains[0].filters[0].typed_config";
export const EXT_PROC = `${GATEWAY}.http_filters[0].typed_config`;
export const HOST = `${GATEWAY}.route_config.virtual_hosts[0]`;
export const NAME = "envoy.filters.http.ext_proc";
export const PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
export const FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig";
export const PROCESSOR = "static_resources.clusters[2]";
/** In a list of routes, of the first backend: listen, subscriptions, call; then those of the second; then undecided. */
export const LISTEN = 0;
export const CALL = 2;
export const UNDECIDED = 6;

export type Parts = ReturnType<typeof partsOf>;
export type Change = (parts: Parts, bootstrap: Json) => void;

/** A finding of the case's own rule, unless it names another one. */
export interface Expected {
  readonly severity: Severity;
  readonly path: string;
  /** A part of the message. */
  readonly message: string;
  readonly rule?: Finding["rule"];
}

export interface Case {
  /** What the bootstrap is like, with the configuration. */
  readonly what: string;
  readonly change: Change;
  /** Default: CONFIG. */
  readonly config?: Config;
  /** The configuration of the bootstrap, where it is another one. Default: `config`. */
  readonly printedFor?: Config;
  readonly findings: readonly Expected[];
  /** There are others beside them. */
  readonly isPart?: boolean;
}

type Options = Pick<Case, "config" | "printedFor" | "isPart">;

/** A bootstrap with mistakes. */
export function wrong(what: string, change: Change, findings: readonly Expected[], options: Options = {}): Case {
  return { what, change, findings, ...options };
}

/** A bootstrap that differs from the generated one, without a mistake. */
export function good(what: string, change: Change, options: Options = {}): Case {
  return { what, change, findings: [], ...options };
}

export function error(path: string, message: string, rule?: Finding["rule"]): Expected {
  return { severity: "error", path, message, ...(rule && { rule }) };
}

export function warning(path: string, message: string, rule?: Finding["rule"]): Expected {
  return { severity: "warning", path, message, ...(rule && { rule }) };
}

const printed = new Map<Config, Json>();

/** A copy of the bootstrap that is generated for a configuration. */
export function fresh(config: Config): Json {
  if (!printed.has(config)) printed.set(config, bootstrapOf(config));
  return structuredClone(printed.get(config));
}

/** How a bootstrap has its routes. */
export type Form = "lists" | "trees";

export interface Subject {
  readonly bootstrap: Json;
  readonly config: Config;
  /** Where something is that has the given place in a bootstrap with lists. */
  placeOf(path: string): string;
}

/** The bootstrap of a case. */
export function subjectOf(
  { change, config = CONFIG, printedFor = config }: Omit<Case, "findings">,
  form: Form,
): Subject {
  const bootstrap = fresh(printedFor);
  for (const [, host] of hostsOf(bootstrap)) intoList(host);
  change(partsOf(bootstrap), bootstrap);
  if (form === "lists") return { bootstrap, config, placeOf: (path) => path };
  const moved = hostsOf(bootstrap).flatMap(([at, host]): [string, string][] => {
    const places = intoTree(host);
    const routes = places.map((place, n): [string, string] => [`${at}.routes[${n}]`, `${at}.${place}`]);
    return host.matcher ? [...routes, [`${at}.routes`, `${at}.matcher`]] : [];
  });
  const placeOf = (path: string) => {
    const [from = "", to = ""] = moved.find(([before]) => path === before || path.startsWith(`${before}.`)) ?? [];
    return to + path.slice(from.length);
  };
  return { bootstrap, config, placeOf };
}

/** The virtual hosts, each with its place. */
function hostsOf({ static_resources }: Json): [at: string, host: Json][] {
  return (static_resources?.listeners ?? []).flatMap(({ filter_chains }: Json, n: number) => {
    const hosts = filter_chains[0].filters[0].typed_config.route_config?.virtual_hosts ?? [];
    const at = `static_resources.listeners[${n}].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts`;
    return hosts.map((host: Json, m: number) => [`${at}[${m}]`, host]);
  });
}

export function findingsOf(one: Omit<Case, "findings">, form: Form = "lists"): Finding[] {
  const { bootstrap, config } = subjectOf(one, form);
  return lintEnvoy(bootstrap, config);
}

export function matcherOf({ rule, severity, path, message }: Expected, ownRule: Finding["rule"]) {
  return { rule: rule ?? ownRule, severity, path, message: expect.stringContaining(message) };
}

/** Sets, or with undefined removes, what is at a dotted path (indices are numbers) or at a list of keys. */
export function put(root: Json, path: string | readonly string[], value: unknown): void {
  const keys = typeof path === "string" ? path.split(".") : [...path];
  const last = keys.pop() ?? "";
  const holder = keys.reduce((node, key) => node[key], root);
  if (value === undefined) delete holder[last];
  else holder[last] = value;
}

/** The change that puts a value into a part of the bootstrap. */
export function set(part: Exclude<keyof Parts, "clusterOf">, path: string, value: unknown): Change {
  return (parts) => put(parts[part], path, value);
}

/** The same in a cluster. */
export function setInCluster(name: string, path: string, value: unknown): Change {
  return ({ clusterOf }) => put(clusterOf(name), path, value);
}

export const unchanged: Change = () => undefined;
