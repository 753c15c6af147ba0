import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createInUse } from "../../../src/admission/in-use.ts";
import { NO_CAPS } from "../../../src/admission/ledger.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";

const EVERY_MS = 1_000;
const IDLE_MS = 60_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Requests under way in one session, whose touches are counted. */
async function open() {
  let touches = 0;
  const store = memoryStore({ idle: IDLE_MS, lifetime: IDLE_MS, unused: IDLE_MS });
  const ledger = memoryLedger();
  const key = sessionKey(mintSessionId());
  await store.create(key, {
    owner: ANONYMOUS,
    route: "/",
    protocolVersion: undefined,
    initializeParams: "{}",
    bindings: {},
  });
  await ledger.hold({ key, principal: ANONYMOUS }, IDLE_MS, NO_CAPS, "used");
  const counting = {
    ...store,
    touch: (...args: Parameters<typeof store.touch>) => {
      touches++;
      return store.touch(...args);
    },
  };
  const inUse = createInUse({ store: counting, ledger, every: () => EVERY_MS });
  const use = () => ({ key, principal: ANONYMOUS, backend: "one" });
  return { inUse, use, store, ledger, key, touches: () => touches };
}

test("a session whose request lasts is used at each look from the second on, once for all of its requests", async () => {
  const { inUse, use, ledger, touches } = await open();
  inUse.begin(use());
  inUse.begin(use());
  await vi.advanceTimersByTimeAsync(EVERY_MS);
  expect(touches()).toBe(0);
  await vi.advanceTimersByTimeAsync(EVERY_MS);
  expect(touches()).toBe(1);
  await vi.advanceTimersByTimeAsync(3 * EVERY_MS);
  expect(touches()).toBe(4);
  const parking = { idle: EVERY_MS, unnamed: 0 };
  const lease = { key: sessionKey(mintSessionId()), principal: ANONYMOUS };
  expect(await ledger.hold(lease, IDLE_MS, { ...NO_CAPS, sessions: 1, parking }, "waiting")).toMatchObject({
    kind: "exhausted",
  });
  await inUse.stop();
});

test("one whose request has ended is not, nor are requests between two looks", async () => {
  const { inUse, use, touches } = await open();
  const first = use();
  inUse.begin(first);
  await vi.advanceTimersByTimeAsync(2 * EVERY_MS);
  expect(touches()).toBe(1);
  inUse.end(first);
  inUse.end(first);
  for (let n = 0; n < 8; n++) {
    const short = use();
    inUse.begin(short);
    await vi.advanceTimersByTimeAsync(EVERY_MS / 2);
    inUse.end(short);
  }
  expect(touches()).toBe(1);
  await inUse.stop();
});

test("one that has ended meanwhile is let be, and nothing is looked for after a stop", async () => {
  const { inUse, use, store, ledger, key, touches } = await open();
  inUse.begin(use());
  await store.remove(key);
  await ledger.release({ key, principal: ANONYMOUS });
  await vi.advanceTimersByTimeAsync(2 * EVERY_MS);
  expect(touches()).toBe(1);
  expect(ledger.size).toMatchObject({ live: 0 });
  await inUse.stop();
  await store.close();
  expect(vi.getTimerCount()).toBe(0);
});

test("what the gateway keeps open for a session that is gone hears of that", async () => {
  const { inUse, use, store, key } = await open();
  let gone = 0;
  const stream = { ...use(), gone: () => void gone++ };
  inUse.begin(stream);
  inUse.begin(use());
  await vi.advanceTimersByTimeAsync(3 * EVERY_MS);
  expect(gone).toBe(0);
  await store.remove(key);
  await vi.advanceTimersByTimeAsync(EVERY_MS);
  expect(gone).toBe(1);
  await inUse.stop();
});
