/** What every session store must do (src/sessions/store.ts), whichever it is. Each implementation runs all of it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { mintSessionId, type SessionKey, sessionKey } from "../../src/sessions/id.ts";
import {
  ANONYMOUS,
  type Lifespan,
  REAP_GRACE_MS,
  type Session,
  type SessionStore,
  touchSlack,
} from "../../src/sessions/store.ts";
import type { Opened } from "./open.ts";

export interface StoreUnderTest extends Opened {
  /** ms that a test keeps away from an instant of the store's own clock: 1 where that stands still between advances. */
  readonly grain: number;
}

/** An eighth of idle is no whole number of ms here, and Redis takes no other. */
export const LIFESPAN: Lifespan = { idle: 8_004, lifetime: 60_030 };

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
    const create = () => store.create(key, session);
    const found = { kind: "found", session, touchDue: false };
    const unknown = { kind: "unknown" };

    describe("create", () => {
      test("stores a session that find gives back as it was", async () => {
        expect(await create()).toMatchObject({ kind: "created" });
        expect(await store.find(key)).toEqual(found);
      });

      test("leaves a session alone that has the key already", async () => {
        await create();
        expect(await store.create(key, { ...session, route: "/other" })).toEqual({ kind: "exists" });
        expect(await store.find(key)).toEqual(found);
      });

      test("takes a key whose session is gone", async () => {
        await create();
        await advance(LIFESPAN.lifetime);
        expect(await create()).toMatchObject({ kind: "created" });
      });

      test("of several at once lets exactly one through", async () => {
        const outcomes = await Promise.all([create(), create(), create()]);
        expect(outcomes.map(({ kind }) => kind).sort()).toEqual(["created", "exists", "exists"]);
      });

      test("keeps an owner and no protocol version", async () => {
        const owned: Session = { ...session, owner: "digest", protocolVersion: undefined, bindings: {} };
        await store.create(key, owned);
        expect(await store.find(key)).toEqual({ ...found, session: owned });
      });
    });

    describe("expiry", () => {
      test("no operation knows a session that never was", async () => {
        expect(await store.find(key)).toEqual(unknown);
        expect(await store.touch(key)).toEqual(unknown);
        expect(await store.remove(key)).toEqual(unknown);
        expect(await store.bind(key, "one", 0, { sessionId: "x", endpoint: "y" })).toEqual(unknown);
      });

      test("a touch is due once an eighth of idle has gone by, and find alone does not slide", async () => {
        await create();
        await advance(SLACK - grain);
        expect(await store.find(key)).toMatchObject({ touchDue: false });
        await advance(grain + 1);
        expect(await store.find(key)).toMatchObject({ touchDue: true });
        expect(await store.find(key)).toMatchObject({ touchDue: true });
        expect(await store.touch(key)).toMatchObject({ kind: "touched" });
        expect(await store.find(key)).toMatchObject({ touchDue: false });
      });

      test("a session lives for idle after the last request, also where that request needed no touch", async () => {
        await create();
        await advance(SLACK - grain);
        await store.find(key);
        await advance(LIFESPAN.idle);
        expect(await store.find(key)).toMatchObject({ kind: "found" });
        await advance(grain);
        expect(await store.find(key)).toEqual(unknown);
      });

      test("touches carry a session on, but never past its lifetime, whose last instant is not lived", async () => {
        await create();
        const step = LIFESPAN.idle / 2;
        for (let age = step; age < LIFESPAN.lifetime; age += step) {
          await advance(step);
          expect(await store.touch(key)).toMatchObject({ kind: "touched" });
        }
        await advance(step - grain);
        expect(await store.find(key)).toMatchObject({ kind: "found" });
        await advance(grain);
        expect(await store.find(key)).toEqual(unknown);
      });

      test("what has expired is not brought back by a late touch or bind, nor removed twice", async () => {
        await create();
        await advance(LIFESPAN.idle + SLACK);
        expect(await store.touch(key)).toEqual(unknown);
        expect(await store.bind(key, "one", 1, { sessionId: "x", endpoint: "y" })).toEqual(unknown);
        expect(await store.remove(key)).toEqual(unknown);
        expect(await store.find(key)).toEqual(unknown);
      });
    });

    describe("what is left of a session", () => {
      /** Less by what has gone by on the store's own clock, which may run. */
      const about = (ms: number) =>
        expect.toSatisfy((left: number) => left <= ms && left > ms - grain, `about ${ms} ms`);

      test("is told by create and touch: idle and the slack, but never past the lifetime", async () => {
        expect(await create()).toEqual({ kind: "created", expiresIn: about(LIFESPAN.idle + SLACK) });
        await advance(LIFESPAN.idle);
        expect(await store.touch(key)).toEqual({ kind: "touched", expiresIn: about(LIFESPAN.idle + SLACK) });
        for (let age = 2 * LIFESPAN.idle; age < LIFESPAN.lifetime; age += LIFESPAN.idle) {
          await advance(LIFESPAN.idle);
          await store.touch(key);
        }
        const left = LIFESPAN.lifetime % LIFESPAN.idle;
        expect(await store.touch(key)).toEqual({ kind: "touched", expiresIn: about(left) });
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
        expect(await store.find(key)).toMatchObject({ kind: "found" });
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

    describe("bind", () => {
      const to = { sessionId: "backend-2", endpoint: "10.0.0.2:80" };

      test("replaces the binding of the expected generation, and counts on", async () => {
        await create();
        expect(await store.bind(key, "one", 1, to)).toEqual({ kind: "bound", binding: { ...to, generation: 2 } });
        expect(await store.find(key)).toMatchObject({ session: { bindings: { one: { ...to, generation: 2 } } } });
      });

      test("adds a backend that had none by expecting generation 0", async () => {
        await create();
        expect(await store.bind(key, "two", 0, to)).toEqual({ kind: "bound", binding: { ...to, generation: 1 } });
        const bindings = { ...session.bindings, two: { ...to, generation: 1 } };
        expect(await store.find(key)).toMatchObject({ session: { bindings } });
      });

      test.each([
        ["an older generation", "one", 0, session.bindings.one],
        ["a newer generation", "one", 2, session.bindings.one],
        ["a backend that is not bound", "two", 1, undefined],
        ["a backend named as what every object has", "constructor", 1, undefined],
      ])("expecting %s changes nothing and tells what holds", async (_, backend, expected, binding) => {
        await create();
        expect(await store.bind(key, backend, expected, to)).toEqual({ kind: "conflict", binding });
        expect(await store.find(key)).toEqual(found);
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
        expect(await store.touch(key)).toEqual(unknown);
        expect(await store.bind(key, "one", 1, { sessionId: "x", endpoint: "y" })).toEqual(unknown);
        expect(await store.find(key)).toEqual(unknown);
      });

      test("leaves other sessions alone", async () => {
        await create();
        const other = sessionKey(mintSessionId());
        await store.create(other, session);
        await store.remove(key);
        expect(await store.find(other)).toEqual(found);
      });
    });
  });
}
