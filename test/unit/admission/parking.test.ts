import { describe, expect, test } from "vitest";
import { type Caps, type Lease, type Ledger, NO_CAPS } from "../../../src/admission/ledger.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import { type ParkingEvent, parkingLedger } from "../../../src/admission/parking.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS, isParked, type SessionStore } from "../../../src/sessions/store.ts";
import { unavailable } from "../../support/unavailable.ts";

const LIFE_MS = 60_000;
const IDLE_MS = 10_000;
const settled = () => new Promise((resolve) => setImmediate(resolve));

interface Over {
  readonly store?: (store: SessionStore) => Partial<SessionStore>;
  readonly surfaces?: readonly string[];
}

/** A ledger with one slot, whose clock stands still, and what came of its decisions. */
function open({ store: overStore, surfaces = [] }: Over = {}) {
  let now = 0;
  const clock = { now: () => now };
  const memory = memoryStore({ idle: LIFE_MS, lifetime: 2 * LIFE_MS, unused: LIFE_MS, ...clock });
  const store: SessionStore = { ...memory, ...overStore?.(memory) };
  const ledger = memoryLedger(clock);
  const told: string[] = [];
  const events: ParkingEvent[] = [];
  const parking: Ledger = parkingLedger({
    ledger,
    store,
    tell: (backend, { sessionId, endpoint }) => void told.push(`${backend} ${sessionId} at ${endpoint}`),
    recovers: (backend) => !surfaces.includes(backend),
    observe: (event) => void events.push(event),
  });
  const caps: Caps = { ...NO_CAPS, sessions: 1, parking: { idle: IDLE_MS, unnamed: 5_000 } };
  return {
    store,
    ledger,
    parking,
    told,
    events,
    /** Whose `parks` would be the next. */
    begin: async (...backends: string[]): Promise<Lease> => {
      const lease = { key: sessionKey(mintSessionId()), principal: ANONYMOUS };
      const binding = { sessionId: "backend-id", endpoint: "10.0.0.1:80", generation: 3 };
      const bindings = Object.fromEntries(backends.map((backend) => [backend, binding]));
      await memory.create(lease.key, {
        owner: ANONYMOUS,
        route: "/mcp",
        protocolVersion: undefined,
        initializeParams: "{}",
        bindings,
      });
      await memory.touch(lease.key, "one");
      await ledger.hold(lease, LIFE_MS, NO_CAPS, "used");
      return lease;
    },
    takeItsSlot: async () => {
      const other = { key: sessionKey(mintSessionId()), principal: ANONYMOUS };
      const held = await parking.hold(other, LIFE_MS, caps, "waiting");
      await settled();
      return { held, other };
    },
    advance: (ms: number) => {
      now += ms;
    },
  };
}

describe("a session whose slot went to another", () => {
  test("is parked in the store, and then its backends are told, each of its own session", async () => {
    const { begin, takeItsSlot, advance, store, told, events } = open();
    const lease = await begin("one", "two");
    advance(IDLE_MS);
    expect((await takeItsSlot()).held).toMatchObject({ kind: "held", parked: [lease] });
    expect(told).toEqual(["one backend-id at 10.0.0.1:80", "two backend-id at 10.0.0.1:80"]);
    const found = await store.find(lease.key, "one");
    expect(found.kind === "found" && found.session.binding && isParked(found.session.binding)).toBe(true);
    expect(events).toMatchObject([{ kind: "parked", lease, ended: false }]);
  });

  test("takes one again above the cap where it was used meanwhile, and no backend is told", async () => {
    const { begin, takeItsSlot, advance, store, ledger, told, events } = open();
    const lease = await begin("one");
    advance(IDLE_MS);
    // Its touch has come to the store, and not to the ledger.
    await store.touch(lease.key, "one");
    await takeItsSlot();
    expect(ledger.size).toMatchObject({ live: 2, parked: 0 });
    expect(told).toEqual([]);
    expect(events).toEqual([]);
    expect(await store.find(lease.key, "one")).toMatchObject({ session: { binding: { endpoint: "10.0.0.1:80" } } });
  });

  test("has ended where one of its backends lets losses surface, and its backends are told", async () => {
    const { begin, takeItsSlot, advance, store, ledger, told, events } = open({ surfaces: ["two"] });
    const lease = await begin("one", "two");
    advance(IDLE_MS);
    await takeItsSlot();
    expect(await store.find(lease.key, "one")).toEqual({ kind: "unknown" });
    expect(ledger.size).toMatchObject({ live: 1, parked: 0 });
    expect(told).toHaveLength(2);
    expect(events).toMatchObject([{ kind: "parked", ended: true }]);
  });

  test("leaves nothing behind where it had ended already", async () => {
    const { begin, takeItsSlot, advance, store, ledger, told } = open();
    const lease = await begin("one");
    advance(IDLE_MS);
    await store.remove(lease.key);
    await takeItsSlot();
    expect(ledger.size).toMatchObject({ live: 1, parked: 0, expired: 0 });
    expect(told).toEqual([]);
  });

  test("goes on at its backend while the store is away, and is swept when it would have run out", async () => {
    const { begin, takeItsSlot, advance, ledger, told } = open({
      store: () => ({ park: unavailable }),
    });
    const lease = await begin("one");
    advance(IDLE_MS);
    await takeItsSlot();
    expect(told).toEqual([]);
    advance(LIFE_MS);
    expect(await ledger.expired(10)).toMatchObject({ leases: expect.arrayContaining([lease]) });
  });

  test("and for which there is no more room among the parked ones ends, of which its backend knows already", async () => {
    const { begin, takeItsSlot, advance, store, ledger, told, events } = open();
    const first = await begin("one");
    advance(IDLE_MS);
    const { other } = await takeItsSlot();
    await ledger.release(other);
    const second = await begin("one");
    advance(IDLE_MS);
    expect((await takeItsSlot()).held).toMatchObject({ parked: [second], ended: [first] });
    expect(await store.find(first.key, "one")).toEqual({ kind: "unknown" });
    expect(events.filter(({ kind }) => kind === "parked-ended")).toMatchObject([{ lease: first }]);
    expect(told).toHaveLength(2);
  });
});

test("what is no decision of the ledger's goes through as it is", async () => {
  const { begin, parking, ledger } = open();
  const lease = await begin("one");
  expect(await parking.hold(lease, LIFE_MS, NO_CAPS, "used")).toEqual({ kind: "held", anew: false });
  expect(await parking.count()).toEqual(await ledger.count());
  expect(await parking.expired(1)).toEqual({ kind: "expired", leases: [] });
  expect(await parking.release(lease)).toEqual({ kind: "released" });
});
