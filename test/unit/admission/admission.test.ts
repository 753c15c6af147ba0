import { describe, expect, test } from "vitest";
import { type AdmissionCaps, createAdmission, type Slot } from "../../../src/admission/admission.ts";
import { type Lease, type Ledger, RESERVATION_MS } from "../../../src/admission/ledger.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";
import { UNAVAILABLE, unavailable } from "../../support/unavailable.ts";

const LIFE_MS = 600_000;
const ANY_NUMBER: AdmissionCaps = {
  parking: undefined,
  sessions: undefined,
  perPrincipal: undefined,
  anonymous: undefined,
  waiting: undefined,
  wait: undefined,
};
const committed = { kind: "committed" };
const left = { kind: "left" };
const released = { kind: "released" };

/** Admission by a memory ledger whose clock stands still, parts of which can be made to fail. */
function open(over: (ledger: Ledger) => Partial<Ledger> = () => ({})) {
  let now = 0;
  const ledger = memoryLedger({ now: () => now });
  const admission = createAdmission({ ...ledger, ...over(ledger) });
  const lease = (principal = ANONYMOUS): Lease => ({ key: sessionKey(mintSessionId()), principal });
  const reserve = (caps: Partial<AdmissionCaps> = {}, backend = "one", of = lease()) =>
    admission.reserve(of, backend, { ...ANY_NUMBER, ...caps });
  return {
    reserve,
    /** A reservation that is known to succeed. */
    slot: async (...args: Parameters<typeof reserve>): Promise<Slot> => {
      const reserved = await reserve(...args);
      if (reserved.kind !== "reserved") throw new Error(reserved.kind);
      return reserved.slot;
    },
    lease,
    ledger,
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

describe("a slot", () => {
  test("is taken by its reservation, and lapses with that", async () => {
    const { slot, live, advance } = open();
    await slot();
    advance(RESERVATION_MS - 1);
    expect(await live()).toBe(1);
    advance(1);
    expect(await live()).toBe(0);
  });

  test("that is committed is the session's, for as long as that lives", async () => {
    const { slot, live, advance } = open();
    expect(await (await slot()).commit(LIFE_MS)).toEqual(committed);
    advance(LIFE_MS - 1);
    expect(await live()).toBe(1);
    advance(1);
    expect(await live()).toBe(0);
  });

  test("that is released is free at once", async () => {
    const { slot, reserve } = open();
    (await slot({ sessions: 1 })).release();
    expect(await reserve({ sessions: 1 })).toMatchObject({ kind: "reserved" });
  });

  test("that was released is not committed, nor released again", async () => {
    const { slot, live, reserve } = open();
    const one = await slot();
    one.release();
    expect(await one.commit(LIFE_MS)).toEqual(released);
    one.release();
    expect(await live()).toBe(0);
    expect(await reserve({ sessions: 1 })).toMatchObject({ kind: "reserved" });
  });

  test("that is left is taken until its reservation lapses, and is not committed any more", async () => {
    const { slot, live, advance } = open();
    const one = await slot();
    one.leave();
    expect(await one.commit(LIFE_MS)).toEqual(left);
    advance(RESERVATION_MS - 1);
    expect(await live()).toBe(1);
    advance(1);
    expect(await live()).toBe(0);
  });

  test("that was left is free at once when there is no session after all", async () => {
    const { slot, reserve } = open();
    const one = await slot({ sessions: 1 });
    one.leave();
    expect(await reserve({ sessions: 1 })).toMatchObject({ kind: "exhausted" });
    one.release();
    expect(await reserve({ sessions: 1 })).toMatchObject({ kind: "reserved" });
  });

  test("that was committed is not released, nor left, nor committed anew", async () => {
    const { slot, live, advance } = open();
    const one = await slot();
    await one.commit(LIFE_MS);
    one.leave();
    one.release();
    expect(await live()).toBe(1);
    expect(await one.commit(10 * LIFE_MS)).toEqual(committed);
    advance(LIFE_MS);
    expect(await live()).toBe(0);
  });
});

describe("a slot whose reservation has lapsed", () => {
  test("is taken anew under the cap", async () => {
    const { slot, live, advance } = open();
    const late = await slot({ sessions: 2 });
    advance(RESERVATION_MS);
    await slot({ sessions: 2 });
    expect(await late.commit(LIFE_MS)).toEqual(committed);
    expect(await live()).toBe(2);
  });

  test.each([
    ["sessions", { sessions: 1 }],
    ["perPrincipal", { perPrincipal: 1 }],
  ] as const)("is lost at the cap: %s", async (by, caps) => {
    const { slot, live, lease, advance } = open();
    const late = await slot(caps, "one", lease("ada"));
    advance(RESERVATION_MS);
    await slot(caps, "one", lease("ada"));
    expect(await late.commit(LIFE_MS)).toMatchObject({ kind: "exhausted", by });
    expect(await live()).toBe(1);
    expect(await late.commit(LIFE_MS)).toEqual(left);
  });
});

describe("a slot that is given up while it is committed", () => {
  /** A slot whose commit waits for `go`, before or after the ledger has done it. */
  const committing = async (order: string) => {
    let go: () => void = () => undefined;
    let held = 0;
    const opened = open((ledger) => ({
      async hold(...args) {
        const late = ++held === 2;
        const pause = () => new Promise<void>((resolve) => (go = resolve));
        if (late && order === "before") await pause();
        const outcome = await ledger.hold(...args);
        if (late && order === "after") await pause();
        return outcome;
      },
    }));
    const one = await opened.slot();
    const commit = one.commit(LIFE_MS);
    await Promise.resolve();
    return { ...opened, one, commit, go: () => go() };
  };

  test.each(["before", "after"])(
    "is free where it is released, also where the ledger comes to that %s the hold",
    async (order) => {
      const { one, commit, go, live } = await committing(order);
      one.release();
      go();
      expect(await commit).toEqual(released);
      expect(await live()).toBe(0);
    },
  );

  test.each(["before", "after"])(
    "is taken for a reservation's time where it is left %s the ledger has held it",
    async (order) => {
      const { one, commit, go, live, advance } = await committing(order);
      one.leave();
      go();
      expect(await commit).toEqual(left);
      expect(await live()).toBe(1);
      advance(RESERVATION_MS);
      expect(await live()).toBe(0);
    },
  );
});

describe("a refusal names the cap", () => {
  test.each([
    ["sessions", { sessions: 1, perPrincipal: 9, waiting: 9 }],
    ["perPrincipal", { sessions: 9, perPrincipal: 1, waiting: 9 }],
    ["waiting", { sessions: 9, perPrincipal: 9, waiting: 1 }],
  ] as const)("%s", async (by, caps) => {
    const { slot, reserve, lease, live } = open();
    await slot(caps, "one", lease("ada"));
    expect(await reserve(caps, "one", lease("ada"))).toMatchObject({ kind: "exhausted", by });
    expect(await live()).toBe(1);
  });
});

describe("initializes that wait for one backend", () => {
  const two = { waiting: 2 };

  test("are bounded, and do not hold up those for another", async () => {
    const { slot, reserve } = open();
    await slot(two);
    await slot(two);
    expect(await reserve(two)).toMatchObject({ kind: "exhausted", by: "waiting" });
    expect(await reserve(two, "other")).toMatchObject({ kind: "reserved" });
  });

  test("are counted before the ledger answers", async () => {
    const { reserve } = open();
    const outcomes = await Promise.all([reserve(two), reserve(two), reserve(two)]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(["reserved", "reserved", "exhausted"]);
  });

  test("are as many as come where there is no bound", async () => {
    const { reserve } = open();
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => reserve()));
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(["reserved"]));
  });

  /** A ledger whose nth hold fails. */
  const hold = (kind: "exhausted" | "unavailable", at: number) => (ledger: Ledger) => {
    let held = 0;
    const outcome =
      kind === "exhausted" ? ({ kind, by: "sessions", freeIn: undefined, idleIn: undefined } as const) : { kind };
    return { hold: async (...args: Parameters<Ledger["hold"]>) => (++held === at ? outcome : ledger.hold(...args)) };
  };
  test.each<[string, Parameters<typeof open>[0], (slot: Slot) => unknown]>([
    ["committed", undefined, (slot) => slot.commit(LIFE_MS)],
    ["committed twice at once", undefined, (slot) => Promise.all([slot.commit(LIFE_MS), slot.commit(LIFE_MS)])],
    ["committed twice in turn", undefined, async (slot) => [await slot.commit(LIFE_MS), await slot.commit(LIFE_MS)]],
    ["committed, and released then", undefined, (slot) => slot.commit(LIFE_MS).then(() => slot.release())],
    ["released", undefined, (slot) => slot.release()],
    ["left", undefined, (slot) => slot.leave()],
    ["left, and released then", undefined, (slot) => [slot.leave(), slot.release()]],
    ["left while it is committed", undefined, (slot) => [slot.commit(LIFE_MS), slot.leave()]],
    ["released twice", undefined, (slot) => [slot.release(), slot.release()]],
    ["released while it is committed", undefined, (slot) => [slot.commit(LIFE_MS), slot.release()]],
    ["not committed for want of a ledger", hold("unavailable", 3), (slot) => slot.commit(LIFE_MS)],
    ["not committed for want of a slot", hold("exhausted", 3), (slot) => slot.commit(LIFE_MS)],
  ])("are one fewer, and not two, once one is %s", async (_, over, decide) => {
    const { slot, reserve } = open(over);
    await slot(two);
    await decide(await slot(two));
    expect(await reserve(two)).toMatchObject({ kind: "reserved" });
    expect(await reserve(two)).toMatchObject({ kind: "exhausted", by: "waiting" });
  });

  test.each(["exhausted", "unavailable"] as const)("do not include one whose slot was %s", async (kind) => {
    const { slot, reserve } = open(hold(kind, 2));
    await slot(two);
    expect(await reserve(two)).toMatchObject({ kind });
    expect(await reserve(two)).toMatchObject({ kind: "reserved" });
    expect(await reserve(two)).toMatchObject({ kind: "exhausted", by: "waiting" });
  });
});

describe("while the ledger is away", () => {
  test("nothing is reserved", async () => {
    const { reserve } = open(() => ({ hold: unavailable }));
    expect(await reserve()).toEqual(UNAVAILABLE);
  });

  test("nothing is committed, and the slot is taken until there is no session", async () => {
    let away = false;
    const { slot, live } = open((ledger) => ({
      hold: async (...args) => (away ? UNAVAILABLE : ledger.hold(...args)),
    }));
    const one = await slot();
    away = true;
    expect(await one.commit(LIFE_MS)).toEqual(UNAVAILABLE);
    expect(await live()).toBe(1);
    expect(await one.commit(LIFE_MS)).toEqual(left);
    one.release();
    expect(await live()).toBe(0);
  });

  test("what cannot be released lapses", async () => {
    const { slot, live, advance } = open(() => ({ release: unavailable }));
    (await slot()).release();
    expect(await live()).toBe(1);
    advance(RESERVATION_MS);
    expect(await live()).toBe(0);
  });
});
