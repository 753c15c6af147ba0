/** A request that was answered as one in a lost session is. */
import { hash } from "node:crypto";
import type { Destination } from "../backends/client.ts";
import { MCP_PROTOCOL_VERSION } from "../core/headers.ts";
import type { Header, HeaderFields } from "../core/http.ts";
import type { RouteToBackend } from "../core/routes.ts";
import type { SessionKey } from "../sessions/id.ts";
import type { Binding } from "../sessions/store.ts";
import type { Suspicion } from "./lost.ts";

export interface Loss extends Destination {
  /** `parked`: the session was ended for its slot, and the request was not sent. */
  readonly suspicion: Suspicion | "parked";
  /** Status of the answer that raised the suspicion. */
  readonly status: number;
  readonly key: SessionKey;
  /** The binding that the request was sent by. */
  readonly used: Binding;
  /** `ip:port` that answered, and may have run the request: another than the binding's where Envoy had to try another one. */
  readonly answeredBy: string;
  /** The client's headers that go with our calls in its name (backends/credentials.ts). */
  readonly headers: readonly Header[];
  /** MCP-Protocol-Version of the request at the backend; undefined where it named none. */
  readonly version: string | undefined;
  /** The backend is one of several behind the client's URL. Default: it is the only one. */
  readonly ofSeveral?: boolean;
}

/** MCP-Protocol-Version of a request at its backend: the client's, or the one that a backend of several has agreed on. */
export function versionAt(kind: RouteToBackend["kind"], headers: HeaderFields, used: Binding): string | undefined {
  return kind === "member" ? used.version : headers.get(MCP_PROTOCOL_VERSION);
}

/** Names the backend's session that the request was sent into. */
export function bindingName({ key, backend, used }: Loss): string {
  return `${key} ${backend.name} ${used.generation}`;
}

/** Digest of the client's Authorization; undefined where it has none. */
export function credentialsOf({ headers }: Loss): string | undefined {
  const credentials = headers.find(([name]) => name === "authorization")?.[1];
  return credentials === undefined ? undefined : hash("sha256", credentials);
}

/**
 * Names what one recovery recovers: requests share one where they have the same name. Where a login may be asked for, requests of
 * different credentials share none.
 */
export function recoveryName(loss: Loss): string {
  const { suspicion, status, answeredBy } = loss;
  const credentials = suspicion === "probe-and-log-in" ? credentialsOf(loss) : undefined;
  return `${bindingName(loss)} ${suspicion} ${status} ${answeredBy} ${credentials ?? ""}`;
}
