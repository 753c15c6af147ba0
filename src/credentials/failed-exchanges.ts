/** Exchanges that have failed a moment ago, so that whoever asks again and again does not ask the token endpoint each time. */
import type { Credential } from "./credentials.ts";

/** Failures that are remembered: the oldest ones give way to new ones. */
const MOST_FAILURES = 10_000;

type NoCredential = Extract<Credential, { kind: "none" }>;

interface Failure {
  readonly credential: NoCredential;
  /** ms of the clock: it counts until then. */
  readonly until: number;
}

export class FailedExchanges {
  /** By key, those that came last at the end. Holds no token. */
  readonly #failures = new Map<string, Failure>();

  get(key: string, now: number): NoCredential | undefined {
    const failure = this.#failures.get(key);
    if (!failure) return undefined;
    if (now < failure.until) return failure.credential;
    this.#failures.delete(key);
    return undefined;
  }

  set(key: string, failure: Failure): void {
    this.#failures.delete(key);
    this.#failures.set(key, failure);
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > MOST_FAILURES && oldest !== undefined) this.#failures.delete(oldest);
  }
}
