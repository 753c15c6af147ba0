import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { LONGEST_SWEEP } from "../../../src/config/checks.ts";
import { type Config, loadConfig } from "../../../src/config/load.ts";
import { requestPolicy } from "../../../src/config/policy.ts";
import { REAP_GRACE_MS } from "../../../src/sessions/store.ts";

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
  return errorsIn(stringify({ ...MINIMAL, ...over }));
}

function errorsIn(text: string): readonly string[] {
  const loaded = loadConfig(text);
  return loaded.ok ? [] : loaded.errors;
}

function warningsOf(over: Sections): readonly string[] {
  const loaded = loadConfig(stringify({ ...MINIMAL, ...over }));
  if (!loaded.ok) throw new Error(loaded.errors.join("\n"));
  return loaded.warnings;
}

const minutes = 60_000;

test.each([
  [{ listen: "127.0.0.1:8081" }, { host: "127.0.0.1", port: 8081 }],
  [{ listen: "0.0.0.0:8081" }, { host: "127.0.0.1", port: 8081 }],
  [
    { listen: "0.0.0.0:8081", address: "envoy:8081" },
    { host: "envoy", port: 8081 },
  ],
])("with egress %j the processor's own calls go to %j", (egress, address) => {
  expect(load({ egress }).egress.address).toEqual(address);
});

test.each([
  ["replayBody", "replayBodies"],
  ["recoveredAnswer", "recoveredAnswers"],
])("limits.%s cannot be above limits.%s", (part, whole) => {
  expect(errorsOf({ limits: { [part]: "2MiB", [whole]: "1MiB" } })).toEqual([
    `limits.${part}: got 2097152 bytes, expected at most limits.${whole} (1048576 bytes), the total of all of them`,
  ]);
  expect(errorsOf({ limits: { [part]: "1MiB", [whole]: "1MiB" } })).toEqual([]);
});

test("the smallest configuration gets every default", () => {
  const one = {
    name: "one",
    endpoints: [{ host: "10.0.0.1", port: 3000 }],
    path: "/mcp",
    host: undefined,
    tls: undefined,
    timeouts: { call: 10 * minutes, listen: 30 * minutes, connect: 5_000, initialize: 10_000 },
    onSessionLost: "recover",
    origin: "remove",
  };
  expect(load()).toEqual({
    gateway: { listen: { host: "0.0.0.0", port: 8080 }, trustedHops: 0 },
    egress: { listen: { host: "127.0.0.1", port: 8081 }, address: { host: "127.0.0.1", port: 8081 } },
    processor: {
      listen: { kind: "tcp", host: "127.0.0.1", port: 50051 },
      workers: 1,
      endpoints: [{ kind: "tcp", host: "127.0.0.1", port: 50051 }],
      messageTimeout: 5_000,
      drain: 30_000,
    },
    envoy: { heap: 768 * 1024 * 1024, buffer: 64 * 1024, connections: 10_000, streams: 128, requests: 5_000 },
    store: { kind: "memory" },
    sessions: { idle: 30 * minutes, lifetime: 24 * 60 * minutes, unused: 60_000, sweep: 10_000 },
    admission: { sessions: 100, perPrincipal: 10, waiting: 100, park: minutes, wait: 40_000, retryAfter: 30_000 },
    identity: { kind: "none" },
    log: { level: "info" },
    limits: {
      body: 4 * 1024 * 1024,
      batch: 100,
      depth: 128,
      name: 4096,
      initialize: 64 * 1024,
      replayBody: 256 * 1024,
      replayBodies: 64 * 1024 * 1024,
      recoveredAnswer: 16 * 1024 * 1024,
      recoveredAnswers: 256 * 1024 * 1024,
    },
    backends: [one],
    routes: [{ kind: "transparent", path: "/mcp", sessions: "optional", backend: one }],
  });
});

