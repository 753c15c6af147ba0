import { describe, expect, test, vi } from "vitest";
import { createFirstSessions, type FirstSessionEvent } from "../../../src/backends/first-session.ts";
import type { SessionOpener } from "../../../src/backends/open.ts";
import type { Opened } from "../../../src/backends/opened.ts";
import { createTurns } from "../../../src/backends/turns.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { BACKEND } from "../core/policy.ts";

const binding = { sessionId: "new", endpoint: "10.0.0.1:80", generation: 1 };
const OPENED: Opened = { kind: "opened", binding, setCookies: [], debt: 0 };

function start(open: SessionOpener["open"]) {
  const events: FirstSessionEvent[] = [];
  const opener = { open: vi.fn(open) };
  const openFirst = createFirstSessions({ opener, turns: createTurns(), observe: (event) => void events.push(event) });
  const request = { backend: BACKEND, query: "?a", key: sessionKey(mintSessionId()), credentials: [] };
  return { openFirst, opener, events, request };
}

const stays = new AbortController().signal;

describe("the first session at one of several backends", () => {
  test("is opened once for all requests of one client's session that come at once", async () => {
    const answer = Promise.withResolvers<Opened>();
    const { openFirst, opener, request, events } = start(() => answer.promise);
    const asked = Array.from({ length: 20 }, () => openFirst(request, stays));
    await vi.waitFor(() => expect(opener.open).toHaveBeenCalled());
    answer.resolve(OPENED);
    expect(await Promise.all(asked)).toEqual(Array(20).fill(OPENED));
    expect(opener.open).toHaveBeenCalledTimes(1);
    expect(opener.open.mock.calls[0]?.[0]).toMatchObject({ query: "?a", expected: 0, ofSeveral: true });
    expect(events).toMatchObject([{ kind: "first-session", backend: "one", key: request.key, outcome: OPENED }]);
  });

  test("is opened for each client's session", async () => {
    const { openFirst, opener, request } = start(async () => OPENED);
    await Promise.all([openFirst(request, stays), openFirst({ ...request, key: sessionKey(mintSessionId()) }, stays)]);
    expect(opener.open).toHaveBeenCalledTimes(2);
  });

  test("is given up once every client has left", async () => {
    const { openFirst, opener, request } = start(
      (_, { signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve({ kind: "aborted" }))),
    );
    const leaves = new AbortController();
    const asked = openFirst(request, leaves.signal);
    await vi.waitFor(() => expect(opener.open).toHaveBeenCalled());
    leaves.abort();
    expect(await asked).toEqual({ kind: "aborted" });
    expect(opener.open.mock.calls[0]?.[1].signal.aborted).toBe(true);
  });

  test("that a broken store makes impossible is an outcome, and no error", async () => {
    const { openFirst, request } = start(() => Promise.reject(new Error("broken")));
    expect(await openFirst(request, stays)).toEqual({ kind: "broken", error: "broken", passes: false });
  });
});
