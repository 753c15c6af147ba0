import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isLost, readSaid, type Said, suspect } from "../../../src/recovery/lost.ts";

/** Envoy's response flags (envoy.data.accesslog.v3.ResponseFlags, in the order of their bits). */
const FLAG = {
  none: 0,
  LH: 0x1,
  UH: 0x2,
  UT: 0x4,
  LR: 0x8,
  UR: 0x10,
  UF: 0x20,
  UC: 0x40,
  UO: 0x80,
  NR: 0x100,
  DI: 0x200,
  FI: 0x400,
  RL: 0x800,
  UAEX: 0x1000,
  DC: 0x4000,
  URX: 0x8000,
  SI: 0x10000,
  DPE: 0x40000,
  UMSDR: 0x80000,
} as const;
const BY = "10.0.0.1:80";

describe("an answer raises the suspicion that the session is lost", () => {
  test.each([
    ["404", FLAG.none, "ask"],
    ["410", FLAG.none, "ask"],
    ["400", FLAG.none, "ask"],
    ["503", FLAG.none, "ask"],
    ["401", FLAG.none, "ask-and-log-in"],
    ["403", FLAG.none, "ask-and-log-in"],
    ["503", FLAG.UF, "gone"],
    ["503", FLAG.UH, "gone"],
    ["503", FLAG.UF | FLAG.URX, "gone"],
    // As 2 ** 53 − 1 flags would come: those above 32 bits are none that we look at.
    ["503", FLAG.UF + 2 ** 40, "gone"],
    [undefined, FLAG.UH, "gone"],
  ])("%s with flags %i: %s", (status, flags, suspicion) => {
    expect(suspect(status, flags, BY)).toBe(suspicion);
  });

  test("by Envoy that nobody took the request, whoever was to answer", () => {
    expect(suspect("503", FLAG.UH, undefined)).toBe("gone");
  });
});

describe("an answer raises none", () => {
  test.each(["200", "202", "204", "302", "405", "406", "409", "413", "415", "422", "429", "500", "502", "504"])(
    "where the backend says %s",
    (status) => {
      expect(suspect(status, FLAG.none, BY)).toBeUndefined();
    },
  );

  test.each(["404", "410", "400", "401", "403", "503"])("where Envoy or one of its filters says %s", (status) => {
    expect(suspect(status, FLAG.none, undefined)).toBeUndefined();
  });

  test.each([
    "LH",
    "UT",
    "LR",
    "UR",
    "UC",
    "UO",
    "NR",
    "DI",
    "FI",
    "RL",
    "UAEX",
    "DC",
    "URX",
    "SI",
    "DPE",
    "UMSDR",
  ] as const)(
    "where Envoy says 503 with the flag %s: it may have run, or has nothing to do with the session",
    (flag) => {
      expect(suspect("503", FLAG[flag], BY)).toBeUndefined();
    },
  );

  test("without a status", () => {
    expect(suspect(undefined, FLAG.none, BY)).toBeUndefined();
  });

  test("by flags that are no number", () => {
    expect(suspect("200", Number.NaN, BY)).toBeUndefined();
  });
});

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

describe("a session is lost", () => {
  test.each<[number, number, Said, boolean]>([
    [404, 404, "lost", true],
    [401, 404, "lost", true],
    [503, 503, "lost", true],
    [404, 200, "alive", false],
    [401, 401, "refused", true],
    [403, 403, "refused", true],
    [401, 403, "refused", false],
    [404, 401, "refused", false],
    [404, 503, "away", true],
    [400, 503, "away", true],
    [503, 503, "away", false],
    [401, 503, "away", false],
    [503, 503, "unclear", false],
    [404, 500, "unclear", false],
  ])(
    "or not, where a request is answered %i, and a ping %i which says that it is %s: %s",
    (status, ping, said, lost) => {
      expect(isLost(status, ping, said)).toBe(lost);
    },
  );
});