test("a backend's own timeouts go before the common ones", () => {
  const config = load({
    timeouts: { call: "2m", listen: "5m" },
    backends: { one: { endpoints: ["h:1"], timeouts: { call: "20s" } } },
  });
  expect(config.backends[0]?.timeouts).toEqual({
    call: 20_000,
    listen: 5 * minutes,
    connect: 5_000,
    initialize: 10_000,
  });
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
      'gateway.listen: got "8080", expected an IP address with a port such as "127.0.0.1:8080" or "[::1]:8080"',
    ],
    [{ gateway: { listen: "10.0.0.1:65536" } }, 'gateway.listen: got "10.0.0.1:65536", expected an IP address'],
    // Envoy would end at its start: "malformed IP address".
    [{ gateway: { listen: "localhost:8080" } }, 'gateway.listen: got "localhost:8080", expected an IP address'],
    [{ egress: { listen: "localhost:8081" } }, 'egress.listen: got "localhost:8081", expected an IP address'],
    [{ envoy: { admin: "localhost:9901" } }, 'envoy.admin: got "localhost:9901", expected an IP address'],
    [
      { processor: { listen: "unix:relative" } },
      'processor.listen: got "unix:relative", expected an address such as "127.0.0.1:50051" or "unix:',
    ],
    [{ gateway: { hosts: [] } }, "gateway.hosts: got [], expected at least one host"],
    [{ gateway: { hosts: "gw.example" } }, 'gateway.hosts: got "gw.example", expected a list of hosts'],
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
    [{ limits: { body: "4MB" } }, 'limits.body: got "4MB", expected a size such as "512B", "4KiB" or "1MiB", from'],
    [{ limits: { body: "2GiB" } }, 'limits.body: got "2GiB", expected a size'],
    [{ limits: { name: "17KiB" } }, 'limits.name: got "17KiB", expected a size'],
    [{ limits: { name: 16_385 } }, "limits.name: got 16385, expected a size"],
    [{ limits: { initialize: "2MiB" } }, 'limits.initialize: got "2MiB", expected a size'],
    [{ limits: { batch: 0 } }, "limits.batch: got 0, expected a whole number from 1 to 10000"],
    [{ limits: { batch: 1.5 } }, "limits.batch: got 1.5, expected a whole number from 1 to 10000"],
    [{ limits: { depth: "8" } }, 'limits.depth: got "8", expected a whole number from 8 to 10000'],
    [
      { log: { level: "loud" } },
      'log.level: got "loud", expected one of trace, debug, info, warn, error, fatal, silent',
    ],
    [{ gateway: null }, "gateway: empty, expected settings under it; remove the empty key"],
    [{ gateway: [] }, "gateway: got [], expected settings under it"],
    [{ gateway: { listen: null } }, "gateway.listen: empty, expected an IP address"],
    [{ gateway: { tls: { cert: "", key: "k" } } }, 'gateway.tls.cert: got "", expected the path of a PEM file'],
    [{ store: null }, "store: empty, expected settings under it; remove the empty key"],
    [{ store: {} }, "store.kind: missing, expected one of memory, redis"],
    [{ identity: { kind: "oidc" } }, 'identity.kind: got "oidc", expected one of none, jwt, header'],
    [{ processor: { endpoints: [] } }, "processor.endpoints: got [], expected at least one address"],
    [{ backends: null }, "backends: empty, expected the backends, each by its name"],
    [{ backends: undefined }, "backends: missing, expected the backends, each by its name"],
    [{ backends: {} }, "backends: got {}, expected at least one backend"],
    [{ backends: { One: { endpoints: ["h:1"] } } }, 'backends: got "One", expected a name of lower-case letters'],
    [{ backends: { one: { endpoints: [] } } }, "backends.one.endpoints: got [], expected at least one endpoint"],
    [{ backends: { one: {} } }, "backends.one.endpoints: missing, expected a list of endpoints"],
    [{ backends: { one: { endpoints: ["h:1"], path: "mcp" } } }, 'backends.one.path: got "mcp", expected a path'],
    [{ backends: { one: { endpoints: ["h:1"], path: "/mcp?a=b" } } }, 'backends.one.path: got "/mcp?a=b"'],
    [{ backends: { one: { endpoints: ["h:1"], path: "/mcp#a" } } }, 'backends.one.path: got "/mcp#a"'],
    [{ backends: { one: { endpoints: ["h:1"], path: "/a b" } } }, 'backends.one.path: got "/a b"'],
    [{ backends: { one: { endpoints: ["h:1"], path: "/a\r\nb" } } }, 'backends.one.path: got "/a\\r\\nb"'],
    [{ routes: [] }, "routes: got [], expected at least one route"],
    [{ routes: undefined }, "routes: missing, expected a list of routes"],
    [{ routes: [{ backends: ["one"] }] }, 'routes[0].path: missing, expected a path such as "/mcp"'],
    [
      { routes: [{ path: "/mcp", backends: "one" }] },
      'routes[0].backends: got "one", expected a list of the names of backends',
    ],
    [{ routes: [{ path: "mcp", backends: ["one"] }] }, 'routes[0].path: got "mcp", expected a path such as "/mcp"'],
    [{ routes: [{ path: "/mcp//", backends: ["one"] }] }, 'routes[0].path: got "/mcp//"'],
    [{ routes: [{ path: "//mcp", backends: ["one"] }] }, 'routes[0].path: got "//mcp"'],
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
    expect(errorsIn(text)).toEqual([expect.stringMatching(/^not YAML: .*line \d/s)]);
  });

  test.each(["origins: [*.example.com]", "origins: *"])("a value that YAML takes for an alias: %j", (text) => {
    const [error] = errorsIn(text);
    expect(error).toMatch(/^not YAML: .*alias.*; quote a value that begins with "\*"$/is);
  });

  test("aliases that grow beyond measure", () => {
    const grown = `a: &a [1, 1]\n${"bcdefgh".replace(/./g, (letter, at) => `${letter}: &${letter} [${`*${"abcdefg"[at]},`.repeat(9)}]\n`)}`;
    expect(errorsIn(grown)).toEqual([expect.stringMatching(/^not YAML: .*alias/)]);
  });

  test("a value that holds itself", () => {
    expect(errorsIn("backends: &a [*a]")).toContain(
      "backends: got a value that contains itself, expected the backends, each by its name",
    );
  });

  test("more than one document", () => {
    expect(errorsIn("a: 1\n---\nb: 2")).toEqual(["line 2: a second document begins, expected one YAML document"]);
  });

  test.each(["", "# nothing yet\n", "---\n"])("a file without settings: %j", (text) => {
    expect(errorsIn(text)).toEqual(['top level: empty, expected settings: at least "backends" and "routes"']);
  });

  test.each([
    ["just text", 'top level: got "just text", expected settings under it'],
    ["[]", "top level: got [], expected settings under it"],
  ])("YAML that holds no settings: %j", (text, error) => {
    expect(errorsIn(text)).toEqual([error]);
  });

  test("in our words, whatever stands in place of a setting", () => {
    const full = {
      gateway: { listen: "10.0.0.1:1", hosts: ["h"], origins: ["http://h"], tls: { cert: "c", key: "k" } },
      egress: { listen: "10.0.0.1:2" },
      processor: { listen: "h:3", http: "h:4", endpoints: ["h:3"], messageTimeout: "1s", drain: "1s" },
      envoy: { admin: "10.0.0.1:5" },
      store: { kind: "memory" },
      sessions: { idle: "1h", lifetime: "1h" },
      identity: { kind: "none" },
      istio: { namespace: "mcp", selector: { app: "one" }, credentialName: "tls", router: "mcp/mcp-router" },
      log: { level: "info" },
      timeouts: { call: "1s", listen: "1s", connect: "1s" },
      limits: { body: 1, batch: 1, depth: 8, name: 1, initialize: 1 },
      backends: {
        one: { endpoints: ["h:1"], path: "/", host: "h", tls: { sni: "s", ca: "c" }, timeouts: { call: "1s" } },
      },
      routes: [{ path: "/", backends: ["one"], sessions: "required" }],
    };
    expect(errorsIn(JSON.stringify(full))).toEqual([]);
    const errors = settingsOf(full).flatMap((path) =>
      [undefined, null, [], [null], {}, { x: {} }, "", "\n", 0, -1.5, 1e300, true].flatMap((value) =>
        errorsIn(JSON.stringify(replaced(full, path, value))),
      ),
    );
    expect(errors.length).toBeGreaterThan(300);
    const foreign =
      /invalid|receiv|too (small|big)|unrecog|expected (string|object|record|array|number|int)|undefined/i;
    expect(errors.filter((error) => foreign.test(error) || !/^[^ ]+: |^top level: /.test(error))).toEqual([]);
  });

  test("it never throws", () => {
    fc.assert(fc.property(fc.string(), (text) => void loadConfig(text)));
    fc.assert(fc.property(fc.jsonValue(), (value) => void errorsOf({ gateway: value, limits: value, routes: value })));
    fc.assert(fc.property(fc.jsonValue(), (value) => void loadConfig(stringify(value))));
  });
});

