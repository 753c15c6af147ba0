/** From the text of a configuration file to a `Config`, or to errors that say what to change. */
import { isIP } from "node:net";
import { parseDocument, type YAMLError } from "yaml";
import type * as z from "zod";
import { parseShape, type RawConfig } from "./schema.ts";
import type { Address, TcpAddress } from "./values.ts";

/** One MCP server: one Envoy cluster. Times in ms. */
export interface BackendConfig {
  readonly name: string;
  readonly endpoints: readonly TcpAddress[];
  readonly path: string;
  readonly host: string | undefined;
  readonly tls: { readonly sni: string; readonly ca?: string | undefined } | undefined;
  readonly timeouts: { readonly call: number; readonly listen: number; readonly connect: number };
}

/** A public path, transparent to one backend. */
interface RouteConfig {
  readonly path: string;
  readonly backend: string;
  readonly sessions: "optional" | "required";
}

/** A whole, checked configuration. Times in ms, sizes in bytes. */
export interface Config {
  readonly gateway: RawConfig["gateway"];
  readonly egress: RawConfig["egress"];
  readonly processor: Omit<RawConfig["processor"], "endpoints"> & { readonly endpoints: readonly Address[] };
  readonly envoy: RawConfig["envoy"];
  readonly sessions: RawConfig["sessions"];
  readonly log: RawConfig["log"];
  readonly limits: RawConfig["limits"];
  readonly backends: readonly BackendConfig[];
  readonly routes: readonly RouteConfig[];
}

export type Loaded =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly errors: readonly string[] };

/** Reads the text of `mcp-router.yaml` (YAML 1.2, so JSON too). Never throws: errors name path, value and expectation. */
export function loadConfig(text: string): Loaded {
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) return { ok: false, errors: document.errors.map(describeSyntaxError) };
  const value: unknown = document.toJS();
  const shape = parseShape(value);
  if (!shape.success) return { ok: false, errors: shape.error.issues.map((issue) => describeIssue(issue, value)) };
  return assemble(shape.data);
}

function assemble(raw: RawConfig): Loaded {
  const errors = [...notBuiltYet(raw), ...crossChecks(raw)];
  if (errors.length > 0) return { ok: false, errors };
  const warnings: string[] = [];
  let { idle } = raw.sessions;
  if (idle > raw.sessions.lifetime) {
    warnings.push("sessions.idle is above sessions.lifetime: clamped to it");
    idle = raw.sessions.lifetime;
  }
  const config: Config = {
    gateway: raw.gateway,
    egress: raw.egress,
    processor: { ...raw.processor, endpoints: raw.processor.endpoints ?? [raw.processor.listen] },
    envoy: raw.envoy,
    sessions: { ...raw.sessions, idle },
    log: raw.log,
    limits: raw.limits,
    backends: Object.entries(raw.backends).map(([name, backend]) => ({
      name,
      endpoints: backend.endpoints,
      path: backend.path,
      host: backend.host,
      tls: backend.tls,
      timeouts: backendTimeouts(raw, backend),
    })),
    routes: raw.routes.map(({ path, backends: [backend = ""], sessions }) => ({ path, backend, sessions })),
  };
  return { ok: true, config, warnings };
}

function backendTimeouts(raw: RawConfig, { timeouts }: RawConfig["backends"][string]) {
  return {
    call: timeouts.call ?? raw.timeouts.call,
    listen: timeouts.listen ?? raw.timeouts.listen,
    connect: timeouts.connect ?? raw.timeouts.connect,
  };
}

/** Settings that will come, with a `*` for a backend's name: unknown for now, but not misspelt. */
const PLANNED = new Set([
  "admission",
  "timeouts.initialize",
  "limits.replayBody",
  "backends.*.url",
  "backends.*.timeouts.initialize",
]);

/** Kinds and values that the design knows and the code does not serve yet: refused by name, never ignored. */
function notBuiltYet(raw: RawConfig): string[] {
  const errors: string[] = [];
  const refuse = (path: string, value: string, instead: string) =>
    errors.push(`${path}: "${value}" is not built yet; ${instead}`);
  if (raw.store.kind !== "memory") refuse("store.kind", raw.store.kind, "use memory");
  if (raw.identity.kind !== "none") refuse("identity.kind", raw.identity.kind, "use none, and authenticate in Envoy");
  for (const [name, backend] of Object.entries(raw.backends))
    if (backend.onSessionLost === "recover") refuse(`backends.${name}.onSessionLost`, "recover", "use surface");
  raw.routes.forEach((route, index) => {
    if (route.backends.length > 1)
      refuse(
        `routes[${index}].backends`,
        route.backends.join(", "),
        "a federated route: name one backend for each route",
      );
  });
  return errors;
}

