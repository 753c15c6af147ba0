import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createOffers, type Refusal } from "../../../src/discovery/offers.ts";
import type { Resources } from "../../../src/envoy-config/live.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const versions = (clusters: string, listeners = "l1"): Resources =>
  new Map([
    ["clusters", { version: clusters, body: `clusters ${clusters}` }],
    ["listeners", { version: listeners, body: `listeners ${listeners}` }],
  ]);

function offering({ several = false } = {}) {
  const refused: Refusal[] = [];
  const onRefused = (refusal: Refusal) => void refused.push(refusal);
  const offers = createOffers({ resources: versions("c1"), several, now: Date.now, onRefused });
  /** What an Envoy that has this version is given; undefined: nothing new. */
  const ask = (version: string | undefined, { envoy = "e", name = "clusters" } = {}) => {
    const answer = offers.answer({ envoy, name, version });
    return answer.kind === "given" ? answer.resource.version : answer.kind === "current" ? undefined : answer.kind;
  };
  return { offers, ask, refused };
}

test("an Envoy is given what it does not have, and nothing that it has", () => {
  const { offers, ask } = offering();
  expect([ask(undefined), ask("c1")]).toEqual(["c1", undefined]);
  offers.offer(versions("c2"));
  expect([ask("c1"), ask("c2")]).toEqual(["c2", undefined]);
  expect(ask(undefined, { name: "routes/none" })).toBe("unknown");
});

test("a change is taken when each Envoy that asks has all of it; where none asks, at once", async () => {
  const { offers, ask } = offering();
  expect(offers.outcome()).toEqual({ kind: "taken", envoys: 0 });
  for (const envoy of ["a", "b"]) for (const version of [undefined, "c1"]) ask(version, { envoy });
  expect(offers.outcome()).toEqual({ kind: "taken", envoys: 2 });
  offers.offer(versions("c2"));
  const settled = vi.fn();
  const waits = offers.settled(5_000).then(settled);
  for (const version of ["c1", "c2"]) ask(version, { envoy: "a" });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(settled).not.toHaveBeenCalled();
  for (const version of ["c1", "c2"]) ask(version, { envoy: "b" });
  await waits;
  expect(settled).toHaveBeenCalledWith({ kind: "taken", envoys: 2 });
});

test("an Envoy that asks no more holds a change up for its bound, and then for nothing", async () => {
  const { offers, ask } = offering();
  ask("c1");
  offers.offer(versions("c2"));
  const waits = offers.settled(5_000);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await waits).toEqual({ kind: "late" });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(offers.outcome()).toEqual({ kind: "taken", envoys: 0 });
});

test("who asks again and again with another version refuses; it is told once, and heals with the next", async () => {
  const { offers, ask, refused } = offering();
  ask("c1");
  offers.offer(versions("c2"));
  const waits = offers.settled(5_000);
  // The first answer may be lost.
  expect([ask("c1"), ask("c1")]).toEqual(["c2", "c2"]);
  expect(offers.outcome().kind).toBe("late");
  expect([ask("c1"), ask("c1")]).toEqual([undefined, undefined]);
  const refusal = { envoy: "e", name: "clusters", version: "c2", follows: true };
  expect(await waits).toEqual({ kind: "refused", refusals: [refusal] });
  expect([refused, offers.refusals()]).toEqual([[refusal], [refusal]]);
  offers.withdraw(versions("c1"));
  expect(ask("c1")).toBeUndefined();
  expect([offers.outcome(), offers.refusals()]).toEqual([{ kind: "taken", envoys: 1 }, [refusal]]);
  offers.offer(versions("c3"));
  expect([ask("c1"), ask("c3"), offers.refusals()]).toEqual(["c3", undefined, []]);
});

test("who refuses all from its beginning holds no change up and keeps none out of force; that it refuses is told", async () => {
  const { offers, ask, refused } = offering();
  ask("c1", { envoy: "real" });
  const strangers = Array.from({ length: 900 }, (_, number) => `stranger ${number}`);
  const askAll = () => strangers.flatMap((envoy) => [1, 2, 3].map(() => ask("theirs", { envoy })));
  askAll();
  offers.offer(versions("c2"));
  const waits = offers.settled(5_000);
  askAll();
  ask("c2", { envoy: "real" });
  expect(await waits).toEqual({ kind: "taken", envoys: 1 });
  expect(offers.refusals()).toHaveLength(900);
  expect(new Set(refused.map(({ envoy }) => envoy)).size).toBe(900);
  expect(refused.some(({ follows }) => follows)).toBe(false);
});

test("what is refused is given again after a while, as what it lacked may be there", async () => {
  const { ask } = offering();
  expect([1, 2, 3, 4].map(() => ask(undefined))).toEqual(["c1", "c1", undefined, undefined]);
  const given: number[] = [];
  for (let second = 1; second <= 25; second++) {
    await vi.advanceTimersByTimeAsync(1_000);
    if (ask(undefined)) given.push(second);
  }
  expect(given).toEqual([10, 20]);
});

