/** The session of a client at one of several backends: there, resumed, or opened now that the client needs it. */
import { cookieAfter } from "../backends/cookies.ts";
import { credentialHeaders } from "../backends/credentials.ts";
import type { OpenFirstSession } from "../backends/first-session.ts";
import { describeFailure, type Opened } from "../backends/opened.ts";
import { assertNever } from "../core/assert-never.ts";
import type { Header } from "../core/http.ts";
import { type MemberRoute, resumptionMessageTimeout } from "../core/routes.ts";
import type { Resume, Resumed } from "../recovery/resume.ts";
import type { SessionKey } from "../sessions/id.ts";
import { type Binding, isParked } from "../sessions/store.ts";
import { ACCEPTED, type DeferredStep, replied, type Step, withCookie } from "./answers.ts";
import type { OwnSession, UnboundSession } from "./claim.ts";
import { failedAt, type MemberRequest, refusedAt } from "./member-failure.ts";
import { type GatewayRequest, refuse } from "./request.ts";
import { abortSignalOf } from "./scope.ts";

export interface MemberSessionDependencies {
  readonly openFirst: OpenFirstSession;
  /** Begins another backend session for one that was parked or lost. */
  readonly resume: Resume;
}

/** Sends a request into the session. */
type Send = (session: OwnSession) => Step;

export interface MemberSessions {
  /** Sends a request into the session that it has claimed. */
  send(request: MemberRequest, claimed: OwnSession | UnboundSession, send: Send): Step | DeferredStep;
  /** Begins another session for one that the backend seems to have lost. */
  replace(
    request: GatewayRequest<MemberRoute>,
    lost: Pick<OwnSession, "key" | "binding">,
    signal: AbortSignal,
  ): Promise<AtMember>;
  /** The session of a client whose request has claimed it, for calls of our own. */
  find(request: GatewayRequest<MemberRoute>, key: SessionKey, signal: AbortSignal): Promise<AtMember>;
}

/** The session at the backend, or why there is none. */
type AtMember =
  | { readonly kind: "open"; readonly binding: Binding; readonly cookie: string | undefined }
  | { readonly kind: "none"; readonly why: string }
  | { readonly kind: "store-away" }
  | { readonly kind: "no-credential"; readonly retryAfter: number | undefined };

export function createMemberSessions({ openFirst, resume }: MemberSessionDependencies): MemberSessions {
  async function resumed(
    { route, headers }: GatewayRequest<MemberRoute>,
    { key, binding }: Pick<OwnSession, "key" | "binding">,
    signal: AbortSignal,
    why: "parked" | "lost" = "parked",
  ): Promise<AtMember> {
    return resumedAt(await resume({ route, headers, key, binding, why }, signal));
  }

  async function find(request: GatewayRequest<MemberRoute>, key: SessionKey, signal: AbortSignal): Promise<AtMember> {
    const { route, query, headers } = request;
    const credentials = credentialHeaders(headers, route.backend.origin);
    const outcome = await openFirst({ backend: route.backend, query, key, credentials }, signal);
    if (outcome.kind === "joined" && isParked(outcome.binding))
      return resumed(request, { key, binding: outcome.binding }, signal);
    return openedAt(outcome, credentials);
  }

  return {
    find,
    replace: (request, lost, signal) => resumed(request, lost, signal, "lost"),
    send(request, claimed, send) {
      if (claimed.kind === "live") return send(claimed);
      const signal = abortSignalOf(request.scope);
      const { timeouts } = request.route.backend;
      const { id, key } = claimed;
      const finding = claimed.kind === "unbound" ? find(request, key, signal) : resumed(request, claimed, signal);
      const step = finding.then((at): Step => {
        if (at.kind !== "open") return replied(notOpen(request, at));
        return withCookie(send({ kind: "live", id, key, binding: at.binding, listening: undefined }), at.cookie);
      });
      return { kind: "deferred", messageTimeout: resumptionMessageTimeout(timeouts), step };
    },
  };
}

function notOpen(request: MemberRequest, at: Exclude<AtMember, { kind: "open" }>) {
  if (at.kind === "none") return failedAt(request, at.why);
  if (at.kind === "no-credential")
    return refusedAt(request, { reason: "credential-unavailable", retryAfter: at.retryAfter, inBand: true });
  const { kind, id, batch } = request;
  const isAwaited = kind === "listen" || id !== undefined || (batch?.length ?? 0) > 0;
  // A batch has no one id to answer by.
  const reject = { reason: "store-unavailable", id, inBand: id !== undefined } as const;
  return isAwaited ? refuse(reject, request) : ACCEPTED;
}

function resumedAt(resumed: Resumed): AtMember {
  switch (resumed.kind) {
    case "resumed":
      return { kind: "open", binding: resumed.binding, cookie: resumed.cookie };
    case "none":
      return { kind: "none", why: "it refuses to begin another session" };
    case "backend-away":
      return { kind: "none", why: "it is unavailable" };
    case "store-away":
      return { kind: "store-away" };
    case "no-credential":
      return resumed;
    default:
      return assertNever(resumed);
  }
}

function openedAt(opened: Opened, credentials: readonly Header[]): AtMember {
  switch (opened.kind) {
    case "opened":
      return { kind: "open", binding: opened.binding, cookie: cookieAfter(credentials, opened.setCookies) };
    case "joined":
      return { kind: "open", binding: opened.binding, cookie: undefined };
    case "braked":
      return { kind: "none", why: "it begins no session for a moment" };
    case "login":
      return { kind: "none", why: "it asks for a login" };
    case "refused":
      return { kind: "none", why: describeFailure(opened.why) };
    case "unavailable":
      return opened.what === "store" ? { kind: "store-away" } : { kind: "none", why: describeFailure(opened.why) };
    case "aborted":
      return { kind: "none", why: "it begins no session within timeouts.initialize" };
    case "broken":
      if (opened.credential) return { kind: "no-credential", retryAfter: opened.credential.retryAfter };
      return { kind: "none", why: "it cannot be reached" };
    default:
      return assertNever(opened);
  }
}
