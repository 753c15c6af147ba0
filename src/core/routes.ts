/** The public paths and where they lead: the settings of `mcp-router.yaml` that each request needs. */
import { assertNever } from "./assert-never.ts";
import type { CallLimit } from "./call-limits.ts";
import { type Credentials, longestCredential } from "./credentials.ts";
import type { NameFilter } from "./federation/filter.ts";
import type { Glob } from "./federation/glob.ts";
import type { Pins } from "./federation/pins.ts";
import type { Identity } from "./identity.ts";
import type { Parking } from "./parking.ts";
import type { Access } from "./policy/access.ts";
import type { ToolTimeout } from "./tool-timeouts.ts";

/** An MCP server behind Envoy: one cluster of equal endpoints. */
export interface Backend {
  /** Its name as an Envoy cluster. */
  readonly name: string;
  /** Path of its MCP endpoint. */
  readonly path: string;
  /** What the gateway does when the backend has lost a session. */
  readonly onSessionLost: "recover" | "surface";
  /** What becomes of a client's Origin once it was checked. */
  readonly origin: "remove" | "forward";
  readonly credentials: Credentials;
  /** Longest times in ms: of a whole call, and of the recovery of a session. */
  readonly timeouts: {
    readonly call: number;
    readonly initialize: number;
    /** `call` is the time of the tools that the request calls, of which Envoy is told. */
    readonly isOfTools?: boolean;
  };
}

export interface PublicPath {
  /** Public path, as `publicPath` leaves it. */
  readonly path: string;
  /** Whether a legacy message other than initialize needs a session. */
  readonly sessions: "optional" | "required";
}

/** A public path, and the backend that its messages go to: the only one, or a member of several. */
export interface RouteToBackend extends PublicPath {
  readonly kind: "transparent" | "member";
  readonly backend: Backend;
}

/** Messages pass to one backend, unchanged. */
export interface TransparentRoute extends RouteToBackend {
  readonly kind: "transparent";
}

/** Messages pass to one of several backends, under names of the route's. */
export interface MemberRoute extends RouteToBackend {
  readonly kind: "member";
}

/** One MCP server made of several. */
export interface FederatedRoute extends PublicPath {
  readonly kind: "federated";
  /** In the order of the configuration: of two items of one name, that of the first is offered. */
  readonly members: readonly Member[];
  /** By the names that clients see. */
  readonly filters: Readonly<Record<"tools" | "prompts" | "resources", NameFilter>>;
  /** Of tools. undefined: they are offered whatever they are. */
  readonly pins: Pins | undefined;
  /** For clients, in place of the backends' own. undefined: the backends' own, each under its name. */
  readonly instructions: string | undefined;
  /** What clients are told of the server that they talk to. */
  readonly serverInfo: { readonly name: string; readonly title: string | undefined; readonly version: string };
  /** Of whom clients are told: of the route, or of its only backend where that has said who it is. */
  readonly presents: "route" | "backend";
  readonly lists: ListLimits;
  /** Whether clients of MCP 2026-07-28 are served in their era also where a backend needs sessions. */
  readonly bridges: boolean;
  /**
   * What answers a client's GET. `backend`: the only one, whose stream passes. `own`: the gateway, which tells of changed lists.
   * `none`: nobody.
   */
  readonly stream: "backend" | "own" | "none";
}

/** A backend of a federated route. */
export interface Member {
  readonly route: MemberRoute;
  /**
   * Stands before each name that clients see, `files__`; empty where the backend's names are unique by themselves. undefined: names
   * are the backend's own to the byte, whatever characters they have.
   */
  readonly prefix: string | undefined;
  /** URIs that are this backend's, whether it lists them or not. */
  readonly uris: readonly Glob[];
  /** Whether everybody is offered the same, or what a principal is offered depends on who that is. */
  readonly lists: "shared" | "principal";
}

/** Bounds on what the router asks backends for their lists. Times in ms. */
export interface ListLimits {
  /** Age of a list after which it is asked for again. */
  readonly refresh: number;
  /** How long the last list of a backend is offered that does not answer. */
  readonly stale: number;
  /** Longest time for all lists of one backend. */
  readonly timeout: number;
  /** Pages of one list. */
  readonly pages: number;
  /** Bytes of one list. */
  readonly bytes: number;
  /** Bytes of one page that a client gets. */
  readonly page: number;
}

/** Messages pass to one backend where it speaks the era of the client. Where it does not, the gateway stands for the backend. */
export interface BridgedRoute extends PublicPath {
  readonly kind: "bridged";
  readonly transparent: TransparentRoute;
  /** The same path across the eras: of the one backend, and to clients not told apart from that. */
  readonly federated: FederatedRoute;
}

export type Route = TransparentRoute | FederatedRoute | BridgedRoute;

/** What the gateway itself serves of a route; undefined: its messages only pass. */
export function federationOf(route: Route): FederatedRoute | undefined {
  switch (route.kind) {
    case "transparent":
      return undefined;
    case "federated":
      return route;
    case "bridged":
      return route.federated;
    default:
      return assertNever(route);
  }
}

/** The backends that a route leads to, in the order of the configuration. */
export function backendsOf(route: Route): readonly Backend[] {
  switch (route.kind) {
    case "transparent":
      return [route.backend];
    case "federated":
      return route.members.map((member) => member.route.backend);
    case "bridged":
      return [route.transparent.backend];
    default:
      return assertNever(route);
  }
}

