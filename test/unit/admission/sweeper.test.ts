import { describe, expect, test, vi } from "vitest";
import { type Lease, type Ledger, NO_CAPS, RESERVATION_MS } from "../../../src/admission/ledger.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import { AT_ONCE } from "../../../src/admission/settle-each.ts";
import { BATCH, type SweepEvent, startSweeper } from "../../../src/admission/sweeper.ts";
import { createSessionEnder, type EndEvent } from "../../../src/backends/end.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS, type Binding, REAP_GRACE_MS, type SessionStore, touchSlack } from "../../../src/sessions/store.ts";
import { unavailable } from "../../support/unavailable.ts";
import { BACKEND } from "../core/policy.ts";
import { answerWith } from "../recovery/answers.ts";

const LIFESPAN = { idle: 8_000, lifetime: 60_000, unused: 60_000 };
const LIFE_MS = LIFESPAN.idle + touchSlack(LIFESPAN);
const INTERVAL_MS = 1_000;

interface Over {
  readonly ledger?: (ledger: Ledger) => Partial<Ledger>;
  readonly store?: (store: SessionStore) => Partial<SessionStore>;
  /** Rejects, or waits, as a backend does that is to end a session. Default: every backend answers. */
  readonly end?: (backend: string, signal: AbortSignal) => Promise<void>;
}

/** A sweeper over sessions in memory, whose clock stands still. */
function open({ ledger: overLedger, store: overStore, end = async () => undefined }: Over = {}) {
  let now = 0;
  const store = memoryStore({ ...LIFESPAN, now: () => now });
  const ledger = memoryLedger({ now: () => now });
  /** What each backend was asked to end, by its own session ids. */
  const asked: string[] = [];
  const events: (SweepEvent | EndEvent)[] = [];
  const counts: SweepEvent[] = [];
  const start = () => {
    const ender = createSessionEnder({
      egress: {
        async send({ to, session, headers }, signal) {
          asked.push([to.backend.name, session?.sessionId, ...headers.flat()].join(" "));
          await end(to.backend.name, signal);
          return answerWith({ status: 204 });
        },
        close: async () => undefined,
      },
      backendOf: (name) => ({ ...BACKEND, name }),
      observe: (event) => void events.push(event),
    });
    const sweeper = startSweeper({
      ledger: { ...ledger, ...overLedger?.(ledger) },
      store: { ...store, ...overStore?.(store) },
      end: ender.end,
      interval: INTERVAL_MS,
      // What there is, is told after each sweep, whatever that did.
      observe: (event) => void (event.kind === "counted" ? counts : events).push(event),
    });
    return { sweep: sweeper.sweep, stop: () => ender.stop(sweeper.stop()) };
  };
  return {
    store,
    ledger,
    asked,
    start,
    sweeper: start(),
    advance: (ms: number) => {
      now += ms;
    },
    /** How many events of one kind there were, of one backend where it is named. */
    count: (kind: (SweepEvent | EndEvent)["kind"], backend?: string) =>
      events.filter((event) => event.kind === kind && (!("backend" in event) || event.backend === (backend ?? "one")))
        .length,
    events,
    counts,
    /** Sessions with their leases. */
    begin: async (count: number, ...backends: string[]): Promise<Lease[]> => {
      const leases: Lease[] = [];
      for (let n = 0; n < count; n++) {
        const lease = { key: sessionKey(mintSessionId()), principal: ANONYMOUS };
        const bindings = Object.fromEntries(backends.map((backend) => [backend, binding(`${backend}-${n}`)]));
        const session = {
          owner: ANONYMOUS,
          route: "/mcp",
          protocolVersion: undefined,
          initializeParams: "{}",
          bindings,
        };
        await store.create(lease.key, session);
        await ledger.hold(lease, LIFE_MS, NO_CAPS, "waiting");
        leases.push(lease);
      }
      return leases;
    },
  };
}

function binding(sessionId: string): Binding {
  return { sessionId, endpoint: "10.0.0.1:80", generation: 1 };
}

