/** A session store that tells of what a stream of the client's may wait for: another backend session, or more or less to hear from one. */
import type { SessionKey } from "./sessions/id.ts";
import type { SessionStore } from "./sessions/store.ts";

export function telling(store: SessionStore, tell: (key: SessionKey) => void): SessionStore {
  return {
    ...store,
    async bind(key, ...rest) {
      const bound = await store.bind(key, ...rest);
      if (bound.kind === "bound") tell(key);
      return bound;
    },
    async remember(key, backend, change) {
      const remembered = await store.remember(key, backend, change);
      if (change.kind !== "listening" && remembered.kind === "remembered") tell(key);
      return remembered;
    },
  };
}
