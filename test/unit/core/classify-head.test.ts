import { describe, expect, test } from "vitest";
import { classifyHead } from "../../../src/core/classify-head.ts";
import type { RequestPolicy } from "../../../src/core/routes.ts";
import { fields } from "./fields.ts";
import { POLICY, ROUTE } from "./policy.ts";

const route = ROUTE;
const policy: RequestPolicy = { ...POLICY, limits: { ...POLICY.limits, body: 1_000 } };
const POST = { ":method": "POST", ":path": "/mcp", ":authority": "gw.example", "content-type": "application/json" };

function open(headers: Record<string, string>, over: { endOfStream?: boolean; policy?: Partial<RequestPolicy> } = {}) {
  const head = { headers: fields({ ...POST, ...headers }), endOfStream: over.endOfStream ?? false };
  return classifyHead(head, { ...policy, ...over.policy });
}

const refused = (reason: string) => ({ kind: "reject", reject: { reason } });

test.each([
  [{}, { kind: "message", route, query: "" }],
  [{ ":path": "/mcp?a=?b" }, { kind: "message", route, query: "?a=?b" }],
  [{ ":path": "/mcp/" }, { kind: "message", route, query: "" }],
  [{ ":path": "//mcp//?a=//" }, { kind: "message", route, query: "?a=//" }],
  [
    { ":method": "GET", accept: "application/json, text/event-stream" },
    { kind: "listen", route, query: "" },
  ],
  [
    { ":method": "GET", accept: "*/*" },
    { kind: "listen", route, query: "" },
  ],
  [{ ":method": "GET" }, { kind: "listen", route, query: "" }],
  [{ ":method": "DELETE" }, { kind: "end", route, query: "" }],
  [{ "content-encoding": "Identity" }, { kind: "message", route, query: "" }],
  [{ "content-encoding": "" }, { kind: "message", route, query: "" }],
  [{ "content-encoding": "identity, identity" }, { kind: "message", route, query: "" }],
  [{ "content-type": "Application/JSON; Charset=UTF-8" }, { kind: "message", route, query: "" }],
])("%j opens an exchange", (headers, opening) => {
  expect(open(headers)).toEqual(opening);
});

test.each([
  [{ ":path": "/mcp/x" }, "no-route"],
  [{ ":path": "/mcp%2F" }, "no-route"],
  [{ ":path": "//" }, "no-route"],
  [{ ":path": "" }, "no-route"],
  [{ ":path": "mcp" }, "no-route"],
  [{ ":path": "/mcp#x" }, "no-route"],
  [{ ":method": "PUT" }, "method-not-allowed"],
  [{ ":method": "get" }, "method-not-allowed"],
  [{ ":method": "GET", accept: "application/json" }, "not-acceptable"],
  [{ ":method": "GET", accept: "text/event-stream;q=0, */*" }, "not-acceptable"],
  [{ "content-type": "application/jsonp" }, "content-type"],
  [{ "content-type": "" }, "content-type"],
  [{ "content-type": "application/json; charset=utf-7" }, "content-type"],
  [{ "content-encoding": "br" }, "content-encoding"],
])("%j is refused as %s", (headers, reason) => {
  expect(open(headers)).toEqual(refused(reason));
});

test.each(["x-http-method-override", "x-http-method", "x-method-override"])(
  "a request that overrides its method by %s is refused",
  (name) => {
    for (const method of ["POST", "GET", "DELETE"])
      expect(open({ ":method": method, accept: "text/event-stream", [name]: "DELETE" })).toMatchObject(
        refused("invalid-request"),
      );
  },
);

test("a POST without a body is refused as not JSON", () => {
  expect(open({}, { endOfStream: true })).toEqual(refused("not-json"));
});

test("the path of a foreign host is not looked at", () => {
  const over = { policy: { hosts: ["gw.example"] } };
  expect(open({ ":authority": "evil.example", ":path": "/nothing" }, over)).toEqual(refused("host-not-allowed"));
});

