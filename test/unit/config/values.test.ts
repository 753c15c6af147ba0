/** The kinds of value, each as it is written. */
import { describe, expect, test } from "vitest";
import { errorsOf, load, warningsOf } from "./sections.ts";

test.each([
  ["127.0.0.1:1", { kind: "tcp", host: "127.0.0.1", port: 1 }],
  ["[::1]:65535", { kind: "tcp", host: "::1", port: 65_535 }],
  ["router.svc:50051", { kind: "tcp", host: "router.svc", port: 50_051 }],
  ["unix:/run/router.sock", { kind: "unix", path: "/run/router.sock" }],
])("the processor listens on %s", (listen, address) => {
  const { processor } = load({ processor: { listen } });
  expect(processor).toMatchObject({ listen: address, endpoints: [address] });
});

test.each([
  ["500ms", 500],
  ["10s", 10_000],
  ["3m", 180_000],
  ["2h", 7_200_000],
  ["7d", 604_800_000],
])("a duration of %s is %i ms", (drain, ms) => {
  expect(load({ processor: { drain } }).processor.drain).toBe(ms);
});

test.each([
  [512, 512],
  ["512B", 512],
  ["256KiB", 262_144],
  ["2MiB", 2_097_152],
  ["1GiB", 1_073_741_824],
])("a size of %s is %i bytes", (body, bytes) => {
  expect(load({ limits: { body } }).limits.body).toBe(bytes);
});

describe("hosts", () => {
  test.each(["gw.example", "10.0.0.1", "[::1]", "gw.example:8080", "[::1]:8080", "under_score"])("%s", (host) => {
    expect(load({ gateway: { hosts: [host] } }).gateway.hosts).toEqual([host]);
  });

  test("are kept in lower case", () => {
    expect(load({ gateway: { hosts: ["GW.Example:80"] } }).gateway.hosts).toEqual(["gw.example:80"]);
  });

  test.each(["", "https://gw.example", "gw.example/", "*.example", "::1", "a b"])("not %j", (host) => {
    expect(errorsOf({ gateway: { hosts: [host] } })).toEqual([
      `gateway.hosts[0]: got ${JSON.stringify(host)}, expected a host such as "mcp.example.com", "10.0.0.1:8080" or "[::1]", without a scheme, path or wildcard`,
    ]);
  });

  test.each(["gw.example:0", "gw.example:99999"])("not %j, and the range of ports is told", (host) => {
    expect(errorsOf({ gateway: { hosts: [host] } })).toEqual([
      expect.stringMatching(/, expected a host such as .*; a port is a number from 1 to 65535$/),
    ]);
  });

  test("a warning says what it means when none are set and nothing else keeps foreign pages out", () => {
    const warning = expect.stringMatching(/^gateway\.hosts is not set: any Host is accepted.*DNS rebinding/);
    expect(warningsOf({})).toEqual([warning]);
    expect(warningsOf({ gateway: { hosts: ["gw.example"] } })).toEqual([]);
    expect(warningsOf({ gateway: { origins: ["https://app.example"] } })).toEqual([]);
    expect(warningsOf({ gateway: { tls: { cert: "c", key: "k" } } })).toEqual([]);
  });
});

describe("origins", () => {
  test.each([
    ["https://App.example", "https://app.example"],
    ["http://[::1]:3000", "http://[::1]:3000"],
    ["chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"],
    ["vscode-webview://1A2b-3c", "vscode-webview://1a2b-3c"],
    ["app://localhost:8080", "app://localhost:8080"],
  ])("%s", (written, origin) => {
    expect(load({ gateway: { origins: [written] } }).gateway.origins).toEqual([origin]);
  });

  test.each([
    "null",
    "https://app.example/",
    "https://app.example:443",
    "https://*.example",
    "https://",
    "https://a b",
    "chrome-extension://abc/page.html",
    "file:///",
  ])("not %s", (origin) => {
    expect(errorsOf({ gateway: { origins: [origin] } })).toEqual([
      expect.stringContaining(`gateway.origins[0]: got ${JSON.stringify(origin)}, expected an origin such as`),
    ]);
  });
});

test.each(["/", "/mcp", "/mcp/", "/a//b", "/a/../b", "/%6dcp", "/v1;a=b/@c"])("a backend's path may be %s", (path) => {
  const config = load({ backends: { one: { endpoints: ["h:1"], path } } });
  expect(config.backends[0]?.path).toBe(path);
});
