import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createWaitingRoom, type WaitingRoom } from "../../../src/admission/waiting-room.ts";

// Fake timers do not reach node:timers/promises: it gets the faked ones.
vi.mock("node:timers/promises", () => ({
  setTimeout: (ms: number, value: unknown, { signal }: { readonly signal: AbortSignal }) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms, value);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    }),
}));

type Outcome = { readonly kind: "exhausted"; readonly idleIn: number | undefined } | { readonly kind: "reserved" };
const refused = (idleIn: number | undefined) => ({ kind: "exhausted", idleIn }) as const;
const reserved = { kind: "reserved" } as const;
const OPTIONS = { backend: "one", longest: 10_000, most: 2 };

let room: WaitingRoom;
/** What each try meets; the last one again and again. */
let outcomes: Outcome[];
const tryAgain = vi.fn(async (): Promise<Outcome> => {
  const [outcome = reserved] = outcomes.length > 1 ? outcomes.splice(0, 1) : outcomes;
  return outcome;
});
const enter = (idleIn: number | undefined, over: Partial<typeof OPTIONS> = {}) =>
  room.enter<Outcome>(refused(idleIn), { ...OPTIONS, ...over }, tryAgain);

beforeEach(() => {
  vi.useFakeTimers();
  tryAgain.mockClear();
  outcomes = [reserved];
  room = createWaitingRoom(() => Date.now());
});
afterEach(() => vi.useRealTimers());

describe("an initialize that a cap refuses", () => {
  test("waits until an idle session may be parked, and has its slot then", async () => {
    const wait = enter(3_000);
    await vi.advanceTimersByTimeAsync(2_999);
    expect(tryAgain).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(await wait?.outcome).toEqual(reserved);
    expect(tryAgain).toHaveBeenCalledTimes(1);
  });

  test("goes on to wait where somebody else was faster", async () => {
    outcomes = [refused(500), refused(0), reserved];
    const wait = enter(3_000);
    await vi.advanceTimersByTimeAsync(3_000 + 500 + 10);
    expect(await wait?.outcome).toEqual(reserved);
    expect(tryAgain).toHaveBeenCalledTimes(3);
  });

  test.each([
    ["no session is idle any more", refused(undefined)],
    ["the next one is idle too late", refused(7_001)],
  ])("is refused once %s", async (_, last) => {
    outcomes = [last];
    const wait = enter(3_000);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await wait?.outcome).toEqual(last);
  });

  test.each([
    ["no session may be parked", undefined, {}],
    ["it would wait too long", 10_001, {}],
    ["none waits", 1, { longest: undefined }],
    ["none may wait", 1, { most: 0 }],
  ])("does not wait where %s", (_, idleIn, over) => {
    expect(room.enter<Outcome>(refused(idleIn), { ...OPTIONS, ...over }, tryAgain)).toBeUndefined();
  });

  test("waits no more once its client has left, asks for nothing, and frees its place", async () => {
    const waits = [enter(3_000), enter(3_000)];
    expect(enter(3_000)).toBeUndefined();
    expect(enter(3_000, { backend: "two" })).toBeDefined();
    waits[0]?.leave();
    expect(await waits[0]?.outcome).toEqual(refused(3_000));
    expect(enter(3_000)).toBeDefined();
    expect(tryAgain).not.toHaveBeenCalled();
  });

  test("frees its place with its slot", async () => {
    const waits = [enter(1_000), enter(1_000)];
    await vi.advanceTimersByTimeAsync(1_000);
    for (const wait of waits) expect(await wait?.outcome).toEqual(reserved);
    expect([enter(1_000), enter(1_000)].every((wait) => wait !== undefined)).toBe(true);
  });
});