describe("hosts", () => {
  test.each([
    ["gw.example", ["gw.example"], true],
    ["GW.Example:8443", ["gw.example"], true],
    ["gw.example:8443", ["gw.example:8443"], true],
    ["gw.example:80", ["gw.example:8443"], false],
    ["gw.example", ["gw.example:8443"], false],
    ["gw.example:", ["gw.example"], true],
    ["gw.example", ["gw.example:443"], true],
    ["gw.example", ["gw.example:80"], true],
    ["gw.example:443", ["gw.example:80"], false],
    ["gw.example:80", ["gw.example:443"], false],
    ["gw.example:443", ["gw.example:443"], true],
    ["other.example", ["gw.example:443"], false],
    ["[::1]:80", ["[::1]"], true],
    ["[::1]", ["[::1]:443"], true],
    ["[::1]:8080", ["[::1]:443"], false],
    ["[0:0:0:0:0:0:0:1]:80", ["[::1]"], true],
    ["[::FFFF:127.0.0.1]", ["[::ffff:7f00:1]"], true],
    ["[::1]", ["[0::1]"], true],
    ["::1", ["[::1]"], false],
    ["[::1", ["[::1]"], false],
    ["[:::1]", ["[::1]"], false],
    ["[::1].evil.example", ["[::1]"], false],
    ["user@gw.example", ["gw.example"], false],
    ["gw.example@evil.example", ["gw.example"], false],
    ["gw.example:80@evil.example", ["gw.example"], false],
    ["gw.example:80:80", ["gw.example"], false],
    ["gw.example:x", ["gw.example"], false],
    ["gw.example.evil", ["gw.example"], false],
    ["", ["gw.example"], false],
  ])("%s with %j: %s", (authority, hosts, allowed) => {
    const opening = open({ ":authority": authority }, { policy: { hosts } });
    expect(opening).toMatchObject(allowed ? { kind: "message" } : refused("host-not-allowed"));
  });

  test("none configured means any, but none with userinfo", () => {
    expect(open({ ":authority": "evil.example" })).toMatchObject({ kind: "message" });
    expect(open({ ":authority": "user@gw.example" })).toEqual(refused("host-not-allowed"));
  });
});

describe("origins", () => {
  test.each([
    ["http://gw.example", "gw.example", undefined, true],
    ["https://GW.example", "gw.example:443", undefined, true],
    ["http://gw.example:80", "gw.example", undefined, true],
    ["http://gw.example:8080", "gw.example:8080", undefined, true],
    ["http://gw.example:3000", "gw.example:8080", undefined, false],
    ["https://gw.example", "gw.example:80", undefined, false],
    ["https://evil.example", "gw.example", undefined, false],
    ["null", "gw.example", undefined, false],
    ["", "gw.example", undefined, true],
    ["", "gw.example", ["https://app.example"], true],
    ["https://gw.example@evil.example", "gw.example", undefined, false],
    ["file:///x", "gw.example", undefined, false],
    ["http://gw.example/", "gw.example", undefined, false],
    ["http://", "gw.example", undefined, false],
    ["http://gw.example://x", "gw.example", undefined, false],
    ["ftp://gw.example", "gw.example", undefined, false],
    ["http://[::1]:8080", "[::1]:8080", undefined, true],
    ["http://[::1]", "[0:0:0:0:0:0:0:1]:80", undefined, true],
    ["http://[::1]", "[::2]", undefined, false],
    ["https://[::1]", "[::1]:80", undefined, false],
    // TLS may end ahead of Envoy, and the Host say nothing of it.
    ["https://gw.example", "gw.example", undefined, true],
    // No guard against DNS rebinding: that is what hosts are for.
    ["http://evil.example", "evil.example", undefined, true],
    ["https://app.example", "gw.example", ["https://app.example"], true],
    ["https://APP.example", "gw.example", ["https://app.example"], true],
    ["https://app.example:444", "gw.example", ["https://app.example"], false],
    ["https://gw.example", "gw.example", ["https://app.example"], false],
  ])("%s calling %s with %j configured: %s", (origin, authority, origins, allowed) => {
    const opening = open({ origin, ":authority": authority }, { policy: { origins } });
    expect(opening).toMatchObject(allowed ? { kind: "message" } : refused("origin-not-allowed"));
  });
});
