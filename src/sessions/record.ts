/**
 * A session as the fields of a Redis hash.
 *
 * | field        | holds                                                                        |
 * |--------------|------------------------------------------------------------------------------|
 * | v            | version of this layout                                                       |
 * | o            | owner: digest of the principal, empty for none                               |
 * | r            | path of the route                                                            |
 * | p            | protocol version that the client asked for; absent where it named none       |
 * | i            | JSON text of the initialize's params                                         |
 * | b:<backend>  | binding: generation, endpoint and backend session id, with a space between   |
 * | t, e, x      | ms by Redis's clock, the scripts' own: last touch, end of the lifetime, expiry |
 */
import type { Binding, Session } from "./store.ts";

/** Raised when a router of before could not read what this one writes. */
export const LAYOUT = 1;
const BINDING = "b:";

/** Why a record was not read. A record of a later layout is a live session that this router must leave alone. */
export type Unreadable = { readonly kind: "unreadable"; readonly why: string };

/** The fields of a new session, names and values in turn. */
export function writeRecord({ owner, route, protocolVersion, initializeParams, bindings }: Session): string[] {
  const fields = ["v", String(LAYOUT), "o", owner, "r", route, "i", initializeParams];
  if (protocolVersion !== undefined) fields.push("p", protocolVersion);
  for (const [backend, binding] of Object.entries(bindings)) fields.push(bindingField(backend), writeBinding(binding));
  return fields;
}

/** Reads the fields of a hash, names and values in turn, as HGETALL has them. */
export function readRecord(fields: readonly string[]): Session | Unreadable {
  const record = new Map<string, string>();
  for (let n = 0; n + 1 < fields.length; n += 2) record.set(fields[n] ?? "", fields[n + 1] ?? "");
  // First: in another layout the rest may mean anything.
  const layout = record.get("v");
  if (layout !== String(LAYOUT))
    return { kind: "unreadable", why: `layout ${layout ?? "?"}, and this router reads ${LAYOUT}` };
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
  return { owner, route, protocolVersion: record.get("p"), initializeParams, bindings };
}

export function bindingField(backend: string): string {
  return `${BINDING}${backend}`;
}

export function writeBinding({ generation, endpoint, sessionId }: Binding): string {
  return `${generation} ${endpoint} ${sessionId}`;
}

/** A backend's id is visible ASCII (MCP 2025-11-25, "Session Management") and may hold anything else, so it comes last. */
export function readBinding(text: string): Binding | undefined {
  const [, generation, endpoint, sessionId] = /^(\d+) (\S+) (.+)$/s.exec(text) ?? [];
  if (endpoint === undefined || sessionId === undefined) return undefined;
  return { generation: Number(generation), endpoint, sessionId };
}
