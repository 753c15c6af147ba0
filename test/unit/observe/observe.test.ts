import { describe, expect, test, vi } from "vitest";
import type { SweepEvent } from "../../../src/admission/sweeper.ts";
import type { EndEvent } from "../../../src/backends/end.ts";
import type { RequestEvent } from "../../../src/gateway/events.ts";
import { capObserver } from "../../../src/observe/cap.ts";
import { recoveryObserver } from "../../../src/observe/recoveries.ts";
import { requestObserver } from "../../../src/observe/requests.ts";
import { sweepObserver } from "../../../src/observe/sweeps.ts";
import type { RecoveryEvent } from "../../../src/recovery/recover.ts";
import { mintSessionId, sessionKey, sessionTag } from "../../../src/sessions/id.ts";
import { ANONYMOUS } from "../../../src/sessions/store.ts";
import { createLogger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { SELDOM_MS } from "../../../src/telemetry/seldom.ts";
import { ROUTE } from "../core/policy.ts";

/** The observers at work, the lines of their log, and what was counted. */
function open() {
  const lines: { readonly level: number; readonly msg: string }[] = [];
  const log = createLogger("debug", {}, null, { write: (line) => void lines.push(JSON.parse(line)) });
  const metrics = createMetrics();
  const atCap = capObserver(log, () => 100);
  return {
    request: requestObserver(metrics, log, atCap),
    sweep: sweepObserver(metrics, log, atCap),
    recovery: recoveryObserver(metrics, log),
    metrics,
    lines,
    warnings: () => lines.filter(({ level }) => level >= 40),
    counted: async () =>
      (await metrics.render())
        .split("\n")
        .filter((line) => /^mcp_router_(not_remembered|requests|sessions|backends|recovery)_.* [1-9]/.test(line)),
  };
}

const route = ROUTE;
const key = sessionKey(mintSessionId());

test.each<[RequestEvent, string, object[]]>([
  [
    { kind: "forwarded", route, how: "initialize" },
    'mcp_router_requests_forwarded_total{route="/mcp",how="initialize"} 1',
    [],
  ],
  [
    { kind: "rejected", reason: "sessions-exhausted", route },
    'mcp_router_requests_rejected_total{reason="sessions-exhausted"} 1',
    [
      { level: 40, sessions: 100, slot: "refused", times: 1, msg: expect.stringContaining("new sessions are refused") },
      {
        level: 30,
        reason: "sessions-exhausted",
        route: "/mcp",
        refused: 1,
        msg: "refused: admission.sessions is reached",
      },
    ],
  ],
  [
    { kind: "rejected", reason: "no-route", route: undefined },
    'mcp_router_requests_rejected_total{reason="no-route"} 1',
    [{ level: 30, reason: "no-route", refused: 1, msg: "refused: no route has this path: see routes[].path" }],
  ],
  [
    { kind: "not-replayable", reason: "budget", route },
    'mcp_router_requests_not_kept_total{reason="budget"} 1',
    [{ reason: "budget", route: "/mcp", msg: "request not replayable" }],
  ],
  [{ kind: "state-not-remembered", reason: "bytes", route }, 'mcp_router_not_remembered_total{reason="bytes"} 1', []],
  [
    { kind: "session-created", route, tag: "tag", endpoint: "10.0.0.1:80" },
    'mcp_router_sessions_created_total{route="/mcp"} 1',
    [{ session: "tag", route: "/mcp", endpoint: "10.0.0.1:80", msg: "session created" }],
  ],
  [
    { kind: "session-ended", route, tag: "tag" },
    'mcp_router_sessions_ended_total{route="/mcp"} 1',
    [{ session: "tag", route: "/mcp", msg: "session ended" }],
  ],
])("%j is counted, and told of in the log", async (event, counted, logged) => {
  const { request, counted: all, lines } = open();
  request(event);
  expect(await all()).toEqual([counted]);
  expect(lines).toMatchObject(logged);
});

test("a refusal is told at info once a minute for each reason and route, with how many there were since", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  try {
    const { request, lines } = open();
    const refuse = (reason: "session-unknown" | "not-json", path = "/mcp") =>
      request({ kind: "rejected", reason, route: { ...route, path } });
    const told = () =>
      lines.splice(0).flatMap((line) => {
        const { level, reason, route, refused } = line as { [name: string]: unknown };
        return level === 30 ? [[reason, route, refused]] : [];
      });
    for (let n = 0; n < 10; n++) refuse("session-unknown");
    refuse("session-unknown", "/other");
    refuse("not-json");
    expect(told()).toEqual([
      ["session-unknown", "/mcp", 1],
      ["session-unknown", "/other", 1],
      ["not-json", "/mcp", 1],
    ]);
    vi.advanceTimersByTime(SELDOM_MS);
    refuse("session-unknown");
    refuse("session-unknown");
    expect(told()).toEqual([["session-unknown", "/mcp", 10]]);
  } finally {
    vi.useRealTimers();
  }
});

