/** Begins another backend session for a parked one, before a request of that session is sent anywhere. */
import { withCookies } from "../backends/cookies.ts";
import { credentialHeaders } from "../backends/credentials.ts";
import { assertNever } from "../core/assert-never.ts";
import { COOKIE } from "../core/headers.ts";
import type { HeaderFields } from "../core/http.ts";
import type { RouteToBackend } from "../core/routes.ts";
import type { SessionKey } from "../sessions/id.ts";
import type { Binding } from "../sessions/store.ts";
import { versionAt } from "./loss.ts";
import type { Recovery } from "./recover.ts";

/** A request that has found its session parked. */
export interface ParkedRequest {
  readonly route: RouteToBackend;
  readonly headers: HeaderFields;
  readonly key: SessionKey;
  /** To the parked backend session. */
  readonly binding: Binding;
}

export type Resumed =
  | {
      readonly kind: "resumed";
      readonly binding: Binding;
      /** Value of the request's `cookie`, where the new session has set one (backends/cookies.ts). */
      readonly cookie: string | undefined;
    }
  /** The backend refuses to begin another session. */
  | { readonly kind: "none" }
  /** The session store or the backend is away: a later request may resume the parked session. */
  | { readonly kind: "store-away" | "backend-away" };

/** Never rejects. */
export type Resume = (request: ParkedRequest, signal: AbortSignal) => Promise<Resumed>;

export function createResume(recovery: Recovery): Resume {
  return async ({ route, headers, key, binding }, signal) => {
    const loss = {
      suspicion: "parked",
      status: 0,
      key,
      backend: route.backend,
      query: "",
      used: binding,
      answeredBy: binding.endpoint,
      headers: credentialHeaders(headers, route.backend.origin),
      version: versionAt(route.kind, headers, binding),
      ofSeveral: route.kind === "member",
    } as const;
    const outcome = await recovery.recover(loss, signal);
    switch (outcome.kind) {
      case "recovered":
      case "joined": {
        const sent = withCookies(loss.headers, outcome.setCookies ?? []);
        const cookie = sent === loss.headers ? undefined : sent.find(([name]) => name === COOKIE)?.[1];
        return { kind: "resumed", binding: outcome.binding, cookie };
      }
      case "store-away":
        return { kind: "store-away" };
      case "braked":
        return { kind: "backend-away" };
      case "failed":
        return { kind: outcome.passes ? "backend-away" : "none" };
      case "alive":
      case "left":
        return { kind: "none" };
      default:
        return assertNever(outcome);
    }
  };
}
