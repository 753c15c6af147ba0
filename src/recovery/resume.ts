/** Begins another backend session for one that was parked, before a request of it is sent anywhere. */
import { COOKIE, MCP_PROTOCOL_VERSION } from "../core/headers.ts";
import type { HeaderFields } from "../core/http.ts";
import type { Route } from "../core/routes.ts";
import type { SessionKey } from "../sessions/id.ts";
import type { Binding } from "../sessions/store.ts";
import { withCookies } from "./cookies.ts";
import type { Recovery } from "./recover.ts";
import { credentialHeaders } from "./sent-headers.ts";

/** A request that has found its session parked. */
export interface ParkedRequest {
  readonly route: Route;
  readonly headers: HeaderFields;
  readonly key: SessionKey;
  /** The parked one. */
  readonly binding: Binding;
}

export interface Resumed {
  readonly binding: Binding;
  /** What `cookie` is to say, where the new session wants that (recovery/cookies.ts). */
  readonly cookie: string | undefined;
}

/** Resolves to nothing where there is no other session: the backend is away, or refuses. Never rejects. */
export type Resume = (request: ParkedRequest, signal: AbortSignal) => Promise<Resumed | undefined>;

export function createResume(recovery: Recovery): Resume {
  return async ({ route, headers, key, binding }, signal) => {
    const loss = {
      suspicion: "parked",
      status: 0,
      key,
      target: { backend: route.backend, path: route.backendPath },
      used: binding,
      answeredBy: binding.endpoint,
      headers: credentialHeaders(headers, route.origin),
      version: headers.get(MCP_PROTOCOL_VERSION),
      bound: route.timeouts.initialize,
    } as const;
    const outcome = await recovery.recover(loss, signal);
    if (!("binding" in outcome)) return undefined;
    const sent = withCookies(loss.headers, outcome.setCookies ?? []);
    const cookie = sent === loss.headers ? undefined : sent.find(([name]) => name === COOKIE)?.[1];
    return { binding: outcome.binding, cookie };
  };
}
