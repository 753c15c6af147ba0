/** What `check --live` says of what clients get, and of backends whose messages pass as they are. */
import { describe, expect, test } from "vitest";
import {
  backendErrors,
  clientsGet,
  gatewayAway,
  itselfInWords,
  passingInWords,
} from "../../../src/check/client-report.ts";
import type { Asked } from "../../../src/init/ask.ts";

const URL_OF = "http://127.0.0.1:8080/mcp";
const NONE = { kind: "none" } as const;
type Identity = Parameters<typeof clientsGet>[1];
const jwt = (required: boolean): Identity => ({
  kind: "jwt",
  issuer: "https://issuer.example",
  audiences: ["mcp"],
  jwks: { kind: "file", file: "/jwks.json" },
  required,
  metadata: undefined,
});

const server = (over: Partial<Extract<Asked, { kind: "server" }>> = {}): Asked => ({
  kind: "server",
  name: "files",
  version: "1.2.0",
  protocol: "2025-11-25",
  tools: { kind: "counted", count: 3, isWhole: true },
  ...over,
});
const guarded = (status: number): Asked => ({ kind: "guarded", status });
const answered = (status: number, message?: string): Asked => ({
  kind: "none",
  cause: { kind: "answered", status, type: "application/json", message },
});
const AWAY: Asked = { kind: "none", cause: { kind: "away", why: "ECONNREFUSED" } };

function gets(asked: Asked, identity: Identity = NONE): string {
  const [got] = clientsGet([{ of: "/mcp", url: URL_OF, asked }], identity).values();
  return got?.line ?? got?.errors.map(({ kind, text }) => `${kind}: ${text}`).join() ?? "";
}

describe("a client", () => {
  test.each<[Asked, string]>([
    [server(), "a client gets: files 1.2.0, protocol 2025-11-25, 3 tools"],
    [
      server({ tools: { kind: "counted", count: 1, isWhole: true } }),
      "a client gets: files 1.2.0, protocol 2025-11-25, 1 tool",
    ],
    [
      server({ name: undefined, version: undefined, tools: { kind: "counted", count: 100, isWhole: false } }),
      "a client gets: a server, protocol 2025-11-25, more than 100 tools",
    ],
    [server({ tools: undefined }), "a client gets: files 1.2.0, protocol 2025-11-25"],
    [guarded(401), "a client without credentials gets 401: its backend wants them"],
  ])("gets what is in order: %j", (asked, line) => {
    expect(gets(asked)).toBe(`${line} (${URL_OF})`);
  });

  test.each<[Asked, string]>([
    [
      server({ tools: { kind: "failed", why: "it answers 500" } }),
      "a client gets files 1.2.0, protocol 2025-11-25, but not its tools: it answers 500",
    ],
    [guarded(403), "a client without a token gets 403"],
    [
      answered(404),
      "a client's initialize gets 404: the router that Envoy asks has another file, or the backend has no MCP server at its path",
    ],
    [answered(503, "Backend unavailable"), 'a client\'s initialize gets 503, "Backend unavailable"'],
    [
      answered(503, "Gateway unavailable"),
      'a client\'s initialize gets 503, "Gateway unavailable": Envoy reaches no router at processor.endpoints: start it with `mcp-router serve`',
    ],
    [AWAY, "a client's initialize gets no answer: ECONNREFUSED"],
  ])("gets what is an error: %j", (asked, text) => {
    expect(gets(asked)).toBe(`error: /mcp: ${text} (${URL_OF})`);
  });

  test("without a token is refused where one is required, and an error where it is served", () => {
    expect(gets(guarded(401), jwt(true))).toBe(`a client without a token gets 401, as it should (${URL_OF})`);
    expect(gets(guarded(403), jwt(true))).toBe(`error: /mcp: a client without a token gets 403 (${URL_OF})`);
    expect(gets(server(), jwt(true))).toMatch(
      /^error: \/mcp: a client without a token is served, though identity\.required is true/,
    );
    const header = { kind: "header", name: "x-user", required: true } as const;
    expect(gets(guarded(401), header)).toBe(`a client without x-user gets 401, as it should (${URL_OF})`);
    expect(gets(server(), jwt(false))).toMatch(/^a client gets: files/);
  });
});

test("that Envoy answers no client at all is told once, and only where it is so for all routes", () => {
  const found = (asked: Asked) => ({ of: "/mcp", url: URL_OF, asked });
  expect(gatewayAway([found(AWAY), found(AWAY)])).toEqual([
    {
      kind: "error",
      text: expect.stringMatching(
        /^Envoy does not answer clients at http:\/\/127\.0\.0\.1:8080 \(gateway\.listen\): ECONNREFUSED: start it/,
      ),
    },
  ]);
  expect(gatewayAway([found(AWAY), found(server())])).toEqual([]);
  expect(gatewayAway([])).toEqual([]);
});

test("a backend that does not answer through Envoy is an error, with what it says itself", () => {
  const through = [
    { of: "one", url: "http://127.0.0.1:8081/mcp", asked: answered(503, "Backend unavailable") },
    { of: "two", url: "http://127.0.0.1:8081/mcp", asked: guarded(401) },
  ];
  const itself = itselfInWords([
    { of: "one", url: "http://10.0.0.1:3000/mcp", asked: AWAY },
    { of: "one", url: "http://10.0.0.2:3000/mcp", asked: server() },
  ]);
  expect(backendErrors(through, itself, "127.0.0.1:8081").map(({ text }) => text)).toEqual([
    'backend one does not answer through 127.0.0.1:8081 (egress): 503, "Backend unavailable"; asked at http://10.0.0.1:3000/mcp itself: ' +
      "no answer (ECONNREFUSED): is the server running, and is that its URL?; asked at http://10.0.0.2:3000/mcp itself: it answers: Envoy is what does not reach it",
  ]);
  expect(passingInWords("/one", "one", through, new Map())).toBe("/one\n  one: does not answer\n");
  expect(passingInWords("/two", "two", through, new Map([["/two", "a client gets: x"]]))).toBe(
    "/two\n  two: answers 401 without credentials\n  a client gets: x\n",
  );
});
