import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import type { Egress } from "../../../src/backends/client.ts";
import { createFanOut, type FanOutEvent } from "../../../src/federation/fan-out.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS, PARKED, withoutSession } from "../../../src/sessions/store.ts";
import { fields } from "../core/fields.ts";
import { federatedRoute, memberOf } from "../gateway/catalogue.ts";

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
function start(answers: Readonly<Record<string, number | Error>> = {}, found: "loaded" | "unavailable" = "loaded") {
  const calls: Call[] = [];
  const events: FanOutEvent[] = [];
  const egress: Egress = {
    async send(call) {
      calls.push(call);
      const answer = answers[call.to.backend.name] ?? 202;
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
  const tell = () => fanOut.tell({ route, key, query: "?a=1", headers, method: "notifications/cancelled", body });
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

  test("goes nowhere while the store is away", async () => {
    const { tell, calls } = start({}, "unavailable");
    await tell();
    expect(calls).toEqual([]);
  });
});
