/**
 * Our own calls to backends, through Envoy's egress listener: Envoy does TLS, connections and timeouts of them as of the
 * clients', and its access log tells them apart by the listener, and by `x-client-id` where no client has said its own.
 */
import type { Readable } from "node:stream";
import { Pool } from "undici";
import { MCP_SESSION_ID, OWN_CLIENT_ID_PREFIX, X_CLIENT_ID, X_MCP_BACKEND, X_MCP_ENDPOINT } from "../core/headers.ts";
import { type Header, isSuccess } from "../core/http.ts";
import type { BackendSession } from "../core/session.ts";

/** How long (ms) the end of a session may take. */
const END_TIMEOUT_MS = 5_000;

/**
 * Largest head (bytes) of an answer. Envoy passes on heads of a backend up to 60 KiB (max_response_headers_kb) and adds some
 * headers of its own; Node's 16 KiB would lose the answer to a call that has run.
 */
const LARGEST_HEAD = 64 * 1024;

/** A backend, as Envoy knows it. */
export interface BackendEndpoint {
  /** Its name as an Envoy cluster. */
  readonly backend: string;
  /** Path, and query, of its MCP endpoint. */
  readonly path: string;
}

/** Why we call, as the access log has it, but where the headers say for which client. */
type Purpose = "initialize" | "recovery" | "sweep";

interface Call {
  readonly purpose: Purpose;
  readonly target: BackendEndpoint;
  /** undefined: in no session, at any endpoint. */
  readonly pin: BackendSession | undefined;
  readonly method: "POST" | "DELETE";
  /** Beside those that the rest says. */
  readonly headers: readonly Header[];
  readonly body?: string | Uint8Array;
}

export interface Answer {
  readonly status: number;
  /** The first of a name; names are lower case. */
  header(name: string): string | undefined;
  /** All fields, several of one name one after another. */
  readonly headers: readonly Header[];
  /** `ip:port` that answered. */
  readonly endpoint: string | undefined;
  /** To be read, or discarded. */
  readonly body: Readable;
  /** Nobody wants the body. */
  discard(): void;
}

export interface Egress {
  /**
   * Resolves with the answer's head. Rejects where Envoy cannot be reached, and when it is aborted, which also cuts the body
   * off. Nothing is bounded in time: Envoy bounds a call as it does the clients'.
   */
  send(call: Call, signal: AbortSignal): Promise<Answer>;
  /**
   * Ends a session at its backend (MCP 2025-11-25, "Session Management": DELETE). That a backend knows it no more, or lets no
   * client end sessions (405), is as good. Rejects where the backend was not told.
   * @param headers credentials, where somebody's are at hand
   */
  endSession(
    target: BackendEndpoint,
    pin: BackendSession,
    headers: readonly Header[],
    signal: AbortSignal,
  ): Promise<void>;
  close(): Promise<void>;
}

/** @param address of Envoy's egress listener: `http://host:port`. Nothing is connected before the first call. */
export function createEgress(address: string): Egress {
  const pool = new Pool(address, { headersTimeout: 0, bodyTimeout: 0, maxHeaderSize: LARGEST_HEAD });

  const send: Egress["send"] = async ({ purpose, target, pin, method, headers, body }, signal) => {
    const own: Header[] = [[X_MCP_BACKEND, target.backend]];
    // A backend may know its caller by it.
    if (!headers.some(([name]) => name === X_CLIENT_ID)) own.push([X_CLIENT_ID, `${OWN_CLIENT_ID_PREFIX}${purpose}`]);
    if (pin) own.push([X_MCP_ENDPOINT, pin.endpoint], [MCP_SESSION_ID, pin.sessionId]);
    const answer = await pool.request({
      method,
      path: target.path,
      headers: [...headers, ...own].flat(),
      signal,
      ...(body !== undefined && { body }),
    });
    // Whoever reads the body gets its error; when it is aborted, nobody may be reading.
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
      discard: () => void answer.body.dump().catch(() => undefined),
    };
  };

  return {
    send,

    async endSession(target, pin, headers, signal) {
      const timeout = AbortSignal.timeout(END_TIMEOUT_MS);
      // No MCP-Protocol-Version, which would have to be the negotiated one: servers then assume 2025-03-26.
      const call: Call = { purpose: "sweep", target, pin, method: "DELETE", headers };
      const { status, discard } = await send(call, AbortSignal.any([signal, timeout]));
      discard();
      const told = isSuccess(status) || status === 404 || status === 405;
      if (!told) throw new Error(`the backend answers ${status}`);
    },

    close: () => pool.destroy(),
  };
}
