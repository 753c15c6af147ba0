import { describe, expect, test, vi } from "vitest";
import { type AskFailure, type CatalogueEvent, describeAskFailure } from "../../../src/federation/events.ts";
import { catalogueObserver } from "../../../src/observe/catalogue.ts";
import { createLogger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { SELDOM_MS } from "../../../src/telemetry/seldom.ts";

function open() {
  const lines: { readonly level: number; readonly msg: string }[] = [];
  const log = createLogger("debug", {}, null, { write: (line) => void lines.push(JSON.parse(line)) });
  const metrics = createMetrics();
  return {
    observe: catalogueObserver(metrics, log),
    lines,
    counted: async () =>
      (await metrics.render())
        .split("\n")
        .filter((line) => /^mcp_router_list/.test(line) && !/_(bucket|sum)\{/.test(line)),
  };
}

const asked: CatalogueEvent = { kind: "asked", backend: "one", shared: true, ms: 20 };
const failed: CatalogueEvent = {
  kind: "failed",
  backend: "one",
  shared: true,
  list: "tools",
  failure: { reason: "timeout" },
  ms: 5_000.4,
};
const listed = {
  kind: "listed",
  backend: "one",
  list: "tools",
  items: 7,
  leftOut: 0,
  duplicates: 0,
  cut: undefined,
} as const;

describe("a backend that does not say what it offers", () => {
  test("is warned of once, and again after it has answered", async () => {
    const { observe, lines, counted } = open();
    for (const event of [asked, failed, failed, asked, failed]) observe(event);
    const warning = { level: 40, backend: "one", list: "tools", why: "not answered within lists.timeout", ms: 5000 };
    expect(lines).toMatchObject([warning, { level: 20 }, { level: 30, backend: "one" }, warning]);
    expect(await counted()).toEqual([
      'mcp_router_lists_seconds_count{backend="one",outcome="answered"} 2',
      'mcp_router_lists_seconds_count{backend="one",outcome="failed"} 3',
    ]);
  });

  test("is warned of again where it was let go of meanwhile", () => {
    const { observe, lines } = open();
    for (const event of [failed, { kind: "released", backend: "one" } as const, failed]) observe(event);
    expect(lines.map(({ level }) => level)).toEqual([40, 40]);
  });

  test("to one principal is logged once a minute, and says nothing of the others", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const { observe, lines } = open();
      for (let n = 0; n < 10; n++) observe({ ...failed, shared: false });
      vi.advanceTimersByTime(SELDOM_MS);
      observe({ ...failed, shared: false });
      observe({ ...asked, shared: false });
      expect(lines).toMatchObject([
        { level: 30, times: 1 },
        { level: 30, times: 10 },
      ]);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("a list", () => {
  test("is counted, and not logged where nothing is wrong with it", async () => {
    const { observe, lines, counted } = open();
    observe(listed);
    expect(lines).toEqual([]);
    expect(await counted()).toEqual([
      'mcp_router_list_items{backend="one",list="tools"} 7',
      'mcp_router_list_items_left_out{backend="one",list="tools"} 0',
      'mcp_router_list_cut{backend="one",list="tools"} 0',
    ]);
  });

  test("of which not all is offered is warned of, once a minute", async () => {
    const { observe, lines, counted } = open();
    for (let n = 0; n < 3; n++) observe({ ...listed, leftOut: 1, duplicates: 2, cut: "cursor" });
    expect(lines).toMatchObject([
      { level: 40, list: "tools", why: "the backend gives a cursor again that it has given before" },
      { level: 40, leftOut: 1, duplicates: 2 },
    ]);
    expect(await counted()).toContain('mcp_router_list_items_left_out{backend="one",list="tools"} 3');
    expect(await counted()).toContain('mcp_router_list_cut{backend="one",list="tools"} 1');
  });

  test("that changes is logged, and of a principal at debug", async () => {
    const { observe, lines, counted } = open();
    for (const shared of [true, false])
      observe({ kind: "changed", backend: "one", shared, list: "tools", items: 8, digest: "x" });
    expect(lines).toMatchObject([{ level: 30, items: 8 }, { level: 20 }]);
    expect(await counted()).toEqual(['mcp_router_lists_changed_total{backend="one",list="tools"} 2']);
  });

  test("that expires is warned of, and of a principal it is no news", async () => {
    const { observe, lines, counted } = open();
    observe(listed);
    const expired = { kind: "expired", backend: "one", list: "tools" } as const;
    for (const shared of [true, false]) observe({ ...expired, shared, why: "failing" });
    expect(lines).toMatchObject([{ level: 40, backend: "one", list: "tools" }]);
    expect(await counted()).toContain('mcp_router_list_items{backend="one",list="tools"} 0');
  });

  test("that nobody needed for long keeps its number, and nobody is warned", async () => {
    const { observe, lines, counted } = open();
    observe(listed);
    observe({ kind: "expired", backend: "one", shared: true, list: "tools", why: "unused" });
    expect(lines).toMatchObject([{ level: 20, backend: "one", list: "tools" }]);
    expect(await counted()).not.toContain('mcp_router_list_items{backend="one",list="tools"} 0');
  });

  test("has no number any more where its backend was let go of", async () => {
    const { observe, counted } = open();
    observe(listed);
    observe({ kind: "released", backend: "one" });
    expect(await counted()).toEqual([]);
  });
});

test("items of one name are warned of, once a minute for each list, and gauged until there are none or the route is gone", async () => {
  const { observe, lines, counted } = open();
  const first = { key: "search", kept: "one", leftOut: "two" };
  const collisions = { kind: "collisions", route: "/all", shared: true, list: "tools", number: 2, first } as const;
  observe(collisions);
  observe(collisions);
  observe({ ...collisions, shared: false, number: 3 });
  expect(lines).toMatchObject([{ level: 40, route: "/all", list: "tools", items: 2, first }]);
  expect(await counted()).toEqual(['mcp_router_list_collisions{route="/all",list="tools"} 2']);
  observe({ ...collisions, number: 0, first: undefined });
  expect(await counted()).toEqual(['mcp_router_list_collisions{route="/all",list="tools"} 0']);
  observe({ kind: "route-gone", route: "/all" });
  expect(await counted()).toEqual([]);
  expect(lines).toHaveLength(1);
});

test.each<[AskFailure, string]>([
  [{ reason: "timeout" }, "lists.timeout"],
  [{ reason: "status", status: 502, retryAfter: undefined }, "502"],
  [{ reason: "unreadable", why: "it is not JSON" }, "it is not JSON"],
  [{ reason: "too-large" }, "lists.bytes"],
  [{ reason: "error", code: -32603, message: "no" }, "-32603 no"],
  [{ reason: "error", code: undefined, message: "no" }, "no code no"],
  [{ reason: "lost-at-once" }, "loses each new session"],
  [{ reason: "no-endpoint" }, "x-mcp-endpoint"],
  [{ reason: "several-sessions" }, "different session ids"],
  [{ reason: "no-session" }, "no session"],
  [{ reason: "broken", error: "reset" }, "reset"],
])("a failure is told in words: %j", (failure, words) => {
  expect(describeAskFailure(failure)).toContain(words);
});
