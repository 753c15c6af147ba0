import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createDismissals, type DismissEvent, GRACE_MS } from "../../../src/admission/dismiss.ts";
import { type Lease, type Ledger, NO_CAPS } from "../../../src/admission/ledger.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import type { Route } from "../../../src/core/routes.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import {
  ANONYMOUS,
  type Binding,
  bindingOf,
  isParked,
  parkedBinding,
  type SessionStore,
} from "../../../src/sessions/store.ts";
import { unavailable } from "../../support/unavailable.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";
import { BACKEND, ROUTE } from "../core/policy.ts";

const PATH = "/mcp";
const LIFE_MS = 60_000;

const one = (name: string): Route => ({ ...ROUTE, path: PATH, backend: { ...BACKEND, name } });
const several = (...names: string[]): Route =>
  federatedRoute(
    names.map((name) => memberOf(name)),
    { path: PATH },
  );
const routesOf = (...all: Route[]) => new Map(all.map((route) => [route.path, route]));

interface Over {
  readonly ledger?: Partial<Ledger>;
  readonly store?: (store: SessionStore) => Partial<SessionStore>;
  /** Whether a backend can be told. */
  readonly tell?: (backend: string) => boolean | Promise<boolean>;
}

function open(began: Route, { ledger: overLedger, store: overStore, tell = () => true }: Over = {}) {
  const store = memoryStore({ idle: LIFE_MS, lifetime: LIFE_MS, unused: LIFE_MS });
  const ledger = memoryLedger();
  let routes = routesOf(began);
  const told: string[] = [];
  const closed: string[] = [];
  const events: DismissEvent[] = [];
  const dismissals = createDismissals({
    ledger: { ...ledger, ...overLedger },
    store: { ...store, ...overStore?.(store) },
    routes: () => routes,
    tell: async (backend, { sessionId }) => {
      told.push(`${backend.name} ${sessionId}`);
      return tell(backend.name);
    },
    closed: (key) => void closed.push(key),
    observe: (event) => void events.push(event),
  });
  return {
    store,
    ledger,
    told,
    closed,
    events,
    dismissals,
    reload(...all: Route[]) {
      const before = routes;
      routes = routesOf(...all);
      dismissals.reconfigured(before);
    },
    async begin(bindings: Record<string, Binding>): Promise<Lease> {
      const lease = { key: sessionKey(mintSessionId()), principal: ANONYMOUS };
      const session = { owner: ANONYMOUS, route: PATH, protocolVersion: undefined, initializeParams: "{}", bindings };
      await store.create(lease.key, session);
      await (overLedger?.hold ?? ledger.hold)(lease, LIFE_MS, NO_CAPS, "used");
      return lease;
    },
    bindingsOf: async ({ key }: Lease) => {
      const loaded = await store.load(key);
      return loaded.kind === "loaded" ? loaded.session : undefined;
    },
  };
}

const at = (sessionId: string): Binding => ({ sessionId, endpoint: "10.0.0.1:80", generation: 1 });

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

