/**
 * Adds the credential of its backend to each request that Envoy sends there (core/forward.ts has taken the client's own away), or answers
 * the client where there is none.
 */
import type { LoginMetadata } from "../backends/metadata.ts";
import { addCredential } from "../core/credential-headers.ts";
import { AUTHORIZATION } from "../core/headers.ts";
import type { Decision, ResponseHead } from "../core/http.ts";
import {
  backendsOf,
  credentialMessageTimeout,
  type PublicPath,
  type RequestPolicy,
  type Route,
} from "../core/routes.ts";
import type { BackendCredentials, Credential, HeldCredential, NoCredential } from "../credentials/credentials.ts";
import type { RequestsOn } from "./accepted.ts";
import { type AnswerStage, around, type DeferredStep, type NextStep, replied, type Step } from "./answers.ts";
import { refusedAt } from "./member-failure.ts";
import type { GatewayRequest } from "./request.ts";
import type { AllRequests, RequestsByRoute } from "./requests-by-route.ts";

/** How backends know who calls. */
export interface LoginDependencies {
  readonly credentials: BackendCredentials;
  /** Where clients of a backend with a login of its own get a token. */
  readonly login: LoginMetadata;
}

/**
 * Those who deal with the requests of a configuration, which have their credentials then. Requests do not go through what their
 * configuration has none of.
 */
export function authorizing(
  { plain, policed }: AllRequests,
  credentials: BackendCredentials,
): (policy: RequestPolicy) => RequestsByRoute {
  const authorized = { plain: allAuthorized(plain, credentials), policed: allAuthorized(policed, credentials) };
  return ({ access, addsCredentials }) => {
    if (access) return addsCredentials ? authorized.policed : policed;
    return addsCredentials ? authorized.plain : plain;
  };
}

function allAuthorized(
  { transparent, federated, bridged }: RequestsByRoute,
  credentials: BackendCredentials,
): RequestsByRoute {
  return {
    transparent: eachAuthorized(transparent, credentials),
    federated: eachAuthorized(federated, credentials),
    bridged: eachAuthorized(bridged, credentials),
  };
}

function eachAuthorized<On extends Route>(requests: RequestsOn<On>, credentials: BackendCredentials): RequestsOn<On> {
  const authorize = (request: GatewayRequest<On>, next: NextStep): NextStep => authorized(credentials, request, next);
  return {
    accept: (...of) => requests.accept(...of),
    initialize: (request, message, body) => authorize(request, requests.initialize(request, message, body)),
    message: (request, message, body) => authorize(request, requests.message(request, message, body)),
    modern: (request, message, body) => authorize(request, requests.modern(request, message, body)),
    listen: (request) => authorize(request, requests.listen(request)),
    end: (request) => authorize(request, requests.end(request)),
  };
}

type Request = GatewayRequest<Route>;

function authorized(credentials: BackendCredentials, request: Request, next: NextStep): NextStep {
  if (next instanceof Promise) return next.then((settled) => settledAuthorized(credentials, request, settled));
  return settledAuthorized(credentials, request, next);
}

function settledAuthorized(
  credentials: BackendCredentials,
  request: Request,
  settled: Step | DeferredStep,
): Step | DeferredStep {
  if (settled.kind === "deferred")
    return {
      kind: "deferred",
      messageTimeout: settled.messageTimeout + longestWait(request),
      step: settled.step.then((step) => stepAuthorized(credentials, request, step)),
    };
  const step = stepAuthorized(credentials, request, settled);
  return step instanceof Promise ? { kind: "deferred", messageTimeout: longestWait(request), step } : step;
}

/** ms that Envoy may have to wait for the credential. */
function longestWait({ route }: Request): number {
  return credentialMessageTimeout(backendsOf(route));
}

function stepAuthorized(credentials: BackendCredentials, request: Request, step: Step): Step | Promise<Step> {
  const { verdict } = step;
  if (verdict.kind !== "mutate" || verdict.authorizes === undefined) return step;
  const asked = credentials.of(verdict.authorizes, request.headers.get(AUTHORIZATION));
  const add = (credential: Credential): Step => {
    if (credential.kind === "none") return unsent(request, step.answer, credential);
    return {
      kind: "step",
      verdict: addCredential(verdict, credential.headers),
      answer: around(step.answer, new CredentialWatch(step.answer, credential)),
    };
  };
  return asked instanceof Promise ? asked.then(add) : add(asked);
}

/** The client's answer to a request that was not sent for want of a credential. */
function unsent(request: GatewayRequest<PublicPath>, answer: AnswerStage, { retryAfter }: NoCredential): Step {
  const reject = { reason: "credential-unavailable", retryAfter, id: request.id, inBand: true } as const;
  return replied(answer.unsent?.(reject) ?? refusedAt(request, reject));
}

/** The answer to a request with a credential: whether the backend takes that. */
class CredentialWatch implements Pick<AnswerStage, "head"> {
  readonly #inner: AnswerStage;
  readonly #credential: HeldCredential;

  constructor(inner: AnswerStage, credential: HeldCredential) {
    this.#inner = inner;
    this.#credential = credential;
  }

  head(head: ResponseHead): Decision {
    if (head.endpoint !== undefined && head.headers.get(":status") === "401") this.#credential.refused();
    return this.#inner.head(head);
  }
}