test("an event that nobody mapped is a fault", () => {
  const { request, sweep, recovery } = open();
  expect(() => recovery({ outcome: "new", key, ms: 1 } as unknown as RecoveryEvent)).toThrow("new");
  expect(() => request({ kind: "new" } as unknown as RequestEvent)).toThrow("new");
  expect(() => sweep({ kind: "new" } as unknown as SweepEvent)).toThrow("new");
});

describe("a session that seemed lost is counted by what came of it, and logged", () => {
  const seemedLost = {
    kind: "recovery",
    key,
    backend: "one",
    suspicion: "probe",
    why: undefined,
    from: "10.0.0.1:80",
    to: "10.0.0.2:80",
    ms: 20,
  } as const;
  const DEBUG = 20;
  const INFO = 30;
  const WARN = 40;

  test.each([
    ["recovered", INFO, "a lost session was recovered"],
    ["joined", DEBUG, "a lost session had been recovered already"],
    ["alive", DEBUG, "a backend session was probed, and is alive"],
    ["left", DEBUG, "every client that waited for a lost session has left"],
    ["failed", WARN, "a lost session was not recovered"],
    ["store-away", WARN, "a lost session was not recovered: the session store is unavailable"],
  ] as const)("%s", async (outcome, level, msg) => {
    const { recovery, counted, lines } = open();
    recovery({ ...seemedLost, outcome });
    expect(await counted()).toContain(`mcp_router_recovery_seconds_count{backend="one",outcome="${outcome}"} 1`);
    expect(lines).toMatchObject([{ level, msg, session: sessionTag(key), from: "10.0.0.1:80", to: "10.0.0.2:80" }]);
  });
});

test("lost sessions that wait for the store are said at warn once a minute for each backend", () => {
  const { recovery, warnings } = open();
  for (const backend of ["one", "one", "two"])
    recovery({
      kind: "recovery",
      key,
      backend,
      suspicion: "probe",
      outcome: "store-away",
      why: undefined,
      from: "",
      to: undefined,
      ms: 1,
    });
  expect(warnings()).toMatchObject([{ backend: "one" }, { backend: "two" }]);
});

test.each([
  ["unreachable", "gone"],
  ["probe", "ask"],
  ["probe-and-log-in", "ask-and-log-in"],
  ["parked", "parked"],
] as const)("the suspicion %s is logged as %s, the word that users filter by", (suspicion, logged) => {
  const { recovery, lines } = open();
  const event = { kind: "recovery", key, backend: "one", why: undefined, from: "a", to: undefined, ms: 1 } as const;
  recovery({ ...event, suspicion, outcome: "failed" });
  expect(lines).toMatchObject([{ suspicion: logged }]);
});

describe("a session that the brake keeps from being recovered", () => {
  const braked = {
    kind: "recovery",
    key,
    suspicion: "probe",
    outcome: "braked",
    from: "",
    to: undefined,
    ms: 1,
  } as const;

  test("is counted each time, and said at warn once a minute for each backend and reason, with what to look at", async () => {
    const { recovery, counted, warnings } = open();
    for (const backend of ["one", "one", "two"]) recovery({ ...braked, backend, why: "lost again" });
    recovery({ ...braked, backend: "one", why: "retry-after" });
    expect(await counted()).toContain('mcp_router_recovery_seconds_count{backend="one",outcome="braked"} 3');
    expect(warnings()).toMatchObject([
      { backend: "one", msg: expect.stringContaining("does an endpoint lead to several servers") },
      { backend: "two", msg: expect.stringContaining("does an endpoint lead to several servers") },
      { backend: "one", msg: expect.stringContaining("has said when to ask again") },
    ]);
  });
});

test("an expired session is counted, and known to the log by its tag", async () => {
  const { sweep, counted, lines } = open();
  const session = { owner: ANONYMOUS, route: "/mcp", protocolVersion: "1", initializeParams: "{}", bindings: {} };
  sweep({ kind: "expired", lease: { key, principal: ANONYMOUS }, session });
  expect(await counted()).toEqual(['mcp_router_sessions_expired_total{route="/mcp"} 1']);
  expect(lines).toMatchObject([{ session: sessionTag(key), route: "/mcp", msg: "session expired" }]);
  expect(JSON.stringify(lines)).not.toContain(key);
});