/** The paths of all settings in a configuration, sections too. */
function settingsOf(value: unknown): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return keys.flatMap((key) => [[key], ...settingsOf(Reflect.get(value, key)).map((rest) => [key, ...rest])]);
}

function replaced(root: object, path: readonly (string | number)[], value: unknown): unknown {
  const copy = structuredClone(root);
  const parent = path.slice(0, -1).reduce<object>((node, key) => Reflect.get(node, key), copy);
  Reflect.set(parent, path.at(-1) ?? "", value);
  return copy;
}

describe("a setting that is unknown", () => {
  test.each<[Sections, string]>([
    [{ gatway: {} }, 'top level: unknown setting "gatway"; did you mean "gateway"?'],
    [{ gateway: { host: ["h"] } }, 'gateway: unknown setting "host"; did you mean "hosts"?'],
    [{ processor: { messagetimeout: "1s" } }, 'processor: unknown setting "messagetimeout"; did you mean "messageTime'],
    [{ backends: { one: { endpoint: "h:1" } } }, 'backends.one: unknown setting "endpoint"; did you mean "endpoints"?'],
    [{ routes: [{ path: "/mcp", backend: "one" }] }, 'routes[0]: unknown setting "backend"; did you mean "backends"?'],
  ])("names the one that was meant: %j", (over, error) => {
    expect(errorsOf(over)).toContainEqual(expect.stringContaining(error));
  });

  test("suggests nothing where nothing is close", () => {
    expect(errorsOf({ gateway: { port: 1 }, store: { kind: "memory", url: "x" } })).toEqual([
      'gateway: unknown setting "port"',
      'store: unknown setting "url"',
    ]);
  });

  test("is an error of its own, beside others", () => {
    expect(errorsOf({ gateway: { port: 1, address: 2 } })).toHaveLength(2);
  });
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

test.each(["/mcp", "/mcp/"])("a route's path may be %s, and means the same", (path) => {
  const config = load({ routes: [{ path, backends: ["one"] }] });
  expect(config.routes.map((route) => route.path)).toEqual(["/mcp"]);
  expect([...requestPolicy(config).routes]).toEqual([["/mcp", expect.objectContaining({ path: "/mcp" })]]);
});

describe("settings that contradict each other", () => {
  test("two routes with one path", () => {
    const routes = [...MINIMAL.routes, ...MINIMAL.routes];
    expect(errorsOf({ routes })).toEqual([
      'routes[1].path: got "/mcp", which routes[0] already has; a trailing slash makes no difference',
    ]);
  });

  test("two routes whose paths differ by a slash at the end", () => {
    const routes = [...MINIMAL.routes, { path: "/mcp/", backends: ["one"] }];
    expect(errorsOf({ routes })).toEqual([
      expect.stringContaining('routes[1].path: got "/mcp/", which routes[0] already has'),
    ]);
  });

  test.each(["/mcp", "/mcp/"])("a path for health checks that is a route's: %s", (health) => {
    expect(errorsOf({ gateway: { health } })).toEqual([
      `gateway.health: got "${health}", which is the path of routes[0]; expected another, such as "/healthz"`,
    ]);
    expect(errorsOf({ gateway: { health: "/mcp/healthz" } })).toEqual([]);
  });

  test("two listeners on one address", () => {
    expect(errorsOf({ gateway: { listen: "10.0.0.1:1" }, envoy: { admin: "10.0.0.1:1" } })).toEqual([
      "envoy.admin: got 10.0.0.1:1, but gateway.listen already listens on 10.0.0.1:1",
    ]);
  });

  test("two listeners on one port, one of them on every address", () => {
    expect(errorsOf({ gateway: { listen: "0.0.0.0:1" }, processor: { http: "127.0.0.1:1" } })).toEqual([
      "processor.http: got 127.0.0.1:1, but gateway.listen already listens on 0.0.0.0:1",
    ]);
    expect(errorsOf({ gateway: { listen: "127.0.0.1:1" }, envoy: { admin: "[::]:1" } })).toEqual([
      "envoy.admin: got [::]:1, but gateway.listen already listens on 127.0.0.1:1",
    ]);
    expect(errorsOf({ gateway: { listen: "10.0.0.1:1" }, envoy: { admin: "127.0.0.1:1" } })).toEqual([]);
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

  test("a call that may take less time than the recovery of its session draws a warning", () => {
    const gateway = { hosts: ["gw.example"] };
    const of = (timeouts: object, backend: object = {}) =>
      warningsOf({ gateway, timeouts, backends: { one: { ...MINIMAL.backends.one, ...backend } } });
    const warning =
      "timeouts.call of backend one (9.999s) is below its timeouts.initialize (10s): Envoy may cut off a call while its " +
      "session is still being recovered";
    expect(of({ call: "9999ms" })).toEqual([warning]);
    expect(of({}, { timeouts: { call: "9999ms" } })).toEqual([warning]);
    expect(of({ call: "9999ms" }, { timeouts: { call: "10s" } })).toEqual([]);
    expect(of({ call: "9999ms" }, { onSessionLost: "surface" })).toEqual([]);
  });

  test("idle above lifetime is clamped, with a warning", () => {
    const gateway = { hosts: ["gw.example"] };
    const loaded = loadConfig(stringify({ ...MINIMAL, gateway, sessions: { idle: "2h", lifetime: "1h" } }));
    expect(loaded).toMatchObject({
      ok: true,
      config: { sessions: { idle: 60 * minutes, lifetime: 60 * minutes } },
      warnings: ["sessions.idle is longer than sessions.lifetime: the lifetime is used for both"],
    });
  });
});

describe("a store in Redis", () => {
  const redis = (over: Sections) => ({ store: { kind: "redis", ...over } });

  test.each([
    ["redis://h", { at: { kind: "single", host: "h", port: 6379 } }],
    [
      "rediss://u%40:p%3A%C3%A9@[::1]:1/3",
      {
        at: { kind: "single", host: "::1", port: 1 },
        username: "u@",
        password: { kind: "text", text: "p:é" },
        database: 3,
        tls: {},
      },
    ],
    [
      "redis://:p%zz%ff@h:1/",
      { at: { kind: "single", host: "h", port: 1 }, password: { kind: "text", text: "p%zz\ufffd" } },
    ],
  ])("is at %s", (url, store) => {
    expect(load(redis({ url })).store).toEqual({ kind: "redis", prefix: "mcpr", database: 0, timeout: 500, ...store });
  });

  test.each<[Sections, object]>([
    [
      { sentinel: { master: "m", nodes: ["a:1", "b:2"] } },
      {
        at: {
          kind: "sentinel",
          master: "m",
          nodes: [
            { host: "a", port: 1 },
            { host: "b", port: 2 },
          ],
        },
      },
    ],
    [{ cluster: { nodes: ["a:1"] } }, { at: { kind: "cluster", nodes: [{ host: "a", port: 1 }] } }],
    [
      { cluster: { nodes: ["a:1"] }, username: "u", passwordFile: "/p", tls: { ca: "/ca" } },
      { username: "u", password: { kind: "file", file: "/p" }, tls: { ca: "/ca" } },
    ],
    [{ url: "rediss://h", tls: { ca: "/ca" } }, { tls: { ca: "/ca" } }],
    [
      { url: "redis://u@h", passwordFile: "/p" },
      { username: "u", password: { kind: "file", file: "/p" } },
    ],
    [{ url: "redis://h", database: 2 }, { database: 2 }],
  ])("is what is written, wherever that is: %j", (written, store) => {
    expect(load(redis(written)).store).toMatchObject(store);
  });

  test("is told all that is wrong with it at once", () => {
    const url = "redis://u:p@h/1";
    expect(
      errorsOf(redis({ url, cluster: { nodes: ["h:1"] }, username: "u", passwordFile: "/p", database: 1 })),
    ).toEqual([
      "store: got url and cluster, expected one of url, sentinel and cluster",
      "store.username: is also in store.url; set it in one place",
      "store.passwordFile: is also in store.url; set it in one place",
      "store.database: is also in store.url; set it in one place",
    ]);
  });

  test.each<[Sections, string]>([
    [{}, "store: got none of them, expected one of url, sentinel and cluster"],
    [{ url: "redis://h", cluster: { nodes: ["h:1"] } }, "store: got url and cluster, expected one of"],
    [
      { url: "http://h" },
      'store.url: got a text that is not shown because it may be a secret, expected a URL such as "redis:',
    ],
    [{ url: "redis://a:b@h:1/db" }, "store.url: got redis://***@***, expected a URL"],
    [{ url: "redis://a:b@h:70000" }, "store.url: got redis://***@h:70000, expected a URL"],
    [{ sentinel: { master: "m", nodes: [] } }, "store.sentinel.nodes: got [], expected at least one address"],
    [{ cluster: { nodes: ["h:1"] }, database: 1 }, "store.database: got 1, expected 0"],
    [
      { url: "redis://h", timeout: "2s" },
      "store.timeout: got 2s, expected at most a third of processor.messageTimeout (5s)",
    ],
    [
      { url: "redis://h", timeout: "1s", patience: "2001ms" },
      "store.patience: got 2.001s, expected at most processor.messageTimeout minus three times store.timeout (2s)",
    ],
    [{ url: "redis://me@h", username: "me" }, "store.username: is also in store.url"],
    [{ url: "redis://:secret@h", passwordFile: "/p" }, "store.passwordFile: is also in store.url"],
    [{ url: "redis://h/1", database: 2 }, "store.database: is also in store.url"],
    [
      { url: "redis://h", prefix: "{x}" },
      "store.prefix: got a text that is not shown because it may be a secret, expected",
    ],
  ])("that is wrong: %j", (over, error) => {
    expect(errorsOf(redis(over))).toEqual([expect.stringContaining(error)]);
  });
});

describe("admission", () => {
  const capsOf = (admission: object) => requestPolicy(load({ admission })).admission;

  test("is by the numbers that are written, by the defaults for zero and for none, and by none where it is off", () => {
    expect(capsOf({ sessions: 5, perPrincipal: 2, waiting: 3, retryAfter: "1500ms" })).toMatchObject({
      sessions: 5,
      perPrincipal: 2,
      waiting: 3,
      retryAfter: 2,
    });
    expect(capsOf({ sessions: 0, perPrincipal: 0, waiting: 0 })).toEqual(requestPolicy(load()).admission);
    expect(capsOf({ sessions: false, perPrincipal: false, waiting: false })).toEqual(
      capsOf({ sessions: "off", perPrincipal: "off", waiting: "off" }),
    );
    expect(capsOf({ sessions: "off", perPrincipal: "off", waiting: "off" })).toMatchObject({
      sessions: undefined,
      perPrincipal: undefined,
      waiting: undefined,
    });
  });

  test.each([
    ["half of all sessions", {}, 50],
    ["half of all sessions, and one at least", { sessions: 1 }, 1],
    ["half of all sessions where it is zero", { sessions: 8, anonymous: 0 }, 4],
    ["what is written", { anonymous: 7 }, 7],
    ["none where it is off", { anonymous: "off" }, undefined],
    ["none where it is false, as YAML 1.1 has off", { anonymous: false }, undefined],
    ["none by default where there is none on all", { sessions: "off" }, undefined],
    ["what is written where there is none on all", { sessions: "off", anonymous: 7 }, 7],
  ])("has a cap on anonymous callers beside those with a name: %s", (_, admission, cap) => {
    const identity = { kind: "header", name: "x-user", required: false };
    expect(requestPolicy(load({ admission, identity })).admission.anonymous).toBe(cap);
    expect(requestPolicy(load({ admission })).admission.anonymous).toBeUndefined();
  });

  test.each([
    ["2m", { idle: 123_000, unnamed: 5_000 }],
    ["off", undefined],
    [false, undefined],
  ])("parks sessions after %j", (park, parking) => {
    expect(capsOf({ park }).parking).toEqual(parking);
  });

  test.each<[Sections, string]>([
    [
      { park: "soon" },
      'admission.park: got "soon", expected a duration such as "500ms", "10s", "30m" or "24h", or off',
    ],
    [{ park: 60 }, "admission.park: got 60, expected a duration such as"],
    [{ wait: "41s" }, "admission.wait: got 41s, expected at most 40s: Envoy ends a request"],
    [{ sessions: -1 }, "admission.sessions: got -1, expected a whole number from 1 to 10000000, or off"],
    [{ perPrincipal: 1.5 }, "admission.perPrincipal: got 1.5, expected a whole number"],
    [{ anonymous: -1 }, "admission.anonymous: got -1, expected a whole number from 1 to 10000000, or off"],
    [{ waiting: "none" }, 'admission.waiting: got "none", expected a whole number'],
    [{ guard: { perSecond: 10 } }, "admission.guard.burst: missing"],
    [{ session: 1 }, 'admission: unknown setting "session"'],
  ])("that is wrong: %j", (admission, error) => {
    expect(errorsOf({ admission })).toEqual([expect.stringContaining(error)]);
  });
});

test("sweeps that are rarer than what expired is kept for are refused", () => {
  expect(LONGEST_SWEEP).toBeLessThan(REAP_GRACE_MS);
  expect(errorsOf({ sessions: { sweep: "5m" } })).toEqual([]);
  expect(errorsOf({ sessions: { sweep: "6m" } })).toEqual([
    expect.stringContaining("sessions.sweep: got 360s, expected at most 300s"),
  ]);
});

describe("workers", () => {
  const redis = { kind: "redis", url: "redis://h" };
  const ports = (workers: number, processor: object = {}) =>
    load({ store: redis, processor: { workers, ...processor } }).processor.endpoints;

  test("listen one port above the other, and Envoy is told of each", () => {
    expect(ports(3)).toEqual([50051, 50052, 50053].map((port) => ({ kind: "tcp", host: "127.0.0.1", port })));
  });

  test("listen on sockets beside each other", () => {
    expect(ports(2, { listen: "unix:/run/router.sock" })).toEqual([
      { kind: "unix", path: "/run/router.sock" },
      { kind: "unix", path: "/run/router.sock.1" },
    ]);
  });

  test("leave Envoy's endpoints as they are written", () => {
    expect(ports(2, { endpoints: ["10.0.0.1:1"] })).toEqual([{ kind: "tcp", host: "10.0.0.1", port: 1 }]);
  });

  test("are as many as the command line says, whatever the file does", () => {
    const text = stringify({ ...MINIMAL, store: redis, processor: { workers: 3 } });
    expect(loadConfig(text, { workers: 2 })).toMatchObject({ ok: true, config: { processor: { workers: 2 } } });
  });

  test.each<[Sections, string]>([
    [{ processor: { workers: 2 } }, "processor.workers: got 2, expected 1 with store.kind memory"],
    [{ processor: { workers: 0 } }, "processor.workers: got 0, expected a whole number from 1 to 64"],
    [{ store: redis, processor: { workers: 2, listen: "127.0.0.1:65535" } }, "processor.workers: got 2, which needs"],
    [
      { store: redis, processor: { workers: 3, listen: "127.0.0.1:8079" } },
      "worker 1 of processor.workers: got 127.0.0.1:8080, but gateway.listen already listens on 0.0.0.0:8080",
    ],
  ])("that is wrong: %j", (over, error) => {
    expect(errorsOf(over)[0]).toContain(error);
  });
});

describe("identity", () => {
  const jwt = { kind: "jwt", issuer: "https://issuer", audiences: ["mcp"], jwks: { file: "/keys.json" } };

  test("is none by default, and required where it is set", () => {
    expect(load().identity).toEqual({ kind: "none" });
    expect(load({ identity: jwt }).identity).toEqual({ ...jwt, jwks: { kind: "file", ...jwt.jwks }, required: true });
    expect(load({ identity: { kind: "header", name: "X-User" } }).identity).toEqual({
      kind: "header",
      name: "x-user",
      required: true,
    });
    expect(requestPolicy(load({ identity: { ...jwt, required: false } })).identity).toMatchObject({ required: false });
  });

  test.each<[Sections, string]>([
    [{ ...jwt, issuer: "" }, "identity.issuer: "],
    [{ ...jwt, audiences: [] }, "identity.audiences: got [], expected at least one audience"],
    [{ ...jwt, jwks: {} }, "identity.jwks: got neither, expected one of file"],
    [{ ...jwt, jwks: { file: "/k", uri: "https://x" } }, "identity.jwks: got both, expected one of file"],
    [{ ...jwt, jwks: { file: "/k", ca: "/ca.pem" } }, "identity.jwks.ca: applies only to uri"],
    [{ ...jwt, jwks: { uri: "issuer.example/jwks" } }, 'identity.jwks.uri: got "issuer.example/jwks", expected a URL'],
    [{ ...jwt, jwks: { uri: "https://me:secret@issuer.example/" } }, "identity.jwks.uri: got"],
    [{ ...jwt, jwks: { uri: "https://issuer.example/#keys" } }, "identity.jwks.uri: got"],
    [{ ...jwt, required: "no" }, 'identity.required: got "no", expected true or false'],
    [{ ...jwt, name: "x-user" }, 'identity: unknown setting "name"'],
    [{ kind: "header" }, "identity.name: "],
    [{ kind: "header", name: ":path" }, 'identity.name: got ":path", expected the name of a header'],
    [
      { kind: "header", name: "Authorization" },
      'identity.name: got "authorization", expected a header that identifies',
    ],
    [{ kind: "header", name: "x-mcp-session" }, 'identity.name: got "x-mcp-session"'],
  ])("that is wrong: %j", (identity, error) => {
    expect(errorsOf({ identity })).toEqual([expect.stringContaining(error)]);
  });

  test("by tokens takes their keys from a URL, which Envoy looks at every ten minutes unless told otherwise", () => {
    const jwksOf = (jwks: object) => (load({ identity: { ...jwt, jwks } }).identity as { jwks: object }).jwks;
    expect(jwksOf({ uri: "https://issuer.example/jwks?a=b" })).toEqual({
      kind: "uri",
      uri: { href: "https://issuer.example/jwks?a=b", tls: true, host: "issuer.example", port: 443 },
      ca: undefined,
      refresh: 10 * minutes,
    });
    expect(jwksOf({ uri: "http://[::1]:8080", ca: "/ca.pem", refresh: "1h" })).toEqual({
      kind: "uri",
      uri: { href: "http://[::1]:8080", tls: false, host: "::1", port: 8080 },
      ca: "/ca.pem",
      refresh: 60 * minutes,
    });
  });

  test("of a header warns that a client's own copy must not get through", () => {
    const gateway = { hosts: ["h"] };
    expect(warningsOf({ gateway, identity: { kind: "header", name: "x-user" } })).toEqual([
      expect.stringContaining("must set x-user and remove the client's own copy"),
    ]);
    expect(warningsOf({ gateway, identity: jwt })).toEqual([]);
  });

  test.each(["x-forwarded-user", "X-Real-IP", "forwarded"])(
    "a header that Envoy removes names nobody, unless a proxy ahead is trusted: %s",
    (name) => {
      const identity = { kind: "header", name };
      const removed = expect.stringMatching(
        `^identity.name: Envoy removes ${name.toLowerCase()} and .* gateway.trustedHops`,
      );
      expect(warningsOf({ identity })).toContainEqual(removed);
      expect(warningsOf({ gateway: { trustedHops: 1 }, identity })).not.toContainEqual(removed);
    },
  );
});

describe("what is not supported yet is refused by name", () => {
  test.each<[Sections, string]>([
    [
      {
        backends: { one: { endpoints: ["h:1"] }, two: { endpoints: ["h:2"] } },
        routes: [{ path: "/mcp", backends: ["one", "two"] }],
      },
      'routes[0].backends: got "one, two", a federated route, which is not supported yet',
    ],
    [
      { routes: [{ path: "/mcp", backends: ["one", "one"] }] },
      'routes[0].backends: got "one, one", a federated route, which is not supported yet',
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
  expect(config.backends).toMatchObject([{ name: "one", path: "/deep/mcp", onSessionLost: "recover" }]);
  expect(requestPolicy(config)).toEqual({
    routes: new Map([
      [
        "/mcp",
        {
          kind: "transparent",
          path: "/mcp",
          sessions: "required",
          backend: config.backends[0],
        },
      ],
    ]),
    hosts: ["gw.example"],
    identity: { kind: "none" },
    origins: ["https://app.example"],
    admission: {
      sessions: 100,
      perPrincipal: 10,
      anonymous: undefined,
      parking: { idle: 63_000, unnamed: 5_000 },
      waiting: 100,
      wait: 40_000,
      retryAfter: 30,
    },
    limits: config.limits,
  });
});

describe("istio", () => {
  const istio = { namespace: "mcp", selector: { istio: "mcp-gateway" } };

  test("is what the configuration says, and nothing by default", () => {
    expect(load().istio).toBeUndefined();
    expect(load({ istio }).istio).toEqual(istio);
    expect(load({ istio: { ...istio, credentialName: "mcp-tls" } }).istio?.credentialName).toBe("mcp-tls");
  });

  test.each([
    [{ selector: istio.selector }, "istio.namespace: "],
    [{ ...istio, namespace: "MCP" }, 'istio.namespace: got "MCP", expected lower-case letters'],
    [{ namespace: "mcp" }, "istio.selector: "],
    [{ ...istio, selector: {} }, "istio.selector: got {}, expected at least one label"],
    [{ ...istio, selector: { istio: 1 } }, "istio.selector.istio: got 1, expected the value of a label"],
    [
      { ...istio, router: "mcp-router" },
      'istio.router: got "mcp-router", expected a service account such as "mcp/mcp-router"',
    ],
    [{ ...istio, selectors: {} }, 'istio: unknown setting "selectors"'],
  ])("that is wrong: %j", (wrong, error) => {
    expect(errorsOf({ istio: wrong })).toEqual([expect.stringContaining(error)]);
  });
});
