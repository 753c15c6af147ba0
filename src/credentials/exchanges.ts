/**
 * Tokens of clients' own at backends, for which their tokens are exchanged (RFC 8693): kept until they end, renewed ahead of that, and
 * asked for once however many requests wait. A failure counts for a moment for whoever it was of, and for nobody else.
 */
import { hash } from "node:crypto";
import { Circuit } from "../core/circuit.ts";
import type { ExchangeCredentials } from "../core/credentials.ts";
import { AUTHORIZATION } from "../core/headers.ts";
import { bearerIn, type ExchangeOutcome, exchangeName, readTokenAnswer, userName } from "../core/token-exchange.ts";
import { type Credential, NOTHING_ADDED } from "./credentials.ts";
import { FailedExchanges } from "./failed-exchanges.ts";
import { type CacheLimits, type KeptToken, TokenCache } from "./token-cache.ts";
import type { TokenServer } from "./token-server.ts";

/** ms within which a second token of one client that a backend refuses stays: another one would be refused as well. */
const REFUSED_AGAIN_MS = 10_000;

/** ms for which a client is not exchanged a token again that the token endpoint has refused, or answered wrongly. */
const REFUSED_MS = 5_000;
/** Longest time (ms) for which a client waits because the token endpoint has told it to come later. */
const LONGEST_LATER_MS = 60_000;

export interface ExchangeEvent {
  readonly backend: string;
  readonly outcome: ExchangeOutcome["kind"];
  /** In words, without any token. undefined: a token has come. */
  readonly why: string | undefined;
  readonly ms: number;
}

export interface ExchangesOptions {
  readonly server: Pick<TokenServer, "exchange">;
  readonly limits: () => CacheLimits;
  readonly observe: (event: ExchangeEvent) => void;
  /** ms since the epoch, as tokens count it. */
  readonly now?: () => number;
}

/** A token that is needed. */
interface Wanted {
  readonly backend: string;
  readonly of: ExchangeCredentials;
  readonly subjectToken: string;
  readonly key: string;
}

export class Exchanges {
  readonly #options: ExchangesOptions & { readonly now: () => number };
  readonly #cache: TokenCache;
  /** By key: what is being exchanged. */
  readonly #pending = new Map<string, Promise<Credential>>();
  /** By what decides whether an endpoint answers. That comes from the configuration, so these are few. */
  readonly #circuits = new Map<string, Circuit>();
  readonly #failed = new FailedExchanges();

  constructor(options: ExchangesOptions) {
    this.#options = { now: Date.now, ...options };
    this.#cache = new TokenCache(options.limits);
  }

  /** How many tokens are kept that have not ended. */
  get kept(): number {
    return this.#cache.sizeAt(this.#options.now());
  }

  get keptBytes(): number {
    return this.#cache.bytes;
  }

  /** Without a client's token there is none to exchange: then the backend is told nothing. */
  of(backend: string, of: ExchangeCredentials, authorization: string | undefined): Credential | Promise<Credential> {
    const subjectToken = bearerIn(authorization);
    if (subjectToken === undefined) return NOTHING_ADDED;
    const key = hash("sha256", exchangeName(backend, of, subjectToken), "base64url");
    const wanted = { backend, of, subjectToken, key };
    const now = this.#options.now();
    const kept = this.#cache.get(key, now);
    if (!kept) return this.#exchange(wanted);
    if (now >= kept.fresh) {
      // Whatever comes of it: until then the one that is there is used.
      this.#cache.rest(key, kept, now + of.pause);
      void this.#exchange(wanted);
    }
    return this.#held(key, kept);
  }

  #held(key: string, kept: KeptToken): Credential {
    const { token, headers } = kept;
    return {
      kind: "held",
      headers,
      refused: () => this.#cache.refused(key, token, this.#options.now(), REFUSED_AGAIN_MS),
    };
  }

  /** Never rejects. */
  #exchange(wanted: Wanted): Promise<Credential> {
    const { key } = wanted;
    const pending = this.#pending.get(key);
    if (pending) return pending;
    const exchanged = this.#ask(wanted).finally(() => this.#pending.delete(key));
    this.#pending.set(key, exchanged);
    return exchanged;
  }

  async #ask(wanted: Wanted): Promise<Credential> {
    const { backend, of, key } = wanted;
    const { now, observe } = this.#options;
    const failed = this.#failed.get(key, now());
    if (failed) return failed;
    const circuit = this.#circuitOf(of);
    const wait = circuit.wait(now(), of.pause);
    if (wait > 0) return { kind: "none", why: LEFT_ALONE, retryAfter: secondsOf(wait) };
    const began = performance.now();
    const outcome = await this.#answer(wanted);
    if (outcome.kind === "unavailable" && outcome.isOutage)
      circuit.failed(hash("sha256", userName(wanted.subjectToken), "base64url"), now(), of.pause);
    else circuit.succeeded();
    const why = outcome.kind === "exchanged" ? undefined : outcome.why;
    observe({ backend, outcome: outcome.kind, why, ms: performance.now() - began });
    switch (outcome.kind) {
      case "exchanged": {
        const { token, until, fresh } = outcome;
        const kept = { token, until, fresh, headers: [[AUTHORIZATION, `Bearer ${token}`] as const] };
        this.#cache.set(key, kept, now());
        return this.#held(key, kept);
      }
      case "unavailable": {
        const { why: words, retryAfter } = outcome;
        const pause = retryAfter === undefined ? of.pause : Math.min(retryAfter * 1_000, LONGEST_LATER_MS);
        return this.#failedFor(
          wanted,
          { kind: "none", why: words, retryAfter: retryAfter ?? secondsOf(of.pause) },
          pause,
        );
      }
      case "refused":
      case "wrong":
        return this.#failedFor(wanted, { kind: "none", why: outcome.why, retryAfter: undefined }, REFUSED_MS);
      default:
        return outcome satisfies never;
    }
  }

  #failedFor({ key }: Wanted, credential: Extract<Credential, { kind: "none" }>, pause: number): Credential {
    this.#failed.set(key, { credential, until: this.#options.now() + pause });
    return credential;
  }

  async #answer({ of, subjectToken }: Wanted): Promise<ExchangeOutcome> {
    const { server, now } = this.#options;
    const signal = AbortSignal.timeout(of.timeout);
    try {
      return readTokenAnswer(await server.exchange(of, subjectToken, signal), of, subjectToken, now());
    } catch (error) {
      const why = signal.aborted ? "does not answer within exchange.timeout" : `cannot be asked: ${codeOf(error)}`;
      return { kind: "unavailable", why: `the token endpoint ${why}`, retryAfter: undefined, isOutage: true };
    }
  }

  /** A backend whose settings no endpoint answers to keeps no other one from it. */
  #circuitOf({ endpoint, ca, timeout, client }: ExchangeCredentials): Circuit {
    const key = JSON.stringify([endpoint, ca, timeout, client]);
    const circuit = this.#circuits.get(key) ?? new Circuit();
    this.#circuits.set(key, circuit);
    return circuit;
  }
}

const LEFT_ALONE = "the token endpoint has failed, and is left alone for a moment";

function secondsOf(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1_000));
}

/** An error's code, which holds nothing of what was sent. Its text may. */
function codeOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
    if (!(at.cause instanceof Error)) return at.name;
  }
  return "unknown";
}
