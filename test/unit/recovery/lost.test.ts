import { describe, expect, test } from "vitest";
import { isUnknownSession, suspect } from "../../../src/recovery/lost.ts";

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

describe("an answer raises the suspicion that the session is lost", () => {
  test.each([
    ["404", FLAG.none, "ask"],
    ["400", FLAG.none, "ask"],
    ["503", FLAG.UF, "gone"],
    ["503", FLAG.UH, "gone"],
    ["503", FLAG.UF | FLAG.URX, "gone"],
    // As 2 ** 53 − 1 flags would come: those above 32 bits are none that we look at.
    ["503", FLAG.UF + 2 ** 40, "gone"],
    [undefined, FLAG.UH, "gone"],
  ])("%s with flags %i: %s", (status, flags, suspicion) => {
    expect(suspect(status, flags)).toBe(suspicion);
  });
});

describe("an answer raises none", () => {
  test.each(["200", "202", "204", "401", "403", "405", "406", "409", "410", "413", "429", "500", "502", "503", "504"])(
    "where the backend says %s",
    (status) => {
      expect(suspect(status, FLAG.none)).toBeUndefined();
    },
  );

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
      expect(suspect("503", FLAG[flag])).toBeUndefined();
    },
  );

  test("without a status", () => {
    expect(suspect(undefined, FLAG.none)).toBeUndefined();
  });

  test("by flags that are no number", () => {
    expect(suspect("200", Number.NaN)).toBeUndefined();
  });
});

describe("a ping says that the server does not know the session", () => {
  test.each([
    ["TypeScript SDK", 404, '{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}'],
    ["TypeScript examples", 400, error(-32000, "Bad Request: No valid session ID provided")],
    ["TypeScript SDK, before an initialize", 400, error(-32000, "Bad Request: Server not initialized")],
    ["Python SDK", 404, '{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}'],
    ["Python SDK of before", 400, "Bad Request: No valid session ID provided"],
    ["Go SDK", 404, "session not found\n"],
    ["C# SDK", 404, error(-32001, "Session not found: it has expired")],
    ["Java SDK", 404, '{"message":"Session not found: 3f"}'],
    ["Java SDK, without the header", 400, "Session ID required in mcp-session-id header"],
    ["Rust SDK", 404, "Not Found: Session not found"],
    ["Rust SDK, without the header", 400, "Bad Request: Session ID is required"],
    ["others", 400, error(-32600, "Invalid session ID: 3f")],
    ["others", 400, error(-32600, "Invalid or missing session ID")],
    ["others", 400, "SESSION NOT FOUND"],
    ["nobody in particular", 404, ""],
    ["a page", 404, "<html>Not Found</html>"],
  ])("as the %s has it: %i %s", (_, status, body) => {
    expect(isUnknownSession(status, body)).toBe(true);
  });
});

describe("a ping does not say so by", () => {
  test.each([
    [200, '{"jsonrpc":"2.0","id":"mcp-router","result":{}}'],
    [200, "Session not found"],
    [202, ""],
    [400, ""],
    [400, error(-32000, "Bad Request: Unsupported protocol version: 1 (supported versions: 2025-11-25)")],
    [400, error(-32600, "Invalid Request: Server already initialized")],
    [400, error(-32602, "Invalid arguments")],
    [401, "Session not found"],
    [403, error(-32001, "Session not found")],
    [405, "Session not found"],
    [409, "Session not found"],
    [429, "Session not found"],
    [500, error(-32603, "Session not found")],
    [503, "Session not found"],
  ])("%i %s", (status, body) => {
    expect(isUnknownSession(status, body)).toBe(false);
  });
});

function error(code: number, message: string): string {
  return JSON.stringify({ jsonrpc: "2.0", error: { code, message }, id: null });
}
