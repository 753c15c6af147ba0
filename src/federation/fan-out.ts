/** Carries one message of a client to every backend that holds a session of it. */

import type { Egress } from "../backends/client.ts";
import { clientHeaders } from "../backends/credentials.ts";
import { MCP_PROTOCOL_VERSION, X_MCP_METHOD, X_MCP_SESSION } from "../core/headers.ts";
import { type Header, type HeaderFields, isSuccess } from "../core/http.ts";
import type { FederatedRoute, Member } from "../core/routes.ts";
import { type SessionKey, sessionTag } from "../sessions/id.ts";
import { type Binding, bindingOf, heldBy, type SessionStore } from "../sessions/store.ts";

/** How long (ms) a backend may take for one message. */
export const TELL_TIMEOUT_MS = 5_000;

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
  async function tellOne(message: Told, { route: { backend } }: Member, binding: Binding): Promise<void> {
    const { query, key, headers, method, body } = message;
    const session = heldBy(binding);
    if (!session) return;
    const sent: Header[] = clientHeaders(headers, backend.origin).filter(([name]) => name !== MCP_PROTOCOL_VERSION);
    if (session.version !== undefined) sent.push([MCP_PROTOCOL_VERSION, session.version]);
    sent.push([X_MCP_SESSION, sessionTag(key)], [X_MCP_METHOD, method]);
    const call = { purpose: "fan-out", to: { backend, query }, session, method: "POST", headers: sent, body } as const;
    const failed = (why: string) => observe({ kind: "not-told-of-message", backend: backend.name, method, why });
    try {
      const answer = await egress.send(call, AbortSignal.timeout(TELL_TIMEOUT_MS));
      answer.discard();
      if (!isSuccess(answer.status)) failed(`status ${answer.status}`);
    } catch (error) {
      failed(error instanceof Error ? error.message : String(error));
    }
  }

  return {
    async tell(message) {
      const loaded = await store.load(message.key);
      if (loaded.kind !== "loaded") return;
      const { session } = loaded;
      await Promise.all(
        message.route.members.map(async (member) => {
          const binding = bindingOf(session, member.route.backend.name);
          if (binding) await tellOne(message, member, binding);
        }),
      );
    },
  };
}
