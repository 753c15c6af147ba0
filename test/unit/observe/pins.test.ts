import { expect, test } from "vitest";
import { catalogueObserver } from "../../../src/observe/catalogue.ts";
import { createLogger } from "../../../src/telemetry/log.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";

function open() {
  const lines: Readonly<Record<string, unknown>>[] = [];
  const log = createLogger("debug", {}, null, { write: (line) => void lines.push(JSON.parse(line)) });
  const metrics = createMetrics();
  const counted = async () => (await metrics.render()).split("\n").filter((line) => line.startsWith("mcp_router_pins"));
  return { observe: catalogueObserver(metrics, log), lines, counted };
}

const SEEN = { kind: "pins", route: "/all", shared: true, onChange: "hide", changed: 1, unknown: 1 } as const;
const CHANGED = { tool: "one__read", backend: "one", digest: "sha256:b", accepted: ["sha256:a"] };
const NEW = { tool: "one__write", backend: "one", digest: "sha256:c", accepted: [] };

test("tools that were not accepted are told of one by one, by their digests, and gauged until the route has no pins", async () => {
  const { observe, lines, counted } = open();
  observe({ ...SEEN, news: [CHANGED, NEW] });
  expect(lines).toMatchObject([
    {
      level: 40,
      route: "/all",
      ...CHANGED,
      msg: expect.stringMatching(/is not what was accepted: clients do not see it/),
    },
    { level: 40, route: "/all", ...NEW, msg: expect.stringMatching(/was never accepted/) },
  ]);
  const gauge = (difference: string, number: number) =>
    `mcp_router_pins_differing{route="/all",difference="${difference}"} ${number}`;
  expect(await counted()).toEqual([gauge("changed", 1), gauge("new", 1)]);
  observe({ ...SEEN, changed: 0, unknown: 0, news: [] });
  expect(await counted()).toEqual([gauge("changed", 0), gauge("new", 0)]);
  observe({ kind: "unpinned", route: "/all" });
  expect(await counted()).toEqual([]);
  expect(lines).toHaveLength(2);
});

test("those that clients get all the same are told of in these words", () => {
  const { observe, lines } = open();
  observe({ ...SEEN, onChange: "warn", news: [CHANGED] });
  expect(lines).toMatchObject([{ msg: expect.stringMatching(/clients see it all the same/) }]);
});

test("of a backend that offers thousands of new ones the log has a bounded number of lines", () => {
  const { observe, lines } = open();
  observe({ ...SEEN, news: Array.from({ length: 5_000 }, () => NEW) });
  expect(lines).toHaveLength(21);
  expect(lines.at(-1)).toMatchObject({ tools: 4_980 });
});

test("what one principal is offered changes no gauge, and is logged once a minute", async () => {
  const { observe, lines, counted } = open();
  for (let principal = 0; principal < 3; principal++) observe({ ...SEEN, shared: false, news: [CHANGED] });
  expect(lines).toHaveLength(1);
  expect(await counted()).toEqual([]);
});
