/**
 * What backends are told of who calls. Whatever goes to a backend asks here: the requests that Envoy sends
 * (gateway/authorize.ts), and the router's own (backends/client.ts). The same answer for all of them, and never another
 * credential in place of one that cannot be had.
 */
import type { Credentialed, Credentials } from "../core/credentials.ts";
import type { Header } from "../core/http.ts";

/** A credential that is there. */
export interface HeldCredential {
  readonly kind: "held";
  /** To be added: empty where the backend is told nothing. */
  readonly headers: readonly Header[];
  /** The backend has answered 401: what was kept for its client is not given again. */
  refused(): void;
}

export type Credential = HeldCredential | NoCredential;

export interface NoCredential {
  readonly kind: "none";
  /** For the log and for clients: of no token or secret. */
  readonly why: string;
  /** Seconds after which there may be one; undefined: a retry is of no use. */
  readonly retryAfter: number | undefined;
}

export interface BackendCredentials {
  /**
   * What the configuration in force says of the backend, for calls of ours: streams outlive the configuration that they were opened by.
   * Default: what the backend has.
   */
  inForce?(backend: Credentialed): Credentials;
  /**
   * The credential of a request. It is there at once, or within a bounded time. Never rejects.
   * @param authorization the client's own; undefined: there is no client, or it is anonymous
   */
  of(backend: Credentialed, authorization: string | undefined): Credential | Promise<Credential>;
}

/** A call of ours was not sent, as there is no credential for it. */
export class NoCredentialError extends Error {
  readonly none: NoCredential;

  constructor(backend: string, none: NoCredential) {
    super(`no credential for backend ${backend}: ${none.why}`);
    this.name = "NoCredentialError";
    this.none = none;
  }
}

/** One that does not depend on the client. */
export const held = (headers: readonly Header[]): HeldCredential => ({
  kind: "held",
  headers,
  refused: () => undefined,
});

/** The client's own headers, without what is withheld, are all. */
export const NOTHING_ADDED: HeldCredential = held([]);

/** Credentials of a router without secrets: it has nothing in place of what it withholds. */
export const NO_SECRETS: BackendCredentials = {
  of: ({ credentials: { kind } }) =>
    kind === "forward" || kind === "none"
      ? NOTHING_ADDED
      : { kind: "none", why: "the router has not read its secrets", retryAfter: undefined },
};
