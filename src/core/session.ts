/** A client's session, as the core sees it. Pure. */

/** A session that a backend has begun, and where it is. */
export interface BackendSession {
  /** The backend's own session id. */
  readonly sessionId: string;
  /** `ip:port` of the endpoint that holds it. */
  readonly endpoint: string;
}
