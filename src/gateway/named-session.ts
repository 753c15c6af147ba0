/** What a request carries in `mcp-session-id`, and the start of the search for that session. */
import { readSessionHeader } from "../core/session-header.ts";
import { parseSessionId, type SessionId, type SessionKey, sessionKey } from "../sessions/id.ts";
import type { SessionStore } from "../sessions/store.ts";

type Found = Awaited<ReturnType<SessionStore["find"]>>;

export type NamedSession =
  | { readonly kind: "none" }
  /** No id of ours. */
  | { readonly kind: "malformed" }
  | {
      readonly kind: "named";
      /** undefined: the gateway holds the session, and the client knows of none. */
      readonly id: SessionId | undefined;
      readonly key: SessionKey;
      /** undefined: it is not looked for yet. */
      readonly found: Promise<Found> | undefined;
    };

const NONE: NamedSession = { kind: "none" };
const MALFORMED: NamedSession = { kind: "malformed" };

export type FindSession = (key: SessionKey) => Promise<Found>;

/** Reads `mcp-session-id`, and starts to look for the session. An id that cannot be ours costs no look-up. */
export function readNamedSession(text: string | undefined, find: FindSession | undefined): NamedSession {
  if (text === undefined) return NONE;
  let id = parseSessionId(text);
  if (id === undefined) {
    const read = readSessionHeader(text);
    if (read.kind === "none") return NONE;
    if (read.kind === "one") id = parseSessionId(read.id);
  }
  if (id === undefined) return MALFORMED;
  const key = sessionKey(id);
  const found = find?.(key);
  // A store promises not to reject. One that breaks the promise while nobody waits for it must not end the process.
  found?.catch(() => undefined);
  return { kind: "named", id, key, found };
}
