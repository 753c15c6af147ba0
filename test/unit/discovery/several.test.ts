/** Two routers of one file, which see its changes at other times, and an Envoy that asks them by turns. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import type { Config } from "../../../src/config/load.ts";
import { readConfigText } from "../../../src/config/read.ts";
import { POLL_MS } from "../../../src/config/watch.ts";
import { createAdoption } from "../../../src/discovery/adopt.ts";
import { createOffers } from "../../../src/discovery/offers.ts";
import { resourcesFor } from "../../../src/envoy-config/live.ts";
import { type Random, randomFrom } from "../../support/random.ts";

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

/** Routes and backends by one letter each; `hops` changes Envoy's listener. */
interface File {
  readonly names: string;
  readonly hops: number;
}

const FILES: readonly File[] = ["a", "ab", "b", "bc", "abc"].flatMap((names) => [
  { names, hops: 0 },
  { names, hops: 1 },
]);

function configOf({ names, hops }: File): Config {
  const text = stringify({
    gateway: { hosts: ["gw.example"], trustedHops: hops },
    backends: Object.fromEntries([...names].map((name) => [name, { endpoints: ["10.0.0.1:3000"] }])),
    routes: [...names].map((name) => ({ path: `/${name}`, backends: [name] })),
  });
  return readConfigText("mcp-router.yaml", text).config;
}

function startRouter(first: File) {
  const started = configOf(first);
  const events: string[] = [];
  let inForce = started;
  const offers = createOffers({
    resources: resourcesFor(started),
    several: true,
    now: Date.now,
    onRefused: ({ name }) => events.push(`is taken to refuse ${name}`),
  });
  const adoption = createAdoption({
    started,
    several: true,
    offers,
    adopt: ({ config }) => {
      inForce = config;
      return true;
    },
    refused: () => events.push("keeps a change out of force"),
  });
  let seen = first;
  return {
    offers,
    events,
    inForce: () => inForce,
    see(file: File) {
      if (file !== seen) adoption.want({ text: "", config: configOf(file), warnings: [] });
      seen = file;
    },
  };
}

const RESOURCES = ["clusters", "listeners", "routes/gateway", "routes/egress"] as const;
/** Envoy asks again after so long, and up to as much later. */
const EVERY = 500;

/** Takes all that it is given. */
function startEnvoy(routers: readonly ReturnType<typeof startRouter>[], random: Random) {
  const has = new Map<string, { version: string; body: string }>();
  const due = new Map<string, number>(RESOURCES.map((name) => [name, 0]));
  let turn = 0;
  return {
    has,
    tick() {
      for (const [name, at] of due) {
        if (at > Date.now()) continue;
        due.set(name, Date.now() + random.between({ least: EVERY, most: 2 * EVERY }));
        const router = routers[turn++ % routers.length];
        const answer = router?.offers.answer({ envoy: "e", name, version: has.get(name)?.version });
        if (answer?.kind === "given") has.set(name, answer.resource);
      }
    },
    backends(): readonly string[] {
      const { resources } = JSON.parse(has.get("clusters")?.body ?? '{"resources":[]}') as {
        resources: readonly { name: string }[];
      };
      return resources.map(({ name }) => name);
    },
  };
}

/** ms. A backend that comes back just when a router lets it go may be away until the other one is asked again. */
const SHORT = 2_000;

/** ms */
const TICK = 50;

type Change = readonly [at: number, file: File];

/**
 * One router sees each change at once, the other when it looks next.
 * @param every ms between two of its looks
 * @returns what went wrong
 */
async function run(changes: readonly Change[], every: number, random: Random): Promise<string[]> {
  const [first] = changes;
  if (!first) throw new Error("no file");
  const routers = [startRouter(first[1]), startRouter(first[1])];
  const envoy = startEnvoy(routers, random);
  const faults = new Set<string>();
  const lacking = [0, 0];
  const lag = random.between({ least: 0, most: every / TICK - 1 }) * TICK;
  const end = (changes.at(-1)?.[0] ?? 0) + every + 60_000;
  const fileAt = (now: number) => changes.findLast(([at]) => at <= now)?.[1] ?? first[1];
  for (let now = 0; now < end; now += TICK) {
    await vi.advanceTimersByTimeAsync(TICK);
    routers[0]?.see(fileAt(now));
    if (now % every === lag) routers[1]?.see(fileAt(now));
    envoy.tick();
    const there = now < 5_000 ? undefined : envoy.backends();
    for (const [index, router] of routers.entries())
      for (const { name } of router.inForce().backends)
        if (there && !there.includes(name)) lacking[index] = (lacking[index] ?? 0) + TICK;
  }
  const last = JSON.stringify(configOf(fileAt(end)));
  for (const [index, { events, inForce, offers }] of routers.entries()) {
    for (const { lacks } of offers.following())
      if (lacks.length > 0) faults.add(`router ${index}: Envoy ends without ${lacks}`);
    for (const event of events) faults.add(`router ${index}: Envoy ${event}`);
    if (JSON.stringify(inForce()) !== last) faults.add(`router ${index} ends with another file`);
    if ((lacking[index] ?? 0) > SHORT) faults.add(`router ${index} uses what Envoy lacks for ${lacking[index]} ms`);
  }
  return [...faults];
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "a change that is taken back, of the listener too, comes in force at both, and neither takes Envoy to refuse it (%i)",
  async (seed) => {
    const [before, after] = [
      { names: "a", hops: 0 },
      { names: "ab", hops: 1 },
    ];
    const changes: Change[] = [
      [0, before],
      [10_000, after],
      [60_000, before],
    ];
    expect(await run(changes, POLL_MS, randomFrom(seed))).toEqual([]);
  },
);

test.each(Array.from({ length: 20 }, (_, seed) => seed))(
  "whatever changes follow each other, all come in force, and no router goes on using what Envoy lacks (%i)",
  async (seed) => {
    const random = randomFrom(seed);
    const changes: Change[] = [[0, random.one(FILES)]];
    for (let at = 0; changes.length < 4; changes.push([at, random.one(FILES)]))
      at += TICK * random.between({ least: 20, most: 900 });
    expect(await run(changes, POLL_MS, random)).toEqual([]);
  },
);

test.each([1, 2, 3, 4])("nor where the other one sees each change a minute and a half later (%i)", async (seed) => {
  const random = randomFrom(seed);
  const changes: Change[] = [[0, random.one(FILES)]];
  for (let at = 0; changes.length < 4; changes.push([at, random.one(FILES)]))
    at += 1_000 * random.between({ least: 150, most: 300 });
  expect(await run(changes, 90_000, random)).toEqual([]);
});
