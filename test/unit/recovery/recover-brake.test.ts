import { describe, expect, test, vi } from "vitest";
import { FREE_DEBT_MS, MOST_DEBT_MS } from "../../../src/core/brake.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS, type SessionStore } from "../../../src/sessions/store.ts";
import type { Answer } from "../../support/scripted-server.ts";
import { first, HEADERS, NOBODY_THERE, never, open, PARAMS, STEPS, USED } from "./router.ts";

describe("the brake on recovery", () => {
  const LOST: Answer = { status: 404, body: "Session not found" };

  test("begins two sessions at most for one request, where each is lost at once, and ends both", async () => {
    const { recovery, loss, names } = await open({ answers: { "notifications/initialized": LOST } });
    expect(await recovery.recover(loss, never)).toMatchObject({
      kind: "failed",
      why: { reason: "lost-at-once" },
    });
    await vi.waitFor(() => expect(names().filter((name) => name === "DELETE")).toHaveLength(2));
    expect(names().filter((name) => name !== "DELETE")).toEqual(["ping", ...STEPS, ...STEPS]);
  });

  test("begins no session for a while at a backend that loses each at once, and the request keeps its first answer", async () => {
    const { recovery, loss, store, key, names } = await open({ answers: { "notifications/initialized": LOST } });
    await store.brake(key, "one", MOST_DEBT_MS);
    expect(await recovery.recover(loss, never)).toEqual({
      kind: "braked",
      why: "lost again",
      wait: expect.any(Number),
    });
    expect(names()).toEqual(["ping"]);
  });

  test("makes a request wait a moment where that is all it takes", async () => {
    const { recovery, loss, store, key, names } = await open();
    await store.brake(key, "one", FREE_DEBT_MS);
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered" });
    expect(names()).toEqual(["ping", ...STEPS]);
  });

  test("lets others at the backend go ahead meanwhile", async () => {
    const asked: string[] = [];
    const waits = Promise.withResolvers<void>();
    const opened = await open({
      store: (store) => ({
        async brake(key, ...of) {
          asked.push(key);
          // As often as there are places, all of one session.
          if (key === opened.key) return store.brake(key, ...of);
          if (asked.length === 128) waits.resolve();
          return { kind: "early", wait: 1_500 };
        },
        load: async (key) => store.load(key === opened.key ? key : opened.key),
      }),
    });
    const leaves = new AbortController();
    const others = Array.from({ length: 128 }, () =>
      opened.recovery.recover(
        { ...opened.loss, suspicion: "unreachable", key: sessionKey(mintSessionId()) },
        leaves.signal,
      ),
    );
    await waits.promise;
    expect(await opened.recovery.recover(opened.loss, never)).toMatchObject({ kind: "recovered" });
    leaves.abort();
    await Promise.all(others);
  });

  test("counts no session where no endpoint took connections", async () => {
    const { recovery, loss, store, key } = await open({ answers: { initialize: NOBODY_THERE }, bound: 100 });
    for (let n = 0; n < 3; n++) await recovery.recover(loss, never);
    expect(await store.brake(key, "one", 0)).toEqual({ kind: "granted", debt: 0 });
  });

  test("makes a client listen again later and later", async () => {
    const { recovery, loss, store, key } = await open();
    const times: number[] = [];
    for (let n = 0; n < 3; n++) {
      const used = { ...USED, generation: n + 1 };
      const outcome = await recovery.recover({ ...loss, used }, never);
      times.push(outcome.kind === "recovered" ? outcome.listenAgain : 0);
    }
    expect(times).toEqual([100, 200, 400]);
    expect(await store.load(key)).toMatchObject({ session: { bindings: { one: { generation: 4 } } } });
  });

  /** Another session that was lost, beside the one of `open`. */
  const anotherLost = async (store: SessionStore) => {
    const key = sessionKey(mintSessionId());
    await store.create(key, {
      owner: ANONYMOUS,
      route: "/public",
      protocolVersion: undefined,
      initializeParams: PARAMS,
      bindings: { one: USED },
    });
    return { key, suspicion: "unreachable" as const };
  };

  test("asks a backend that refuses by 503 once, and then not for as long as it says, for all its sessions", async () => {
    const initialize = { status: 503, headers: { "retry-after": "5" } };
    const { recovery, loss, names, store } = await open({ answers: { initialize } });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "failed" });
    const braked = { kind: "braked", why: "retry-after" };
    expect(await recovery.recover({ ...loss, ...(await anotherLost(store)) }, never)).toMatchObject(braked);
    expect(await recovery.recover({ ...loss, suspicion: "unreachable" }, never)).toMatchObject(braked);
    expect(names()).toEqual(["ping", "initialize"]);
  });

  test.each([[403], [429]])(
    "asks a backend no more for the one session that it refuses by %i, and still for others",
    async (status) => {
      const initialize = first(1, { status, headers: { "retry-after": "5" } });
      const { recovery, loss, names, store } = await open({ answers: { initialize } });
      const gone = { ...loss, suspicion: "unreachable" as const };
      expect(await recovery.recover(gone, never)).toMatchObject({ kind: "failed" });
      expect(await recovery.recover(gone, never)).toMatchObject({ kind: "braked", why: "retry-after" });
      expect(names()).toEqual(["initialize"]);
      const another = { ...loss, ...(await anotherLost(store)) };
      expect(await recovery.recover(another, never)).toMatchObject({ kind: "recovered" });
    },
  );

  test("does not hold where the refusal names no time", async () => {
    const { recovery, loss } = await open({ answers: { initialize: first(1, { status: 503 }) } });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "failed" });
    expect(await recovery.recover(loss, never)).toMatchObject({ kind: "recovered" });
  });

  test.each<["probe" | "unreachable"]>([["probe"], ["unreachable"]])(
    "ends what was replaced, wherever it was: %s",
    async (suspicion) => {
      const { recovery, loss, listener } = await open();
      expect(await recovery.recover({ ...loss, suspicion }, never)).toMatchObject({ kind: "recovered" });
      expect((await listener.called("DELETE")).headers).toMatchObject({
        "mcp-session-id": "old",
        "x-mcp-endpoint": USED.endpoint,
        ...Object.fromEntries(HEADERS),
      });
    },
  );
});
