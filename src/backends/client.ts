/**
 * Our own HTTP calls to backends, through Envoy's egress listener: Envoy does their TLS, connections and timeouts as it does the
 * clients'. Its access log tells them apart by the listener, and by `x-client-id` unless a client has named itself.
 */
import type { Readable } from "node:stream";
import { Pool } from "undici";
import { withCredential } from "../core/credential-headers.ts";
import type { Credentialed } from "../core/credentials.ts";
import {
  AUTHORIZATION,
  MCP_SESSION_ID,
  OWN_CLIENT_ID_PREFIX,
  X_CLIENT_ID,
  X_MCP_BACKEND,
  X_MCP_ENDPOINT,
} from "../core/headers.ts";
import type { Header } from "../core/http.ts";
import type { Backend } from "../core/routes.ts";
import type { BackendSession } from "../core/session.ts";
import {
  type BackendCredentials,
  type HeldCredential,
  NO_SECRETS,
  NoCredentialError,
} from "../credentials/credentials.ts";

/**
 * Largest head (bytes) of an answer. Envoy passes on heads of a backend up to 60 KiB (max_response_headers_kb) and adds some
 * headers of its own; Node's 16 KiB would lose the answer to a call that has run.
 */
const LARGEST_HEAD = 64 * 1024;

/** How long (ms), and how large (bytes), the rest of a body that nobody wants may be, before its connection is given up. */
const DISCARD_MS = 5_000;
const LARGEST_DISCARDED = 128 * 1024;

/** Where our calls go. */
export interface Destination {
  readonly backend: Backend;
  /** The query with its question mark, or "". */
  readonly query: string;
}

/** Why we call: the access log has it where the headers do not name a client. */
export type Purpose = "initialize" | "recovery" | "sweep" | "list" | "fan-out" | "stream" | "metadata";

interface Call {
  readonly purpose: Purpose;
  readonly to: Destination;
  /** undefined: in no session, at any endpoint. */
  readonly session: BackendSession | undefined;
  readonly method: "POST" | "GET" | "DELETE";
  /** Beside those that the other fields become. */
  readonly headers: readonly Header[];
  readonly body?: string | Uint8Array;
}

export interface Answer {
  readonly status: number;
  /** The first field of a name; names are lower case. */
  header(name: string): string | undefined;
  /** All fields; several of one name stay several. */
  readonly headers: readonly Header[];
  /** `ip:port` that answered; undefined where Envoy did. */
  readonly endpoint: string | undefined;
  /** To be read, or discarded. */
  readonly body: Readable;
  /** Throws the body away. */
  discard(): void;
}

export interface Egress {
  /**
   * Resolves with the head of the answer. Rejects where Envoy cannot be reached, by a NoCredentialError where the backend's credential
   * cannot be had, and when the call is aborted, which also cuts the body off. It has no timeout: Envoy bounds these calls as it does the clients'.
   */
  send(call: Call, signal: AbortSignal): Promise<Answer>;
  close(): Promise<void>;
}

/**
 * @param address of Envoy's egress listener: `http://host:port`. Nothing is connected before the first call.
 * @param credentials of backends, in place of what the headers of calls hold of clients' own. Default: there are no secrets
 */
export function createEgress(address: string, credentials: BackendCredentials = NO_SECRETS): Egress {
  const pool = new Pool(address, { headersTimeout: 0, bodyTimeout: 0, maxHeaderSize: LARGEST_HEAD });
  return {
    async send({ purpose, to, session, method, headers, body }, signal) {
      const own: Header[] = [[X_MCP_BACKEND, to.backend.name]];
      // A backend may know its caller by it.
      if (!headers.some(([name]) => name === X_CLIENT_ID)) own.push([X_CLIENT_ID, `${OWN_CLIENT_ID_PREFIX}${purpose}`]);
      if (session) own.push([X_MCP_ENDPOINT, session.endpoint], [MCP_SESSION_ID, session.sessionId]);
      const { name } = to.backend;
      const inForce = credentials.inForce?.(to.backend) ?? to.backend.credentials;
      const credential = await credentialOf(credentials, { name, credentials: inForce }, headers, signal);
      const sent = withCredential(headers, inForce, credential.headers);
      const answer = await pool.request({
        method,
        path: to.backend.path + to.query,
        headers: [...sent, ...own].flat(),
        signal,
        ...(body !== undefined && { body }),
      });
      if (answer.statusCode === 401) credential.refused();
      // A reader of the body gets its error; when the call is aborted there may be no reader.
      answer.body.on("error", () => undefined);
      const header = (name: string) => {
        const value = answer.headers[name];
        return Array.isArray(value) ? value[0] : value;
      };
      return {
        status: answer.statusCode,
        header,
        headers: Object.entries(answer.headers).flatMap(([name, value = []]) =>
          [value].flat().map((each): Header => [name, each]),
        ),
        endpoint: header(X_MCP_ENDPOINT),
        body: answer.body,
        discard: () =>
          void answer.body
            .dump({ limit: LARGEST_DISCARDED, signal: AbortSignal.timeout(DISCARD_MS) })
            .catch(() => undefined),
      };
    },

    close: () => pool.destroy(),
  };
}

/** Waits no longer than the call may. */
async function credentialOf(
  credentials: BackendCredentials,
  backend: Credentialed,
  headers: readonly Header[],
  signal: AbortSignal,
): Promise<HeldCredential> {
  const client = headers.find(([name]) => name === AUTHORIZATION)?.[1];
  const asked = credentials.of(backend, client);
  const credential = asked instanceof Promise ? await unlessAborted(asked, signal) : asked;
  if (credential.kind === "none") throw new NoCredentialError(backend.name, credential);
  return credential;
}

function unlessAborted<Value>(pending: Promise<Value>, signal: AbortSignal): Promise<Value> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    void pending.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
