/** Exchange of a client's token for one of its user at a backend (RFC 8693): whose a token is, and what an answer comes to. Pure. */
import { Buffer } from "node:buffer";
import type { ExchangeCredentials } from "./credentials.ts";
import { isJsonObject, parseJson } from "./json/parse.ts";

type Claims = Readonly<Record<string, unknown>>;

/** Claims that change whenever a token is refreshed, and say nothing of what it allows (RFC 7519 §4.1). */
const OF_ONE_TOKEN: ReadonlySet<string> = new Set(["exp", "iat", "nbf", "jti"]);

/** Scheme and token of an Authorization (RFC 6750 §2.1). */
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/** The token of a client; undefined: it has none. */
export function bearerIn(authorization: string | undefined): string | undefined {
  return authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
}

/** The claims of a JWT, which are not verified here. undefined: the token is none. */
function claimsOf(token: string): Claims | undefined {
  const parts = token.split(".");
  if (parts.length !== 3) return undefined;
  const claims = parseJson(Buffer.from(parts[1] ?? "", "base64url").toString());
  return isJsonObject(claims) ? claims : undefined;
}

/**
 * Names the token that a client gets at a backend: two requests have one name only where an exchange would give them the same. So it
 * is made of issuer, subject and all else that their tokens say, but for what a refresh changes; and of what is asked for.
 */
export function exchangeName(backend: string, of: ExchangeCredentials, subjectToken: string): string {
  const { endpoint, audience, resource, scopes, client } = of;
  const claims = claimsOf(subjectToken);
  const lasting = Object.entries(claims ?? { token: subjectToken })
    .filter(([name]) => !OF_ONE_TOKEN.has(name))
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return JSON.stringify([backend, endpoint, audience, resource, scopes, client.id, lasting]);
}

/** Names the user whose token it is, whichever session it is of. */
export function userName(subjectToken: string): string {
  const { iss, sub } = claimsOf(subjectToken) ?? {};
  return JSON.stringify(sub === undefined ? [subjectToken] : [iss, sub]);
}

/** The parameters of the request (RFC 8693 §2.1), beside grant_type and those of the client. */
export function exchangeParameters(
  { audience, resource, scopes }: ExchangeCredentials,
  subjectToken: string,
): Record<string, string> {
  return {
    subject_token: subjectToken,
    subject_token_type: ACCESS_TOKEN,
    requested_token_type: ACCESS_TOKEN,
    ...(audience !== undefined && { audience }),
    ...(resource !== undefined && { resource }),
    ...(scopes.length > 0 && { scope: scopes.join(" ") }),
  };
}

