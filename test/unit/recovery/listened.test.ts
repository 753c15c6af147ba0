import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createListensAgain } from "../../../src/recovery/listened.ts";
import type { ReplayableRequest } from "../../../src/recovery/replayable.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { fields } from "../core/fields.ts";
import { POLICY, ROUTE } from "../core/policy.ts";

const LOST = { sessionId: "old", endpoint: "10.0.0.1:80", generation: 1 };
const NEW = { sessionId: "new", endpoint: "10.0.0.1:80", generation: 2 };
const CAN_BE_ASKED = '{"capabilities":{"sampling":{}}}';
const LONGEST = 3_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** By the clock of the test. */
function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    signal.addEventListener("abort", () => resolve());
  });
}

/** A request of a client that has listened in the session that was lost. */
async function open({ initializeParams = CAN_BE_ASKED, hasListened = true, listening = 1 } = {}) {
  const store = memoryStore({ idle: 60_000, lifetime: 600_000, unused: 60_000 });
  const key = sessionKey(mintSessionId());
  const { backend } = ROUTE;
  const bindings = { [backend.name]: NEW };
  await store.create(key, { owner: "", route: ROUTE.path, protocolVersion: undefined, initializeParams, bindings });
  const request: ReplayableRequest = {
    kind: "replayable",
    key,
    principal: "",
    request: {
      route: ROUTE,
      query: "",
      headers: fields({}),
      principal: { digest: "" },
      id: "1",
      policy: POLICY,
    },
    session: { id: "client-id", key, binding: LOST, listening: hasListened ? listening : undefined },
    message: undefined,
    forget: () => undefined,
  };
  const client = new AbortController();
  let isOver = false;
  const waiting = createListensAgain(store, rest)(request, NEW, client.signal).then(() => {
    isOver = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  return { store, key, backend, client, waiting, isOver: () => isOver };
}

test("a request waits until its client listens in the new session", async () => {
  const { store, key, backend, waiting, isOver } = await open();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(isOver()).toBe(false);
  await store.remember(key, backend.name, { kind: "listening", generation: NEW.generation });
  await vi.advanceTimersByTimeAsync(100);
  await waiting;
});

test("it waits no longer than 3 s for one that does not, as some clients never do", async () => {
  const { isOver } = await open();
  await vi.advanceTimersByTimeAsync(LONGEST - 1);
  expect(isOver()).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(isOver()).toBe(true);
});

test("it waits no more once its client has left, or the session is gone", async () => {
  const left = await open();
  left.client.abort();
  await vi.advanceTimersByTimeAsync(100);
  expect(left.isOver()).toBe(true);
  const gone = await open();
  await gone.store.remove(gone.key);
  await vi.advanceTimersByTimeAsync(100);
  expect(gone.isOver()).toBe(true);
});

test.each([
  ["that never listened", { hasListened: false }],
  ["that has not listened since the last recovery", { listening: 0 }],
  ["that cannot be asked", { initializeParams: '{"capabilities":{}}' }],
])("it does not wait for a client %s", async (_, options) => {
  expect((await open(options)).isOver()).toBe(true);
});
