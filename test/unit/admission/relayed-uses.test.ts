import { expect, test } from "vitest";
import { NO_CAPS } from "../../../src/admission/ledger.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import { createRelayedUses } from "../../../src/admission/relayed-uses.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";

const IDLE_MS = 80_000;
const TOUCH_AFTER_MS = 1_000;
/** From its touch on, a session lives for this long. */
const LIFE_MS = IDLE_MS + IDLE_MS / 8;

/** Sessions at the backend `one`, whose touches are counted. */
function open() {
  let at = 0;
  let touches = 0;
  const now = () => at;
  const store = memoryStore({ idle: IDLE_MS, lifetime: 1_000_000, unused: IDLE_MS, touchAfter: TOUCH_AFTER_MS, now });
  const ledger = memoryLedger({ now });
  const counting = {
    ...store,
    touch: (...args: Parameters<typeof store.touch>) => {
      touches++;
      return store.touch(...args);
    },
  };
  return {
    store,
    ledger,
    counting,
    uses: createRelayedUses(counting, ledger),
    touches: () => touches,
    pass(ms: number) {
      at += ms;
    },
    async begin() {
      const key = sessionKey(mintSessionId());
      const binding = { sessionId: "s", endpoint: "127.0.0.1:1", version: undefined, generation: 1 };
      await store.create(key, {
        owner: ANONYMOUS,
        route: "/",
        protocolVersion: undefined,
        initializeParams: "{}",
        bindings: { one: binding },
      });
      await ledger.hold({ key, principal: ANONYMOUS }, IDLE_MS, NO_CAPS, "used");
      return { key, stream: { session: key, backend: "one" } };
    },
  };
}

test("a session whose stream is reported as open lives on with its slot, and without reports it ends", async () => {
  const { store, ledger, uses, pass, begin } = open();
  const { key, stream } = await begin();
  for (let n = 0; n < 5; n++) {
    pass(IDLE_MS - 1);
    uses.report(stream);
    await uses.settled();
  }
  pass(LIFE_MS - 1);
  expect(await store.load(key)).toMatchObject({ kind: "loaded" });
  expect(await ledger.count()).toMatchObject({ live: 1 });
  pass(1);
  expect(await store.load(key)).toEqual({ kind: "unknown" });
  uses.report(stream);
  await uses.settled();
  expect(await store.load(key)).toEqual({ kind: "unknown" });
  expect(await ledger.count()).toMatchObject({ live: 0 });
});

test("one that is reported as open cannot be parked", async () => {
  const { store, uses, pass, begin } = open();
  const { key, stream } = await begin();
  pass(10_000);
  uses.report(stream);
  await uses.settled();
  pass(TOUCH_AFTER_MS);
  expect(await store.park(key, 2 * TOUCH_AFTER_MS)).toMatchObject({ kind: "used" });
});

test("several streams of a session touch it once, and again when that is due", async () => {
  const { uses, touches, pass, begin } = open();
  const { stream } = await begin();
  for (let n = 0; n < 3; n++) uses.report(stream);
  await uses.settled();
  uses.report(stream);
  await uses.settled();
  expect(touches()).toBe(1);
  pass(TOUCH_AFTER_MS + 1);
  uses.report(stream);
  await uses.settled();
  expect(touches()).toBe(2);
});

test("a session that was parked, that has no session at that backend, or that nobody has begun stays as it is", async () => {
  const { store, uses, touches, pass, begin } = open();
  const { key, stream } = await begin();
  uses.report({ ...stream, backend: "two" });
  pass(10_000);
  await store.park(key, 1);
  uses.report(stream);
  uses.report({ session: sessionKey(mintSessionId()), backend: "one" });
  await uses.settled();
  expect(touches()).toBe(0);
});

test("more sessions than may be touched at once are not touched, and none waits in memory", async () => {
  const { counting, ledger, touches, begin } = open();
  const uses = createRelayedUses(counting, ledger, 2);
  const streams = [await begin(), await begin(), await begin()];
  for (const { stream } of streams) uses.report(stream);
  await uses.settled();
  expect(touches()).toBe(2);
  for (const { stream } of streams.reverse()) uses.report(stream);
  await uses.settled();
  expect(touches()).toBe(3);
});

test("a store that is away costs nothing but the touch", async () => {
  const { store, ledger, begin } = open();
  const away = { ...store, find: async () => ({ kind: "unavailable" as const }) };
  const uses = createRelayedUses(away, ledger);
  const { stream } = await begin();
  uses.report(stream);
  await expect(uses.settled()).resolves.toBeUndefined();
});
