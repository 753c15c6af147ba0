/**
 * A session as the fields of a Redis hash.
 *
 * | field        | holds                                                                        |
 * |--------------|------------------------------------------------------------------------------|
 * | v            | version of this layout                                                       |
 * | o            | owner: digest of the principal, empty for none                               |
 * | r            | path of the route                                                            |
 * | p            | protocol version that the client requested; absent if it named none          |
 * | i            | JSON text of the initialize's params                                         |
 * | b:<backend>  | binding: generation, endpoint (or `parked`, `sessionless`) and backend session id, separated by spaces; behind the endpoint `;` and the protocol version, where the backend has its own |
 * | l:<backend>  | params of the last logging/setLevel                                          |
 * | u:<backend>:<uri> | params of the resources/subscribe                                       |
 * | g:<backend>  | generation of the binding on which the client last opened its GET stream     |
 * | d:<backend>  | debt of the brake on recovery (brake.ts), and when it was counted; used by lua/brake.lua alone |
 * | t, e, x      | last touch (0: none yet), end of the lifetime, expiry; used by the scripts alone |
 *
 * Times are ms by Redis's clock.
 */
import {
  type Binding,
  NO_STATE,
  type Session,
  type SessionState,
  type SessionView,
  type StateChange,
} from "./store.ts";

/** To be raised when older routers could not read new records. They ignore fields that they do not know. */
export const LAYOUT = 1;
export const BINDING = "b:";
export const LEVEL = "l:";
export const SUBSCRIPTION = "u:";
const LISTENING = "g:";

/** Why a record could not be read. A record of a later layout is a live session that this router must not change. */
export type Unreadable = { readonly kind: "unreadable"; readonly why: string };

/** The fields of a new session: name, value, name, value, … */
export function writeRecord(session: Session): string[] {
  const { owner, route, protocolVersion, initializeParams, bindings, remembered = [] } = session;
  const fields = ["v", String(LAYOUT), "o", owner, "r", route, "i", initializeParams];
  if (protocolVersion !== undefined) fields.push("p", protocolVersion);
  for (const [backend, binding] of Object.entries(bindings)) fields.push(bindingField(backend), writeBinding(binding));
  for (const [backend, { level, subscriptions, listening }] of remembered) {
    if (level !== undefined) fields.push(...stateField(backend, { kind: "level", params: level }));
    for (const [uri, params] of subscriptions) fields.push(...stateField(backend, { kind: "subscribe", uri, params }));
    if (listening !== undefined) fields.push(...stateField(backend, { kind: "listening", generation: listening }));
  }
  return fields;
}

/** Reads the fields of a hash: name, value, name, value, …, as HGETALL returns them. */
export function readRecord(fields: readonly string[]): Session | Unreadable {
  const record = new Map<string, string>();
  for (let n = 0; n + 1 < fields.length; n += 2) record.set(fields[n] ?? "", fields[n + 1] ?? "");
  // Checked first: in another layout the other fields may have other meanings.
  const layout = record.get("v");
  if (layout !== String(LAYOUT)) return otherLayout(layout);
  const bindings: Record<string, Binding> = {};
  for (const [name, value] of record) {
    if (!name.startsWith(BINDING)) continue;
    const binding = readBinding(value);
    if (!binding) return { kind: "unreadable", why: `field ${name} holds no binding` };
    bindings[name.slice(BINDING.length)] = binding;
  }
  const owner = record.get("o");
  const route = record.get("r");
  const initializeParams = record.get("i");
  if (owner === undefined || route === undefined || initializeParams === undefined)
    return { kind: "unreadable", why: "owner, route or params are missing" };
  const remembered = readRemembered(record);
  return {
    owner,
    route,
    protocolVersion: record.get("p"),
    initializeParams,
    bindings,
    ...(remembered.size > 0 && { remembered }),
  };
}

/** The fields of a hash that lua/find.lua reads; null for an absent field. */
export type ViewFields = readonly [
  layout: string | null,
  owner: string | null,
  route: string | null,
  binding: string | null,
  listening: string | null,
];

export function readView([layout, owner, route, binding, listening]: ViewFields): SessionView | Unreadable {
  // Checked first: in another layout the other fields may have other meanings.
  if (layout !== String(LAYOUT)) return otherLayout(layout);
  if (owner === null || route === null) return { kind: "unreadable", why: "owner or route are missing" };
  const bound = binding === null ? undefined : readBinding(binding);
  if (binding !== null && !bound) return { kind: "unreadable", why: "a field of a binding holds none" };
  return { owner, route, binding: bound, listening: listening === null ? undefined : Number(listening) };
}

function otherLayout(layout: string | null | undefined): Unreadable {
  return { kind: "unreadable", why: `layout ${layout ?? "?"}, and this router reads ${LAYOUT}` };
}

interface StateBeingRead {
  level: string | undefined;
  readonly subscriptions: Map<string, string>;
  listening: number | undefined;
}

function readRemembered(record: ReadonlyMap<string, string>): Map<string, SessionState> {
  const remembered = new Map<string, StateBeingRead>();
  const of = (backend: string) => {
    const known = remembered.get(backend) ?? { ...NO_STATE, subscriptions: new Map<string, string>() };
    remembered.set(backend, known);
    return known;
  };
  for (const [name, value] of record) {
    if (name.startsWith(LEVEL)) of(name.slice(LEVEL.length)).level = value;
    if (name.startsWith(LISTENING)) of(name.slice(LISTENING.length)).listening = Number(value);
    if (!name.startsWith(SUBSCRIPTION)) continue;
    // A backend's name has no colon; a URI has.
    const end = name.indexOf(":", SUBSCRIPTION.length);
    of(name.slice(SUBSCRIPTION.length, end)).subscriptions.set(name.slice(end + 1), value);
  }
  return remembered;
}

/** The field that a change sets, and its value; an empty value removes the field. */
export function stateField(backend: string, change: StateChange): readonly [name: string, value: string] {
  switch (change.kind) {
    case "level":
      return [`${LEVEL}${backend}`, change.params];
    case "subscribe":
      return [`${SUBSCRIPTION}${backend}:${change.uri}`, change.params];
    case "unsubscribe":
      return [`${SUBSCRIPTION}${backend}:${change.uri}`, ""];
    case "listening":
      return [listeningField(backend), String(change.generation)];
    default:
      return change satisfies never;
  }
}

/** Bytes of MAX_STATE_BYTES that a change uses. `listening` uses none: it is one number per backend. */
export function stateBytes(backend: string, change: StateChange): number {
  if (change.kind === "listening") return 0;
  const [name, value] = stateField(backend, change);
  return Buffer.byteLength(name) + Buffer.byteLength(value);
}

export function listeningField(backend: string): string {
  return `${LISTENING}${backend}`;
}

export function debtField(backend: string): string {
  return `d:${backend}`;
}

export function bindingField(backend: string): string {
  return `${BINDING}${backend}`;
}

export function writeBinding({ generation, endpoint, sessionId, version }: Binding): string {
  return `${generation} ${endpoint}${version === undefined ? "" : `;${version}`} ${sessionId}`;
}

/** A backend's session id should be visible ASCII (MCP 2025-11-25, "Session Management") but may hold spaces, so it comes last. */
export function readBinding(text: string): Binding | undefined {
  const [, generation, endpoint, version, sessionId] = /^(\d+) ([^\s;]+)(?:;(\S+))? (.+)$/s.exec(text) ?? [];
  if (endpoint === undefined || sessionId === undefined) return undefined;
  return { generation: Number(generation), endpoint, sessionId, ...(version !== undefined && { version }) };
}
