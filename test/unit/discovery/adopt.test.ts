import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { readConfigText } from "../../../src/config/read.ts";
import { createAdoption } from "../../../src/discovery/adopt.ts";
import { createOffers } from "../../../src/discovery/offers.ts";
import { resourcesFor } from "../../../src/envoy-config/live.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function wanted(...names: string[]) {
  return wantedWith({}, ...names);
}

function wantedWith(sections: object, ...names: string[]) {
  const text = stringify({
    ...sections,
    gateway: { hosts: ["gw.example"] },
    backends: Object.fromEntries(names.map((name) => [name, { endpoints: ["10.0.0.1:3000"] }])),
    routes: names.map((name) => ({ path: `/${name}`, backends: [name] })),
  });
  return { text, config: readConfigText("mcp-router.yaml", text).config, warnings: [] };
}

const HEADER = { kind: "header", name: "x-user" };

/** @param puts a configuration in force; gives whether it is */
function adopting({
  several = false,
  puts = () => true,
}: {
  readonly several?: boolean;
  readonly puts?: () => boolean;
} = {}) {
  const { config: started } = wanted("one");
  const events: string[] = [];
  const offers = createOffers({ resources: resourcesFor(started), several: false, now: Date.now, onRefused: vi.fn() });
  const adoption = createAdoption({
    started,
    several,
    offers,
    adopt({ config, outcome }) {
      const isInForce = puts();
      const said = isInForce ? outcome.kind : "failed";
      events.push(`${config.backends.map(({ name }) => name).join("+")} ${said}`);
      return isInForce;
    },
    refused: (refusals) => events.push(`refused ${refusals.map(({ name }) => name)}`),
  });
  let has: string | undefined;
  /** An Envoy asks for its clusters. Gives the backends that it is given. */
  const ask = (takes = true) => {
    const answer = offers.answer({ envoy: "e", name: "clusters", version: has });
    if (answer.kind !== "given") return undefined;
    if (takes) has = answer.resource.version;
    const { resources } = JSON.parse(answer.resource.body) as { resources: { name: string }[] };
    return resources.map(({ name }) => name).filter((name) => !name.startsWith("mcp_"));
  };
  return { adoption, ask, events, offers };
}

test("without an Envoy that follows, a configuration is in force at once", () => {
  const { adoption, events } = adopting();
  adoption.want(wanted("one", "two"));
  adoption.want(wanted("two"));
  expect(events).toEqual(["one+two taken", "two taken"]);
});

test("a new backend is at the Envoy before it is used, and an old one there until it is used no more", async () => {
  const { adoption, ask, events } = adopting();
  expect([ask(), ask()]).toEqual([["one"], undefined]);
  adoption.want(wanted("two"));
  expect(events).toEqual([]);
  expect([ask(), events]).toEqual([["two", "one"], []]);
  expect(ask()).toBeUndefined();
  await vi.advanceTimersByTimeAsync(0);
  expect(events).toEqual(["two taken"]);
  await vi.advanceTimersByTimeAsync(59_999);
  expect(ask()).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect(ask()).toEqual(["two"]);
});

test("where there are several routers, what one uses no more stays until the others have read the change", async () => {
  const { adoption, ask, events } = adopting({ several: true });
  expect([ask(), ask()]).toEqual([["one"], undefined]);
  adoption.want(wanted("two"));
  expect(ask()).toEqual(["two", "one"]);
  // It asks the others meanwhile.
  await vi.advanceTimersByTimeAsync(9_000);
  expect([ask(), events]).toEqual([undefined, []]);
  await vi.advanceTimersByTimeAsync(0);
  expect(events).toEqual(["two taken"]);
  await vi.advanceTimersByTimeAsync(119_999);
  expect(ask()).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect(ask()).toEqual(["two"]);
});

test("what an Envoy has refused it is given again when it is wanted again", async () => {
  const { adoption, ask, events } = adopting();
  expect([ask(), ask()]).toEqual([["one"], undefined]);
  for (const turn of [1, 2]) {
    adoption.want(wanted("one", "two"));
    for (let poll = 0; poll < 3; poll++) ask(false);
    await vi.advanceTimersByTimeAsync(0);
    expect(events).toEqual(Array(turn).fill("refused clusters"));
  }
  adoption.want(wanted("one", "two"));
  expect(ask()).toEqual(["one", "two"]);
  ask();
  await vi.advanceTimersByTimeAsync(0);
  expect(events.at(-1)).toBe("one+two taken");
});

