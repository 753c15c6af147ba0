/** A whole file: defaults, and what the settings become. */
import { expect, test } from "vitest";
import { requestPolicy } from "../../../src/config/policy.ts";
import { load } from "./sections.ts";

const minutes = 60_000;

test("the smallest configuration gets every default", () => {
  const one = {
    name: "one",
    endpoints: [{ host: "10.0.0.1", port: 3000 }],
    path: "/mcp",
    host: undefined,
    tls: undefined,
    timeouts: { call: 10 * minutes, listen: 24 * 60 * minutes, connect: 5_000, initialize: 10_000, tools: [] },
    onSessionLost: "recover",
    origin: "remove",
    credentials: { kind: "forward" },
    prefix: "one__",
    uris: [],
    lists: "shared",
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
    envoy: {
      heap: 768 * 1024 * 1024,
      buffer: 64 * 1024,
      connections: 10_000,
      streams: 128,
      requests: 5_000,
      discovery: { endpoints: [], every: 200 },
    },
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
      exchangedTokens: 50_000,
      exchangedTokenBytes: 128 * 1024 * 1024,
      unfinishedEvents: 64 * 1024 * 1024,
      filteredAnswers: 128 * 1024 * 1024,
      calls: [],
      principals: 10_000,
    },
    lists: {
      refresh: 60_000,
      stale: 600_000,
      timeout: 5_000,
      pages: 100,
      bytes: 8 * 1024 * 1024,
      page: 1024 * 1024,
    },
    toolTimeouts: [],
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
    tools: [],
  });
});

test("tools with a time of their own have it at every backend", () => {
  const tools = [
    { tools: ["files__index*"], call: "25m" },
    { tools: ["export"], call: "25m" },
    { tools: ["ping"], call: "1500ms" },
  ];
  const config = load({ timeouts: { tools } });
  expect(config.backends[0]?.timeouts.tools).toEqual([25 * minutes, 1_500]);
  expect(requestPolicy(config).toolTimeouts).toEqual([
    { tools: [["files__index", ""]], call: 25 * minutes },
    { tools: [["export"]], call: 25 * minutes },
    { tools: [["ping"]], call: 1_500 },
  ]);
});

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
