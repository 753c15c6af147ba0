import { Readable } from "node:stream";
import { expect, test } from "vitest";
import type { Answer, Egress } from "../../../src/egress/client.ts";
import { memoryLocks } from "../../../src/recovery/memory-locks.ts";
import { createRecovery } from "../../../src/recovery/recover.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";

const BINDING = { sessionId: "old", endpoint: "10.0.0.1:80", generation: 1 };

/** An answer of a backend. */
function answer(status: number, body: string, sessionId?: string): Answer {
  return {
    status,
    header: (name) => (name === "mcp-session-id" ? sessionId : "application/json"),
    endpoint: "10.0.0.2:80",
    body: Readable.from([body]),
    discard: () => undefined,
  };
}

/** A session that its backend has lost, and how requests in it lose it. */
async function lost(send: Egress["send"], locks = memoryLocks()) {
  const store = memoryStore({ idle: 8_000, lifetime: 60_000 });
  const key = sessionKey(mintSessionId());
  const bindings = { one: BINDING };
  await store.create(key, {
    owner: ANONYMOUS,
    route: "/mcp",
    protocolVersion: undefined,
    initializeParams: "{}",
    bindings,
  });
  const egress: Egress = { send, endSession: async () => undefined, close: async () => undefined };
  const recovery = createRecovery({ store, locks, egress, observe: () => undefined });
  const target = { backend: "one", path: "/mcp" };
  const loss = { suspicion: "gone", key, target, used: BINDING, headers: [], bound: 5_000 } as const;
  return (signal: AbortSignal) => recovery.recover(loss, signal);
}

test("a loss that comes while the recovery that everybody has left is wound up begins one of its own", async () => {
  const release = Promise.withResolvers<void>();
  const initialized = Promise.withResolvers<void>();
  const begun: AbortSignal[] = [];
  const locks = memoryLocks();
  const lose = await lost(
    async (_, signal) => {
      begun.push(signal);
      if (begun.length > 1) return answer(200, '{"result":{}}', "new");
      initialized.resolve();
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
    {
      acquire: async (...asked) => {
        const acquired = await locks.acquire(...asked);
        if (acquired.kind !== "acquired") return acquired;
        const { lock } = acquired;
        return { kind: "acquired", lock: { ...lock, release: () => release.promise.then(lock.release) } };
      },
    },
  );
  const leaving = new AbortController();
  const left = lose(leaving.signal);
  await initialized.promise;
  leaving.abort();
  expect(await left).toMatchObject({ kind: "failed" });
  const next = lose(new AbortController().signal);
  release.resolve();
  expect(await next).toMatchObject({ kind: "recovered", binding: { sessionId: "new", generation: 2 } });
});
