/** Two routers on the same sessions: whatever they do at once, and whenever, is what the model of the contract explains. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { mintSessionId, sessionKey } from "../../src/sessions/id.ts";
import { ANONYMOUS, type Lifespan, type SessionStore } from "../../src/sessions/store.ts";
import { commands, type Routers } from "./commands.ts";
import { describeLedgerRaces } from "./ledger-races.ts";
import { emptyWorld } from "./model.ts";
import { openMemory, openMemoryLedger, openRedis, openRedisLedgers } from "./open.ts";

interface RacesOptions {
  /** Two routers on a store without sessions. */
  open(lifespan: Lifespan): Promise<Routers>;
  /** ms that a run may take by the store's own clock; 1 where that stands still between advances. */
  readonly grain: number;
  readonly numRuns: number;
}

function describeRaces(name: string, { open, grain, numRuns }: RacesOptions): void {
  const openFor = async (lifespan: Lifespan, use: (routers: Routers) => Promise<void>) => {
    const routers = await open(lifespan);
    try {
      await use(routers);
    } finally {
      for (const store of routers.stores) await store.close();
    }
  };

  // A busy machine takes longer than vitest's 5 s, and then fast-check could not tell the seed.
  describe(name, () => {
    test("answers as the model does, one at a time, and at once as in some order of these", async () => {
      const lifespans = fc.record({
        // Also where an eighth of it is no whole ms.
        idle: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat(7)).map(([n, odd]) => 8 * grain * n + odd),
        lifetime: fc.integer({ min: 1, max: 60 }).map((n) => grain * n),
        unused: fc.integer({ min: 1, max: 30 }).map((n) => grain * n),
      });
      await fc.assert(
        fc.asyncProperty(lifespans, commands(40), (lifespan, list) =>
          openFor(lifespan, (routers) =>
            fc.asyncModelRun(
              () => ({ model: { worlds: [emptyWorld(lifespan)], grain, history: [] }, real: routers }),
              list,
            ),
          ),
        ),
        { numRuns },
      );
    });

    test("of routers that act on what they found, one binds each generation, the others see it, and removal is final", async () => {
      const tasks = fc.array(fc.constantFrom("bind", "bind", "touch", "remove"), { minLength: 2, maxLength: 5 });
      await fc.assert(
        fc.asyncProperty(fc.scheduler(), tasks, (scheduler, tasks) =>
          openFor({ idle: 8 * grain, lifetime: 60 * grain, unused: 60 * grain }, async ({ stores }) => {
            await stores[0].create(KEY, SESSION);
            await stores[0].touch(KEY, "one");
            const pause = () => scheduler.schedule(Promise.resolve());
            const routers = tasks.map((task, at) => actOnWhatIsFound(stores[at % 2 === 0 ? 0 : 1], task, pause, at));
            const outcomes = await scheduler.waitFor(Promise.all(routers));

            const bound = outcomes.flatMap((outcome) => (outcome.kind === "bound" ? [outcome.binding] : []));
            const inTurn = bound.toSorted((one, other) => one.generation - other.generation);
            expect(inTurn.map(({ generation }) => generation)).toEqual(bound.map((_, at) => at + 2));
            for (const outcome of outcomes)
              if (outcome.kind === "conflict") expect(bound).toContainEqual(outcome.binding);

            const session = { ...SESSION, bindings: { one: inTurn.at(-1) ?? SESSION.bindings.one } };
            const isRemoved = tasks.includes("remove");
            const removed = outcomes.filter(({ kind }) => kind === "removed");
            expect(removed).toEqual(isRemoved ? [{ kind: "removed", session }] : []);
            expect(await stores[1].load(KEY)).toEqual(isRemoved ? { kind: "unknown" } : { kind: "loaded", session });
          }),
        ),
        { numRuns },
      );
    });
  });
}

const KEY = sessionKey(mintSessionId());
const SESSION = {
  owner: ANONYMOUS,
  route: "/mcp",
  protocolVersion: undefined,
  initializeParams: "{}",
  bindings: { one: { sessionId: "first", endpoint: "10.0.0.1:80", generation: 1 } },
};

/** What the gateway does with a session, with a pause before each step in which others may come first. */
async function actOnWhatIsFound(store: SessionStore, task: string, pause: () => Promise<void>, router: number) {
  await pause();
  if (task === "remove") return store.remove(KEY);
  const found = await store.find(KEY, "one");
  if (found.kind !== "found") return found;
  await pause();
  if (task === "touch") return store.touch(KEY, "one");
  const expected = found.session.binding?.generation ?? 0;
  return store.bind(KEY, "one", expected, { sessionId: `of router ${router}`, endpoint: "10.0.0.2:80" });
}

describeRaces("the memory store", {
  open: async (lifespan) => {
    const { store, advance } = openMemory(lifespan);
    return { stores: [store, store], advance };
  },
  grain: 1,
  numRuns: 300,
});

describeLedgerRaces("the memory ledger", { open: async () => openMemoryLedger(), numRuns: 500 });

describe("on one Redis", () => {
  let redis: RunningRedis;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());
  describeRaces("the Redis store", {
    open: async (lifespan) => {
      await redis.command("FLUSHALL");
      const at = { kind: "single", host: "127.0.0.1", port: redis.port } as const;
      const one = await openRedis(at, [redis], lifespan);
      const other = await openRedis(at, [redis], lifespan);
      return { stores: [one.store, other.store], advance: one.advance };
    },
    // A minute: no run takes that long, and no time is waited for.
    grain: 60_000,
    numRuns: 60,
  });
  describeLedgerRaces("the Redis ledger", {
    open: () => openRedisLedgers({ kind: "single", host: "127.0.0.1", port: redis.port }, [redis]),
    numRuns: 60,
  });
});
