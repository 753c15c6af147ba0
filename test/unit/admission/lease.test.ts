import { describe, expect, test } from "vitest";
import { extendLease, returnToSlot } from "../../../src/admission/lease.ts";
import { type Caps, type Ledger, NO_CAPS } from "../../../src/admission/ledger.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS, type SessionStore } from "../../../src/sessions/store.ts";
import { unavailable } from "../../support/unavailable.ts";

const LEASE_MS = 1_000;
const extended = { kind: "extended" };

/** A session without a lease, on a clock that stands still. */
async function open(over: { readonly ledger?: Partial<Ledger>; readonly store?: Partial<SessionStore> } = {}) {
  let now = 0;
  const store = memoryStore({ idle: 60_000, lifetime: 60_000, unused: 60_000, now: () => now });
  const ledger = memoryLedger({ now: () => now });
  const lease = { key: sessionKey(mintSessionId()), principal: ANONYMOUS };
  const session = { owner: ANONYMOUS, route: "/mcp", protocolVersion: undefined, initializeParams: "{}", bindings: {} };
  await store.create(lease.key, session);
  return {
    store,
    ledger,
    lease,
    extend: () => extendLease({ ...ledger, ...over.ledger }, { ...store, ...over.store }, lease, LEASE_MS),
    live: async () => {
      // Whatever ran out is counted no more once somebody looks.
      await ledger.expired(0);
      return ledger.size.live;
    },
    advance: (ms: number) => {
      now += ms;
    },
  };
}

describe("the lease of a session", () => {
  test("goes on with it, and costs the store nothing", async () => {
    const find = () => {
      throw new Error("the store was asked");
    };
    const { ledger, lease, extend, live, advance } = await open({ store: { find } });
    await ledger.hold(lease, 1, NO_CAPS, "waiting");
    expect(await extend()).toEqual(extended);
    advance(LEASE_MS - 1);
    expect(await live()).toBe(1);
    advance(1);
    expect(await live()).toBe(0);
  });

  test("that was gone is taken anew while the session lives", async () => {
    const { ledger, extend } = await open();
    expect(await extend()).toEqual(extended);
    expect(ledger.size).toEqual({ live: 1, parked: 0, expired: 0, principals: 1 });
  });

  test("that was gone, as the session is, does not come back", async () => {
    const { ledger, store, lease, extend } = await open();
    await store.remove(lease.key);
    expect(await extend()).toEqual(extended);
    expect(ledger.size).toEqual({ live: 0, parked: 0, expired: 0, principals: 0 });
  });

  test("that was gone is kept while nobody knows whether the session lives", async () => {
    const { ledger, extend } = await open({ store: { load: unavailable } });
    expect(await extend()).toEqual(extended);
    expect(ledger.size.live).toBe(1);
  });

  test("is not extended by a ledger that is away", async () => {
    const { extend } = await open({ ledger: { hold: unavailable } });
    expect(await extend()).toEqual({ kind: "unavailable" });
  });
});

describe("parked sessions that come back above the caps", () => {
  const come = async (principal: string, caps: Partial<Caps>) => {
    const { store, ledger } = await open();
    let returned = 0;
    for (let n = 0; n < 50; n++) {
      const lease = { key: sessionKey(mintSessionId()), principal };
      await store.create(lease.key, {
        owner: principal,
        route: "/mcp",
        protocolVersion: undefined,
        initializeParams: "{}",
        bindings: {},
      });
      const { kind } = await returnToSlot(ledger, store, lease, LEASE_MS, { ...NO_CAPS, ...caps });
      if (kind === "returned") returned++;
      else expect(await store.load(lease.key)).toEqual({ kind: "unknown" });
    }
    return returned;
  };

  test.each([
    { principal: "ada", caps: { perPrincipal: 5, sessions: 20 }, most: 10 },
    { principal: "ada", caps: { sessions: 20 }, most: 40 },
    { principal: ANONYMOUS, caps: { sessions: 20 }, most: 40 },
    // They leave room for those with a name.
    { principal: ANONYMOUS, caps: { anonymous: 10, sessions: 20 }, most: 15 },
    { principal: ANONYMOUS, caps: { anonymous: 2, sessions: 20 }, most: 4 },
    { principal: ANONYMOUS, caps: { anonymous: 20, sessions: 20 }, most: 40 },
    { principal: ANONYMOUS, caps: { anonymous: 10 }, most: 20 },
    { principal: ANONYMOUS, caps: {}, most: 50 },
  ])("are at most $most, of '$principal' at $caps", async ({ principal, caps, most }) => {
    expect(await come(principal, caps)).toBe(most);
  });
});
