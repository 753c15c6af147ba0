import { describe, expect, test } from "vitest";
import { credentialHeaders } from "../../../src/backends/credentials.ts";
import { replayHeaders } from "../../../src/recovery/sent-headers.ts";
import { fields } from "../core/fields.ts";

describe("of the client's headers", () => {
  const mine = {
    authorization: "Bearer x",
    "x-user": "ada",
    cookie: "a=1",
    "user-agent": "é",
    traceparent: "00-1",
    // What narrows a server, or names the caller to it.
    "x-mcp-readonly": "true",
    "x-mcp-toolsets": "issues",
    "x-client-id": "tenant-7",
  };
  const ofTheMessage = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "accept-encoding": "gzip",
    "mcp-protocol-version": "2025-11-25",
    "mcp-method": "tools/call",
    "mcp-name": "a",
    "mcp-param-city": "Rome",
    "content-language": "en",
    "last-event-id": "1",
  };
  const ofTheHop = {
    ":method": "POST",
    ":path": "/public",
    ":authority": "gw",
    host: "gw",
    connection: "keep-alive, X-Nominated",
    "x-nominated": "1",
    "proxy-authorization": "Basic 1",
    "keep-alive": "1",
    "proxy-connection": "keep-alive",
    te: "trailers",
    trailer: "x",
    "transfer-encoding": "chunked",
    upgrade: "h2c",
    expect: "100-continue",
    "content-length": "2",
    "x-request-id": "1",
    "mcp-session-id": "client-id",
    "x-mcp-session": "spoofed",
    "x-mcp-backend": "spoofed",
    "x-mcp-method": "spoofed",
    "x-mcp-name": "spoofed",
    "x-mcp-path": "/public",
    "x-mcp-endpoint": "10.0.0.1:80",
    "x-envoy-expected-rq-timeout-ms": "1",
  };
  const all = fields({ ...ofTheHop, ...mine, ...ofTheMessage });

  test("all go on with a replay that do not belong to the hop, and our own labels", () => {
    expect(replayHeaders(all, "remove", "tag", { method: "tools/call", name: "a" })).toEqual([
      ...Object.entries(mine),
      ...Object.entries(ofTheMessage),
      ["x-mcp-session", "tag"],
      ["x-mcp-method", "tools/call"],
      ["x-mcp-name", "a"],
    ]);
    for (const labels of [undefined, { method: undefined, name: undefined }])
      expect(replayHeaders(all, "remove", "tag", labels).slice(-1)).toEqual([["x-mcp-session", "tag"]]);
  });

  test("those that say who it is go on with our own calls, and none of its message", () => {
    expect(credentialHeaders(all, "remove")).toEqual(Object.entries(mine));
  });

  test("those that say of which page it is go on with neither, unless the backend wants them", () => {
    const page = { origin: "https://app.example", "sec-fetch-site": "cross-site" };
    const headers = fields({ ...mine, ...page });
    expect(replayHeaders(headers, "remove", "tag", undefined).map(([name]) => name)).not.toContain("origin");
    expect(credentialHeaders(headers, "remove")).toEqual(Object.entries(mine));
    expect(replayHeaders(headers, "forward", "tag", undefined)).toEqual(
      expect.arrayContaining([...Object.entries(page)]),
    );
    expect(credentialHeaders(headers, "forward")).toEqual(Object.entries({ ...mine, ...page }));
  });

  test("none goes on that says to be our own call", () => {
    const spoofed = fields({ "x-client-id": "mcp-router/sweep", "x-user": "ada" });
    expect(credentialHeaders(spoofed, "remove")).toEqual([["x-user", "ada"]]);
    expect(replayHeaders(spoofed, "remove", "tag", undefined)).toEqual([
      ["x-user", "ada"],
      ["x-mcp-session", "tag"],
    ]);
  });

  test("several of one name stay several", () => {
    const twice = {
      get: () => undefined,
      present: () => [],
      entries: () => [["cookie", "a"] as const, ["cookie", "b"] as const],
      size: 14,
    };
    expect(credentialHeaders(twice, "remove")).toEqual([
      ["cookie", "a"],
      ["cookie", "b"],
    ]);
  });

  test("names the version that a backend of several has agreed on, in place of the client's", () => {
    const headers = fields({ ":method": "POST", "mcp-protocol-version": "2025-11-25", authorization: "Bearer ada" });
    expect(replayHeaders(headers, "remove", "tag", undefined, "2025-03-26")).toEqual([
      ["authorization", "Bearer ada"],
      ["mcp-protocol-version", "2025-03-26"],
      ["x-mcp-session", "tag"],
    ]);
  });
});