/** Envoy has to wait a little longer than what it waits for. */
const MESSAGE_TIMEOUT_SLACK_MS = 1_000;

/** How long (ms) Envoy may have to wait for a verdict: for a session's recovery, and then for the backend's answer. */
export function recoveryMessageTimeout({ timeouts, credentials }: Pick<Backend, "timeouts" | "credentials">): number {
  return timeouts.initialize + timeouts.call + longestCredential(credentials) + MESSAGE_TIMEOUT_SLACK_MS;
}

/**
 * How long (ms) Envoy may have to wait for the credential of a request to one of these backends, beside all else that the request
 * waits for. 0: no time at all.
 */
export function credentialMessageTimeout(backends: readonly Pick<Backend, "credentials">[]): number {
  const longest = Math.max(0, ...backends.map(({ credentials }) => longestCredential(credentials)));
  return longest === 0 ? 0 : longest + MESSAGE_TIMEOUT_SLACK_MS;
}

/** How long (ms) Envoy may have to wait for the verdict on a request whose session was parked: for another one. */
export function resumptionMessageTimeout({ initialize }: Backend["timeouts"]): number {
  return initialize + MESSAGE_TIMEOUT_SLACK_MS;
}

/**
 * How long (ms) an initialize may wait for a slot. Half of what Envoy gives the whole call, which it counts from the beginning: the
 * backend needs the rest.
 */
export function longestWaitOf(wait: number, { call }: Backend["timeouts"]): number {
  return Math.min(wait, call / 2);
}

/** How long (ms) Envoy may have to wait for the verdict on an initialize that waits for a slot. */
export function waitMessageTimeout(wait: number): number {
  return wait + MESSAGE_TIMEOUT_SLACK_MS;
}

/**
 * How long (ms) Envoy may have to wait for the verdict on a request that needs the backends' lists: for those, and then for a slot.
 * @param wait `admission.wait`; undefined for what needs no slot
 */
export function catalogueMessageTimeout({ timeout }: Pick<ListLimits, "timeout">, wait = 0): number {
  return timeout + wait + MESSAGE_TIMEOUT_SLACK_MS;
}

/** How long (ms) a session may take to open at the slowest backend of a route. */
export function longestOpening({ members }: Pick<FederatedRoute, "members">): number {
  return Math.max(...members.map(({ route }) => route.backend.timeouts.initialize));
}

/** How long (ms) a backend may take for a message that all backends of a route get. */
export const TELL_TIMEOUT_MS = 5_000;

/** How long (ms) Envoy may have to wait for the verdict on a request that waits for backends of a route to several. */
export function memberMessageTimeout(wait: number): number {
  return wait + MESSAGE_TIMEOUT_SLACK_MS;
}

export interface RequestPolicy {
  /** By public path. */
  readonly routes: ReadonlyMap<string, Route>;
  /** `gateway.hosts`, lower case; undefined = any. */
  readonly hosts: readonly string[] | undefined;
  /** `gateway.origins`; undefined = the same host only. */
  readonly origins: readonly string[] | undefined;
  /** How the principal of a request is known. */
  readonly identity: Identity;
  /** Who may see and use what. undefined: everybody everything. */
  readonly access: Access | undefined;
  /** Whether any backend gets credentials of the gateway's own in place of the client's. */
  readonly addsCredentials: boolean;
  /** Who may begin a session. undefined = any number. */
  readonly admission: {
    readonly sessions: number | undefined;
    /** Sessions of one principal. */
    readonly perPrincipal: number | undefined;
    /** Sessions of all anonymous callers together. */
    readonly anonymous: number | undefined;
    /** When a session that is idle may give its slot to a new one; undefined: never. */
    readonly parking: Parking | undefined;
    /** Initializes that wait for one backend at once, in this process. */
    readonly waiting: number | undefined;
    /** ms that one waits at a cap for an idle session to be parked. undefined: none does. */
    readonly wait: number | undefined;
    /** Seconds after which a refused client may try again. */
    readonly retryAfter: number;
  };
  /** How often tools may be called, and how Envoy's filters count: in buckets that fill in small steps, or from one time to the next. */
  readonly callLimits: { readonly limits: readonly CallLimit[]; readonly counts: "steps" | "windows" };
  /** Tools whose calls may take another time than others. */
  readonly toolTimeouts: readonly ToolTimeout[];
  readonly limits: {
    /** Bytes of a request body. */
    readonly body: number;
    readonly batch: number;
    readonly depth: number;
    /** Bytes of a method, and of a tool, prompt or resource name. */
    readonly name: number;
    /** Bytes of an initialize's params, which a session keeps. */
    readonly initialize: number;
    /** Bytes of a request body that is kept until it is answered, to be sent again if its session is lost. */
    readonly replayBody: number;
    /** Bytes of the answer to a request that was sent again. */
    readonly recoveredAnswer: number;
    /** Bytes that are held of events which backends have begun and not ended, on all streams that are joined for clients. */
    readonly unfinishedEvents: number;
    /** Bytes that are held of answers to be filtered by policy. */
    readonly filteredAnswers: number;
  };
}
