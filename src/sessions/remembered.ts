/** Changes of the state that a session remembers, within MAX_SUBSCRIPTIONS and MAX_STATE_BYTES. Pure. */
import { stateBytes } from "./record.ts";
import {
  MAX_STATE_BYTES,
  MAX_SUBSCRIPTIONS,
  NO_STATE,
  type Session,
  type SessionState,
  type StateChange,
} from "./store.ts";

type Full = { readonly kind: "full"; readonly of: "subscriptions" | "bytes" };

/** The session after a change of its state at a backend, or the bound that the change would exceed. */
export function withChange(
  session: Session,
  backend: string,
  change: StateChange,
): { readonly kind: "changed"; readonly session: Session } | Full {
  const remembered = new Map(session.remembered);
  const state = changed(remembered.get(backend) ?? NO_STATE, change);
  // An empty state leaves no trace.
  if (isEmpty(state)) remembered.delete(backend);
  else remembered.set(backend, state);
  const full = change.kind === "level" || change.kind === "subscribe" ? exceeded(remembered) : undefined;
  if (full) return { kind: "full", of: full };
  const { remembered: _, ...rest } = session;
  return { kind: "changed", session: remembered.size > 0 ? { ...rest, remembered } : rest };
}

function changed(before: SessionState, change: StateChange): SessionState {
  switch (change.kind) {
    case "level":
      return { ...before, level: change.params };
    case "subscribe":
      return { ...before, subscriptions: new Map(before.subscriptions).set(change.uri, change.params) };
    case "unsubscribe":
      return { ...before, subscriptions: new Map([...before.subscriptions].filter(([uri]) => uri !== change.uri)) };
    case "listening":
      return { ...before, listening: change.generation };
    default:
      return change satisfies never;
  }
}

function isEmpty({ level, subscriptions, listening }: SessionState): boolean {
  return level === undefined && subscriptions.size === 0 && listening === undefined;
}

/** The bound that the state exceeds, if any. */
function exceeded(remembered: ReadonlyMap<string, SessionState>): Full["of"] | undefined {
  let count = 0;
  let bytes = 0;
  for (const [backend, { level, subscriptions }] of remembered) {
    count += subscriptions.size;
    if (level !== undefined) bytes += stateBytes(backend, { kind: "level", params: level });
    for (const [uri, params] of subscriptions) bytes += stateBytes(backend, { kind: "subscribe", uri, params });
  }
  if (count > MAX_SUBSCRIPTIONS) return "subscriptions";
  return bytes > MAX_STATE_BYTES ? "bytes" : undefined;
}
