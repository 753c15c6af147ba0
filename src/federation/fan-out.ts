/** Carries one message of a client to every backend that holds a session of it. */

import type { Egress } from "../backends/client.ts";
import { clientHeaders } from "../backends/credentials.ts";
import { MCP_PROTOCOL_VERSION, X_MCP_METHOD, X_MCP_SESSION } from "../core/headers.ts";
import { type Header, type HeaderFields, isSuccess } from "../core/http.ts";
import { type FederatedRoute, type Member, TELL_TIMEOUT_MS } from "../core/routes.ts";
import { type SessionKey, sessionTag } from "../sessions/id.ts";
import { type Binding, bindingOf, heldBy, type SessionStore } from "../sessions/store.ts";

/**
 * Messages of one client's session that one backend may be sent at once, and messages of all clients. Nobody waits for most of them,
 * so a client could have any number of them held in memory for a slow backend. Those beyond are not told.
 */
export const MOST_OF_SESSION = 16;
export const MOST_AT_BACKEND = 256;
/** Bytes of all messages that are held at once. */
export const MOST_BYTES = 32 * 1024 * 1024;

interface Told {
  readonly route: FederatedRoute;
  readonly key: SessionKey;
  readonly query: string;
  readonly headers: HeaderFields;
  readonly method: string;
  /** The client's own message: its ids are unique in its session, so each backend can take it as it is. */
  readonly body: Uint8Array;
}

export type FanOutEvent = {
  readonly kind: "not-told-of-message";
  readonly backend: string;
  readonly method: string;
  readonly why: string;
};

export interface FanOut {
  /**
   * Resolves when each backend has taken the message, or has failed to. A backend without a session of the client's gets nothing:
   * its session will be told what it must know when it is opened. Never rejects.
   */
  tell(message: Told): Promise<void>;
}

export interface FanOutDependencies {
  readonly store: Pick<SessionStore, "load">;
  readonly egress: Egress;
  readonly observe: (event: FanOutEvent) => void;
}

export function createFanOut({ store, egress, observe }: FanOutDependencies): FanOut {
  const take = createRoom();

  async function tellOne(message: Told, { route: { backend } }: Member, binding: Binding): Promise<void> {
    const { query, key, headers, method, body } = message;
    const session = heldBy(binding);
    if (!session) return;
    const sent: Header[] = clientHeaders(headers, backend.origin).filter(([name]) => name !== MCP_PROTOCOL_VERSION);
    if (session.version !== undefined) sent.push([MCP_PROTOCOL_VERSION, session.version]);
    sent.push([X_MCP_SESSION, sessionTag(key)], [X_MCP_METHOD, method]);
    const call = { purpose: "fan-out", to: { backend, query }, session, method: "POST", headers: sent, body } as const;
    const release = take(backend.name, key, body.length);
    const failed = (why: string) => observe({ kind: "not-told-of-message", backend: backend.name, method, why });
    if (!release) return failed(TOO_MANY);
    try {
      const answer = await egress.send(call, AbortSignal.timeout(TELL_TIMEOUT_MS));
      answer.discard();
      if (!isSuccess(answer.status)) failed(`status ${answer.status}`);
    } catch (error) {
      failed(error instanceof Error ? error.message : String(error));
    } finally {
      release();
    }
  }

  return {
    async tell(message) {
      const { key, route, method } = message;
      const loaded = await store.load(key);
      // Which of them have a session of the client's, nobody can tell.
      if (loaded.kind === "unavailable")
        for (const { route: at } of route.members)
          observe({ kind: "not-told-of-message", backend: at.backend.name, method, why: "the session store is away" });
      if (loaded.kind !== "loaded") return;
      const { session } = loaded;
      await Promise.all(
        route.members.map(async (member) => {
          const binding = bindingOf(session, member.route.backend.name);
          if (binding) await tellOne(message, member, binding);
        }),
      );
    },
  };
}

const TOO_MANY = "too many messages are under way";

/** Counts what is under way. The returned function takes room for one message, and gives its release; undefined: there is none. */
function createRoom(): (backend: string, key: SessionKey, bytes: number) => (() => void) | undefined {
  const counts = new Map<string, number>();
  let held = 0;
  const count = (name: string) => counts.get(name) ?? 0;
  const add = (name: string, by: number) => {
    const sum = count(name) + by;
    if (sum === 0) counts.delete(name);
    else counts.set(name, sum);
  };
  return (backend, key, bytes) => {
    // No name of a backend has a slash.
    const ofSession = `${key}/${backend}`;
    if (count(backend) >= MOST_AT_BACKEND || count(ofSession) >= MOST_OF_SESSION || held + bytes > MOST_BYTES)
      return undefined;
    const change = (by: number) => {
      add(backend, by);
      add(ofSession, by);
      held += by * bytes;
    };
    change(1);
    return () => change(-1);
  };
}
