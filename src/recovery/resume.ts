/** Begins another backend session in place of one that is of no use, before a request of that session is sent anywhere. */
import { cookieAfter } from "../backends/cookies.ts";
import { credentialHeaders } from "../backends/credentials.ts";
import { assertNever } from "../core/assert-never.ts";
import type { HeaderFields } from "../core/http.ts";
import type { RouteToBackend } from "../core/routes.ts";
import type { SessionKey } from "../sessions/id.ts";
import type { Binding } from "../sessions/store.ts";
import { versionAt } from "./loss.ts";
import type { Recovery } from "./recover.ts";

/** A request, and a backend session that it cannot be sent into. */
export interface ResumeRequest {
  readonly route: RouteToBackend;
  readonly headers: HeaderFields;
  readonly key: SessionKey;
  /** To that session. */
  readonly binding: Binding;
  /** `lost`: the backend has answered a call of ours as if it did not know the session. It is asked once more. */
  readonly why: "parked" | "lost";
}

export type Resumed =
  | {
      readonly kind: "resumed";
      readonly binding: Binding;
      /** Value of the request's `cookie`, where the new session has set one (backends/cookies.ts). */
      readonly cookie: string | undefined;
    }
  /** The backend refuses to begin another session, or knows the old one. */
  | { readonly kind: "none" }
  /** The session store or the backend is away: a later request may resume the session. */
  | { readonly kind: "store-away" | "backend-away" }
  /** Nothing was sent, since the backend's credential cannot be had. `retryAfter`: seconds; undefined: a retry is of no use. */
  | { readonly kind: "no-credential"; readonly retryAfter: number | undefined };

/** Never rejects. */
export type Resume = (request: ResumeRequest, signal: AbortSignal) => Promise<Resumed>;

const SUSPICIONS = {
  parked: { suspicion: "parked", status: 0 },
  lost: { suspicion: "probe", status: 404 },
} as const;

export function createResume(recovery: Recovery): Resume {
  return async ({ route, headers, key, binding, why }, signal) => {
    const loss = {
      ...SUSPICIONS[why],
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
      case "joined":
        return {
          kind: "resumed",
          binding: outcome.binding,
          cookie: cookieAfter(loss.headers, outcome.setCookies ?? []),
        };
      case "store-away":
        return { kind: "store-away" };
      case "no-credential":
        return outcome;
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
