import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createJoining, type Joining } from "../../../src/signals/joining.ts";
import type { Signal } from "../../../src/signals/signals.ts";

const KEY = "key-1";
const BACKEND = "files";
const LONGEST = 2_000;
/** What a router waits for a word of another one. */
const WORD = 1_000;

beforeEach(() => void vi.useFakeTimers());
// Whoever has stopped waiting keeps nothing.
afterEach(() => {
  const left = vi.getTimerCount();
  vi.useRealTimers();
  expect(left).toBe(0);
});

interface Opened {
  readonly joining: Joining;
  /** What it has told the others. */
  readonly told: readonly Signal[];
  /** Waits for KEY at BACKEND, and says when it went on. */
  wait(longest?: number): Promise<{ readonly went: () => boolean }>;
  hear(kind: "wanted" | "joining" | "joined", of?: { readonly key?: string; readonly backend?: string }): void;
}

/** @param here of the client's stream, which is not here by default */
function open({ here, hadStream = true }: { here?: Promise<void>; hadStream?: boolean } = {}): Opened {
  const told: Signal[] = [];
  const joined = (key: string, backend: string) => (key === KEY && backend === BACKEND ? here : undefined);
  const joining = createJoining({ tell: (signal) => void told.push(signal), joined, hadStream: async () => hadStream });
  return {
    joining,
    told,
    async wait(longest = LONGEST) {
      let went = false;
      void joining.wait(KEY, BACKEND, longest).then(() => {
        went = true;
      });
      // Until it is known whether the client had a stream.
      await pass(0);
      return { went: () => went };
    },
    hear: (kind, { key = KEY, backend = BACKEND } = {}) => joining.heard({ kind, key, backend }),
  };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("a request, where the client's stream is here,", () => {
  test("waits until that has joined, and asks nobody", async () => {
    const stream = Promise.withResolvers<void>();
    const { wait, told } = open({ here: stream.promise });
    const { went } = await wait();
    await pass(LONGEST - 1);
    expect(went()).toBe(false);
    stream.resolve();
    await pass(0);
    expect(went()).toBe(true);
    expect(told).toEqual([]);
  });

  test("goes at the end of its time where that never joins", async () => {
    const { wait } = open({ here: new Promise(() => undefined) });
    const { went } = await wait();
    await pass(LONGEST - 1);
    expect(went()).toBe(false);
    await pass(1);
    expect(went()).toBe(true);
  });

  test("does not wait where that has joined already", async () => {
    const { wait } = open({ here: Promise.resolve() });
    const { went } = await wait();
    await pass(0);
    expect(went()).toBe(true);
  });
});

describe("a request, where the client's stream is not here,", () => {
  test("goes at once where there are no other routers, and nobody is told", async () => {
    const { wait, told } = open({ hadStream: false });
    const { went } = await wait();
    await pass(0);
    expect(went()).toBe(true);
    expect(told).toEqual([]);
  });

  test("asks the others, and goes after a moment where none has it", async () => {
    const { wait, told } = open();
    const { went } = await wait();
    expect(told).toEqual([{ kind: "wanted", key: KEY, backend: BACKEND }]);
    await pass(WORD - 1);
    expect(went()).toBe(false);
    await pass(1);
    expect(went()).toBe(true);
    expect(told).toHaveLength(1);
  });

  test("goes sooner where it has less time than that", async () => {
    const { wait } = open();
    const { went } = await wait(10);
    await pass(9);
    expect(went()).toBe(false);
    await pass(1);
    expect(went()).toBe(true);
  });

  test("waits for the router that has it to say that it has joined", async () => {
    const { wait, hear } = open();
    const { went } = await wait();
    await pass(WORD - 1);
    hear("joining");
    await pass(LONGEST - WORD);
    expect(went()).toBe(false);
    hear("joined");
    await pass(0);
    expect(went()).toBe(true);
  });

  test("waits no longer for being told again that the router has it", async () => {
    const { wait, hear } = open();
    const { went } = await wait();
    for (let passed = 0; passed < LONGEST; passed += LONGEST / 4) {
      hear("joining");
      await pass(LONGEST / 4);
    }
    expect(went()).toBe(true);
  });

  test("goes where that router has joined without a word before", async () => {
    const { wait, hear } = open();
    const { went } = await wait();
    hear("joined");
    await pass(0);
    expect(went()).toBe(true);
  });

  test("goes at the end of its time where that router never joins", async () => {
    const { wait, hear } = open();
    const { went } = await wait();
    hear("joining");
    await pass(LONGEST - 1);
    expect(went()).toBe(false);
    await pass(1);
    expect(went()).toBe(true);
  });

  test("hears nothing of other sessions, and of other backends", async () => {
    const { wait, hear } = open();
    const { went } = await wait();
    hear("joined", { key: "key-2" });
    hear("joined", { backend: "git" });
    hear("joining", { key: "key-2" });
    hear("joining", { backend: "git" });
    await pass(WORD - 1);
    expect(went()).toBe(false);
    await pass(1);
    expect(went()).toBe(true);
  });

  test("goes with all others that wait for the same", async () => {
    const { wait, hear } = open();
    const all = [await wait(), await wait(), await wait()];
    hear("joining");
    await pass(WORD);
    expect(all.map(({ went }) => went())).toEqual([false, false, false]);
    hear("joined");
    await pass(0);
    expect(all.map(({ went }) => went())).toEqual([true, true, true]);
  });

  test("is not kept once it went: what is heard then starts no clock, and the next one waits anew", async () => {
    const { wait, hear, told } = open();
    const first = await wait();
    await pass(WORD);
    expect(first.went()).toBe(true);
    hear("joining");
    expect(vi.getTimerCount()).toBe(0);
    const next = await wait();
    await pass(WORD - 1);
    expect(next.went()).toBe(false);
    await pass(1);
    expect(next.went()).toBe(true);
    expect(told).toHaveLength(2);
  });
});

describe("a router that is asked", () => {
  test("says that it has the client's stream, and then that this has joined", async () => {
    const stream = Promise.withResolvers<void>();
    const { hear, told } = open({ here: stream.promise });
    hear("wanted");
    await pass(LONGEST);
    expect(told).toEqual([{ kind: "joining", key: KEY, backend: BACKEND }]);
    stream.resolve();
    await pass(0);
    expect(told.slice(1)).toEqual([{ kind: "joined", key: KEY, backend: BACKEND }]);
  });

  test("says nothing where it has no such stream", async () => {
    const { hear, told } = open({ here: Promise.resolve() });
    hear("wanted", { key: "key-2" });
    hear("wanted", { backend: "git" });
    await pass(LONGEST);
    expect(told).toEqual([]);
  });

  test("says nothing of what it hears others answer", async () => {
    const { hear, told } = open({ here: Promise.resolve() });
    hear("joining");
    hear("joined");
    await pass(LONGEST);
    expect(told).toEqual([]);
  });
});

test("a request at one router goes when the stream at another one has joined", async () => {
  const stream = Promise.withResolvers<void>();
  const routers: Joining[] = [];
  const router = (n: number, here: Promise<void> | undefined) =>
    createJoining({
      // In the next turn, as it comes over a network.
      tell(signal) {
        if (!("backend" in signal)) throw new Error(signal.kind);
        setTimeout(() => routers.forEach((other, at) => void (at !== n && other.heard(signal))));
      },
      joined: () => here,
      hadStream: async () => true,
    });
  routers.push(router(0, undefined), router(1, stream.promise), router(2, undefined));
  let went = false;
  void routers[0]?.wait(KEY, BACKEND, LONGEST).then(() => {
    went = true;
  });
  await pass(LONGEST - 100);
  expect(went).toBe(false);
  stream.resolve();
  await pass(10);
  expect(went).toBe(true);
});
