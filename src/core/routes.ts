/** The public paths and where they lead: what `mcp-router.yaml` says, as far as a request needs it. */
import type { Identity } from "./identity.ts";

export interface Route {
  /** Public path, compared byte by byte. */
  readonly path: string;
  /** The backend, by the name that it has as an Envoy cluster. */
  readonly backend: string;
  /** Path of the MCP endpoint at the backend. */
  readonly backendPath: string;
  /** Whether a legacy message other than initialize needs a session. */
  readonly sessions: "optional" | "required";
}

export interface RequestPolicy {
  readonly routes: ReadonlyMap<string, Route>;
  /** `gateway.hosts`, lower case; undefined = any. */
  readonly hosts: readonly string[] | undefined;
  /** `gateway.origins`; undefined = the same host only. */
  readonly origins: readonly string[] | undefined;
  /** How the principal of a request is known. */
  readonly identity: Identity;
  /** Who may begin a session. undefined = any number. */
  readonly admission: {
    readonly sessions: number | undefined;
    /** Sessions of one principal. */
    readonly perPrincipal: number | undefined;
    /** Initializes that wait for one backend at once, in this process. */
    readonly waiting: number | undefined;
    /** Seconds after which a refused client may try again. */
    readonly retryAfter: number;
  };
  readonly limits: {
    /** Bytes of a request body. */
    readonly body: number;
    readonly batch: number;
    readonly depth: number;
    /** Bytes of a method, and of a tool, prompt or resource name. */
    readonly name: number;
    /** Bytes of an initialize's params, which a session keeps. */
    readonly initialize: number;
  };
}
