import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { type Config, loadConfig } from "../../../src/config/load.ts";
import { requestPolicy } from "../../../src/config/policy.ts";

const MINIMAL = {
  backends: { one: { endpoints: ["10.0.0.1:3000"] } },
  routes: [{ path: "/mcp", backends: ["one"] }],
};

type Sections = Readonly<Record<string, unknown>>;

function load(over: Sections = {}): Config {
  const loaded = loadConfig(stringify({ ...MINIMAL, ...over }));
  if (!loaded.ok) throw new Error(loaded.errors.join("\n"));
  return loaded.config;
}

function errorsOf(over: Sections): readonly string[] {
  const loaded = loadConfig(stringify({ ...MINIMAL, ...over }));
  return loaded.ok ? [] : loaded.errors;
}

const minutes = 60_000;

test("the smallest configuration gets every default", () => {
  expect(load()).toEqual({
    gateway: { listen: { host: "0.0.0.0", port: 8080 } },
    egress: { listen: { host: "127.0.0.1", port: 8081 } },
    processor: {
      listen: { kind: "tcp", host: "127.0.0.1", port: 50051 },
      endpoints: [{ kind: "tcp", host: "127.0.0.1", port: 50051 }],
      messageTimeout: 5_000,
      drain: 30_000,
    },
    envoy: {},
    sessions: { idle: 30 * minutes, lifetime: 24 * 60 * minutes },
    log: { level: "info" },
    limits: { body: 4 * 1024 * 1024, batch: 100, depth: 128, name: 4096, initialize: 64 * 1024 },
    backends: [
      {
        name: "one",
        endpoints: [{ host: "10.0.0.1", port: 3000 }],
        path: "/mcp",
        host: undefined,
        tls: undefined,
        timeouts: { call: 10 * minutes, listen: 30 * minutes, connect: 5_000 },
      },
    ],
    routes: [{ path: "/mcp", backend: "one", sessions: "optional" }],
  });
});

test("a backend's own timeouts go before the common ones", () => {
  const config = load({
    timeouts: { call: "2m", listen: "5m" },
    backends: { one: { endpoints: ["h:1"], timeouts: { call: "20s" } } },
  });
  expect(config.backends[0]?.timeouts).toEqual({ call: 20_000, listen: 5 * minutes, connect: 5_000 });
});

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

describe("an error names the path, the value, and what was expected", () => {
  test.each<[Sections, string]>([
    [
      { gateway: { listen: "8080" } },
      'gateway.listen: got "8080", expected an address such as "127.0.0.1:8080" or "[::1]:8080"',
    ],
    [{ gateway: { listen: "h:65536" } }, 'gateway.listen: got "h:65536", expected an address'],
    [
      { processor: { listen: "unix:relative" } },
      'processor.listen: got "unix:relative", expected an address such as "127.0.0.1:50051" or "unix:',
    ],
    [{ gateway: { port: 1 } }, 'gateway: unknown setting "port"'],
    [{ gatway: {} }, 'top level: unknown setting "gatway"'],
    [
      { gateway: { origins: ["https://app.example/path"] } },
      'gateway.origins[0]: got "https://app.example/path", expected an origin',
    ],
    [{ gateway: { origins: ["app.example"] } }, 'gateway.origins[0]: got "app.example", expected an origin'],
    [
      { sessions: { idle: "soon" } },
      'sessions.idle: got "soon", expected a duration such as "500ms", "10s", "30m" or "24h"',
    ],
    [{ sessions: { idle: "0s" } }, 'sessions.idle: got "0s", expected a duration'],
    [{ sessions: { lifetime: "100d" } }, 'sessions.lifetime: got "100d", expected a duration'],
    [{ sessions: { idle: 30 } }, "sessions.idle: got 30, expected a duration"],
    [{ limits: { body: "4MB" } }, 'limits.body: got "4MB", expected'],
    [{ limits: { batch: 0 } }, "limits.batch: got 0, "],
    [{ log: { level: "loud" } }, 'log.level: got "loud", '],
    [{ backends: {} }, "backends: got {}, expected at least one backend"],
    [{ backends: { One: { endpoints: ["h:1"] } } }, "backends.One: got "],
    [{ backends: { one: { endpoints: [] } } }, "backends.one.endpoints: got [], expected at least one endpoint"],
    [{ backends: { one: {} } }, "backends.one.endpoints: missing, expected"],
    [{ routes: [] }, "routes: got [], expected at least one route"],
    [{ routes: [{ path: "mcp", backends: ["one"] }] }, 'routes[0].path: got "mcp", expected a path such as "/mcp"'],
    [{ routes: [{ path: "/mcp/", backends: ["one"] }] }, 'routes[0].path: got "/mcp/"'],
    [{ routes: [{ path: "/a/../mcp", backends: ["one"] }] }, 'routes[0].path: got "/a/../mcp"'],
    [{ routes: [{ path: "/mcp?x", backends: ["one"] }] }, 'routes[0].path: got "/mcp?x"'],
    [{ routes: [{ path: "/%6dcp", backends: ["one"] }] }, 'routes[0].path: got "/%6dcp"'],
    [
      { routes: [{ path: "/mcp", backends: ["two"] }] },
      'routes[0].backends: got "two", expected one of the backends: one',
    ],
  ])("%j", (over, error) => {
    expect(errorsOf(over)).toEqual([expect.stringContaining(error)]);
  });

  test("a value that is long is shown in part", () => {
    const [error] = errorsOf({ sessions: { idle: "x".repeat(500) } });
    expect(error?.length).toBeLessThan(250);
  });

  test("all errors are told at once", () => {
    expect(errorsOf({ gateway: { listen: 1 }, sessions: { idle: 1 } })).toHaveLength(2);
  });

  test.each(["a: [", "a: 1\na: 2"])("text that is not YAML: %j", (text) => {
    expect(loadConfig(text)).toMatchObject({ ok: false, errors: [expect.stringMatching(/^not YAML: .*line \d/s)] });
  });

  test.each(["", "just text", "[]"])("YAML that holds no settings: %j", (text) => {
    const loaded = loadConfig(text);
    expect(loaded).toMatchObject({ ok: false, errors: [expect.stringMatching(/^top level: /)] });
  });
});

