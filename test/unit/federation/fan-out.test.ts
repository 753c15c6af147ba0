import { Readable } from "node:stream";
import { describe, expect, test, vi } from "vitest";
import type { Egress } from "../../../src/backends/client.ts";
import {
  createFanOut,
  type FanOutEvent,
  MOST_AT_BACKEND,
  MOST_BYTES,
  MOST_OF_SESSION,
} from "../../../src/federation/fan-out.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS, PARKED, withoutSession } from "../../../src/sessions/store.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";

const key = sessionKey(mintSessionId());
const route = federatedRoute(["files", "git", "parked", "none", "unused"].map((name) => memberOf(name)));
const SESSION = {
  owner: ANONYMOUS,
  route: "/all",
  protocolVersion: undefined,
  initializeParams: "{}",
  bindings: {
    files: { sessionId: "files-1", endpoint: "10.0.0.1:80", generation: 1, version: "2025-03-26" },
    git: { sessionId: "git-1", endpoint: "10.0.0.2:80", generation: 3 },
    parked: { sessionId: "parked-1", endpoint: PARKED, generation: 1 },
    none: { ...withoutSession(undefined), generation: 1 },
    // Of another route: the session has it no more.
    gone: { sessionId: "gone-1", endpoint: "10.0.0.9:80", generation: 1 },
  },
};

type Call = Parameters<Egress["send"]>[0];

/** @param answers status by backend; an error where the call fails */
function start(
  answers: Readonly<Record<string, number | Error | Promise<number>>> = {},
  found: "loaded" | "unavailable" = "loaded",
) {
  const calls: Call[] = [];
  const events: FanOutEvent[] = [];
  const egress: Egress = {
    async send(call) {
      calls.push(call);
      const answer = await (answers[call.to.backend.name] ?? 202);
      if (answer instanceof Error) throw answer;
      const body = Readable.from([]);
      return {
        status: answer,
        header: () => undefined,
        headers: [],
        endpoint: undefined,
        body,
        discard: () => undefined,
      };
    },
    close: async () => undefined,
  };
  const load = async () =>
    found === "loaded" ? ({ kind: "loaded", session: SESSION } as const) : ({ kind: found } as const);
  const fanOut = createFanOut({ store: { load }, egress, observe: (event) => void events.push(event) });
  const headers = fields({
    ":method": "POST",
    authorization: "Bearer ada",
    "content-type": "application/json",
    "mcp-protocol-version": "2025-11-25",
    "mcp-session-id": "the client's",
  });
  const body = Buffer.from(
    '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9007199254740993}}',
  );
  const tell = (of = key, sent: Uint8Array = body) =>
    fanOut.tell({ route, key: of, query: "?a=1", headers, method: "notifications/cancelled", body: sent });
  return { tell, calls, events, body };
}

describe("a message that all backends get", () => {
  test("goes into each session that a backend of the route holds, as the client wrote it", async () => {
    const { tell, calls, body } = start();
    await tell();
    expect(calls.map(({ to, session }) => [to.backend.name, to.query, session?.sessionId])).toEqual([
      ["files", "?a=1", "files-1"],
      ["git", "?a=1", "git-1"],
    ]);
    for (const call of calls) expect(call.body).toBe(body);
    const [atFiles, atGit] = calls.map(({ headers }) => Object.fromEntries(headers));
    expect(atFiles).toMatchObject({ authorization: "Bearer ada", "mcp-protocol-version": "2025-03-26" });
    expect(atFiles).toMatchObject({ "x-mcp-method": "notifications/cancelled" });
    expect(atFiles).not.toHaveProperty("mcp-session-id");
    expect(atGit).not.toHaveProperty("mcp-protocol-version");
  });

  test("that one cannot be told reaches the others, and the failure is told", async () => {
    const { tell, calls, events } = start({ files: new Error("socket"), git: 404 });
    await tell();
    expect(calls).toHaveLength(2);
    expect(events).toEqual([
      { kind: "not-told-of-message", backend: "files", method: "notifications/cancelled", why: "socket" },
      { kind: "not-told-of-message", backend: "git", method: "notifications/cancelled", why: "status 404" },
    ]);
  });

  test("goes nowhere while the store is away, and that is told", async () => {
    const { tell, calls, events } = start({}, "unavailable");
    await tell();
    expect(calls).toEqual([]);
    expect(events).toContainEqual({
      kind: "not-told-of-message",
      backend: "files",
      method: "notifications/cancelled",
      why: "the session store is away",
    });
  });

  describe("at a backend that does not answer", () => {
    const TOO_MANY = "too many messages are under way";
    const slow = () => {
      const answered = Promise.withResolvers<number>();
      return { ...start({ files: answered.promise }), answer: () => answered.resolve(202) };
    };
    const atFiles = (calls: readonly Call[]) => calls.filter(({ to }) => to.backend.name === "files").length;

    test("is one of so many of a session", async () => {
      const { tell, calls, events, answer } = slow();
      const told = Array.from({ length: 1_000 }, () => tell());
      const refused = () => events.filter(({ backend }) => backend === "files");
      await vi.waitFor(() => expect(refused()).toHaveLength(1_000 - MOST_OF_SESSION));
      expect(atFiles(calls)).toBe(MOST_OF_SESSION);
      expect(refused()[0]).toMatchObject({ kind: "not-told-of-message", why: TOO_MANY });
      answer();
      await Promise.all(told);
      await tell();
      expect(atFiles(calls)).toBe(MOST_OF_SESSION + 1);
    });

    test("is one of so many of all sessions", async () => {
      const { tell, calls, answer } = slow();
      const told = Array.from({ length: 1_000 }, () => tell(sessionKey(mintSessionId())));
      await vi.waitFor(() => expect(calls.length).toBeGreaterThan(MOST_AT_BACKEND));
      expect(atFiles(calls)).toBe(MOST_AT_BACKEND);
      answer();
      await Promise.all(told);
    });

    test("is not held beyond so many bytes", async () => {
      const { tell, calls, events, answer } = slow();
      const large = Buffer.alloc(MOST_BYTES / 4);
      const told = Array.from({ length: 100 }, () => tell(sessionKey(mintSessionId()), large));
      await vi.waitFor(() => expect(events.length).toBeGreaterThan(90));
      expect(atFiles(calls)).toBeLessThanOrEqual(4);
      answer();
      await Promise.all(told);
      const before = calls.length;
      await tell();
      expect(calls).toHaveLength(before + 2);
    });
  });
});
