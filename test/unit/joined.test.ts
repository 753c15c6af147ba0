import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { OpenFirstSession } from "../../src/backends/first-session.ts";
import type { Opened } from "../../src/backends/opened.ts";
import { joinedFirst, joinedRecovery } from "../../src/joined.ts";
import type { Loss } from "../../src/recovery/loss.ts";
import type { Outcome } from "../../src/recovery/outcome.ts";
import { mintSessionId, sessionKey } from "../../src/sessions/id.ts";
import { memoryStore } from "../../src/sessions/memory.ts";
import { ANONYMOUS, MAX_SUBSCRIPTIONS } from "../../src/sessions/store.ts";
import { telling } from "../../src/told-store.ts";
import { BACKEND } from "./core/policy.ts";

const KEY = sessionKey(mintSessionId());
const BINDING = { sessionId: "new", endpoint: "10.0.0.2:80", generation: 2 };
/** ms that a request waits for the client's stream at most. */
const LONGEST_JOIN = 2_000;
const never = new AbortController().signal;

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
/** What comes after so many ms. */
const comesAfter = <T>(ms: number, what: T) => new Promise<T>((resolve) => setTimeout(resolve, ms, what));

describe("a request in a session that is new at one of several backends", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** The client's stream joins when a test says so. */
  function open() {
    const stream = Promise.withResolvers<void>();
    const waited: unknown[][] = [];
    const wait = (...of: unknown[]) => {
      waited.push(of);
      return stream.promise;
    };
    return { waited, wait, join: () => stream.resolve() };
  }

  /** Where and how its first session is opened, and how long the backend gives it. */
  function openFirst(opened: Opened, { initialize = 10_000, takes = 0 } = {}) {
    const { wait, ...rest } = open();
    const asked: Parameters<OpenFirstSession>[] = [];
    const first = joinedFirst((...of) => {
      asked.push(of);
      return comesAfter(takes, opened);
    }, wait);
    const backend = { ...BACKEND, timeouts: { ...BACKEND.timeouts, initialize } };
    const request = { backend, query: "", key: KEY, credentials: [] };
    const outcomes: Opened[] = [];
    void first(request, never).then((outcome) => outcomes.push(outcome));
    return { ...rest, asked, request, outcomes };
  }

  /** The same of one that was lost. */
  function recover(outcome: Outcome, { initialize = 10_000, takes = 0, ofSeveral = true } = {}) {
    const { wait, ...rest } = open();
    const asked: [Loss, AbortSignal][] = [];
    const recovery = joinedRecovery(
      {
        recover: (...of) => {
          asked.push(of);
          return comesAfter(takes, outcome);
        },
      },
      wait,
    );
    const loss: Loss = {
      backend: { ...BACKEND, timeouts: { ...BACKEND.timeouts, initialize } },
      query: "",
      suspicion: "unreachable",
      status: 503,
      key: KEY,
      used: { ...BINDING, generation: 1 },
      answeredBy: BINDING.endpoint,
      headers: [],
      version: undefined,
      ofSeveral,
    };
    const outcomes: Outcome[] = [];
    void recovery.recover(loss, never).then((one) => outcomes.push(one));
    return { ...rest, asked, request: loss, outcomes };
  }

  const OPENED: Opened = { kind: "opened", binding: BINDING, setCookies: ["a=b"], debt: 0 };
  const RECOVERED: Outcome = { kind: "recovered", binding: BINDING, listenAgain: 100 };
  const JOINED = { kind: "joined", binding: BINDING } as const;

  const NEW: [what: string, start: (over?: { initialize?: number; takes?: number }) => Started, outcome: unknown][] = [
    ["that was opened", (over) => openFirst(OPENED, over), OPENED],
    ["that another router has opened", (over) => openFirst(JOINED, over), JOINED],
    ["that was opened in place of a lost one", (over) => recover(RECOVERED, over), RECOVERED],
    ["that another router has opened in place of a lost one", (over) => recover(JOINED, over), JOINED],
  ];
  type Started = ReturnType<typeof openFirst> | ReturnType<typeof recover>;

  describe.each(NEW)("%s", (_, start, outcome) => {
    test("goes once the client's stream has joined that", async () => {
      const { outcomes, waited, join, asked, request } = start();
      await pass(0);
      expect(asked).toEqual([[request, never]]);
      expect(waited).toEqual([[KEY, BACKEND.name, LONGEST_JOIN]]);
      expect(outcomes).toEqual([]);
      join();
      await pass(0);
      expect(outcomes).toEqual([outcome]);
    });

    test("does not wait longer than the session may take to open", async () => {
      const { waited } = start({ initialize: 1_500, takes: 1_000 });
      await pass(999);
      expect(waited).toEqual([]);
      await pass(1);
      expect(waited).toEqual([[KEY, BACKEND.name, 500]]);
    });

    test("has no time to wait where the opening has taken all of it", async () => {
      const { waited } = start({ initialize: 1_000, takes: 1_200 });
      await pass(1_200);
      expect(waited).toEqual([[KEY, BACKEND.name, 0]]);
    });
  });

  test.each<Opened>([
    { kind: "braked", why: "lost again", wait: 5 },
    { kind: "login" },
    { kind: "refused", why: { reason: "no-session" } },
    { kind: "unavailable", what: "store" },
    { kind: "aborted" },
    { kind: "broken", error: "socket", passes: true },
  ])("waits for nothing where none was opened: $kind", async (opened) => {
    const { outcomes, waited } = openFirst(opened);
    await pass(0);
    expect(outcomes).toEqual([opened]);
    expect(waited).toEqual([]);
  });

  test.each<Outcome>([
    { kind: "braked", why: "lost again", wait: 5 },
    { kind: "alive", by: "ping" },
    { kind: "left" },
    { kind: "store-away" },
    { kind: "failed", why: { reason: "timeout" }, passes: true },
  ])("waits for nothing where a lost one was not replaced: $kind", async (outcome) => {
    const { outcomes, waited } = recover(outcome);
    await pass(0);
    expect(outcomes).toEqual([outcome]);
    expect(waited).toEqual([]);
  });

  test.each<Outcome>([RECOVERED, JOINED])(
    "waits for nothing at the only backend of a route, whose stream is the client's own: $kind",
    async (outcome) => {
      const { outcomes, waited } = recover(outcome, { ofSeveral: false });
      await pass(0);
      expect(outcomes).toEqual([outcome]);
      expect(waited).toEqual([]);
    },
  );
});

