/** Resolves the settings of each backend. Pure. */
import type { TcpAddress } from "../core/address.ts";
import { type Credentials, FORWARD } from "../core/credentials.ts";
import { compileGlob } from "../core/federation/glob.ts";
import { X_MCP_PRINCIPAL } from "../core/headers.ts";
import type { Backend, Member } from "../core/routes.ts";
import type { ToolTimeout } from "../core/tool-timeouts.ts";
import type { RawConfig } from "./schema.ts";

/** One MCP server: one Envoy cluster, which may be a member of federated routes. Times in ms. */
export interface BackendConfig extends Backend, Omit<Member, "route" | "prefix"> {
  /** Of its names on federated routes. */
  readonly prefix: string;
  readonly endpoints: readonly TcpAddress[];
  /** `Host` header for the backend; undefined = the endpoint's address. */
  readonly host: string | undefined;
  /** Header whose value places what is in no session; undefined: it is spread. */
  readonly affinity: string | undefined;
  readonly tls: { readonly sni: string; readonly ca?: string | undefined } | undefined;
  readonly timeouts: Omit<Backend["timeouts"], "isOfTools"> & {
    readonly listen: number;
    readonly connect: number;
    /** Of calls of tools that have another time than `call`. Each once. */
    readonly tools: readonly number[];
  };
}

/** A backend's own timeouts override the top-level ones. */
export function backendsOf({ backends, timeouts }: Pick<RawConfig, "backends" | "timeouts">): BackendConfig[] {
  return Object.entries(backends).map(([name, backend]) => ({
    name,
    endpoints: backend.endpoints,
    path: backend.path,
    host: backend.host,
    origin: backend.origin,
    credentials: backend.credentials ?? FORWARD,
    tls: backend.tls,
    affinity: backend.affinity === "principal" ? X_MCP_PRINCIPAL : backend.affinity?.header,
    timeouts: {
      call: backend.timeouts.call ?? timeouts.call,
      listen: backend.timeouts.listen ?? timeouts.listen,
      connect: backend.timeouts.connect ?? timeouts.connect,
      initialize: backend.timeouts.initialize ?? timeouts.initialize,
      tools: [...new Set(timeouts.tools.map(({ call }) => call))],
    },
    onSessionLost: backend.onSessionLost,
    // The names of backends have no underscore: see the schema.
    prefix: prefixOf(name, backend),
    uris: (backend.uris ?? []).map(compileGlob),
    lists: backend.lists ?? (isEachClients(backend.credentials) ? "principal" : "shared"),
  }));
}

/** Whether the router itself has no credentials at the backend: what it lists it says to a client's alone. */
export function isEachClients(written: Credentials | undefined): boolean {
  return written?.kind === "forward" || written?.kind === "exchange";
}

/** What the names of its tools and prompts begin with on federated routes. */
export function prefixOf(name: string, backend: { readonly prefix?: "off" | undefined } | undefined): string {
  return backend?.prefix === "off" ? "" : `${name}__`;
}

/** Longest time (ms) of any call. */
export function longestCall({ call, tools }: BackendConfig["timeouts"]): number {
  return Math.max(call, ...tools);
}

/** Tools whose calls have a time of their own, in their order. */
export function toolTimeoutsOf({ timeouts }: Pick<RawConfig, "timeouts">): ToolTimeout[] {
  return timeouts.tools.map(({ tools, call }) => ({ tools: tools.map(compileGlob), call }));
}

/** How long (ms) Envoy lets a stream of the gateway's own be open: as long as one of any backend. */
export function longestListen(backends: readonly Pick<BackendConfig, "timeouts">[]): number {
  return Math.max(...backends.map(({ timeouts }) => timeouts.listen));
}
