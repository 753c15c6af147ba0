/**
 * Our own calls to backends, through Envoy's egress listener: Envoy does TLS, connections and timeouts of them as of the
 * clients', and its access log tells them apart by `x-client-id`.
 */
import { Pool } from "undici";
import { MCP_SESSION_ID, OWN_CLIENT_ID_PREFIX, X_CLIENT_ID, X_MCP_BACKEND, X_MCP_ENDPOINT } from "../core/headers.ts";

/** Most connections to the egress listener, and so calls of ours at once. */
const CONNECTIONS = 64;
/** How long (ms) the end of a session may take. */
const END_TIMEOUT_MS = 5_000;

/** A session that one backend gave us, and where it is. */
interface BackendSession {
  /** The backend's name as an Envoy cluster. */
  readonly backend: string;
  /** Path of its MCP endpoint. */
  readonly path: string;
  readonly sessionId: string;
  /** `ip:port` that holds it. */
  readonly endpoint: string;
}

export interface Egress {
  /**
   * Ends a session at its backend (MCP 2025-11-25, "Session Management": DELETE). That a backend knows it no more, or lets no
   * client end sessions (405), is as good. Rejects where the backend was not told.
   */
  endSession(session: BackendSession, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** @param address of Envoy's egress listener: `http://host:port`. Nothing is connected before the first call. */
export function createEgress(address: string): Egress {
  const pool = new Pool(address, { connections: CONNECTIONS });
  return {
    async endSession({ backend, path, sessionId, endpoint }, signal) {
      const { statusCode, body } = await pool.request({
        method: "DELETE",
        path,
        // No MCP-Protocol-Version, which would have to be the negotiated one: servers then assume 2025-03-26.
        headers: {
          [X_CLIENT_ID]: `${OWN_CLIENT_ID_PREFIX}sweep`,
          [X_MCP_BACKEND]: backend,
          [X_MCP_ENDPOINT]: endpoint,
          [MCP_SESSION_ID]: sessionId,
        },
        signal: AbortSignal.any([signal, AbortSignal.timeout(END_TIMEOUT_MS)]),
      });
      await body.dump();
      const told = (statusCode >= 200 && statusCode < 300) || statusCode === 404 || statusCode === 405;
      if (!told) throw new Error(`the backend answers ${statusCode}`);
    },

    close: () => pool.destroy(),
  };
}