describe("a store tells of a session", () => {
  let owner = new AsyncDisposableStack();
  afterEach(async () => {
    await owner.disposeAsync();
    owner = new AsyncDisposableStack();
  });

  /** With one session in it. */
  async function open() {
    const inner = memoryStore({ idle: 60_000, lifetime: 60_000, unused: 60_000 });
    owner.defer(() => inner.close());
    const told: string[] = [];
    const store = telling(inner, (key) => void told.push(key));
    const session = { owner: ANONYMOUS, route: "/all", protocolVersion: undefined, initializeParams: "{}" };
    await store.create(KEY, { ...session, bindings: { one: { ...BINDING, generation: 1 } } });
    return { inner, store, told };
  }

  test("that has another session at a backend, once the store has it", async () => {
    const { inner } = await open();
    const seen: unknown[] = [];
    const store = telling(inner, (key) => void seen.push(inner.find(key, "one")));
    expect(await store.bind(KEY, "one", 1, BINDING)).toEqual({ kind: "bound", binding: BINDING });
    expect(await Promise.all(seen)).toMatchObject([{ session: { binding: BINDING } }]);
  });

  test("that has its first session at another backend", async () => {
    const { store, told } = await open();
    expect(await store.bind(KEY, "two", 0, BINDING)).toMatchObject({ kind: "bound" });
    expect(told).toEqual([KEY]);
  });

  test("that has set a log level or subscribed, since there is more to hear", async () => {
    const { store, told } = await open();
    const remembered = { kind: "remembered" };
    expect(await store.remember(KEY, "one", { kind: "level", params: "{}" })).toEqual(remembered);
    expect(await store.remember(KEY, "one", { kind: "subscribe", uri: "a:b", params: "{}" })).toEqual(remembered);
    expect(told).toEqual([KEY, KEY]);
    const loaded = await store.load(KEY);
    const state = loaded.kind === "loaded" ? loaded.session.remembered?.get("one") : undefined;
    expect(state).toMatchObject({ level: "{}", subscriptions: new Map([["a:b", "{}"]]) });
  });

  test("that has taken a subscription back, since there is less to hear", async () => {
    const { store, told } = await open();
    await store.remember(KEY, "one", { kind: "unsubscribe", uri: "a:b" });
    expect(told).toEqual([KEY]);
  });

  test("no word where nothing has changed", async () => {
    const { store, told } = await open();
    const unknown = sessionKey(mintSessionId());
    expect(await store.bind(KEY, "one", 5, BINDING)).toMatchObject({ kind: "conflict" });
    expect(await store.bind(unknown, "one", 0, BINDING)).toEqual({ kind: "unknown" });
    expect(await store.remember(unknown, "one", { kind: "level", params: "{}" })).toEqual({ kind: "unknown" });
    expect(told).toEqual([]);
  });

  test("no word where it has subscribed to more than is remembered", async () => {
    const { store, told } = await open();
    const subscribe = (n: number) => store.remember(KEY, "one", { kind: "subscribe", uri: `a:${n}`, params: "{}" });
    for (let n = 0; n < MAX_SUBSCRIPTIONS; n++) await subscribe(n);
    const before = told.length;
    expect(await subscribe(MAX_SUBSCRIPTIONS)).toMatchObject({ kind: "full" });
    expect(told).toHaveLength(before);
  });

  test("no word of what a stream does not wait for", async () => {
    const { store, told } = await open();
    await store.remember(KEY, "one", { kind: "listening", generation: 1 });
    await store.find(KEY, "one");
    await store.touch(KEY, "one");
    await store.park(KEY, 0);
    await store.remove(KEY);
    expect(told).toEqual([]);
  });
});
