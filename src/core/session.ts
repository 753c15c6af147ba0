/** Sessions at backends. Pure. */

/** A session that a backend has begun, and where it is. */
export interface BackendSession {
  /** The backend's own session id. */
  readonly sessionId: string;
  /** `ip:port` of the endpoint that holds it. */
  readonly endpoint: string;
}