test("of several routers, one that does not know a version leaves it alone for a while", async () => {
  const { ask } = offering({ several: true });
  ask("older");
  await vi.advanceTimersByTimeAsync(9_999);
  expect(ask("older")).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect(ask("older")).toBe("c1");
});

test("an Envoy that has left its version for another's it leaves alone for as long as a change may take to come", async () => {
  const { offers, ask } = offering({ several: true });
  expect(ask("c1")).toBeUndefined();
  for (let second = 0; second < 120; second++) {
    expect(ask("newer")).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(ask("newer")).toBe("c1");
  offers.offer(versions("newer"));
  expect(ask("newer")).toBeUndefined();
  // One that starts anew has left nothing.
  expect([ask("other"), ask(undefined)]).toEqual([undefined, "newer"]);
});

test("where several routers read a change a minute and a half apart, an Envoy takes it once and keeps it", async () => {
  const routers = [offering({ several: true }), offering({ several: true })];
  let has: string | undefined;
  const had: string[] = [];
  /** The Envoy asks each in turn, for some seconds. */
  const seconds = async (count: number) => {
    for (let second = 0; second < count; second++)
      for (const { ask } of routers) {
        await vi.advanceTimersByTimeAsync(500);
        const given = ask(has);
        if (given === undefined) continue;
        has = given;
        had.push(given);
      }
  };
  await seconds(5);
  for (const { offers } of routers) {
    offers.offer(versions("c2"));
    await seconds(90);
  }
  expect(had).toEqual(["c1", "c2"]);
  // And back: the first one has made both.
  for (const { offers } of routers) {
    offers.offer(versions("c1"));
    await seconds(90);
  }
  expect(had).toEqual(["c1", "c2", "c1"]);
});

test("of each Envoy that asks it is told what it lacks, and no more of one that is gone", async () => {
  const { offers, ask } = offering();
  for (const version of [undefined, "c1"]) ask(version, { envoy: "a" });
  ask("theirs", { envoy: "b" });
  await vi.advanceTimersByTimeAsync(100);
  ask("l1", { envoy: "a", name: "listeners" });
  offers.offer(versions("c2"));
  ask("theirs", { envoy: "b" });
  expect(offers.following()).toEqual([
    { envoy: "a", asked: 0, follows: true, lacks: ["clusters"], given: [] },
    { envoy: "b", asked: 0, follows: false, lacks: [], given: ["clusters"] },
  ]);
  ask("theirs", { envoy: "b" });
  expect(offers.following()[1]).toMatchObject({ lacks: ["clusters"], given: [] });
  await vi.advanceTimersByTimeAsync(100);
  ask("c1", { envoy: "a" });
  await vi.advanceTimersByTimeAsync(9_900);
  expect(offers.following().map(({ envoy }) => envoy)).toEqual(["a"]);
});

test("what one router gives with more than in the end, and another one without, is taken for both", async () => {
  const { offers, ask } = offering({ several: true });
  ask("c1");
  // This router has used a backend that the file does not have any more. The other one never has.
  offers.offer(versions("final.more"), versions("final"));
  expect([ask("c1"), ask("final")]).toEqual(["final.more", undefined]);
  expect(offers.outcome().kind).toBe("taken");
  expect([ask("final.more"), ask("final.other")]).toEqual([undefined, undefined]);
  offers.trim();
  expect([ask("final.other"), ask("final")]).toEqual(["final", undefined]);
});

test("an Envoy that has had what is offered, and was moved on by another router, has taken it", async () => {
  const { offers, ask } = offering({ several: true });
  for (const name of ["clusters", "listeners"]) ask(name === "clusters" ? "c1" : "l1", { name });
  offers.offer(versions("c2", "l2"));
  for (const version of ["c1", "c2", "c3"]) ask(version);
  expect(offers.outcome().kind).toBe("late");
  for (const version of ["l1", "l2"]) ask(version, { name: "listeners" });
  expect(offers.outcome().kind).toBe("taken");
});

test("an Envoy that goes to and fro between two routers refuses nothing", () => {
  const { offers, ask, refused } = offering({ several: true });
  ask("c1");
  offers.offer(versions("c2"));
  offers.offer(versions("c3"));
  for (let turn = 0; turn < 5; turn++) for (const version of ["c1", "c2"]) ask(version);
  expect(refused).toEqual([]);
});

test("a newer offer ends the wait for the one before", async () => {
  const { offers, ask } = offering();
  ask("c1");
  offers.offer(versions("c2"));
  const waits = offers.settled(5_000);
  offers.offer(versions("c3"));
  expect(await waits).toEqual({ kind: "late" });
});

test("as many Envoys are known as one router has at most", () => {
  const { offers, ask } = offering();
  for (let number = 0; number < 1_100; number++) ask("c1", { envoy: String(number) });
  expect(offers.outcome()).toEqual({ kind: "taken", envoys: 1_000 });
});
