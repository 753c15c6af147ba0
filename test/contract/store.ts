/** What every session store must do (src/sessions/store.ts), whichever it is. Each implementation runs all of it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BEGINNING_MS, FREE_DEBT_MS, LONGEST_AGE_MS, MOST_DEBT_MS } from "../../src/core/brake.ts";
import { mintSessionId, type SessionKey, sessionKey } from "../../src/sessions/id.ts";
import {
  ANONYMOUS,
  type Binding,
  isParked,
  isSessionless,
  type Lifespan,
  MAX_STATE_BYTES,
  MAX_SUBSCRIPTIONS,
  parkedBinding,
  REAP_GRACE_MS,
  type Session,
  type SessionState,
  type SessionStore,
  type StateChange,
  touchSlack,
  withoutSession,
} from "../../src/sessions/store.ts";
import type { Opened } from "./open.ts";

export interface StoreUnderTest extends Opened {
  /** ms that a test keeps away from an instant of the store's own clock: 1 where that stands still between advances. */
  readonly grain: number;
}

/** An eighth of idle is no whole number of ms here, and Redis takes no other. */
export const LIFESPAN: Lifespan = { idle: 8_004, lifetime: 60_030, unused: 2_003 };

const SLACK = touchSlack(LIFESPAN);

export function describeStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    let store: SessionStore;
    let advance: StoreUnderTest["advance"];
    let grain: number;
    let key: SessionKey;

    beforeEach(async () => {
      ({ store, advance, grain } = await open());
      key = sessionKey(mintSessionId());
    });
    afterEach(() => store.close());

    const session: Session = {
      owner: ANONYMOUS,
      route: "/mcp",
      protocolVersion: "2025-11-25",
      initializeParams: '{"é":9007199254740993}',
      bindings: { one: { sessionId: "backend-1", endpoint: "10.0.0.1:80", generation: 1 } },
    };
    const createUnnamed = () => store.create(key, session);
    /** A session that a second request has named. */
    const create = async () => {
      const created = await createUnnamed();
      await store.touch(key, "one");
      return created;
    };
    const loaded = { kind: "loaded", session };
    const find = () => store.find(key, "one");
    /** Less by what has gone by on the store's own clock, which may run. */
    const about = (ms: number) => expect.toSatisfy((left: number) => left <= ms && left > ms - grain, `about ${ms} ms`);
    const unknown = { kind: "unknown" };

    describe("create", () => {
      test("stores a session that find gives back as it was", async () => {
        expect(await create()).toMatchObject({ kind: "created" });
        expect(await store.load(key)).toEqual(loaded);
      });

      test("leaves a session alone that has the key already", async () => {
        await create();
        expect(await store.create(key, { ...session, route: "/other" })).toEqual({ kind: "exists" });
        expect(await store.load(key)).toEqual(loaded);
      });

      test("takes a key whose session is gone", async () => {
        await create();
        await advance(LIFESPAN.lifetime);
        expect(await create()).toMatchObject({ kind: "created" });
      });

      test("of several at once lets exactly one through", async () => {
        const outcomes = await Promise.all([createUnnamed(), createUnnamed(), createUnnamed()]);
        expect(outcomes.map(({ kind }) => kind).sort()).toEqual(["created", "exists", "exists"]);
      });

      test("keeps an owner and no protocol version", async () => {
        const owned: Session = { ...session, owner: "digest", protocolVersion: undefined, bindings: {} };
        await store.create(key, owned);
        expect(await store.load(key)).toEqual({ ...loaded, session: owned });
      });

      test("keeps what its backend has been told already", async () => {
        const told = { level: "{}", subscriptions: new Map([["a:b", "{}"]]), listening: 2 };
        const remembered = new Map([["one", told]]);
        await store.create(key, { ...session, remembered });
        expect(await store.load(key)).toEqual({ ...loaded, session: { ...session, remembered } });
      });
    });

    describe("find", () => {
      test("tells of whose a session is, and how it stands with the backend that was asked for", async () => {
        const two = { sessionId: "backend-2", endpoint: "10.0.0.2:80", generation: 3 };
        const remembered = new Map([["two", { level: "{}", subscriptions: new Map([["a:b", "{}"]]), listening: 2 }]]);
        const owned = { ...session, owner: "digest", bindings: { ...session.bindings, two }, remembered };
        await store.create(key, owned);
        const view = (binding: Binding | undefined, listening: number | undefined) => {
          return { kind: "found", session: { owner: "digest", route: "/mcp", binding, listening }, touchDue: true };
        };
        expect(await store.find(key, "one")).toEqual(view(session.bindings.one, undefined));
        expect(await store.find(key, "two")).toEqual(view(two, 2));
        for (const backend of ["three", "tw", "constructor", "__proto__"])
          expect(await store.find(key, backend)).toEqual(view(undefined, undefined));
      });

      test("tells of no binding where a request goes to no backend", async () => {
        await create();
        const view = { owner: session.owner, route: session.route, binding: undefined, listening: undefined };
        expect(await store.find(key, undefined)).toMatchObject({ kind: "found", session: view });
        expect(await store.touch(key, undefined)).toMatchObject({ kind: "touched", binding: undefined });
      });

      test("tells of the version that a backend speaks, and of a backend that has begun no session", async () => {
        await create();
        const own = { sessionId: "with spaces in it", endpoint: "[::1]:80", version: "2025-03-26" };
        await store.bind(key, "own", 0, own);
        await store.bind(key, "none", 0, withoutSession("2025-06-18"));
        await store.bind(key, "old", 0, withoutSession(undefined));
        expect(await store.find(key, "own")).toMatchObject({ session: { binding: { ...own, generation: 1 } } });
        expect(await store.find(key, "none")).toMatchObject({ session: { binding: withoutSession("2025-06-18") } });
        const old = await store.find(key, "old");
        expect(old).toMatchObject({ session: { binding: { generation: 1 } } });
        expect(old.kind === "found" && old.session.binding && isSessionless(old.session.binding)).toBe(true);
        expect(old.kind === "found" && old.session.binding?.version).toBeUndefined();
      });

      test("tells of the binding as it is now", async () => {
        await create();
        const to = { sessionId: "backend-2", endpoint: "10.0.0.2:80" };
        await store.bind(key, "one", 1, to);
        expect(await find()).toMatchObject({ session: { binding: { ...to, generation: 2 } } });
      });
    });

    describe("expiry", () => {
      test("no operation knows a session that never was", async () => {
        expect(await find()).toEqual(unknown);
        expect(await store.load(key)).toEqual(unknown);
        expect(await store.touch(key, "one")).toEqual(unknown);
        expect(await store.remove(key)).toEqual(unknown);
        expect(await store.bind(key, "one", 0, { sessionId: "x", endpoint: "y" })).toEqual(unknown);
        expect(await store.remember(key, "one", { kind: "level", params: "{}" })).toEqual(unknown);
      });

      test("a touch is due once an eighth of idle has gone by, and find alone does not slide", async () => {
        await create();
        await advance(SLACK - grain);
        expect(await find()).toMatchObject({ touchDue: false });
        await advance(grain + 1);
        expect(await find()).toMatchObject({ touchDue: true });
        expect(await find()).toMatchObject({ touchDue: true });
        expect(await store.touch(key, "one")).toMatchObject({ kind: "touched" });
        expect(await find()).toMatchObject({ touchDue: false });
      });

      test("a session lives for idle after the last request, also where that request needed no touch", async () => {
        await create();
        await advance(SLACK - grain);
        await find();
        await advance(LIFESPAN.idle);
        expect(await find()).toMatchObject({ kind: "found" });
        await advance(grain);
        expect(await find()).toEqual(unknown);
      });

      test("touches carry a session on, but never past its lifetime, whose last instant is not lived", async () => {
        await create();
        const step = LIFESPAN.idle / 2;
        for (let age = step; age < LIFESPAN.lifetime; age += step) {
          await advance(step);
          expect(await store.touch(key, "one")).toMatchObject({ kind: "touched" });
        }
        await advance(step - grain);
        expect(await find()).toMatchObject({ kind: "found" });
        await advance(grain);
        expect(await find()).toEqual(unknown);
      });

      test("what has expired is not brought back by a late touch or bind, nor removed twice", async () => {
        await create();
        await advance(LIFESPAN.idle + SLACK);
        expect(await store.touch(key, "one")).toEqual(unknown);
        expect(await store.bind(key, "one", 1, { sessionId: "x", endpoint: "y" })).toEqual(unknown);
        expect(await store.remove(key)).toEqual(unknown);
        expect(await find()).toEqual(unknown);
        expect(await store.load(key)).toEqual(unknown);
      });
    });

    describe("what is left of a session", () => {
      test("is told by create, and by touch: idle and the slack, but never past the lifetime", async () => {
        expect(await create()).toEqual({ kind: "created", expiresIn: about(LIFESPAN.unused) });
        await advance(LIFESPAN.idle);
        expect(await store.touch(key, "one")).toEqual({
          kind: "touched",
          expiresIn: about(LIFESPAN.idle + SLACK),
          binding: session.bindings.one,
        });
        for (let age = 2 * LIFESPAN.idle; age < LIFESPAN.lifetime; age += LIFESPAN.idle) {
          await advance(LIFESPAN.idle);
          await store.touch(key, "one");
        }
        const left = LIFESPAN.lifetime % LIFESPAN.idle;
        expect(await store.touch(key, "one")).toEqual({
          kind: "touched",
          expiresIn: about(left),
          binding: session.bindings.one,
        });
      });
    });

    describe("reap", () => {
      test("leaves a live session alone, and says how long it lives", async () => {
        await create();
        await advance(SLACK);
        expect(await store.reap(key)).toEqual({
          kind: "alive",
          expiresIn: expect.toSatisfy((left: number) => left <= LIFESPAN.idle && left > LIFESPAN.idle - grain),
        });
        expect(await find()).toMatchObject({ kind: "found" });
      });

      test("hands an expired session over, to exactly one of several at once", async () => {
        await create();
        await advance(LIFESPAN.idle + SLACK);
        const outcomes = await Promise.all([store.reap(key), store.reap(key)]);
        expect(outcomes).toContainEqual({ kind: "reaped", session });
        expect(outcomes).toContainEqual(unknown);
      });

      test("knows nothing of a session that never was, was removed, or whose key was taken anew", async () => {
        expect(await store.reap(key)).toEqual(unknown);
        await create();
        await store.remove(key);
        expect(await store.reap(key)).toEqual(unknown);
        await create();
        await advance(LIFESPAN.lifetime);
        await create();
        expect(await store.reap(key)).toMatchObject({ kind: "alive" });
      });

      test("is too late once the grace has passed", async () => {
        await create();
        await advance(LIFESPAN.idle + SLACK + REAP_GRACE_MS);
        expect(await store.reap(key)).toEqual(unknown);
      });
    });

    describe("park", () => {
      const to = { sessionId: "backend-2", endpoint: "10.0.0.2:80" };
      const two = { sessionId: "with spaces in it", endpoint: "[::1]:80", generation: 12 };
      const parked = { ...session, bindings: { one: parkedBinding(session.bindings.one ?? two) } };

      test("takes a session that nothing has touched for long enough from its backends, and tells what it was", async () => {
        const both = { ...session, bindings: { ...session.bindings, two } };
        await store.create(key, both);
        await store.touch(key, "one");
        await advance(SLACK);
        expect(await store.park(key, SLACK)).toEqual({ kind: "parked", session: both });
        const left = await store.load(key);
        if (left.kind !== "loaded") throw new Error(left.kind);
        expect(Object.values(left.session.bindings).map(isParked)).toEqual([true, true]);
        expect(left.session.bindings).toMatchObject({
          one: { generation: 1 },
          two: { generation: 12, sessionId: two.sessionId },
        });
      });

      test("leaves a binding without a session as it is: there is nothing to end at that backend", async () => {
        const none = { ...withoutSession("2025-06-18"), generation: 1 };
        const own = { ...two, version: "2025-03-26" };
        await store.create(key, { ...session, bindings: { none, own } });
        await store.park(key, SLACK);
        expect(await store.load(key)).toMatchObject({ session: { bindings: { none, own: parkedBinding(own) } } });
      });

      test("leaves one alone that was touched since", async () => {
        await create();
        await advance(SLACK - grain);
        expect(await store.park(key, SLACK)).toEqual({ kind: "used", expiresIn: about(LIFESPAN.idle + grain) });
        expect(await store.load(key)).toEqual({ kind: "loaded", session });
      });

      test("takes one at any time that was never touched", async () => {
        await createUnnamed();
        expect(await store.park(key, 1_000 * SLACK)).toEqual({ kind: "parked", session });
      });

      test("is told by every later touch and find, until the session is bound anew, by the generation that it had", async () => {
        await createUnnamed();
        await store.park(key, SLACK);
        const { one } = parked.bindings;
        expect(await store.touch(key, "one")).toMatchObject({ kind: "touched", binding: one });
        expect(await store.find(key, "one")).toMatchObject({ kind: "found", session: { binding: one } });
        expect(await store.bind(key, "one", 1, to)).toEqual({ kind: "bound", binding: { ...to, generation: 2 } });
        expect(await store.touch(key, "one")).toMatchObject({ binding: { ...to, generation: 2 } });
      });

      test("of a touch at the same time comes before it, which then tells of it, or finds the session in use", async () => {
        await create();
        await advance(SLACK);
        const [touched, outcome] = await Promise.all([store.touch(key, "one"), store.park(key, SLACK)]);
        const binding = outcome.kind === "parked" ? parked.bindings.one : session.bindings.one;
        expect(touched).toMatchObject({ kind: "touched", binding });
      });

      test("does not slide the expiry, and keeps what was said", async () => {
        await createUnnamed();
        await store.remember(key, "one", { kind: "level", params: "{}" });
        await advance(LIFESPAN.unused - grain);
        await store.park(key, SLACK);
        expect(await store.load(key)).toMatchObject({ session: { remembered: new Map([["one", { level: "{}" }]]) } });
        await advance(grain);
        expect(await store.reap(key)).toMatchObject({ kind: "reaped", session: { bindings: parked.bindings } });
      });

      test("knows no session that never was, was removed, or has expired", async () => {
        expect(await store.park(key, 0)).toEqual(unknown);
        await create();
        await store.remove(key);
        expect(await store.park(key, 0)).toEqual(unknown);
        await create();
        await advance(LIFESPAN.idle + SLACK);
        expect(await store.park(key, 0)).toEqual(unknown);
      });
    });

    describe("bind", () => {
      const to = { sessionId: "backend-2", endpoint: "10.0.0.2:80" };

      test("replaces the binding of the expected generation, and counts on", async () => {
        await create();
        expect(await store.bind(key, "one", 1, to)).toEqual({ kind: "bound", binding: { ...to, generation: 2 } });
        expect(await store.load(key)).toMatchObject({ session: { bindings: { one: { ...to, generation: 2 } } } });
      });

      test("adds a backend that had none by expecting generation 0", async () => {
        await create();
        expect(await store.bind(key, "two", 0, to)).toEqual({ kind: "bound", binding: { ...to, generation: 1 } });
        const bindings = { ...session.bindings, two: { ...to, generation: 1 } };
        expect(await store.load(key)).toMatchObject({ session: { bindings } });
      });

      test.each([
        ["an older generation", "one", 0, session.bindings.one],
        ["a newer generation", "one", 2, session.bindings.one],
        ["a backend that is not bound", "two", 1, undefined],
        ["a backend named as what every object has", "constructor", 1, undefined],
      ])("expecting %s changes nothing and tells what holds", async (_, backend, expected, binding) => {
        await create();
        expect(await store.bind(key, backend, expected, to)).toEqual({ kind: "conflict", binding });
        expect(await store.load(key)).toEqual(loaded);
      });

      test("of several at once lets exactly one win, and the others see it", async () => {
        await create();
        const outcomes = await Promise.all(
          ["a", "b", "c"].map((sessionId) => store.bind(key, "one", 1, { ...to, sessionId })),
        );
        const won = outcomes.filter(({ kind }) => kind === "bound");
        expect(won).toHaveLength(1);
        for (const outcome of outcomes)
          expect(outcome).toMatchObject({ binding: Reflect.get(won[0] ?? {}, "binding") });
      });
    });

    describe("brake", () => {
      const granted = { kind: "granted", debt: expect.any(Number) };
      const early = { kind: "early", wait: expect.any(Number) };
      const count = (cost: number, backend = "one") => store.brake(key, backend, cost);

      test("grants as many as are free, and then has the next one wait for as long as it says", async () => {
        await create();
        for (let n = 0; n < 3; n++) expect(await count(BEGINNING_MS)).toEqual(granted);
        expect(await count(MOST_DEBT_MS)).toEqual({ kind: "granted", debt: MOST_DEBT_MS });
        const outcome = await count(BEGINNING_MS);
        if (outcome.kind !== "early") throw new Error("it did not have to wait");
        expect(outcome.wait).toBeLessThanOrEqual(LONGEST_AGE_MS);
        for (let left = outcome.wait; left > 0; left -= LIFESPAN.idle / 2) {
          expect(await count(0)).toEqual(early);
          await store.touch(key, "one");
          await advance(Math.min(left, LIFESPAN.idle / 2));
        }
        expect(await count(0)).toEqual(granted);
      });

      test("keeps each backend's own", async () => {
        await create();
        await count(MOST_DEBT_MS);
        expect(await count(BEGINNING_MS, "two")).toEqual({ kind: "granted", debt: BEGINNING_MS });
        expect(await count(BEGINNING_MS)).toEqual(early);
      });

      test("asks at no cost, and counts nothing then", async () => {
        await create();
        expect(await count(0)).toEqual({ kind: "granted", debt: 0 });
        await count(FREE_DEBT_MS / 2);
        await store.touch(key, "one");
        await advance(LIFESPAN.idle / 2);
        for (let n = 0; n < 3; n++) {
          const outcome = await count(0);
          expect(outcome).toEqual(granted);
          expect(outcome).toMatchObject({
            debt: expect.toSatisfy((debt) => debt <= FREE_DEBT_MS / 2 - LIFESPAN.idle / 2),
          });
        }
      });

      test("is no part of what is read of the session", async () => {
        await create();
        await count(BEGINNING_MS);
        expect(await store.load(key)).toEqual(loaded);
      });

      test("knows no session that is not there", async () => {
        expect(await count(BEGINNING_MS)).toEqual(unknown);
        await create();
        await store.remove(key);
        expect(await count(BEGINNING_MS)).toEqual(unknown);
        expect(await store.load(key)).toEqual(unknown);
      });
    });

    describe("remember", () => {
      const REMEMBERED = { kind: "remembered" };
      const level = (params: string): StateChange => ({ kind: "level", params });
      const subscribe = (uri: string, params = `{"uri":${JSON.stringify(uri)}}`): StateChange => {
        return { kind: "subscribe", uri, params };
      };
      const unsubscribe = (uri: string): StateChange => ({ kind: "unsubscribe", uri });
      const listening = (generation: number): StateChange => ({ kind: "listening", generation });
      const remember = (change: StateChange, backend = "one") => store.remember(key, backend, change);
      const told = (level: string | undefined, ...subscriptions: [string, string][]): SessionState => ({
        level,
        subscriptions: new Map(subscriptions),
        listening: undefined,
      });
      const remembered = async () => {
        const outcome = await store.load(key);
        if (outcome.kind !== "loaded") throw new Error(outcome.kind);
        return outcome.session.remembered;
      };

      test("keeps the last level, as it was written", async () => {
        await create();
        expect(await remember(level('{ "level":"debug" }'))).toEqual(REMEMBERED);
        expect(await remembered()).toEqual(new Map([["one", told('{ "level":"debug" }')]]));
        expect(await remember(level('{"level":"é","n":9007199254740993}'))).toEqual(REMEMBERED);
        expect(await remembered()).toEqual(new Map([["one", told('{"level":"é","n":9007199254740993}')]]));
      });

      test("keeps the subscriptions that hold, each by the last that was said of it", async () => {
        await create();
        for (const change of [subscribe("a"), subscribe("b"), subscribe("a", '{"uri":"a","n":2}')])
          expect(await remember(change)).toEqual(REMEMBERED);
        expect(await remembered()).toEqual(
          new Map([["one", told(undefined, ["a", '{"uri":"a","n":2}'], ["b", '{"uri":"b"}'])]]),
        );
        expect(await remember(unsubscribe("a"))).toEqual(REMEMBERED);
        expect(await remembered()).toEqual(new Map([["one", told(undefined, ["b", '{"uri":"b"}'])]]));
      });

      test("keeps by which binding the client last listened, beside what else was said", async () => {
        await create();
        expect(await remember(listening(2))).toEqual(REMEMBERED);
        expect(await remembered()).toEqual(new Map([["one", { ...told(undefined), listening: 2 }]]));
        await remember(level("{}"));
        await remember(subscribe("a"));
        await remember(unsubscribe("a"));
        expect(await remember(listening(12))).toEqual(REMEMBERED);
        expect(await remembered()).toEqual(new Map([["one", { ...told("{}"), listening: 12 }]]));
      });

      test.each([
        "",
        ":",
        "a:b:c",
        "one:",
        "file:///a b?c#d",
        "é\u0000\n☃\u{1f600}",
        "__proto__",
        "constructor",
        "x".repeat(8_000),
      ])("keeps and ends a subscription to %j", async (uri) => {
        await create();
        await remember(subscribe(uri));
        expect(await remembered()).toEqual(
          new Map([["one", told(undefined, [uri, `{"uri":${JSON.stringify(uri)}}`])]]),
        );
        expect(await remember(unsubscribe(uri))).toEqual(REMEMBERED);
        expect(await store.load(key)).toEqual(loaded);
      });

      test("leaves no trace of what was never, or is no longer, subscribed to", async () => {
        await create();
        expect(await remember(unsubscribe("a"))).toEqual(REMEMBERED);
        expect(await store.load(key)).toEqual(loaded);
      });

      test("tells backends apart, also where one's name begins another's, or is what every object has", async () => {
        await create();
        for (const backend of ["one-more", "one", "on", "constructor"]) {
          expect(await remember(level(`"of ${backend}"`), backend)).toEqual(REMEMBERED);
          expect(await remember(subscribe("a", `"of ${backend}"`), backend)).toEqual(REMEMBERED);
        }
        await remember(unsubscribe("a"), "one");
        await remember(listening(2), "on");
        expect(await remembered()).toEqual(
          new Map([
            ["one-more", told('"of one-more"', ["a", '"of one-more"'])],
            ["one", told('"of one"')],
            ["on", { ...told('"of on"', ["a", '"of on"']), listening: 2 }],
            ["constructor", told('"of constructor"', ["a", '"of constructor"'])],
          ]),
        );
      });

      test("is full of subscriptions at the most of them: of those that hold another may be said, and one may end", async () => {
        await create();
        const uris = Array.from({ length: MAX_SUBSCRIPTIONS }, (_, n) => `a:${n}`);
        // Over all backends.
        for (const [n, uri] of uris.entries())
          expect(await remember(subscribe(uri), n % 2 === 0 ? "one" : "two")).toEqual(REMEMBERED);
        expect(await remember(subscribe("b"))).toEqual({ kind: "full", of: "subscriptions" });
        expect(await remember(subscribe("a:1"))).toEqual({ kind: "full", of: "subscriptions" });
        expect(await remember(subscribe("a:0", "{}"))).toEqual(REMEMBERED);
        expect(await remember(level("{}"))).toEqual(REMEMBERED);
        expect(await remember(listening(2))).toEqual(REMEMBERED);
        expect((await remembered())?.get("one")).toMatchObject({ level: "{}", listening: 2 });
        expect((await remembered())?.get("one")?.subscriptions.get("a:0")).toBe("{}");
        expect((await remembered())?.get("one")?.subscriptions.has("b")).toBe(false);
        await remember(unsubscribe("a:1"), "two");
        expect(await remember(subscribe("b"))).toEqual(REMEMBERED);
      });

      test("is full of bytes, over all backends, names, params and levels: what does not fit changes nothing", async () => {
        await create();
        /** So that `u:one:<uri>` and what was said of it take so many bytes, of which some characters take two. */
        const sized = (uri: string, bytes: number) => {
          const left = bytes - Buffer.byteLength(`u:one:${uri}`);
          return subscribe(uri, left % 2 === 0 ? "é".repeat(left / 2) : `${"é".repeat((left - 1) / 2)}x`);
        };
        const share = MAX_STATE_BYTES / 4;
        expect(await remember(sized("é:1", share))).toEqual(REMEMBERED);
        expect(await remember(sized("é:2", share), "two")).toEqual(REMEMBERED);
        expect(await remember(level("x".repeat(share - "l:one".length)))).toEqual(REMEMBERED);
        const full = { kind: "full", of: "bytes" };
        expect(await remember(sized("é:4", share + 1))).toEqual(full);
        expect(await remember(sized("é:4", share))).toEqual(REMEMBERED);
        const whole = await remembered();
        for (const change of [
          subscribe("b"),
          level(`"${"y".repeat(share)}"`),
          sized("é:4", share + 1),
          subscribe("alone", "x".repeat(MAX_STATE_BYTES)),
          level("x".repeat(2 * MAX_STATE_BYTES)),
        ])
          expect(await remember(change)).toEqual(full);
        expect(await remembered()).toEqual(whole);
        // What is small and of every session is no part of it.
        expect(await remember(listening(2))).toEqual(REMEMBERED);
        // What is shorter than before fits, and what has ended gives its room back.
        expect(await remember(sized("é:4", share / 2))).toEqual(REMEMBERED);
        expect(await remember(sized("b", share / 2))).toEqual(REMEMBERED);
        expect(await remember(subscribe("c"))).toEqual(full);
        expect(await remember(unsubscribe("é:2"), "two")).toEqual(REMEMBERED);
        expect(await remember(subscribe("c"))).toEqual(REMEMBERED);
      });

      test("of several at once keeps each", async () => {
        await create();
        const uris = ["a", "b", "c", "d"];
        await Promise.all([
          ...uris.map((uri) => remember(subscribe(uri))),
          remember(level("{}")),
          remember(listening(2)),
        ]);
        expect((await remembered())?.get("one")).toEqual({
          ...told("{}", ...uris.map((uri): [string, string] => [uri, `{"uri":"${uri}"}`])),
          listening: 2,
        });
      });

      test("lasts over a new binding and a touch, and is handed over at the end", async () => {
        await create();
        await remember(level("{}"));
        await remember(subscribe("a"));
        await remember(listening(2));
        const to = { sessionId: "backend-2", endpoint: "10.0.0.2:80" };
        await store.bind(key, "one", 1, to);
        await store.touch(key, "one");
        const whole = {
          ...session,
          bindings: { one: { ...to, generation: 2 } },
          remembered: new Map([["one", { ...told("{}", ["a", '{"uri":"a"}']), listening: 2 }]]),
        };
        expect(await store.load(key)).toEqual({ ...loaded, session: whole });
        expect(await store.remove(key)).toEqual({ kind: "removed", session: whole });
      });

      test("is handed over with what has expired", async () => {
        await create();
        await remember(level("{}"));
        await advance(LIFESPAN.idle + SLACK);
        const remembered = new Map([["one", told("{}")]]);
        expect(await store.reap(key)).toEqual({ kind: "reaped", session: { ...session, remembered } });
      });

      test("does not slide the expiry", async () => {
        await create();
        await advance(LIFESPAN.idle);
        await remember(level("{}"));
        await advance(SLACK);
        expect(await find()).toEqual(unknown);
      });

      test("knows no session that was removed or has expired, and brings none back", async () => {
        await create();
        await store.remove(key);
        for (const change of [level("{}"), subscribe("a"), unsubscribe("a"), listening(2)])
          expect(await remember(change)).toEqual(unknown);
        expect(await find()).toEqual(unknown);
        await create();
        await advance(LIFESPAN.idle + SLACK);
        for (const change of [level("{}"), subscribe("a"), unsubscribe("a"), listening(2)])
          expect(await remember(change)).toEqual(unknown);
        expect(await store.reap(key)).toEqual({ kind: "reaped", session });
      });

      test("is forgotten with its session: one that takes its key knows nothing of it", async () => {
        await create();
        await remember(level("{}"));
        await advance(LIFESPAN.lifetime);
        await create();
        expect(await store.load(key)).toEqual(loaded);
      });

      test("leaves what was found before as it was", async () => {
        await create();
        await remember(subscribe("a"));
        const before = await remembered();
        await remember(subscribe("b"));
        await remember(level("{}"));
        await remember(listening(2));
        expect(before).toEqual(new Map([["one", told(undefined, ["a", '{"uri":"a"}'])]]));
      });
    });

    describe("remove", () => {
      test("ends a session and hands it over, to exactly one of several at once", async () => {
        await create();
        const outcomes = await Promise.all([store.remove(key), store.remove(key)]);
        expect(outcomes).toContainEqual({ kind: "removed", session });
        expect(outcomes).toContainEqual(unknown);
      });

      test("is final: no later touch or bind brings the session back", async () => {
        await create();
        await store.remove(key);
        expect(await store.touch(key, "one")).toEqual(unknown);
        expect(await store.bind(key, "one", 1, { sessionId: "x", endpoint: "y" })).toEqual(unknown);
        expect(await find()).toEqual(unknown);
      });

      test("leaves other sessions alone", async () => {
        await create();
        const other = sessionKey(mintSessionId());
        await store.create(other, session);
        await store.remove(key);
        expect(await store.load(other)).toEqual(loaded);
      });
    });
  });
}
