/** Several routers that read one file at different times, and an Envoy that asks one of them at random each time. */
import { expect, onTestFinished, test, vi } from "vitest";
import { stringify } from "yaml";
import { readConfigText } from "../../../src/config/read.ts";
import { createAdoption } from "../../../src/discovery/adopt.ts";
import { createOffers, type Refusal } from "../../../src/discovery/offers.ts";
import { resourcesFor } from "../../../src/envoy-config/live.ts";
import { randomFrom } from "../../support/random.ts";

const KINDS = ["clusters", "listeners", "routes/gateway", "routes/egress"];
const CHANGES = 6;
/** ms: how far apart the routers read a change, and how long each change stands before the next. */
const READ_WITHIN = 90_000;
const STANDS = 100_000;
const STEP = 250;

function wanted(names: readonly string[]) {
  const text = stringify({
    gateway: { hosts: ["gw.example"] },
    backends: Object.fromEntries(names.map((name) => [name, { endpoints: ["10.0.0.1:3000"] }])),
    routes: names.map((name) => ({ path: `/${name}`, backends: [name] })),
  });
  return { text, config: readConfigText("mcp-router.yaml", text).config, warnings: [] };
}

function startRouter(first: readonly string[], refused: (refusals: readonly Refusal[]) => void) {
  const { config: started } = wanted(first);
  const router = { uses: first };
  const resources = resourcesFor(started);
  const onRefused = (refusal: Refusal) => refused([refusal]);
  const offers = createOffers({ resources, several: true, now: Date.now, onRefused });
  const adoption = createAdoption({
    started,
    several: true,
    offers,
    adopt({ config }) {
      router.uses = config.backends.map(({ name }) => name);
      return true;
    },
    refused,
  });
  onTestFinished(() => adoption.close());
  return Object.assign(router, { offers, read: (names: readonly string[]) => adoption.want(wanted(names)) });
}

/** An Envoy that takes what it is given. */
function startEnvoy() {
  const has = new Map<string, string>();
  const envoy = { backends: [] as readonly string[], moves: 0 };
  const ask = ({ offers }: ReturnType<typeof startRouter>, name: string) => {
    const answer = offers.answer({ envoy: "e", name, version: has.get(name) });
    if (answer.kind !== "given") return;
    has.set(name, answer.resource.version);
    if (name !== "clusters") return;
    envoy.moves++;
    const { resources } = JSON.parse(answer.resource.body) as { resources: { name: string }[] };
    envoy.backends = resources.map((resource) => resource.name);
  };
  return Object.assign(envoy, { ask, has });
}

test.each([
  [2, 1],
  [3, 2],
  [4, 3],
  [10, 4],
])(
  "with %i routers an Envoy always has what each uses, goes to and fro for none, and ends with the last file (%i)",
  async (count, seed) => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const random = randomFrom(seed);
    const refusals: Refusal[] = [];
    const routers = Array.from({ length: count }, () => startRouter(["base"], (all) => refusals.push(...all)));
    const envoy = startEnvoy();
    let next = KINDS.map(() => Date.now());
    const lacking: string[] = [];
    /** Envoy asks for each kind 0.5 to 1 s after its last answer. */
    const go = async (ms: number, reads: readonly (() => void)[] = []) => {
      const due = reads.map((read) => ({ read, at: Date.now() + random.next() * READ_WITHIN }));
      for (const until = Date.now() + ms; Date.now() < until; ) {
        await vi.advanceTimersByTimeAsync(STEP);
        for (const each of due.splice(0)) each.at <= Date.now() ? each.read() : due.push(each);
        next = next.map((at, kind) => {
          if (at > Date.now()) return at;
          envoy.ask(random.one(routers), KINDS[kind] ?? "");
          return Date.now() + 500 + 500 * random.next();
        });
        for (const { uses } of routers) lacking.push(...uses.filter((name) => !envoy.backends.includes(name)));
      }
    };
    envoy.ask(random.one(routers), "clusters");
    await go(20_000);

    let file: readonly string[] = [];
    for (let change = 0; change < CHANGES; change++) {
      file = ["base", ...["a", "b", "c"].filter(() => random.next() < 0.5)];
      await go(
        STANDS,
        routers.map((router) => () => router.read(file)),
      );
    }
    await go(300_000);
    expect(lacking).toEqual([]);
    expect(refusals).toEqual([]);
    // Once for what comes, once for what goes.
    expect(envoy.moves).toBeLessThanOrEqual(1 + 2 * CHANGES);
    const last = resourcesFor(wanted(file).config);
    expect(Object.fromEntries(envoy.has)).toEqual(
      Object.fromEntries(KINDS.map((name) => [name, last.get(name)?.version])),
    );
  },
);