export const TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
/** Types of a token that a backend takes as one of access (RFC 8693 §3). */
const ACCESS_TOKENS: ReadonlySet<unknown> = new Set([undefined, ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt"]);

/** How long (ms) a token counts as valid whose end nobody says. */
const UNSAID_LIFETIME_MS = 60_000;
/** A token is used no more so long (ms) before its end, or a tenth of its time: it must not end on its way. */
const LONGEST_MARGIN_MS = 5_000;
/** Longest time (ms) for which a token is kept, whatever its answer says: 24 hours. */
const LONGEST_LIFETIME_MS = 24 * 60 * 60_000;
/** The part of its time after which a token is exchanged anew, while it is still used. */
const FRESH_SHARE = 0.8;
/** Most characters of a token: Envoy takes 60 KiB of headers in all. */
const LONGEST_TOKEN = 16 * 1024;

/** What the token endpoint has answered. */
export interface TokenAnswer {
  readonly status: number;
  /** undefined: it is longer than what is read. */
  readonly text: string | undefined;
  /** Value of Retry-After. */
  readonly retryAfter: string | undefined;
}

export type ExchangeOutcome =
  /** `until`: used until then. `fresh`: not exchanged anew until then. ms of the clock that `readTokenAnswer` was given. */
  | { readonly kind: "exchanged"; readonly token: string; readonly until: number; readonly fresh: number }
  /** No token for this client. `why`: for the log, without any token. */
  | { readonly kind: "refused" | "wrong"; readonly why: string }
  /**
   * No token for the moment. `retryAfter`: seconds, where the endpoint says so. `isOutage`: for nobody. A 429 may be about one user
   * alone, so it says nothing of others.
   */
  | {
      readonly kind: "unavailable";
      readonly why: string;
      readonly retryAfter: number | undefined;
      readonly isOutage: boolean;
    };

const wrong = (why: string): ExchangeOutcome => ({ kind: "wrong", why: `the token endpoint's answer ${why}` });

/** @param now ms since the epoch */
export function readTokenAnswer(
  { status, text, retryAfter }: TokenAnswer,
  of: ExchangeCredentials,
  subjectToken: string,
  now: number,
): ExchangeOutcome {
  const seconds = /^\d{1,5}$/.test(retryAfter ?? "") ? Number(retryAfter) : undefined;
  const isOutage = status >= 500;
  if (isOutage || status === 429)
    return { kind: "unavailable", why: `the token endpoint answers ${status}`, retryAfter: seconds, isOutage };
  const body = text === undefined ? undefined : parseJson(text);
  if (status !== 200) return { kind: "refused", why: `the token endpoint answers ${status}${errorIn(body)}` };
  if (text === undefined) return wrong("is too long");
  if (!isJsonObject(body)) return wrong("is no JSON object");
  const { access_token: token, token_type: type, issued_token_type: issued } = body;
  if (typeof type !== "string" || type.toLowerCase() !== "bearer") return wrong("is no bearer token");
  if (!ACCESS_TOKENS.has(issued)) return wrong("is no access token");
  if (typeof token !== "string" || bearerIn(`Bearer ${token}`) === undefined) return wrong("has no token of a header");
  if (token.length > LONGEST_TOKEN) return wrong(`has a token above ${LONGEST_TOKEN} characters`);
  const claims = claimsOf(token);
  const fault = claims && faultIn(claims, of, claimsOf(subjectToken));
  if (fault !== undefined) return wrong(fault);
  const lifetime = lifetimeOf(body.expires_in, claims?.exp, now);
  if (!(lifetime > 0)) return wrong("has a token that has ended");
  const until = now + lifetime - Math.min(LONGEST_MARGIN_MS, lifetime / 10);
  return { kind: "exchanged", token, until, fresh: now + lifetime * FRESH_SHARE };
}

/** The error code of an answer (RFC 6749 §5.2), which is a word. Its description may be anything. */
function errorIn(body: unknown): string {
  const code = isJsonObject(body) ? body.error : undefined;
  return typeof code === "string" && /^[\w.-]{1,64}$/.test(code) ? ` (${code})` : "";
}

/** A token that is a JWT must be of the same subject, and for the backend, where it says of whom and for whom it is. */
function faultIn(claims: Claims, { audience, resource }: ExchangeCredentials, subject: Claims | undefined) {
  if (claims.sub !== undefined && claims.sub !== subject?.sub) return "has a token of another subject";
  if (claims.aud === undefined) return undefined;
  const audiences: readonly unknown[] = [claims.aud].flat();
  const isOurs = audiences.some((one) => one !== undefined && (one === audience || one === resource));
  return isOurs ? undefined : "has a token for another audience";
}

/** ms; NaN where the answer says no number. The shorter one counts; a number that is too large for a parser says nothing. */
function lifetimeOf(expiresIn: unknown, exp: unknown, now: number): number {
  const said = [
    ...(expiresIn === undefined ? [] : [Number(expiresIn) * 1_000]),
    ...(exp === undefined ? [] : [Number(exp) * 1_000 - now]),
  ];
  const ends = said.filter((lifetime) => lifetime !== Number.POSITIVE_INFINITY);
  return ends.length === 0 ? UNSAID_LIFETIME_MS : Math.min(LONGEST_LIFETIME_MS, ...ends);
}
