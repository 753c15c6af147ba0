import { describe, expect, test } from "vitest";
import { NO_CAPS } from "../../../src/admission/ledger.ts";
import { memoryLedger } from "../../../src/admission/memory.ts";
import { createClaim } from "../../../src/gateway/claim.ts";
import { readNamedSession } from "../../../src/gateway/named-session.ts";
import type { GatewayRequest } from "../../../src/gateway/request.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { type Session, type SessionStore, touchDueAfter, withoutSession } from "../../../src/sessions/store.ts";
import { unavailable } from "../../support/unavailable.ts";
import { POLICY } from "../core/policy.ts";
import { BINDING, LIFESPAN } from "./open.ts";
import { gatewayRequest } from "./requests.ts";

/** A store with one session in it, touched just now, and claims on it. */
async function open(over: Partial<SessionStore> = {}, session: Partial<Session> = {}) {
  let now = 0;
  const memory = memoryStore({ ...LIFESPAN, now: () => now });
  const store = { ...memory, ...over };
  const ledger = memoryLedger({ now: () => now });
  const claim = createClaim({ store, ledger });
  const id = mintSessionId();
  const key = sessionKey(id);
  await memory.create(key, {
    owner: "ada",
    route: "/mcp",
    protocolVersion: undefined,
    initializeParams: "{}",
    bindings: { one: BINDING },
    ...session,
  });
  await memory.touch(key, "one");
  /** A request of the owner, unless it says otherwise. */
  const requestOf = (named: string | undefined = id, more: Partial<GatewayRequest> = {}) =>
    gatewayRequest({
      principal: { digest: "ada", claim: () => undefined, name: undefined, values: () => [] },
      session: readNamedSession(named, (key) => store.find(key, "one")),
      ...more,
    });
  return { claim, store: memory, ledger, id, key, requestOf, advance: (ms: number) => (now += ms) };
}

describe("a claim of a session", () => {
  test("gives its binding to its owner, on its route", async () => {
    const { claim, requestOf, id, key } = await open();
    expect(await claim(requestOf().request, "one", "when-due", 0)).toEqual({
      kind: "live",
      id,
      key,
      binding: BINDING,
      listening: undefined,
    });
  });

  test("tells that it has no binding to the backend, or that none was asked for", async () => {
    const { claim, requestOf, id, key } = await open({}, { bindings: {} });
    expect(await claim(requestOf().request, "one", "always", 0)).toEqual({ kind: "unbound", id, key });
    const bound = await open();
    const { request } = bound.requestOf();
    expect(
      await bound.claim({ ...request, session: readNamedSession(bound.id, undefined) }, undefined, "when-due", 0),
    ).toEqual({
      kind: "unbound",
      id: bound.id,
      key: bound.key,
    });
  });

  test("looks for a session that nobody has looked for yet", async () => {
    const { claim, requestOf, id } = await open();
    const { request } = requestOf();
    const unasked = { ...request, session: readNamedSession(id, undefined) };
    expect(await claim(unasked, "one", "when-due", 0)).toMatchObject({ kind: "live", binding: BINDING });
  });

  test.each<[string, Partial<Session>]>([
    ["of another principal", { owner: "bob" }],
    ["of another route", { route: "/other" }],
  ])("%s is unknown", async (_, session) => {
    const { claim, requestOf } = await open({}, session);
    expect(await claim(requestOf().request, "one", "always", 0)).toEqual({ kind: "unknown" });
  });

  test.each([
    ["an id that nobody knows", mintSessionId()],
    ["no id of ours", "backend-id"],
  ])("that names %s is unknown", async (_, named) => {
    const { claim, requestOf } = await open();
    expect(await claim(requestOf(named).request, "one", "always", 0)).toEqual({ kind: "unknown" });
  });

  test("on a store that is away is unavailable", async () => {
    const { claim, requestOf } = await open({ find: unavailable, outageWait: () => noWait });
    expect(await claim(requestOf().request, "one", "always", 0)).toEqual({ kind: "unavailable" });
  });

  const noWait = { retry: async () => false, cancel: () => undefined };

  test("asks a store that was away again, with one wait for all that it asks", async () => {
    const left = { find: 2, touch: 2 };
    const asked: number[] = [];
    const { claim, requestOf, store } = await open({
      find: (...of) => (left.find-- > 0 ? unavailable() : store.find(...of)),
      touch: (...of) => (left.touch-- > 0 ? unavailable() : store.touch(...of)),
      outageWait(bytes) {
        asked.push(bytes);
        return { retry: async () => true, cancel: () => undefined };
      },
    });
    expect(await claim(requestOf().request, "one", "always", 42)).toMatchObject({ kind: "live" });
    expect([left, asked]).toEqual([{ find: -1, touch: -1 }, [42]]);
  });

  test("gives up when the request ends", async () => {
    const waiting = Promise.withResolvers<boolean>();
    const { claim, requestOf } = await open({
      find: unavailable,
      outageWait: () => ({ retry: () => waiting.promise, cancel: () => waiting.resolve(false) }),
    });
    const { request, scope } = requestOf();
    const claimed = claim(request, "one", "always", 0);
    scope.end();
    expect(await claimed).toEqual({ kind: "unavailable" });
  });
});

