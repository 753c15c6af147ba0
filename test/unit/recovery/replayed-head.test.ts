import { describe, expect, test } from "vitest";
import type { Header } from "../../../src/core/http.ts";
import { UNWRITABLE_HEADERS, WRITABLE_HEADERS } from "../../../src/envoy-config/ext-proc.ts";
import { replayedHead, staleHeaders } from "../../../src/recovery/replayed-head.ts";
import { fields } from "../core/fields.ts";

/** What an answer may say that is the backend's to say. */
const SAID: readonly Header[] = [
  ["content-type", "application/json"],
  ["content-encoding", "gzip"],
  ["www-authenticate", 'Bearer error_description="é"'],
  ["mcp-protocol-version", "2025-06-18"],
  ["vary", "origin"],
  ["vary", "accept"],
  ["etag", '"1"'],
  ["x-ratelimit-remaining", "1"],
  ["x-mcp-own", "1"],
];
/** What goes no further, or Envoy says itself. */
const UNSAID: readonly Header[] = [
  ["connection", "close, X-Nominated"],
  ["x-nominated", "1"],
  ["keep-alive", "timeout=5"],
  ["transfer-encoding", "chunked"],
  ["content-length", "2"],
  ["server", "x"],
  ["date", "now"],
  ["x-mcp-endpoint", "10.0.0.2:80"],
  ["x-mcp-session", "tag"],
  ["location", "http://10.0.0.2/mcp"],
  ["content-location", "http://10.0.0.2/mcp"],
  ["x-envoy-upstream-service-time", "1"],
  ["x-envoy-peer-metadata", "Cg=="],
  ["host", "x"],
  ["authorization", "x"],
  ["cookie", "x"],
  ["forwarded", "x"],
  ["x-forwarded-for", "x"],
  ["x-odd", "a control \u0001 character"],
];

describe("an answer in place of another has a head", () => {
  test("of all that its backend says, in its order, and of nothing that goes no further", () => {
    expect(replayedHead([...UNSAID, ...SAID], "client-id", [])).toEqual(SAID);
  });

  test("that Envoy lets the processor write", () => {
    for (const [name] of replayedHead([...UNSAID, ...SAID], "client-id", ["a=1"])) {
      expect(name).toMatch(new RegExp(`^(?:${WRITABLE_HEADERS})$`));
      expect(name).not.toMatch(new RegExp(`^(?:${UNWRITABLE_HEADERS})$`));
    }
  });

  test("with the session as the client knows it, where the backend names its own", () => {
    const named = [["mcp-session-id", "new"]] as const;
    expect(replayedHead(named, "client-id", [])).toEqual([["mcp-session-id", "client-id"]]);
  });

  test("with the cookies of the session's initialize, but for those that it sets itself", () => {
    const own = [
      ["set-cookie", "a=2; Path=/"],
      ["x-b", "1"],
      ["set-cookie", "c=3"],
    ] as const;
    expect(replayedHead(own, "client-id", ["a=1", "LB=1", "odd=\u0001"])).toEqual([
      ["x-b", "1"],
      ["set-cookie", "LB=1"],
      ["set-cookie", "a=2; Path=/"],
      ["set-cookie", "c=3"],
    ]);
  });
});

describe("of the other answer's head", () => {
  const other = fields({ ":status": "404", ...Object.fromEntries(UNSAID), "x-own": "1", "set-cookie": "a=1" });

  test("nothing stays that this one does not say, but for what Envoy says or lets nobody write", () => {
    expect(staleHeaders(other, [["x-own", "2"]])).toEqual([
      "content-length",
      "x-mcp-endpoint",
      "x-mcp-session",
      "location",
      "content-location",
      "x-envoy-peer-metadata",
      "x-odd",
      "set-cookie",
    ]);
  });
});
