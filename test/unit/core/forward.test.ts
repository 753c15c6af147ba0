import { expect, test } from "vitest";
import { forward, strip, watchedHeaders } from "../../../src/core/forward.ts";
import { INTERNAL_HEADERS } from "../../../src/core/headers.ts";
import { fields } from "./fields.ts";
import { BACKEND } from "./policy.ts";

const spoofed = Object.fromEntries(INTERNAL_HEADERS.map((name) => [name, "spoofed"]));
const unpinned = {
  backend: BACKEND,
  query: "?q",
  labels: undefined,
  sessionTag: undefined,
  principalTag: undefined,
  pin: undefined,
  version: undefined,
};

test("a request without copies of our headers goes on untouched", () => {
  expect(strip(watchedHeaders(fields({ host: "x", "x-client-id": "agent" })).spoofed)).toEqual({ kind: "continue" });
});

test("a client's copies of our headers go, and Envoy chooses its route again", () => {
  expect(strip(watchedHeaders(fields({ ...spoofed, "x-client-id": "mcp-router/sweep" })).spoofed)).toEqual({
    kind: "mutate",
    set: [],
    remove: [...INTERNAL_HEADERS, "x-client-id"],
    clearRoute: true,
  });
});

test.each([
  [{ origin: "https://app.example", "sec-fetch-site": "same-site" }, ["origin", "sec-fetch-site"]],
  [{ origin: "" }, ["origin"]],
  // Not from another page: servers take no offence.
  [{ "sec-fetch-site": "none" }, []],
  [{}, []],
])("of a request with %j a backend is not told %j", (headers, kept) => {
  expect(watchedHeaders(fields(headers)).page).toEqual(kept);
});

test("a request in a session is sent to its backend, endpoint and session", () => {
  const pin = { sessionId: "backend-id", endpoint: "10.0.0.1:80" };
  const labels = { method: "tools/call", name: "echo" };
  const verdict = forward(
    { backend: BACKEND, query: "?q", labels, sessionTag: "tag", principalTag: "who", pin, version: undefined },
    ["mcp-session-id"],
  );
  expect(verdict).toEqual({
    kind: "mutate",
    set: [
      [":path", "/mcp?q"],
      ["x-mcp-backend", "one"],
      ["x-mcp-endpoint", "10.0.0.1:80"],
      ["mcp-session-id", "backend-id"],
      ["x-mcp-principal", "who"],
      ["x-mcp-session", "tag"],
      ["x-mcp-method", "tools/call"],
      ["x-mcp-name", "echo"],
    ],
    remove: [],
    clearRoute: true,
  });
});

test("an initialize tells what its client calls itself, over the client's own copy of the header", () => {
  const labels = { method: "initialize", name: undefined, client: "agent 1" };
  const verdict = forward({ ...unpinned, labels }, ["x-mcp-client", "x-mcp-name"]);
  expect(verdict).toMatchObject({
    set: expect.arrayContaining([["x-mcp-client", "agent 1"]]),
    remove: ["x-mcp-name"],
  });
});

test("a request outside a session takes no endpoint, session or label of the client's along", () => {
  const verdict = forward(unpinned, [...INTERNAL_HEADERS, "mcp-session-id"]);
  expect(verdict).toEqual({
    kind: "mutate",
    set: [
      [":path", "/mcp?q"],
      ["x-mcp-backend", "one"],
    ],
    remove: [...INTERNAL_HEADERS.filter((name) => name !== "x-mcp-backend"), "mcp-session-id"],
    clearRoute: true,
  });
});

test("a request to one of several backends names the version that the backend speaks, and the backend's own tool", () => {
  const labels = { method: "tools/call", name: "files__read", tool: "read" };
  const verdict = forward({ ...unpinned, labels, version: "2025-03-26" }, ["x-mcp-tool"]);
  expect(verdict).toMatchObject({
    set: expect.arrayContaining([
      ["mcp-protocol-version", "2025-03-26"],
      ["x-mcp-name", "files__read"],
      ["x-mcp-tool", "read"],
    ]),
    remove: [],
  });
});