describe("a claim slides the session's expiry", () => {
  const due = touchDueAfter(LIFESPAN) + 1;

  test.each([
    ["always", 0, true],
    ["when-due", 0, false],
    ["when-due", due, true],
    ["never", due, false],
  ] as const)("%s, %i ms after the last touch: %s", async (slides, ms, isTouched) => {
    let touches = 0;
    const { claim, requestOf, store, advance } = await open({
      touch: (...of) => {
        touches++;
        return store.touch(...of);
      },
    });
    advance(ms);
    expect(await claim(requestOf().request, "one", slides, 0)).toMatchObject({ kind: "live" });
    expect(touches).toBe(isTouched ? 1 : 0);
  });

  test("and its lease's", async () => {
    const { claim, requestOf, ledger } = await open();
    await claim(requestOf().request, "one", "always", 0);
    expect(ledger.size.live).toBe(1);
  });

  test("but lets it live on where the store takes no writes", async () => {
    const { claim, requestOf } = await open({
      touch: unavailable,
      outageWait: () => ({ retry: async () => false, cancel: () => undefined }),
    });
    expect(await claim(requestOf().request, "one", "always", 0)).toMatchObject({ kind: "live", binding: BINDING });
  });

  test("and finds out that it has ended meanwhile", async () => {
    const { claim, requestOf } = await open({ touch: async () => ({ kind: "unknown" }) });
    expect(await claim(requestOf().request, "one", "always", 0)).toEqual({ kind: "unknown" });
  });
});

describe("a claim of a parked session", () => {
  const park = async (over: Partial<SessionStore> = {}) => {
    const opened = await open(over);
    await opened.store.park(opened.key, 0);
    return opened;
  };

  test("gives it a slot again", async () => {
    const { claim, requestOf, ledger } = await park();
    expect(await claim(requestOf().request, "one", "when-due", 0)).toMatchObject({
      kind: "parked",
      binding: { generation: 1 },
    });
    expect(ledger.size.live).toBe(1);
  });

  test("ends it where there is no slot even above the caps", async () => {
    const { claim, requestOf, ledger, store, key } = await park();
    for (let n = 0; n < 2; n++)
      await ledger.hold({ key: sessionKey(mintSessionId()), principal: "bob" }, LIFESPAN.idle, NO_CAPS, "used");
    const policy = { ...POLICY, admission: { ...POLICY.admission, sessions: 1 } };
    expect(await claim(requestOf(undefined, { policy }).request, "one", "when-due", 0)).toEqual({ kind: "unknown" });
    expect(await store.find(key, "one")).toEqual({ kind: "unknown" });
  });

  test.each<[string, Partial<Session>, string | undefined]>([
    ["that has no backend session yet", { bindings: {} }, "one"],
    ["whose backend has no sessions", { bindings: { one: { ...withoutSession(undefined), generation: 1 } } }, "one"],
    ["by what goes to no backend", {}, undefined],
  ])("%s takes no slot beyond those that parked ones may take", async (_, session, backend) => {
    const { claim, store, ledger, id, key, requestOf } = await open({}, session);
    const lease = { key, principal: "ada" };
    await ledger.hold(lease, 60_000, NO_CAPS, "used");
    const caps = { ...NO_CAPS, sessions: 1 };
    const policy = { ...POLICY, admission: { ...POLICY.admission, ...caps } };
    const { request } = requestOf(undefined, { policy, session: readNamedSession(id, undefined) });
    expect(await claim(request, backend, "always", 0)).not.toEqual({ kind: "unknown" });
    // Its slot goes to others.
    await ledger.release(lease);
    await store.park(key, 0);
    for (const other of ["a", "b"])
      await ledger.hold({ key: sessionKey(mintSessionId()), principal: other }, 60_000, NO_CAPS, "used");
    expect(await claim(request, backend, "always", 0)).toEqual({ kind: "unknown" });
    expect(await ledger.count()).toMatchObject({ live: 2 });
  });

  test("is unavailable where it cannot be touched", async () => {
    const { claim, requestOf } = await park({
      touch: unavailable,
      outageWait: () => ({ retry: async () => false, cancel: () => undefined }),
    });
    expect(await claim(requestOf().request, "one", "when-due", 0)).toEqual({ kind: "unavailable" });
  });

  test("takes no slot for its end", async () => {
    const { claim, requestOf, ledger } = await park();
    expect(await claim(requestOf().request, "one", "never", 0)).toMatchObject({ kind: "parked" });
    expect(ledger.size.live).toBe(0);
  });
});
