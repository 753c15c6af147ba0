import { describe, expect, test } from "vitest";
import { headForClient, isRedirect, readInitializeAnswer, readRedirect } from "../../../src/core/answer-head.ts";
import { BACKEND_ADDRESS_HEADERS, INTERNAL_HEADERS, X_MCP_PATH } from "../../../src/core/headers.ts";
import { fields } from "./fields.ts";

test.each([
  ["300", true],
  ["301", true],
  ["302", true],
  ["303", true],
  [307, true],
  ["308", true],
  ["399", true],
  ["304", false],
  ["200", false],
  ["299", false],
  ["400", false],
  [undefined, false],
  ["", false],
] as const)("status %s sends a client elsewhere: %s", (status, expected) => {
  expect(isRedirect(status)).toBe(expected);
});

describe("a redirect of a backend that answers at 10.0.0.1:8080, by /mcp", () => {
  test.each([
    ["/mcp/", "http://10.0.0.1:8080/mcp/", "/mcp/"],
    ["http://files.internal:3001/mcp/", "http://files.internal:3001/mcp/", "/mcp/"],
    ["https://mcp.example/mcp/?token=secret#x", "https://mcp.example/mcp/", "/mcp/"],
    ["http://10.0.0.1:8080/v2?state=secret", "http://10.0.0.1:8080/v2", "/v2"],
    ["mcp/v2", "http://10.0.0.1:8080/mcp/v2", "/mcp/v2"],
    // Another server's path is none of this one's.
    ["https://login.example/authorize?state=secret", "https://login.example/authorize", undefined],
    // To itself, by another scheme say: no path helps.
    ["https://files.internal/mcp", "https://files.internal/mcp", undefined],
    ["//files.internal/mcp", "http://files.internal/mcp", undefined],
    ["mailto:someone@example.com", undefined, undefined],
    ["http://[", undefined, undefined],
    [undefined, undefined, undefined],
    ["", "http://10.0.0.1:8080/mcp", undefined],
  ])("with Location %s leads to %s, and the path is %s", (location, to, pathThere) => {
    const headers = fields({ ":status": "307", ...(location !== undefined && { location }) });
    expect(readRedirect(headers, "/mcp", "10.0.0.1:8080")).toEqual({ kind: "redirects", status: "307", to, pathThere });
  });

  test("is told in part where it is long", () => {
    const headers = fields({ ":status": "308", location: `/${"x".repeat(10_000)}` });
    const fault = readRedirect(headers, "/mcp", "10.0.0.1:8080");
    expect(fault).toMatchObject({ kind: "redirects", pathThere: undefined });
    expect(JSON.stringify(fault).length).toBeLessThan(400);
  });
});

const headOf = (
  headers: Readonly<Record<string, string>>,
  endpoint: string | undefined = "10.0.0.1:80",
  flags = 0,
) => ({
  headers: fields(headers),
  endpoint,
  flags,
  endOfStream: false,
});

describe("the answer to an initialize", () => {
  test.each([
    ["UH", 0x2],
    ["UF", 0x20],
  ])("by Envoy, for %s, is that of a backend that takes no connections", (_, flags) => {
    expect(readInitializeAnswer({ ...headOf({ ":status": "503" }), endpoint: undefined, flags })).toEqual({
      kind: "unreachable",
      status: "503",
    });
  });

  test("by Envoy, for another reason, says nothing of the endpoint", () => {
    expect(readInitializeAnswer({ ...headOf({ ":status": "404" }), endpoint: undefined })).toBeUndefined();
  });

  test.each(["404", "405", "501"])("by %s is that of a path with nothing there", (status) => {
    expect(readInitializeAnswer(headOf({ ":status": status, "content-type": "application/json" }))).toEqual({
      kind: "nothing-there",
      status,
    });
  });

  test.each(["text/html; charset=utf-8", "", "application/jsonp", "text/plain"])("by 200 and %j is no MCP", (type) => {
    expect(readInitializeAnswer(headOf({ ":status": "200", "content-type": type }))).toEqual({
      kind: "no-mcp",
      status: "200",
      contentType: type,
    });
  });

  test.each([
    ["200", "application/json"],
    ["200", "Application/JSON ; charset=utf-8"],
    ["200", "text/event-stream; charset=utf-8"],
    ["200", "Text/Event-Stream"],
    ["202", ""],
    ["204", ""],
    // The status says it all: nothing is wrong with where the endpoint is.
    ["401", "text/html"],
    ["403", "text/html"],
    ["400", "text/plain"],
    ["500", "text/html"],
    ["503", "text/html"],
  ])("by %s and %j is as good as any", (status, type) => {
    expect(readInitializeAnswer(headOf({ ":status": status, "content-type": type }))).toBeUndefined();
  });
});

describe("of the head of an answer a client gets", () => {
  const addresses = Object.fromEntries(BACKEND_ADDRESS_HEADERS.map((name) => [name, "http://10.0.0.1/mcp"]));

  test("all, where nothing is the backend's own", () => {
    const headers = { ":status": "200", "content-type": "application/json", "set-cookie": "a=b", "x-any": "1" };
    expect(headForClient("ours", headOf(headers))).toEqual({ kind: "continue" });
  });

  test("its own session id, or none where it has none", () => {
    const answer = headOf({ "mcp-session-id": "the backend's" });
    expect(headForClient("ours", answer)).toEqual({
      kind: "mutate",
      set: [["mcp-session-id", "ours"]],
      remove: [],
      clearRoute: false,
    });
    expect(headForClient(undefined, answer)).toMatchObject({ set: [], remove: ["mcp-session-id"] });
  });

  test.each(["201", "202", "200", "404", "503"])("nothing that names the backend's own place, by %s", (status) => {
    expect(headForClient(undefined, headOf({ ":status": status, ...addresses }))).toMatchObject({
      set: [],
      remove: [...BACKEND_ADDRESS_HEADERS],
    });
    const inSession = headOf({ ":status": status, "mcp-session-id": "theirs", ...addresses });
    expect(headForClient("ours", inSession)).toMatchObject({
      set: [["mcp-session-id", "ours"]],
      remove: [...BACKEND_ADDRESS_HEADERS],
    });
  });

  test.each(["200", "404"])("nothing that looks like the gateway's own words, by %s", (status) => {
    const own = Object.fromEntries([...INTERNAL_HEADERS, X_MCP_PATH].map((name) => [name, "x"]));
    expect(headForClient("ours", headOf({ ":status": status, ...own }))).toEqual({
      kind: "mutate",
      set: [],
      remove: expect.arrayContaining(Object.keys(own)),
      clearRoute: false,
    });
  });

  test("what Envoy itself says, which is no backend's", () => {
    const redirect = { headers: fields({ ":status": "302", location: "https://login.example/" }), endpoint: undefined };
    expect(headForClient("ours", { ...redirect, flags: 0, endOfStream: true })).toEqual({ kind: "continue" });
  });
});
