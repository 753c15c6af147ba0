/** The MCP servers, each with all its settings. Pure. */
import type { TcpAddress } from "../core/address.ts";
import type { Backend } from "../core/routes.ts";
import type { RawConfig } from "./schema.ts";

/** One MCP server: one Envoy cluster. Times in ms. */
export interface BackendConfig extends Backend {
  readonly endpoints: readonly TcpAddress[];
  /** `Host` that it is sent; undefined = the endpoint's own address. */
  readonly host: string | undefined;
  readonly tls: { readonly sni: string; readonly ca?: string | undefined } | undefined;
  readonly timeouts: Backend["timeouts"] & { readonly listen: number; readonly connect: number };
}

/** A backend's own timeouts go before the common ones. */
export function backendsOf({ backends, timeouts }: Pick<RawConfig, "backends" | "timeouts">): BackendConfig[] {
  return Object.entries(backends).map(([name, backend]) => ({
    name,
    endpoints: backend.endpoints,
    path: backend.path,
    host: backend.host,
    origin: backend.origin,
    tls: backend.tls,
    timeouts: {
      call: backend.timeouts.call ?? timeouts.call,
      listen: backend.timeouts.listen ?? timeouts.listen,
      connect: backend.timeouts.connect ?? timeouts.connect,
      initialize: backend.timeouts.initialize ?? timeouts.initialize,
    },
    onSessionLost: backend.onSessionLost,
  }));
}
