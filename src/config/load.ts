/** From the text of a configuration file to a `Config`, or to errors that say what to change. */
import { Buffer } from "node:buffer";
import { type Address, fromSameMachine, type TcpAddress } from "../core/address.ts";
import { FORWARDED_HEADERS, FORWARDED_PREFIX } from "../core/headers.ts";
import type { Identity } from "../core/identity.ts";
import { publicPath } from "../core/public-path.ts";
import { likelyMistakes } from "./cautions.ts";
import { backendTimeouts, crossChecks, notBuiltYet } from "./checks.ts";
import { describeIssues, firstOf } from "./describe.ts";
import { parseShape, type RawConfig } from "./schema.ts";
import type { WebUrl } from "./values/urls.ts";
import { workerAddresses } from "./workers.ts";
import { parseYaml } from "./yaml.ts";

/** One MCP server: one Envoy cluster. Times in ms. */
export interface BackendConfig {
  readonly name: string;
  readonly endpoints: readonly TcpAddress[];
  readonly path: string;
  readonly host: string | undefined;
  readonly origin: "remove" | "forward";
  readonly tls: { readonly sni: string; readonly ca?: string | undefined } | undefined;
  readonly timeouts: {
    readonly call: number;
    readonly listen: number;
    readonly connect: number;
    readonly initialize: number;
  };
  readonly onSessionLost: "recover" | "surface";
}

/** A public path (core/public-path.ts), transparent to one backend. */
interface RouteConfig {
  readonly path: string;
  readonly backend: string;
  readonly sessions: "optional" | "required";
}

/** The keys that tokens are signed by: a file on Envoy's machine, or what Envoy fetches every `refresh` ms. */
export type Jwks =
  | { readonly file: string }
  | { readonly uri: WebUrl; readonly ca: string | undefined; readonly refresh: number };

/** How principals are known; of tokens also what Envoy checks them by. */
type IdentityConfig =
  | Exclude<Identity, { kind: "jwt" }>
  | (Extract<Identity, { kind: "jwt" }> & {
      readonly audiences: readonly string[];
      readonly jwks: Jwks;
    });

/** A whole, checked configuration. Times in ms, sizes in bytes. */
export interface Config {
  readonly gateway: RawConfig["gateway"];
  readonly egress: { readonly listen: TcpAddress; readonly address: TcpAddress };
  readonly processor: Omit<RawConfig["processor"], "endpoints"> & { readonly endpoints: readonly Address[] };
  readonly envoy: RawConfig["envoy"];
  readonly store: RawConfig["store"];
  readonly sessions: RawConfig["sessions"];
  readonly admission: Omit<RawConfig["admission"], "anonymous"> & { readonly anonymous: number | undefined };
  readonly identity: IdentityConfig;
  readonly istio: RawConfig["istio"];
  readonly log: RawConfig["log"];
  readonly limits: RawConfig["limits"];
  readonly backends: readonly BackendConfig[];
  readonly routes: readonly RouteConfig[];
}

/** What the command line says in place of the file. */
export interface Overrides {
  /** `processor.workers`. */
  readonly workers?: number | undefined;
}

export type Loaded =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly errors: readonly string[] };

/** Bytes of the largest file that is read: more take long enough to hold requests up while they are parsed. */
export const LARGEST_FILE = 512 * 1024;

/** Reads the text of `mcp-router.yaml` (YAML 1.2, so JSON too). Never throws: errors name path, value and expectation. */
export function loadConfig(text: string, overrides: Overrides = {}): Loaded {
  const size = Buffer.byteLength(text);
  if (size > LARGEST_FILE)
    return { ok: false, errors: [`the file has ${size} bytes, expected at most ${LARGEST_FILE} (512 KiB)`] };
  const parsed = parseYaml(text);
  if (!parsed.ok) return { ok: false, errors: firstOf(parsed.errors) };
  const shape = parseShape(parsed.value);
  if (shape.success) return assemble(override(shape.data, overrides));
  return { ok: false, errors: describeIssues(shape.error.issues, parsed.value) };
}

function override(raw: RawConfig, { workers }: Overrides): RawConfig {
  return workers === undefined ? raw : { ...raw, processor: { ...raw.processor, workers } };
}

