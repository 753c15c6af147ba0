import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readSaid, type Said } from "../../../src/backends/said.ts";

/** The lines of the table "What servers say" in docs/lost-sessions.md. */
const TABLE = readFileSync(new URL("../../../docs/lost-sessions.md", import.meta.url), "utf8")
  .split("\n## What servers say\n")[1]
  ?.split("\n")
  .filter((line) => line.startsWith("|"))
  .slice(2)
  .map((line) => {
    const [, server = "", status, body = "", readAs = ""] = line.split("|").map((cell) => cell.trim());
    return { server, status: Number(status), body: /^`(.*)`$/.exec(body)?.[1] ?? "", readAs };
  });

describe("what a server says of the session is read as docs/lost-sessions.md has it:", () => {
  test("all of its lines are lines of the table", () => {
    expect(TABLE?.length).toBeGreaterThan(50);
    expect(new Set(TABLE?.map(({ readAs }) => readAs))).toEqual(
      new Set<Said>(["lost", "alive", "away", "refused", "unclear"]),
    );
  });

  test.each(TABLE ?? [])("$server: $status $body: $readAs", ({ status, body, readAs }) => {
    expect(readSaid(status, body)).toBe(readAs);
  });

  test.each(TABLE?.filter(({ readAs }) => readAs === "lost") ?? [])(
    "and lost however it is written: $server $body",
    ({ status, body }) => {
      for (const written of [body.toUpperCase(), body.toLowerCase(), `\ufeff${body}`])
        expect(readSaid(status, written)).toBe("lost");
    },
  );
});

describe("words that say of a session that it is not known are read", () => {
  test.each([
    "SESSION NOT FOUND",
    "Session 3f2a-1 does not exist or was terminated",
    "The session doesn’t exist",
    "No such session",
    "no active session",
    "Session is no longer valid",
    "your session has timed out",
    "Session closed",
    "Stale Mcp-Session-Id",
    "mcp-session-id: unknown",
    "unrecognised sessionId",
    "Could not find a session with that id",
    "Cannot find session",
    "invalid_session",
    "errSessionMissing",
    "sessionnotfound",
    "MCP_SESSION_EXPIRED",
    "SessionID mismatch",
    "No transport found",
    "Transport not found",
    "Not initialized",
    "Bad Request: not initialised",
    "Server has not been initialized yet",
    "must initialize first",
    "Received request before initialization was complete",
  ])("%s", (words) => {
    expect(readSaid(400, words)).toBe("lost");
    expect(readSaid(400, JSON.stringify({ jsonrpc: "2.0", error: { code: -32000, message: words } }))).toBe("lost");
    expect(readSaid(400, JSON.stringify({ jsonrpc: "2.0", error: { code: -32000, data: { reason: words } } }))).toBe(
      "lost",
    );
    expect(readSaid(400, JSON.stringify({ detail: [{ msg: words }] }))).toBe("lost");
  });
});

describe("other words are not, as", () => {
  test.each([
    "",
    "Repository not found",
    "Session",
    "Session limit exceeded",
    "Too many sessions",
    "no new sessions are accepted",
    "session store not found",
    "session manager is not initialized",
    "Database not initialized",
    "Initialize failed: bad key",
    "Invalid arguments",
    "transport error",
    "MCP-Protocol-Version header is missing in this session",
    `Session of ${"very ".repeat(20)} long sentence: not found`,
    "no",
    "the file was not found. Later on and in another sentence altogether, a session",
  ])("%s", (words) => {
    expect(readSaid(400, words)).toBe("unclear");
  });
});

test("what is read of an answer takes time by its length, and no more", () => {
  // Seen: tens of ms for all. Quadratic, each takes minutes.
  for (const piece of ["A", "aA", "session ", "not ", "not found ", "session not ", "version invalid ", "initialize "])
    readSaid(400, piece.repeat((1024 * 1024) / piece.length));
});
