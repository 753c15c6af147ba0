/** Settings that are valid by themselves and not together. */
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { LONGEST_SWEEP } from "../../../src/config/checks.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { REAP_GRACE_MS } from "../../../src/sessions/store.ts";
import { errorsOf, load, MINIMAL, type Sections, warningsOf } from "./sections.ts";

const minutes = 60_000;

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

  test("a Unix socket beside a DNS name, where Envoy would drop the socket", () => {
    const endpoints = ["unix:/run/router.sock", "router.svc:50051"];
    expect(errorsOf({ processor: { endpoints } })).toEqual([
      expect.stringMatching(/^processor\.endpoints: got a Unix/),
    ]);
    expect(errorsOf({ processor: { endpoints: ["unix:/run/router.sock", "10.0.0.1:50051"] } })).toEqual([]);
  });

  test("idle below a timeout of Envoy's, where a session would expire during a request", () => {
    expect(errorsOf({ sessions: { idle: "5m" } })).toEqual([
      expect.stringMatching(/^sessions\.idle: got 300s, expected at least timeouts\.call of backend one \(600s\)/),
    ]);
    expect(errorsOf({ sessions: { idle: "5m" }, timeouts: { listen: "5m" } })).toEqual([
      expect.stringMatching(/timeouts\.call of backend one \(600s\)/),
    ]);
    expect(errorsOf({ sessions: { idle: "5m" }, timeouts: { listen: "5m", call: "5m" } })).toEqual([]);
    const tools = [{ tools: ["export"], call: "6m" }];
    expect(errorsOf({ sessions: { idle: "5m" }, timeouts: { call: "5m", tools } })).toEqual([
      expect.stringMatching(/expected at least the longest call of timeouts\.tools \(360s\)/),
    ]);
  });

  test("a call timeout below that of the recovery of its session causes a warning", () => {
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

test.each([
  ["replayBody", "replayBodies"],
  ["recoveredAnswer", "recoveredAnswers"],
])("limits.%s cannot be above limits.%s", (part, whole) => {
  expect(errorsOf({ limits: { [part]: "2MiB", [whole]: "1MiB" } })).toEqual([
    `limits.${part}: got 2097152 bytes, expected at most limits.${whole} (1048576 bytes), the total of all of them`,
  ]);
  expect(errorsOf({ limits: { [part]: "1MiB", [whole]: "1MiB" } })).toEqual([]);
});

describe("federated routes", () => {
  const backends = { one: { endpoints: ["h:1"] }, two: { endpoints: ["h:2"] } };
  const routes = [{ path: "/mcp", backends: ["one", "two"] }];

  test.each([
    [{ refresh: "11m" }, "lists.stale: got 600s, expected at least lists.refresh (660s)"],
    [{ timeout: "31s" }, "lists.timeout: got 31s, expected at most 30s: an initialize may wait for it"],
  ])("lists that are %j are refused", (lists, error) => {
    expect(errorsOf({ lists, backends, routes })).toEqual([expect.stringContaining(error)]);
    expect(errorsOf({ lists: { refresh: "10m", timeout: "30s" }, backends, routes })).toEqual([]);
  });

  test("a backend session that may take longer to open than Envoy waits is refused, where calls wait for it", () => {
    const timeouts = { initialize: "41s" };
    expect(errorsOf({ backends: { ...backends, two: { endpoints: ["h:2"], timeouts } }, routes })).toEqual([
      "timeouts.initialize of backend two: got 41s, expected at most 40s on a federated route, or one with era: bridge: Envoy ends " +
        "a call whose backend session is not open soon after",
    ]);
    expect(errorsOf({ timeouts })).toEqual([]);
    expect(errorsOf({ timeouts, routes: [{ path: "/mcp", backends: ["one"], era: "bridge" }] })).toHaveLength(1);
    expect(errorsOf({ timeouts: { initialize: "40s" }, backends, routes })).toEqual([]);
  });
});

test("an interval between sweeps that is longer than expired sessions are kept is refused", () => {
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
      { store: redis, processor: { workers: 2, streams: { listen: "127.0.0.1:65535" } } },
      "processor.workers: got 2, whose streams need",
    ],
    [
      { store: redis, processor: { workers: 3, listen: "127.0.0.1:8079" } },
      "worker 1 of processor.workers: got 127.0.0.1:8080, but gateway.listen already listens on 0.0.0.0:8080",
    ],
  ])("that is wrong: %j", (over, error) => {
    expect(errorsOf(over)[0]).toContain(error);
  });
});