function assemble(raw: RawConfig): Loaded {
  const errors = [...notBuiltYet(raw), ...crossChecks(raw)];
  if (errors.length > 0) return { ok: false, errors: firstOf(errors) };
  const warnings: string[] = [];
  let { idle } = raw.sessions;
  if (idle > raw.sessions.lifetime) {
    warnings.push("sessions.idle is above sessions.lifetime: clamped to it");
    idle = raw.sessions.lifetime;
  }
  if (openToRebinding(raw)) warnings.push(NO_HOSTS);
  warnings.push(...recoveriesCutOff(raw), ...likelyMistakes(raw));
  if (raw.identity.kind === "header") warnings.push(trustedHeader(raw.identity.name), ...removedHeader(raw));
  const config: Config = {
    gateway: raw.gateway,
    egress: { listen: raw.egress.listen, address: raw.egress.address ?? fromSameMachine(raw.egress.listen) },
    processor: {
      ...raw.processor,
      endpoints: raw.processor.endpoints ?? workerAddresses(raw.processor.listen, raw.processor.workers),
    },
    envoy: raw.envoy,
    store: raw.store,
    sessions: { ...raw.sessions, idle },
    admission: { ...raw.admission, anonymous: anonymousCap(raw) },
    identity: identityOf(raw),
    istio: raw.istio,
    log: raw.log,
    limits: raw.limits,
    backends: Object.entries(raw.backends).map(([name, backend]) => ({
      name,
      endpoints: backend.endpoints,
      path: backend.path,
      host: backend.host,
      origin: backend.origin,
      tls: backend.tls,
      timeouts: backendTimeouts(raw, backend),
      onSessionLost: backend.onSessionLost,
    })),
    routes: raw.routes.map(({ path, backends: [backend = ""], sessions }) => ({
      path: publicPath(path),
      backend,
      sessions,
    })),
  };
  return { ok: true, config, warnings };
}

/** Sessions of anonymous callers together. undefined = any number: also where nobody has a name. */
function anonymousCap({ identity, admission: { anonymous, sessions } }: RawConfig): number | undefined {
  if (identity.kind === "none" || anonymous === "off") return undefined;
  return anonymous ?? (sessions && Math.ceil(sessions / 2));
}

function identityOf({ identity }: RawConfig): IdentityConfig {
  if (identity.kind !== "jwt") return identity;
  const { file, uri, ca, refresh } = identity.jwks;
  // Without either, the checks have refused it.
  return { ...identity, jwks: uri ? { uri, ca, refresh } : { file: file ?? "" } };
}

/** Envoy bounds a call by its max_stream_duration, and the recovery of its session is a part of it. */
function recoveriesCutOff(raw: RawConfig): string[] {
  const warnings: string[] = [];
  for (const [name, backend] of Object.entries(raw.backends)) {
    const { call, initialize } = backendTimeouts(raw, backend);
    if (backend.onSessionLost === "recover" && call < initialize)
      warnings.push(
        `timeouts.call of backend ${name} (${call / 1000}s) is below its timeouts.initialize (${initialize / 1000}s): ` +
          "a call may be cut off while the session that it needs is still being recovered",
      );
  }
  return warnings;
}

/** Nothing in the generated Envoy sets the header, so nothing in it can tell a client's copy from the right one. */
function trustedHeader(name: string): string {
  return (
    `identity.kind is header: whatever is ahead of Envoy must set ${name} and remove the client's own copy, ` +
    "or a client can say that it is anybody"
  );
}

/** What is made for Envoy takes what proxies say of a client from every request, where none of them is trusted. */
function removedHeader({ identity, gateway: { trustedHops } }: RawConfig): string[] {
  if (identity.kind !== "header" || trustedHops > 0) return [];
  const { name } = identity;
  const isRemoved = name.startsWith(FORWARDED_PREFIX) || FORWARDED_HEADERS.some((one) => one === name);
  if (!isRemoved) return [];
  return [
    `identity.name: Envoy removes ${name}, as all that proxies say of a client, so that nobody has a principal; ` +
      "write in gateway.trustedHops how many proxies are ahead of Envoy",
  ];
}

const NO_HOSTS =
  "gateway.hosts is not set: any Host is taken, so a page of a malicious site can reach the gateway by DNS rebinding; " +
  "list your host names";

/**
 * Whether a web page can make its visitor's browser call the gateway under a name of the page's own. Each of these
 * prevents it: `hosts` refuses the name, `origins` the page, and with TLS the certificate does not fit the name.
 */
function openToRebinding({ gateway }: RawConfig): boolean {
  return gateway.hosts === undefined && gateway.origins === undefined && gateway.tls === undefined;
}
