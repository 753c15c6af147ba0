/** Routers in one process with one session, whose backend has restarted: they recover it as the tests ask. */
import { afterEach } from "vitest";
import { createEgress } from "../../../src/backends/client.ts";
import { createSessionEnder, type SessionEnder } from "../../../src/backends/end.ts";
import { createSessionOpener } from "../../../src/backends/open.ts";
import { createRpc } from "../../../src/backends/rpc.ts";
import { createTurns } from "../../../src/backends/turns.ts";
import type { Header } from "../../../src/core/http.ts";
import type { Locks } from "../../../src/locks/locks.ts";
import { memoryLocks } from "../../../src/locks/memory.ts";
import { createRecovery, type RecoveryEvent } from "../../../src/recovery/recover.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS, type Session, type SessionStore } from "../../../src/sessions/store.ts";
import { errorMessage } from "../../support/messages.ts";
import { type Answer, type Handler, play, type Script, startScriptedServer } from "../../support/scripted-server.ts";
import { BACKEND } from "../core/policy.ts";

export const PARAMS = '{"protocolVersion":"2025-11-25","n":9007199254740993}';
export const USED = { sessionId: "old", endpoint: "10.0.0.1:80", generation: 1 };
export const NEW = { sessionId: "new", endpoint: "10.0.0.2:80", generation: 2 };
export const HEADERS: readonly Header[] = [
  ["authorization", "Bearer ada"],
  ["x-user", "ada"],
];
export const never: AbortSignal = new AbortController().signal;

/** What a backend says that has just restarted, by the name of the call. */
export const RESTARTED: Readonly<Record<string, Answer>> = {
  ping: { status: 404, body: "Session not found" },
  initialize: {
    status: 200,
    headers: { "content-type": "application/json", "mcp-session-id": "new", "x-mcp-endpoint": NEW.endpoint },
    body: '{"jsonrpc":"2.0","id":"mcp-router","result":{"protocolVersion":"2025-06-18"}}',
  },
  "notifications/initialized": { status: 202 },
  "logging/setLevel": { status: 200, headers: { "content-type": "application/json" }, body: '{"result":{}}' },
  "resources/subscribe": { status: 200, headers: { "content-type": "application/json" }, body: '{"result":{}}' },
  DELETE: { status: 204 },
};

/** What Envoy says where nobody takes connections. */
export const NOBODY_THERE: Answer = { status: 503, body: '{"error":{"message":"Backend unavailable"}}' };

export type Answers = Readonly<Record<string, Script>>;

/** That many calls answered so, and then as a backend answers that has restarted. */
export function first(times: number, answer: Answer): Handler {
  let left = times;
  return (call) => (left-- > 0 ? answer : RESTARTED[call.method]);
}

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

export interface OpenOptions {
  readonly answers?: Answers;
  readonly store?: (store: SessionStore) => Partial<SessionStore>;
  readonly locks?: Locks;
  readonly bound?: number;
  readonly session?: Partial<Session>;
}

/** A router with one session, whose backend has restarted. */
export async function open({
  answers = {},
  store: over,
  locks = memoryLocks(),
  bound = 10_000,
  session,
}: OpenOptions = {}) {
  const scripts: Answers = { ...RESTARTED, ...answers };
  const listener = await startScriptedServer((call) => play(scripts[call.method] ?? { status: 500 }, call));
  owner.defer(() => listener.close());
  const egress = createEgress(listener.url);
  owner.defer(() => egress.close());
  const store = memoryStore({ idle: 60_000, lifetime: 60_000, unused: 60_000 });
  owner.defer(() => store.close());
  const key = sessionKey(mintSessionId());
  await store.create(key, {
    owner: ANONYMOUS,
    route: "/public",
    protocolVersion: "2025-11-25",
    initializeParams: PARAMS,
    bindings: { one: USED },
    ...session,
  });
  const events: RecoveryEvent[] = [];
  const abandoned: string[] = [];
  const backend = { ...BACKEND, timeouts: { ...BACKEND.timeouts, initialize: bound } };
  const ender = createSessionEnder({ egress, backendOf: () => backend, observe: () => undefined });
  const end: SessionEnder["end"] = (name, session, credentials) => {
    abandoned.push(session.sessionId);
    return ender.end(name, session, credentials);
  };
  const recoveryOver = (sessions: SessionStore) => {
    const rpc = createRpc(egress);
    const opener = createSessionOpener({ store: sessions, locks, rpc, ender: { ...ender, end } });
    const observe = (event: RecoveryEvent) => void events.push(event);
    return createRecovery({ rpc, opener, turns: createTurns(), ender, observe });
  };
  const loss = {
    suspicion: "probe" as const,
    status: 404,
    key,
    backend,
    query: "",
    used: USED,
    answeredBy: USED.endpoint,
    headers: HEADERS,
    version: undefined,
  };
  const recovery = recoveryOver({ ...store, ...over?.(store) });
  /** What was called, but for the end of the lost session. */
  const names = () =>
    listener.calls
      .filter(({ method, headers }) => method !== "DELETE" || headers["mcp-session-id"] !== "old")
      .map(({ method }) => method);
  return { listener, store, key, events, abandoned, recovery, another: () => recoveryOver(store), loss, names };
}

export const STEPS = ["initialize", "notifications/initialized"];

export function rpcError(status: number, code: number, message: string): Answer {
  return { status, body: JSON.stringify(errorMessage(code, message, "mcp-router")) };
}

export function inEvents({ status, body }: Answer): Answer {
  return { status, headers: { "content-type": "text/event-stream" }, body: `: hello\n\ndata: ${body}\n\n` };
}