function crossChecks(raw: RawConfig): string[] {
  const errors: string[] = [];
  const names = Object.keys(raw.backends);
  const seen = new Map<string, number>();
  raw.routes.forEach((route, index) => {
    for (const name of route.backends)
      if (!names.includes(name))
        errors.push(`routes[${index}].backends: got "${name}", expected one of the backends: ${names.join(", ")}`);
    const first = seen.get(route.path);
    if (first !== undefined)
      errors.push(`routes[${index}].path: got "${route.path}", which routes[${first}] has already`);
    else seen.set(route.path, index);
  });
  errors.push(...listenerClashes(raw), ...socketBesideName(raw), ...idleTooShort(raw));
  return errors;
}

function listenerClashes(raw: RawConfig): string[] {
  const listeners: [string, TcpAddress | undefined][] = [
    ["gateway.listen", raw.gateway.listen],
    ["egress.listen", raw.egress.listen],
    ["processor.listen", raw.processor.listen.kind === "tcp" ? raw.processor.listen : undefined],
    ["processor.http", raw.processor.http],
    ["envoy.admin", raw.envoy.admin],
  ];
  const errors: string[] = [];
  const owners = new Map<string, string>();
  for (const [setting, address] of listeners) {
    if (!address) continue;
    const key = `${address.host}:${address.port}`;
    const owner = owners.get(key);
    if (owner) errors.push(`${setting}: got ${key}, which ${owner} listens on already`);
    else owners.set(key, setting);
  }
  return errors;
}

/** Envoy resolves names only in a cluster of type STRICT_DNS, from which it drops sockets without a word. */
function socketBesideName(raw: RawConfig): string[] {
  const endpoints = raw.processor.endpoints ?? [];
  const hasSocket = endpoints.some((endpoint) => endpoint.kind === "unix");
  const hasName = endpoints.some((endpoint) => endpoint.kind === "tcp" && isIP(endpoint.host) === 0);
  if (!hasSocket || !hasName) return [];
  return ["processor.endpoints: got a Unix socket beside a DNS name, expected IP addresses beside a socket"];
}

/**
 * Envoy bounds every call and stream by a duration, and each start touches the session: with idle at or above both
 * bounds, a session cannot idle out under a request that is still running, and nothing needs to be tracked.
 */
function idleTooShort(raw: RawConfig): string[] {
  const idle = Math.min(raw.sessions.idle, raw.sessions.lifetime);
  const errors: string[] = [];
  for (const [name, backend] of Object.entries(raw.backends)) {
    const timeouts = backendTimeouts(raw, backend);
    for (const kind of ["call", "listen"] as const)
      if (timeouts[kind] > idle)
        errors.push(
          `sessions.idle: got ${idle / 1000}s, expected at least timeouts.${kind} of backend ${name} ` +
            `(${timeouts[kind] / 1000}s), or a session ends under a request that is still running`,
        );
  }
  return errors;
}

function describeSyntaxError(error: YAMLError): string {
  return `not YAML: ${error.message.trim()}`;
}

function describeIssue(issue: z.core.$ZodIssue, root: unknown): string {
  const where = formatPath(issue.path);
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => describeUnknown(issue.path, key)).join("; ");
  const value = valueAt(root, issue.path);
  const expected = issue.message.replace(/^Invalid input: /, "");
  return `${where || "top level"}: ${value === undefined ? "missing" : `got ${preview(value)}`}, ${expected}`;
}

function describeUnknown(path: readonly PropertyKey[], key: string): string {
  const general = [...path, key].map((part, index, parts) => (index === 1 && parts[0] === "backends" ? "*" : part));
  const setting = formatPath([...path, key]);
  if (PLANNED.has(general.join("."))) return `${setting}: not built yet; remove it`;
  return `${formatPath(path) || "top level"}: unknown setting "${key}"`;
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

function preview(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
