/** Sessions at backends. Pure. */

/** A session that a backend has begun, and where it is. */
export interface BackendSession {
  /** The backend's own session id. */
  readonly sessionId: string;
  /** `ip:port` of the endpoint that holds it. */
  readonly endpoint: string;
  /** MCP-Protocol-Version of its messages; undefined: that of the client's. */
  readonly version?: string | undefined;
}
