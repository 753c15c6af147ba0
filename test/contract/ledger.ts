/** What every ledger must do (src/admission/ledger.ts), whichever it is. Each implementation runs all of it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type CapName,
  type Caps,
  type Lease,
  type Ledger,
  type LedgerPlace,
  MOST_PARKED,
  NO_CAPS,
  type Use,
} from "../../src/admission/ledger.ts";
import { mintSessionId, principalDigest, sessionKey } from "../../src/sessions/id.ts";
import { ANONYMOUS } from "../../src/sessions/store.ts";
import type { OpenedLedgers } from "./open.ts";

export interface LedgersUnderTest extends OpenedLedgers {
  /** ms that a test keeps away from an instant of the ledger's own clock: 1 where that stands still between advances. */
  readonly grain: number;
}

const ADA = principalDigest(["ada"]);
const BOB = principalDigest(["bob"]);
const SHORT = 10_000;
const LONG = 60_000;

export function describeLedger(name: string, open: () => Promise<LedgersUnderTest>): void {
  describe(name, () => {
    let under: LedgersUnderTest;
    let ledger: Ledger;
    let advance: LedgersUnderTest["advance"];

    beforeEach(async () => {
      under = await open();
      ({
        ledgers: [ledger],
        advance,
      } = under);
    });
    afterEach(() => under.close());

    const lease = (principal = ANONYMOUS): Lease => ({ key: sessionKey(mintSessionId()), principal });
    const leases = (count: number, principal = ANONYMOUS) => Array.from({ length: count }, () => lease(principal));
    const caps = (sessions: number | undefined, perPrincipal?: number, anonymous?: number): Caps => {
      return { sessions, perPrincipal, anonymous, parking: undefined };
    };
    const holdAll = async (all: readonly Lease[], ms = LONG) => {
      for (const one of all) await ledger.hold(one, ms, NO_CAPS, "waiting");
    };
    const expired = async (limit = 100) => {
      const outcome = await ledger.expired(limit);
      if (outcome.kind !== "expired") throw new Error(outcome.kind);
      return outcome.leases;
    };

    const taken = { kind: "held", anew: true };
    const goesOn = { kind: "held", anew: false };
    const released = { kind: "released" };
    const exhausted = (by: CapName) => expect.objectContaining({ kind: "exhausted", by });

    describe("hold", () => {
      test("takes a slot for a lease that is new, and not another when that goes on", async () => {
        const one = lease(ADA);
        expect(await ledger.hold(one, LONG, NO_CAPS, "waiting")).toEqual(taken);
        expect(await ledger.hold(one, LONG, NO_CAPS, "waiting")).toEqual(goesOn);
        expect(await under.held()).toEqual({ leases: 1, principals: 1 });
      });

      test("takes the last slot of all, and none after it, whosever it is", async () => {
        await holdAll([lease(), lease(ADA)]);
        expect(await ledger.hold(lease(BOB), LONG, caps(3), "waiting")).toEqual(taken);
        for (const principal of [ADA, BOB, ANONYMOUS])
          expect(await ledger.hold(lease(principal), LONG, caps(3), "waiting")).toEqual(exhausted("sessions"));
      });

      test("takes a principal's last slot, and none after it, while others go on", async () => {
        await holdAll([...leases(4), lease(BOB), lease(ADA)]);
        expect(await ledger.hold(lease(ADA), LONG, caps(100, 2), "waiting")).toEqual(taken);
        expect(await ledger.hold(lease(ADA), LONG, caps(100, 2), "waiting")).toEqual(exhausted("perPrincipal"));
        expect(await ledger.hold(lease(BOB), LONG, caps(100, 2), "waiting")).toEqual(taken);
      });

      test("knows no cap on one anonymous caller", async () => {
        await holdAll(leases(3));
        expect(await ledger.hold(lease(), LONG, caps(100, 1), "waiting")).toEqual(taken);
      });

      test("takes the last slot of all anonymous callers together, and none after it, while those with a name go on", async () => {
        await holdAll([...leases(1), lease(ADA)]);
        expect(await ledger.hold(lease(), LONG, caps(100, 1, 2), "waiting")).toEqual(taken);
        expect(await ledger.hold(lease(), LONG, caps(100, 9, 2), "waiting")).toEqual(exhausted("anonymous"));
        expect(await ledger.hold(lease(BOB), LONG, caps(100, 1, 2), "waiting")).toEqual(taken);
      });

      test("gives an anonymous caller the slot of another whose lease ran out, or was released", async () => {
        const [first, second] = [lease(), lease()];
        await ledger.hold(first, SHORT, NO_CAPS, "waiting");
        await ledger.hold(second, LONG, NO_CAPS, "waiting");
        await advance(SHORT);
        expect(await ledger.hold(lease(), LONG, caps(100, 1, 2), "waiting")).toEqual(taken);
        expect(await ledger.hold(lease(), LONG, caps(100, 1, 2), "waiting")).toEqual(exhausted("anonymous"));
        await ledger.release(second);
        expect(await ledger.hold(lease(), LONG, caps(100, 1, 2), "waiting")).toEqual(taken);
      });

      test("without caps knows none, over which it has gone on already", async () => {
        await holdAll(leases(3, ADA));
        expect(await ledger.hold(lease(ADA), LONG, NO_CAPS, "waiting")).toEqual(taken);
        expect(await ledger.hold(lease(ADA), LONG, caps(undefined, 5), "waiting")).toEqual(taken);
        expect(await ledger.hold(lease(ADA), LONG, caps(6, undefined), "waiting")).toEqual(taken);
      });

      test("of a live lease goes on over each cap", async () => {
        const all = leases(3, ADA);
        await holdAll(all);
        for (const one of all)
          for (const lowered of [caps(1), caps(undefined, 1), caps(3, 3), caps(0, 0)])
            expect(await ledger.hold(one, LONG, lowered, "waiting")).toEqual(goesOn);
      });

      test("that is refused leaves nothing behind", async () => {
        await holdAll([lease()]);
        await ledger.hold(lease(ADA), LONG, caps(1, 1), "waiting");
        await ledger.hold(lease(ADA), LONG, caps(100, 0), "waiting");
        expect(await ledger.hold(lease(BOB), LONG, caps(2), "waiting")).toEqual(taken);
        expect((await under.held()).leases).toBe(2);
      });
    });

    describe("a lease", () => {
      test.each([
        ["all", caps(2), "sessions"],
        ["its principal", caps(undefined, 2), "perPrincipal"],
      ] as const)("drops out of the count of %s in the instant in which it runs out", async (_, atTwo, by) => {
        await holdAll([lease(ADA)], SHORT);
        await holdAll([lease(ADA)], LONG);
        await advance(SHORT - under.grain);
        expect(await ledger.hold(lease(ADA), LONG, atTwo, "waiting")).toEqual(exhausted(by));
        await advance(under.grain);
        expect(await ledger.hold(lease(ADA), LONG, atTwo, "waiting")).toEqual(taken);
        expect(await ledger.hold(lease(ADA), LONG, atTwo, "waiting")).toEqual(exhausted(by));
      });

      test.each([
        ["longer", SHORT, LONG],
        ["shorter", LONG, SHORT],
      ])("runs out by when it was last held, also when that is %s", async (_, first, last) => {
        const one = lease(ADA);
        await ledger.hold(one, first, NO_CAPS, "waiting");
        await ledger.hold(one, last, NO_CAPS, "waiting");
        await advance(last - under.grain);
        expect(await ledger.hold(lease(ADA), LONG, caps(1), "waiting")).toEqual(exhausted("sessions"));
        expect(await ledger.hold(lease(ADA), LONG, caps(2, 1), "waiting")).toEqual(exhausted("perPrincipal"));
        await advance(under.grain);
        expect(await ledger.hold(lease(ADA), LONG, caps(1, 1), "waiting")).toEqual(taken);
        expect(await expired()).toEqual([one]);
      });

      test("that ran out takes a slot anew while there is one, and then is not expired any more", async () => {
        const one = lease(ADA);
        await ledger.hold(one, SHORT, NO_CAPS, "waiting");
        await advance(SHORT);
        expect(await ledger.hold(one, LONG, caps(1, 1), "waiting")).toEqual(taken);
        expect(await expired()).toEqual([]);
        expect(await ledger.hold(one, LONG, caps(1, 1), "waiting")).toEqual(goesOn);
      });

      test.each([
        ["all", ANONYMOUS, caps(1), "sessions"],
        ["its principal", ADA, caps(undefined, 1), "perPrincipal"],
      ] as const)(
        "that ran out is refused where the slot of %s went to another, until it is held without caps",
        async (_, other, atOne, by) => {
          const one = lease(ADA);
          await ledger.hold(one, SHORT, NO_CAPS, "waiting");
          await advance(SHORT);
          await ledger.hold(lease(other), LONG, atOne, "waiting");
          expect(await ledger.hold(one, LONG, atOne, "waiting")).toEqual(exhausted(by));
          expect(await expired()).toEqual([one]);
          expect(await ledger.hold(one, LONG, NO_CAPS, "waiting")).toEqual(taken);
          expect(await expired()).toEqual([]);
        },
      );
    });

    describe("release", () => {
      test("gives the slot back at once: that of all, and the principal's", async () => {
        const one = lease(ADA);
        await ledger.hold(one, LONG, NO_CAPS, "waiting");
        expect(await ledger.hold(lease(ADA), LONG, caps(1, 1), "waiting")).toMatchObject({ kind: "exhausted" });
        expect(await ledger.release(one)).toEqual(released);
        expect(await ledger.hold(lease(ADA), LONG, caps(1, 1), "waiting")).toEqual(taken);
      });

      test("of what is unknown, or was released, gives back nothing more", async () => {
        const [one, other] = [lease(ADA), lease(ADA)];
        expect(await ledger.release(one)).toEqual(released);
        await holdAll([one, other]);
        for (let time = 0; time < 3; time++) expect(await ledger.release(one)).toEqual(released);
        expect(await ledger.hold(lease(BOB), LONG, caps(1), "waiting")).toEqual(exhausted("sessions"));
        expect(await ledger.hold(lease(ADA), LONG, caps(9, 1), "waiting")).toEqual(exhausted("perPrincipal"));
      });

      test("leaves nothing of a lease, whether it lives or ran out", async () => {
        const [first, second, nobody] = [lease(ADA), lease(BOB), lease()];
        await holdAll([first, nobody], SHORT);
        await advance(SHORT);
        await holdAll([second]);
        for (const one of [first, second, nobody]) expect(await ledger.release(one)).toEqual(released);
        expect(await expired()).toEqual([]);
        expect(await under.held()).toEqual({ leases: 0, principals: 0 });
      });
    });

    describe("expired", () => {
      test("tells of leases as they were taken, the oldest first, and of no live one", async () => {
        const [first, second, third, live] = [lease(ADA), lease(), lease(BOB), lease(ADA)];
        await ledger.hold(third, 3 * SHORT, NO_CAPS, "waiting");
        await ledger.hold(first, SHORT, NO_CAPS, "waiting");
        await ledger.hold(live, LONG, NO_CAPS, "waiting");
        await ledger.hold(second, 2 * SHORT, NO_CAPS, "waiting");
        expect(await expired()).toEqual([]);
        await advance(2 * SHORT);
        expect(await expired()).toEqual([first, second]);
        await advance(SHORT);
        expect(await expired()).toEqual([first, second, third]);
      });

      test("tells of no more than it is asked for, and of the rest once these are released", async () => {
        const all = leases(5, ADA);
        for (const [at, one] of all.entries()) await ledger.hold(one, SHORT + at * under.grain, NO_CAPS, "waiting");
        await advance(LONG);
        expect(await expired(3)).toEqual(all.slice(0, 3));
        for (const one of all.slice(0, 3)) await ledger.release(one);
        expect(await expired(3)).toEqual(all.slice(3));
      });

      test("tells of a lease until that is released, however late", async () => {
        const one = lease(ADA);
        await ledger.hold(one, SHORT, NO_CAPS, "waiting");
        await advance(1_000 * LONG);
        expect(await expired()).toEqual([one]);
        expect(await expired()).toEqual([one]);
        await ledger.release(one);
        expect(await expired()).toEqual([]);
      });
    });

    describe("a walk", () => {
      const walk = async () => {
        const met = new Map<string, Lease>();
        for (let from: LedgerPlace | undefined, begun = false; !begun || from !== undefined; begun = true) {
          const page = await ledger.page(from);
          if (page.kind !== "page") throw new Error(page.kind);
          for (const one of page.leases) met.set(one.key, one);
          from = page.next;
        }
        return [...met.values()];
      };
      const byKey = (all: readonly Lease[]) => all.toSorted((one, other) => (one.key < other.key ? -1 : 1));

      test("meets nothing where there is nothing", async () => {
        expect(await walk()).toEqual([]);
      });

      test("meets every lease, of whomever, and none that was released", async () => {
        const all = [...leases(500), ...leases(500, ADA), lease(BOB)];
        const [gone, ...held] = all;
        await holdAll(all);
        if (gone) await ledger.release(gone);
        expect(byKey(await walk())).toEqual(byKey(held));
      });
    });

    describe("at a cap, where sessions may be parked", () => {
      const IDLE = 20_000;
      const UNNAMED = 8_000;
      const parking = { idle: IDLE, unnamed: UNNAMED };
      const atCap = (sessions: number | undefined, perPrincipal?: number, anonymous?: number): Caps => {
        return { ...caps(sessions, perPrincipal, anonymous), parking };
      };
      const takes = (parked: Lease, ended?: Lease) => ({
        ...taken,
        parked: [parked],
        ...(ended && { ended: [ended] }),
      });
      const begin = (one: Lease, use: Use, ms = LONG) => ledger.hold(one, ms, NO_CAPS, use);
      const reserve = (one: Lease, caps: Caps) => ledger.hold(one, LONG, caps, "waiting");
      const freeIn = async (caps: Caps, principal?: string) => {
        const outcome = await reserve(lease(principal), caps);
        return outcome.kind === "exhausted" ? outcome.freeIn : outcome;
      };
      /** Less by what has gone by on the ledger's own clock, which may run. */
      const about = (ms: number) =>
        expect.toSatisfy((left: number) => left <= ms && left > ms - under.grain, `about ${ms} ms`);

      test("the session that was used longest ago gives its slot to a new one, once it was idle for long enough", async () => {
        const [first, second] = [lease(), lease(ADA)];
        await begin(first, "used");
        await advance(under.grain);
        await begin(second, "used");
        await advance(IDLE - 2 * under.grain);
        expect(await reserve(lease(), atCap(2))).toEqual(exhausted("sessions"));
        await advance(under.grain);
        expect(await reserve(lease(BOB), atCap(2))).toEqual(takes(first));
        expect(await reserve(lease(), atCap(2))).toEqual(exhausted("sessions"));
        await advance(under.grain);
        expect(await reserve(lease(), atCap(2))).toEqual(takes(second));
        expect(await ledger.count()).toEqual({ kind: "counted", live: 2, parked: 2 });
      });

      test("one that no second request has named goes first, the oldest of them, once it is old enough", async () => {
        const [idle, older, younger] = [lease(), lease(), lease()];
        await begin(idle, "used");
        await advance(IDLE);
        await begin(older, "unnamed");
        await begin(younger, "unnamed");
        expect(await reserve(lease(), atCap(3))).toEqual(takes(idle));
        expect(await reserve(lease(), atCap(3))).toEqual(exhausted("sessions"));
        await advance(UNNAMED);
        expect(await reserve(lease(), atCap(3))).toEqual(takes(older));
        expect(await reserve(lease(), atCap(3))).toEqual(takes(younger));
        expect(await reserve(lease(), atCap(3))).toEqual(exhausted("sessions"));
      });

      test.each([
        ["whose initialize waits", "waiting"],
        ["that was used just now", "used"],
      ] as const)("one %s keeps its slot", async (_, use) => {
        const one = lease();
        await begin(one, "unnamed");
        await advance(UNNAMED);
        await begin(one, use);
        expect(await reserve(lease(), atCap(1))).toEqual(exhausted("sessions"));
      });

      test("none gives its slot away below the caps, nor where none may be parked", async () => {
        await begin(lease(ADA), "used");
        await advance(IDLE);
        expect(await reserve(lease(ADA), atCap(2, 2))).toEqual(taken);
        expect(await reserve(lease(ADA), caps(2, 2))).toMatchObject({ kind: "exhausted" });
      });

      test("at a principal's cap its own goes, also where another's is idle for longer", async () => {
        const [bobs, adas] = [lease(BOB), lease(ADA)];
        await begin(bobs, "used");
        await begin(lease(), "unnamed");
        await begin(adas, "used");
        await advance(IDLE);
        expect(await reserve(lease(ADA), atCap(3, 1))).toEqual(takes(adas));
        expect(await reserve(lease(ADA), atCap(9, 1))).toEqual(exhausted("perPrincipal"));
      });

      test("at the cap of anonymous callers one of theirs goes", async () => {
        const [adas, nobodys] = [lease(ADA), lease()];
        await begin(adas, "used");
        await begin(nobodys, "used");
        await advance(IDLE);
        expect(await reserve(lease(), atCap(9, 9, 1))).toEqual(takes(nobodys));
        expect(await reserve(lease(), atCap(9, 9, 1))).toEqual(exhausted("anonymous"));
      });

      test("one that was parked for another owner counts no more for its own", async () => {
        const adas = lease(ADA);
        await begin(adas, "used");
        await advance(IDLE);
        expect(await reserve(lease(BOB), atCap(1, 1))).toEqual(takes(adas));
        expect(await reserve(lease(ADA), atCap(2, 1))).toEqual(taken);
      });

      test("one that was parked takes a slot again with its next use, over each cap, and is parked no more", async () => {
        const one = lease(ADA);
        await begin(one, "used");
        await advance(IDLE);
        await reserve(lease(ADA), atCap(1, 1));
        expect(await ledger.hold(one, LONG, NO_CAPS, "used")).toEqual(taken);
        expect(await ledger.count()).toEqual({ kind: "counted", live: 2, parked: 0 });
        expect(await reserve(lease(ADA), atCap(9, 2))).toEqual(exhausted("perPrincipal"));
      });

      test("one that was parked is expired when it would have run out, and then knows a release", async () => {
        const one = lease(ADA);
        await begin(one, "used", LONG);
        await advance(IDLE);
        await reserve(lease(), atCap(1));
        await advance(LONG - IDLE - under.grain);
        expect(await expired()).toEqual([]);
        await advance(under.grain);
        expect(await expired()).toContainEqual(one);
        expect(await ledger.count()).toMatchObject({ parked: 0 });
        await ledger.release(one, { ifExpired: true });
        expect(await expired()).not.toContainEqual(one);
      });

      test("a release of one that is parked leaves nothing of it", async () => {
        const one = lease(ADA);
        await begin(one, "used");
        await advance(IDLE);
        const other = lease(ADA);
        await reserve(other, atCap(1));
        await ledger.release(one);
        await ledger.release(other);
        expect(await under.held()).toEqual({ leases: 0, principals: 0 });
        expect(await ledger.count()).toEqual({ kind: "counted", live: 0, parked: 0 });
      });

      test("no more are parked than there may be sessions: beyond that the one that would run out first has ended", async () => {
        const [first, second, third] = [lease(), lease(), lease()];
        await begin(first, "used", 2 * LONG);
        await begin(second, "used", LONG);
        await begin(third, "used", 3 * LONG);
        await advance(IDLE);
        expect(await reserve(lease(), atCap(1))).toEqual({
          ...taken,
          parked: [first, second, third],
          ended: [second, first],
        });
        expect(await ledger.count()).toEqual({ kind: "counted", live: 1, parked: 1 });
      });

      test.each([
        ["all", atCap(3)],
        ["its owner", atCap(9, 3)],
      ])("a new one is within the cap of %s, however many have come back above it", async (_, cap) => {
        const back = leases(5, ADA);
        for (const one of back) {
          await begin(one, "used");
          await advance(under.grain);
        }
        await advance(IDLE);
        expect(await reserve(lease(ADA), cap)).toEqual({ ...taken, parked: back.slice(0, 3) });
        expect(await ledger.count()).toEqual({ kind: "counted", live: 3, parked: 3 });
      });

      test("where too few of those above the cap are idle, a new one is refused, and these are parked", async () => {
        const idle = lease(ADA);
        await begin(idle, "used");
        await advance(IDLE);
        for (const one of leases(2, ADA)) await begin(one, "used");
        expect(await reserve(lease(ADA), atCap(9, 2))).toEqual({
          kind: "exhausted",
          by: "perPrincipal",
          freeIn: about(IDLE),
          idleIn: about(IDLE),
          parked: [idle],
        });
        expect(await ledger.count()).toEqual({ kind: "counted", live: 2, parked: 1 });
      });

      test("no more than so many are parked for one, and then it may come again at once", async () => {
        for (const one of leases(MOST_PARKED + 1)) await begin(one, "used");
        await advance(IDLE);
        expect(await freeIn(atCap(1))).toBe(0);
        expect(await ledger.count()).toMatchObject({ live: 1 });
        expect(await reserve(lease(), atCap(1))).toMatchObject(taken);
      });

      test("a refusal says when one may be parked, or runs out, whichever comes first", async () => {
        await begin(lease(ADA), "used", LONG);
        expect(await freeIn(atCap(1))).toEqual(about(IDLE));
        expect(await freeIn(caps(1))).toEqual(about(LONG));
        expect(await freeIn(atCap(9, 1), ADA)).toEqual(about(IDLE));
        await begin(lease(ADA), "unnamed", LONG);
        expect(await freeIn(atCap(2))).toEqual(about(UNNAMED));
        await begin(lease(ADA), "waiting", SHORT / 2);
        expect(await freeIn(atCap(3))).toEqual(about(SHORT / 2));
        expect(await freeIn(atCap(9, 3), ADA)).toEqual(about(SHORT / 2));
      });

      test("a refusal says when a session that was used may be parked, whatever comes first", async () => {
        const idleIn = async (caps: Caps, principal?: string) => {
          const outcome = await reserve(lease(principal), caps);
          return outcome.kind === "exhausted" ? outcome.idleIn : outcome;
        };
        await begin(lease(), "unnamed", LONG);
        expect(await idleIn(atCap(1))).toBeUndefined();
        await begin(lease(ADA), "used", LONG);
        expect(await idleIn(atCap(2))).toEqual(about(IDLE));
        expect(await idleIn(atCap(9, 1), ADA)).toEqual(about(IDLE));
        expect(await idleIn(caps(2))).toBeUndefined();
      });

      test("of new ones that come at once each takes the slot of another idle one, and no more do", async () => {
        const idle = leases(10, ADA);
        for (const one of idle) await begin(one, "used");
        await advance(IDLE);
        const many = leases(30, BOB);
        const outcomes = await Promise.all(
          many.map((one, at) => under.ledgers[at % 2 === 0 ? 0 : 1].hold(one, LONG, atCap(10), "waiting")),
        );
        const parked = outcomes
          .flatMap((outcome) => (outcome.kind === "held" ? (outcome.parked ?? []) : []))
          .map(({ key }) => key);
        expect(new Set(parked)).toEqual(new Set(idle.map(({ key }) => key)));
        expect(outcomes.filter(({ kind }) => kind === "exhausted")).toHaveLength(20);
      });
    });

    describe("what a ledger keeps of a principal", () => {
      test("goes with the last live lease by itself, before anybody releases it", async () => {
        await holdAll(leases(2, ADA), SHORT);
        await holdAll([lease(BOB)], LONG);
        expect((await under.held()).principals).toBe(2);
        await advance(SHORT);
        await expired(1);
        expect(await under.held()).toEqual({ leases: 3, principals: 1 });
        await advance(LONG);
        await expired(1);
        expect(await under.held()).toEqual({ leases: 3, principals: 0 });
      });

      test.each([
        ["first", LONG, SHORT],
        ["last", SHORT, LONG],
      ])("stays for the longest of its leases, which was held %s", async (_, first, last) => {
        await ledger.hold(lease(ADA), first, NO_CAPS, "waiting");
        await ledger.hold(lease(ADA), last, NO_CAPS, "waiting");
        await advance(SHORT);
        expect(await ledger.hold(lease(ADA), SHORT, caps(undefined, 1), "waiting")).toEqual(exhausted("perPrincipal"));
        await advance(LONG - SHORT - under.grain);
        expect(await ledger.hold(lease(ADA), SHORT, caps(undefined, 1), "waiting")).toEqual(exhausted("perPrincipal"));
      });
    });

    describe("at once, of two routers", () => {
      const router = (at: number) => under.ledgers[at % 2 === 0 ? 0 : 1];
      const kinds = (outcomes: readonly { kind: string }[]) =>
        ["held", "exhausted"].map((kind) => outcomes.filter((outcome) => outcome.kind === kind).length);

      test.each([
        ["all", leases(100), caps(20)],
        ["all, of several principals", [...leases(50, ADA), ...leases(50, BOB)], caps(20)],
        ["one principal", leases(100, ADA), caps(undefined, 20)],
      ])("holds at a cap on %s take as many slots as there are, and no more", async (_, all, atTwenty) => {
        const outcomes = await Promise.all(all.map((one, at) => router(at).hold(one, LONG, atTwenty, "waiting")));
        expect(kinds(outcomes)).toEqual([20, 80]);
        expect((await under.held()).leases).toBe(20);

        await Promise.all(all.map((one, at) => router(at + 1).release(one)));
        expect(await under.held()).toEqual({ leases: 0, principals: 0 });
      });

      test("holds of one lease take one slot", async () => {
        const one = lease(ADA);
        const outcomes = await Promise.all([0, 1, 2, 3].map((at) => router(at).hold(one, LONG, caps(1, 1), "waiting")));
        expect(outcomes.filter((outcome) => outcome.kind === "held" && outcome.anew)).toHaveLength(1);
        expect(kinds(outcomes)).toEqual([4, 0]);
      });
    });
  });
}