describe("a configuration by which a route leads elsewhere", () => {
  test("ends its sessions at once, and tells the backend a little later", async () => {
    const { begin, reload, store, ledger, told, closed, events } = open(one("a"));
    const lease = await begin({ a: at("s") });
    reload(one("b"));
    await vi.advanceTimersByTimeAsync(GRACE_MS - 1);
    expect(await store.load(lease.key)).toEqual({ kind: "unknown" });
    expect(ledger.size.live).toBe(0);
    expect(closed).toEqual([lease.key]);
    expect(events).toEqual([{ kind: "dismissed", lease, session: expect.objectContaining({ route: PATH }) }]);
    expect(told).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toEqual(["a s"]);
  });

  test("tells a backend of no session that it does not hold", async () => {
    const { begin, reload, told, store } = open(one("a"));
    const lease = await begin({ a: parkedBinding(at("s")) });
    reload();
    await vi.advanceTimersByTimeAsync(GRACE_MS);
    expect(await store.load(lease.key)).toEqual({ kind: "unknown" });
    expect(told).toEqual([]);
  });

  test("takes one of several backends from a session that goes on", async () => {
    const { begin, reload, bindingsOf, told, ledger, events } = open(several("a", "b"));
    const lease = await begin({ a: at("at-a"), b: at("at-b") });
    reload(several("b"));
    await vi.advanceTimersByTimeAsync(GRACE_MS);
    const session = await bindingsOf(lease);
    expect(session?.bindings).toMatchObject({ a: { endpoint: "parked", generation: 2 }, b: at("at-b") });
    expect(told).toEqual(["a at-a"]);
    expect(ledger.size.live).toBe(1);
    expect(events).toEqual([]);
  });

  test("tells no backend of a session that a request has just moved", async () => {
    const store = (inner: SessionStore): Partial<SessionStore> => ({
      async bind(key, backend, expected, to) {
        await inner.bind(key, backend, expected, at("moved"));
        return inner.bind(key, backend, expected, to);
      },
    });
    const { begin, reload, bindingsOf, told } = open(several("a", "b"), { store });
    const lease = await begin({ a: at("s") });
    reload(several("b"));
    await vi.advanceTimersByTimeAsync(GRACE_MS);
    const session = await bindingsOf(lease);
    const binding = session && bindingOf(session, "a");
    expect(binding && isParked(binding)).toBe(false);
    expect(told).toEqual([]);
  });

  test("ends nothing that the next one takes back before it is looked at", async () => {
    const { begin, reload, store, told } = open(one("a"));
    const lease = await begin({ a: at("s") });
    reload(one("b"));
    reload(one("a"));
    await vi.advanceTimersByTimeAsync(GRACE_MS);
    expect(await store.load(lease.key)).toMatchObject({ kind: "loaded" });
    expect(told).toEqual([]);
  });

  test("is told to no backend that has failed once, and to the others", async () => {
    const sessions = 20;
    const { begin, reload, told, events } = open(several("a", "b"), { tell: (backend) => backend !== "a" });
    for (let n = 0; n < sessions; n++) await begin({ a: at(`a${n}`), b: at(`b${n}`) });
    reload();
    await vi.advanceTimersByTimeAsync(GRACE_MS);
    expect(told.filter((one) => one.startsWith("b"))).toHaveLength(sessions);
    const given = events.filter(({ kind }) => kind === "not-told").length;
    expect(given).toBeGreaterThan(0);
    expect(told.filter((one) => one.startsWith("a")).length + given).toBe(sessions);
  });

  test("is told to others while one backend hangs", async () => {
    const sessions = 20;
    const never = new Promise<boolean>(() => undefined);
    const { begin, reload, told } = open(several("a", "b"), { tell: (backend) => (backend === "a" ? never : true) });
    for (let n = 0; n < sessions; n++) await begin({ a: at(`a${n}`), b: at(`b${n}`) });
    reload();
    await vi.advanceTimersByTimeAsync(GRACE_MS);
    expect(told.filter((one) => one.startsWith("b"))).toHaveLength(sessions);
  });

  test("is told in time however long the ledger takes", async () => {
    const pages = memoryLedger();
    const page: Ledger["page"] = async (from) => {
      const read = await pages.page(from);
      await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
      return read;
    };
    const { begin, reload, told } = open(one("a"), { ledger: { hold: pages.hold, page } });
    await begin({ a: at("s") });
    reload(one("b"));
    await vi.advanceTimersByTimeAsync(GRACE_MS);
    expect(told).toEqual(["a s"]);
  });

  test.each<[string, Over]>([
    ["ledger", { ledger: { page: unavailable } }],
    ["store, when it is to read,", { store: () => ({ load: unavailable }) }],
    ["store, when it is to end a session,", { store: () => ({ remove: unavailable }) }],
  ])("says so where the %s is away", async (_, over) => {
    const { begin, reload, told, events } = open(one("a"), over);
    await begin({ a: at("s") });
    reload(one("b"));
    await vi.advanceTimersByTimeAsync(GRACE_MS);
    expect(events).toEqual([{ kind: "dismissal-waits", routes: [PATH] }]);
    expect(told).toEqual([]);
  });
});

test("a store that is away is asked until it is back, and an initialize that was under way is found then", async () => {
  let away = true;
  const store = (inner: SessionStore): Partial<SessionStore> => ({
    load: (key) => (away ? unavailable() : inner.load(key)),
  });
  const { begin, reload, told, events, ledger } = open(one("a"), { store });
  await begin({ a: at("s") });
  reload(one("b"));
  await vi.advanceTimersByTimeAsync(GRACE_MS);
  expect([told, events.length]).toEqual([[], 1]);
  away = false;
  await begin({ a: at("late") });
  await vi.advanceTimersByTimeAsync(GRACE_MS);
  expect(told.toSorted()).toEqual(["a late", "a s"]);
  expect(ledger.size.live).toBe(0);
});

test("a session that begins while the backends are given their time ends too", async () => {
  const { begin, reload, told } = open(one("a"));
  await begin({ a: at("s") });
  reload(one("b"));
  await vi.advanceTimersByTimeAsync(GRACE_MS - 1);
  await begin({ a: at("late") });
  await vi.advanceTimersByTimeAsync(1);
  expect(told).toEqual(["a s", "a late"]);
});

describe("a router that stops", () => {
  test("tells at once what it would have told later, and nothing after that", async () => {
    const { begin, reload, dismissals, told } = open(one("a"));
    await begin({ a: at("s") });
    reload(one("b"));
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual([]);
    await dismissals.stop();
    expect(told).toEqual(["a s"]);
    await begin({ b: at("t") });
    reload(one("c"));
    await vi.advanceTimersByTimeAsync(GRACE_MS);
    expect(told).toEqual(["a s"]);
  });
});