describe("settings that contradict each other", () => {
  test("two routes with one path", () => {
    const routes = [...MINIMAL.routes, ...MINIMAL.routes];
    expect(errorsOf({ routes })).toEqual(['routes[1].path: got "/mcp", which routes[0] has already']);
  });

  test("two listeners on one address", () => {
    expect(errorsOf({ gateway: { listen: "h:1" }, envoy: { admin: "h:1" } })).toEqual([
      "envoy.admin: got h:1, which gateway.listen listens on already",
    ]);
  });

  test("a Unix socket beside a DNS name, of which Envoy would drop the socket", () => {
    const endpoints = ["unix:/run/router.sock", "router.svc:50051"];
    expect(errorsOf({ processor: { endpoints } })).toEqual([
      expect.stringMatching(/^processor\.endpoints: got a Unix/),
    ]);
    expect(errorsOf({ processor: { endpoints: ["unix:/run/router.sock", "10.0.0.1:50051"] } })).toEqual([]);
  });

  test("idle below a bound of Envoy's: a session would end under a running request", () => {
    expect(errorsOf({ sessions: { idle: "20m" } })).toEqual([
      expect.stringMatching(/^sessions\.idle: got 1200s, expected at least timeouts\.listen of backend one \(1800s\)/),
    ]);
    expect(errorsOf({ sessions: { idle: "5m" }, timeouts: { listen: "5m" } })).toEqual([
      expect.stringMatching(/timeouts\.call of backend one \(600s\)/),
    ]);
    expect(errorsOf({ sessions: { idle: "5m" }, timeouts: { listen: "5m", call: "5m" } })).toEqual([]);
  });

  test("idle above lifetime is clamped, with a warning", () => {
    const loaded = loadConfig(stringify({ ...MINIMAL, sessions: { idle: "2h", lifetime: "1h" } }));
    expect(loaded).toMatchObject({
      ok: true,
      config: { sessions: { idle: 60 * minutes, lifetime: 60 * minutes } },
      warnings: ["sessions.idle is above sessions.lifetime: clamped to it"],
    });
  });
});

describe("what is not built yet is refused by name", () => {
  test.each<[Sections, string]>([
    [{ store: { kind: "redis", url: "redis://x" } }, 'store.kind: "redis" is not built yet'],
    [{ identity: { kind: "jwt", issuer: "x" } }, 'identity.kind: "jwt" is not built yet'],
    [{ identity: { kind: "header", name: "x-user" } }, 'identity.kind: "header" is not built yet'],
    [{ admission: { sessions: 100 } }, "admission: not built yet"],
    [{ timeouts: { initialize: "10s" } }, "timeouts.initialize: not built yet"],
    [{ backends: { one: { endpoints: ["h:1"], url: "http://h" } } }, "backends.one.url: not built yet"],
    [
      { backends: { one: { endpoints: ["h:1"], onSessionLost: "recover" } } },
      'backends.one.onSessionLost: "recover" is not built yet',
    ],
    [
      {
        backends: { one: { endpoints: ["h:1"] }, two: { endpoints: ["h:2"] } },
        routes: [{ path: "/mcp", backends: ["one", "two"] }],
      },
      'routes[0].backends: "one, two" is not built yet; a federated route',
    ],
  ])("%j", (over, error) => {
    expect(errorsOf(over)).toEqual([expect.stringContaining(error)]);
  });
});

test("requests are decided by the routes, hosts, origins and limits of the configuration", () => {
  const config = load({
    gateway: { hosts: ["GW.example"], origins: ["https://app.example"] },
    backends: { one: { endpoints: ["h:1"], path: "/deep/mcp" } },
    routes: [{ path: "/mcp", backends: ["one"], sessions: "required" }],
  });
  expect(requestPolicy(config)).toEqual({
    routes: new Map([["/mcp", { path: "/mcp", backend: "one", backendPath: "/deep/mcp", sessions: "required" }]]),
    hosts: ["gw.example"],
    origins: ["https://app.example"],
    limits: config.limits,
  });
});