test("nothing is put in force after the end, though Envoys were waited for", async () => {
  const { adoption, ask, events } = adopting();
  expect([ask(), ask()]).toEqual([["one"], undefined]);
  adoption.want(wanted("two"));
  adoption.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(events).toEqual([]);
});

test("among other routers, what Envoys have taken of a change that another one follows is kept: others may have it in force", async () => {
  const { adoption, ask, events, offers } = adopting({ several: true });
  expect([ask(), ask()]).toEqual([["one"], undefined]);
  // The listeners are not asked for again, so that changes of them wait.
  const given = offers.answer({ envoy: "e", name: "listeners", version: undefined });
  if (given.kind === "given") offers.answer({ envoy: "e", name: "listeners", version: given.resource.version });
  adoption.want(wantedWith({ identity: HEADER }, "one", "two"));
  expect([ask(), ask()]).toEqual([["one", "two"], undefined]);
  adoption.want(wantedWith({ identity: HEADER }, "one", "three"));
  expect(ask()?.sort()).toEqual(["one", "three", "two"]);
  expect(ask()).toBeUndefined();
  adoption.want(wantedWith({ identity: HEADER }, "one"));
  expect(ask()?.sort()).toEqual(["one", "three", "two"]);
  expect(events).toEqual([]);
});

test("what an Envoy refuses does not come in force, and the next one may", async () => {
  const { adoption, ask, events } = adopting();
  ask();
  ask();
  adoption.want(wanted("one", "bad"));
  for (let poll = 0; poll < 3; poll++) ask(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(events).toEqual(["refused clusters"]);
  adoption.want(wanted("one", "good"));
  expect([ask(), ask()]).toEqual([["one", "good"], undefined]);
  await vi.advanceTimersByTimeAsync(0);
  expect(events).toEqual(["refused clusters", "one+good taken"]);
});

test("what the router fails to put in force Envoys are not left with", async () => {
  const puts = vi.fn().mockReturnValueOnce(false).mockReturnValue(true);
  const { adoption, ask, events } = adopting({ puts });
  expect([ask(), ask()]).toEqual([["one"], undefined]);
  adoption.want(wanted("two"));
  expect([ask(), ask()]).toEqual([["two", "one"], undefined]);
  await vi.advanceTimersByTimeAsync(0);
  expect([events, ask(), ask()]).toEqual([["two failed"], ["one"], undefined]);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(ask()).toBeUndefined();
  adoption.want(wanted("three"));
  expect([ask(), ask()]).toEqual([["three", "one"], undefined]);
  await vi.advanceTimersByTimeAsync(0);
  expect(events).toEqual(["two failed", "three taken"]);
});

test("an Envoy that does not take it holds it up for five seconds; of changes meanwhile the last one counts", async () => {
  const { adoption, ask, events } = adopting();
  ask();
  adoption.want(wanted("one", "two"));
  adoption.want(wanted("one", "three"));
  adoption.want(wanted("one", "four"));
  await vi.advanceTimersByTimeAsync(4_999);
  expect(events).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(events).toEqual(["one+four late"]);
});

test("no Envoy takes longer bodies than the router can get until it starts again, but shorter ones at once", () => {
  const { adoption, offers } = adopting();
  const tables = () => {
    const answer = offers.answer({ envoy: "e", name: "routes/gateway", version: undefined });
    return answer.kind === "given" ? answer.resource.version : answer.kind;
  };
  const before = tables();
  adoption.want(wantedWith({ limits: { body: "8MiB" } }, "one"));
  expect(tables()).toBe(before);
  adoption.want(wantedWith({ limits: { body: "1MiB" } }, "one"));
  expect(tables()).not.toBe(before);
});

test("after its end it changes nothing more", async () => {
  const { adoption, ask } = adopting();
  ask();
  ask();
  adoption.want(wanted("two"));
  ask();
  ask();
  await vi.advanceTimersByTimeAsync(0);
  adoption.close();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(ask()).toBeUndefined();
});
