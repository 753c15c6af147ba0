/** Errors in single settings, and files that are not configurations. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { loadConfig } from "../../../src/config/load.ts";
import { errorsIn, errorsOf, type Sections } from "./sections.ts";

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