describe("sessions at a cap", () => {
  const session = { owner: ANONYMOUS, route: "/mcp", protocolVersion: "1", initializeParams: "{}", bindings: {} };
  const lease = { key, principal: ANONYMOUS };

  test("are counted as they are parked, and as they end by it", async () => {
    const { sweep, counted } = open();
    sweep({ kind: "parked", lease, session, ended: false });
    sweep({ kind: "parked", lease, session, ended: true });
    sweep({ kind: "parked-ended", lease, session });
    expect(await counted()).toEqual([
      'mcp_router_sessions_expired_total{route="/mcp"} 2',
      'mcp_router_sessions_parked_total{route="/mcp"} 2',
    ]);
  });

  test("are counted as their route leads elsewhere, and a store that was away is told of", async () => {
    const { sweep, counted, lines } = open();
    sweep({ kind: "dismissed", lease, session });
    sweep({ kind: "dismissal-waits", routes: ["/mcp"] });
    expect(await counted()).toEqual(['mcp_router_sessions_dismissed_total{route="/mcp"} 1']);
    expect(lines.at(-1)).toMatchObject({ level: 40, routes: ["/mcp"] });
  });

  test("are gauged by how many there are", async () => {
    const { sweep, metrics } = open();
    sweep({ kind: "counted", live: 90, parked: 7 });
    metrics.sessionsCap(100);
    expect(await metrics.render()).toMatch(/^mcp_router_sessions_cap 100$/m);
    metrics.sessionsCap(undefined);
    const all = await metrics.render();
    expect(all).toMatch(/^mcp_router_sessions\{state="live"\} 90$/m);
    expect(all).toMatch(/^mcp_router_sessions\{state="parked"\} 7$/m);
    expect(all).toMatch(/^mcp_router_sessions_cap \+Inf$/m);
  });

  test("are warned of once a minute: that new ones take their slots, and that they are refused", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const { request, sweep, warnings } = open();
      const meet = () => {
        sweep({ kind: "parked", lease, session, ended: false });
        request({ kind: "rejected", reason: "sessions-exhausted", route });
        request({ kind: "rejected", reason: "principal-exhausted", route });
      };
      for (let n = 0; n < 10; n++) meet();
      expect(warnings()).toMatchObject([
        { slot: "taken over", sessions: 100, times: 1 },
        { slot: "refused", sessions: 100, times: 1 },
      ]);
      vi.advanceTimersByTime(SELDOM_MS);
      meet();
      expect(warnings().slice(2)).toMatchObject([
        { slot: "taken over", times: 10 },
        { slot: "refused", times: 10 },
      ]);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("a backend that is not told", () => {
  const failed = (backend: string): EndEvent => ({ kind: "not-told", backend, why: new Error("refused") });
  const givenUp = (backend: string): EndEvent => ({ kind: "not-told", backend, why: "given-up" });
  const told = (backend: string): EndEvent => ({ kind: "told", backend });

  test("is counted each time, and logged once, with why", async () => {
    const { sweep, counted, warnings } = open();
    for (const event of [failed("one"), failed("one"), givenUp("one")]) sweep(event);
    expect(await counted()).toEqual(['mcp_router_backends_not_told_total{backend="one"} 3']);
    expect(warnings()).toMatchObject([{ backend: "one", why: "refused" }]);
  });

  test("is logged apart from others", () => {
    const { sweep, warnings } = open();
    for (const event of [failed("one"), failed("two"), told("two"), failed("one")]) sweep(event);
    expect(warnings()).toMatchObject([{ backend: "one" }, { backend: "two" }]);
  });

  test("is logged again once it was told between", () => {
    const { sweep, warnings } = open();
    for (const event of [failed("one"), told("one"), givenUp("one")]) sweep(event);
    expect(warnings()).toMatchObject([{ why: "refused" }, { why: "given-up" }]);
  });
});

test("a backend whose answers show that its endpoint is elsewhere is warned of by the setting, once a minute", () => {
  const { request, lines } = open();
  const redirects = { kind: "redirects", status: "307", to: "http://10.0.0.1:80/mcp/", pathThere: "/mcp/" } as const;
  const doubt = (fault: Extract<RequestEvent, { kind: "endpoint-doubtful" }>["fault"], method = "initialize") =>
    request({ kind: "endpoint-doubtful", route, method, fault });
  doubt(redirects);
  doubt(redirects, "GET");
  request({
    kind: "endpoint-doubtful",
    route: { ...route, backend: { ...route.backend, name: "two" } },
    method: "GET",
    fault: redirects,
  });
  doubt({ kind: "nothing-there", status: "404" });
  doubt({ kind: "nothing-there", status: "404" });
  doubt({ kind: "no-mcp", status: "200", contentType: "text/html" });
  doubt({ kind: "several-sessions", status: "200" });
  doubt({ kind: "unreachable", status: "503" });
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    [40, "backend one answers 307 to initialize at /mcp: set backends.one.path: /mcp/"],
    [40, "backend two answers 307 to GET at /mcp: set backends.two.path: /mcp/"],
    [
      40,
      "backend one answers 404 to initialize at /mcp: set backends.one.path, unless the server has no initialize by design",
    ],
    [40, "backend one answers initialize at /mcp with neither JSON nor an event stream: set backends.one.path"],
    [40, "backend one answers initialize with different session ids in mcp-session-id: no session begins"],
    [40, "backend one accepts connections at none of its endpoints: see backends.one.endpoints"],
  ]);
  expect(lines[0]).toMatchObject({ backend: "one", path: "/mcp", status: "307", to: "http://10.0.0.1:80/mcp/" });
});

test("a redirect to elsewhere is warned of without a path to set", () => {
  const { request, lines } = open();
  const fault = { kind: "redirects", status: "302", to: "https://login.example/", pathThere: undefined } as const;
  request({ kind: "endpoint-doubtful", route, method: "POST", fault });
  expect(lines.map(({ msg }) => msg)).toEqual([
    "backend one answers 302 to POST at /mcp, and no client is redirected: configure backends.one with the address of its MCP endpoint",
  ]);
});