/** Lets promises that are settled run their course. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

const NOTHING = { live: 0, parked: 0, expired: 0, principals: 0 };

describe("a sweep", () => {
  test("gives the slot of an expired session back, and tells its backends, once", async () => {
    const { begin, sweeper, advance, asked, events, ledger, store } = open();
    const [lease] = await begin(1, "one", "two");
    advance(LIFE_MS);
    await sweeper.sweep();
    await sweeper.sweep();
    expect(asked).toEqual(["one one-0", "two two-0"]);
    expect(events).toEqual([
      { kind: "expired", lease, session: expect.objectContaining({ route: "/mcp" }) },
      { kind: "told", backend: "one" },
      { kind: "told", backend: "two" },
    ]);
    expect(ledger.size).toEqual(NOTHING);
    expect(store.size).toBe(0);
  });

  test("leaves live sessions and their leases alone", async () => {
    const { begin, sweeper, advance, asked, ledger } = open();
    await begin(3, "one");
    advance(LIFE_MS - 1);
    await sweeper.sweep();
    expect(asked).toEqual([]);
    expect(ledger.size.live).toBe(3);
  });

  test("takes the lease of a live session anew, for as long as that lives", async () => {
    const { begin, sweeper, advance, asked, ledger, store } = open();
    const [lease] = await begin(1, "one");
    advance(LIFE_MS - 1);
    if (lease) await store.touch(lease.key, "one");
    advance(1);
    await sweeper.sweep();
    expect(ledger.size).toEqual({ ...NOTHING, live: 1, principals: 1 });
    advance(LIFE_MS - 2);
    await sweeper.sweep();
    expect(asked).toEqual([]);
    advance(1);
    await sweeper.sweep();
    expect(asked).toEqual(["one one-0"]);
    expect(ledger.size).toEqual(NOTHING);
  });

  test("gives a slot back that no session came of", async () => {
    const { sweeper, advance, asked, ledger } = open();
    await ledger.hold({ key: sessionKey(mintSessionId()), principal: "ada" }, RESERVATION_MS, NO_CAPS, "waiting");
    advance(RESERVATION_MS);
    await sweeper.sweep();
    expect(ledger.size).toEqual(NOTHING);
    expect(asked).toEqual([]);
  });

  test("tells nobody of a session that expired too long ago, whose slot it gives back", async () => {
    const { begin, sweeper, advance, asked, ledger } = open();
    await begin(1, "one");
    advance(LIFE_MS + REAP_GRACE_MS);
    await sweeper.sweep();
    expect(ledger.size).toEqual(NOTHING);
    expect(asked).toEqual([]);
  });

  test("goes on until nothing is left, also of more than one batch", async () => {
    const { begin, sweeper, advance, asked, ledger } = open();
    const count = 2 * BATCH + 50;
    await begin(count, "one");
    advance(LIFE_MS);
    await sweeper.sweep();
    expect(asked).toHaveLength(count);
    expect(new Set(asked)).toHaveProperty("size", count);
    expect(ledger.size).toEqual(NOTHING);
  });

  test("of a whole batch and no more ends", async () => {
    const { begin, sweeper, advance, asked } = open();
    await begin(BATCH, "one");
    advance(LIFE_MS);
    await sweeper.sweep();
    expect(asked).toHaveLength(BATCH);
  });

  test("ends a few sessions at once", async () => {
    const waiting: (() => void)[] = [];
    const end = () => new Promise<void>((resolve) => waiting.push(resolve));
    const { begin, sweeper, advance, asked } = open({ end });
    await begin(3 * AT_ONCE, "one");
    advance(LIFE_MS);
    const swept = sweeper.sweep();
    await settled();
    expect(asked).toHaveLength(AT_ONCE);
    waiting.shift()?.();
    await settled();
    expect(asked).toHaveLength(AT_ONCE + 1);
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      next();
      await settled();
    }
    await swept;
    expect(asked).toHaveLength(3 * AT_ONCE);
  });

  test("is joined by who asks for another while it is under way, and followed by another then", async () => {
    let answer: () => void = () => undefined;
    const end = () => new Promise<void>((resolve) => (answer = resolve));
    const { begin, sweeper, advance, asked } = open({ end });
    await begin(1, "one");
    advance(LIFE_MS);
    const first = sweeper.sweep();
    expect(sweeper.sweep()).toBe(first);
    await settled();
    expect(sweeper.sweep()).toBe(first);
    answer();
    await first;
    await begin(1, "two");
    advance(LIFE_MS);
    const second = sweeper.sweep();
    await settled();
    answer();
    await second;
    expect(asked).toEqual(["one one-0", "two two-0"]);
  });

  test("of two routers at once tells of each session once", async () => {
    const { begin, sweeper, start, advance, asked, ledger } = open();
    const count = BATCH + 20;
    await begin(count, "one");
    advance(LIFE_MS);
    await Promise.all([sweeper.sweep(), start().sweep()]);
    expect(asked).toHaveLength(count);
    expect(new Set(asked)).toHaveProperty("size", count);
    expect(ledger.size).toEqual(NOTHING);
  });
});

describe("a sweep that cannot go on ends, and loses nothing", () => {
  test.each<[string, Over, number]>([
    ["the ledger tells of no expired leases", { ledger: () => ({ expired: unavailable }) }, 0],
    ["the store does not hand sessions over", { store: () => ({ reap: unavailable }) }, 0],
    ["the ledger takes no lease back", { ledger: () => ({ release: unavailable }) }, AT_ONCE],
  ])("%s", async (_, over, told) => {
    const { begin, sweeper, advance, count, asked, ledger } = open(over);
    await begin(2 * BATCH, "one");
    advance(LIFE_MS);
    await sweeper.sweep();
    expect(asked.length).toBe(told);
    expect(count("expired")).toBe(told);
    // Somebody looks.
    await ledger.expired(0);
    expect(ledger.size.expired).toBe(2 * BATCH);
  });

  test.each<[string, Over]>([
    ["the leases of live sessions cannot be taken anew", { ledger: () => ({ hold: unavailable }) }],
    ["those of sessions that are gone cannot be released", { ledger: () => ({ release: unavailable }) }],
  ])("%s", async (reason, over) => {
    const reap = vi.fn(async () =>
      reason.includes("live") ? ({ kind: "alive", expiresIn: 1 } as const) : ({ kind: "unknown" } as const),
    );
    const { begin, sweeper, advance } = open({ ...over, store: () => ({ reap }) });
    await begin(2 * BATCH, "one");
    advance(LIFE_MS);
    await sweeper.sweep();
    expect(reap).toHaveBeenCalledTimes(AT_ONCE);
  });

  test("the next one goes on where it ended", async () => {
    let away = true;
    const { begin, sweeper, advance, asked, ledger } = open({
      store: (store) => ({ reap: (key) => (away ? unavailable() : store.reap(key)) }),
    });
    await begin(20, "one");
    advance(LIFE_MS);
    await sweeper.sweep();
    expect(asked).toEqual([]);
    away = false;
    await sweeper.sweep();
    expect(asked).toHaveLength(20);
    expect(ledger.size).toEqual(NOTHING);
  });
});

describe("a backend that is down", () => {
  const down = async (backend: string) => {
    if (backend === "down") throw new Error("refused");
  };

  test("is given up for the rest of the sweep, in which the others are told of all", async () => {
    const { begin, sweeper, advance, asked, count, ledger } = open({ end: down });
    for (let n = 0; n < 3 * AT_ONCE; n++) {
      await begin(1, "down");
      await begin(1, "one");
    }
    advance(LIFE_MS);
    await sweeper.sweep();
    expect(count("told")).toBe(3 * AT_ONCE);
    expect(count("not-told", "down")).toBe(3 * AT_ONCE);
    // Those that were under way when the first failed.
    expect(asked.filter((one) => one.startsWith("down")).length).toBeLessThanOrEqual(AT_ONCE);
    expect(ledger.size).toEqual(NOTHING);
  });

  test("says why, and is tried again in the next sweep", async () => {
    const { begin, sweeper, advance, asked, events } = open({ end: down });
    for (let n = 0; n < 2; n++) {
      await begin(1, "down");
      advance(LIFE_MS);
      await sweeper.sweep();
    }
    expect(asked).toEqual(["down down-0", "down down-0"]);
    expect(events.filter(({ kind }) => kind === "not-told")).toEqual([
      { kind: "not-told", backend: "down", why: new Error("refused") },
      { kind: "not-told", backend: "down", why: new Error("refused") },
    ]);
  });

  test("does not keep the others of one session from being told", async () => {
    const { begin, sweeper, advance, events } = open({ end: down });
    await begin(2 * AT_ONCE, "down", "one");
    advance(LIFE_MS);
    await sweeper.sweep();
    expect(events).toContainEqual({ kind: "not-told", backend: "down", why: "given-up" });
    expect(events.filter(({ kind }) => kind === "told")).toHaveLength(2 * AT_ONCE);
  });
});

test("leases of sessions that are left to another router are neither kept nor released, and do not hold the sweep up", async () => {
  const { begin, sweeper, advance, ledger, events } = open({ store: () => ({ reap: async () => ({ kind: "left" }) }) });
  await begin(BATCH + 1, "one");
  advance(LIFE_MS);
  await sweeper.sweep();
  expect(ledger.size).toMatchObject({ live: 0, parked: 0, expired: BATCH + 1 });
  expect(events).toEqual([]);
});

describe("stop", () => {
  test("lets backends that are being told hear of it, and leaves the rest to others", async () => {
    const ends: (() => void)[] = [];
    const { begin, sweeper, start, advance, asked, count, ledger } = open({
      end: () => new Promise((resolve) => ends.push(resolve)),
    });
    await begin(2 * BATCH, "one");
    advance(LIFE_MS);
    const swept = sweeper.sweep();
    await settled();
    const stop = sweeper.stop();
    for (const end of ends.splice(0)) end();
    await Promise.all([stop, swept]);
    expect(count("told")).toBe(AT_ONCE);
    expect(asked).toHaveLength(AT_ONCE);
    expect(ledger.size.expired).toBe(2 * BATCH - AT_ONCE);

    const other = start();
    void other.sweep();
    await settled();
    expect(asked).toHaveLength(2 * AT_ONCE);
    const stopOther = other.stop();
    for (const end of ends.splice(0)) end();
    await stopOther;
  });

  test("cuts off what takes longer than a moment, waits for its end, and blames nobody", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      let signal: AbortSignal | undefined;
      let end: (error: Error) => void = () => undefined;
      const opened = open({
        end: (_, given) => {
          signal = given;
          return new Promise((_, reject) => (end = reject));
        },
      });
      await opened.begin(1, "one");
      opened.advance(LIFE_MS);
      void opened.sweeper.sweep();
      await settled();
      let stopped = false;
      const stop = opened.sweeper.stop().then(() => (stopped = true));
      await settled();
      expect([signal?.aborted, stopped]).toEqual([false, false]);
      await vi.advanceTimersByTimeAsync(1_000);
      expect([signal?.aborted, stopped]).toEqual([true, false]);
      end(new Error("aborted"));
      await stop;
      expect(opened.count("not-told")).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test("is final: nothing is swept any more", async () => {
    const { begin, sweeper, advance, asked } = open();
    await sweeper.stop();
    await begin(1, "one");
    advance(LIFE_MS);
    await sweeper.sweep();
    expect(asked).toEqual([]);
  });
});

describe("what has been parked", () => {
  test("is not ended at its backend once more when it expires", async () => {
    const { begin, sweeper, store, advance, asked, count } = open();
    const [lease] = await begin(1, "one");
    if (!lease) throw new Error("no session");
    await store.park(lease.key, 0);
    advance(LIFE_MS);
    await sweeper.sweep();
    expect(asked).toEqual([]);
    expect(count("expired")).toBe(1);
  });
});

test("after each sweep one is told how many sessions live, and how many are parked", async () => {
  const { begin, sweeper, counts } = open();
  await begin(3, "one");
  await sweeper.sweep();
  expect(counts).toEqual([{ kind: "counted", live: 3, parked: 0 }]);
});

test("it sweeps by itself, again and again, until it is stopped", async () => {
  vi.useFakeTimers();
  try {
    const { begin, sweeper, store, advance, asked } = open();
    for (const backend of ["one", "two"]) {
      await begin(1, backend);
      advance(LIFE_MS);
      await vi.advanceTimersByTimeAsync(INTERVAL_MS - 1);
      expect(asked).not.toContain(`${backend} ${backend}-0`);
      await vi.advanceTimersByTimeAsync(1);
      expect(asked).toContain(`${backend} ${backend}-0`);
    }
    await sweeper.stop();
    await store.close();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
