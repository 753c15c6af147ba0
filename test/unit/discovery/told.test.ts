/** What operators are told of Envoys that refuse, however many names they have. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { readConfigText } from "../../../src/config/read.ts";
import { refusalsInWords } from "../../../src/discovery/in-words.ts";
import type { Refusal } from "../../../src/discovery/offers.ts";
import { openOffers } from "../../../src/serve-discovery.ts";
import { createLogger } from "../../../src/telemetry/log.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const CONFIG = readConfigText(
  "mcp-router.yaml",
  `
gateway: { hosts: [gw.example] }
processor: { listen: 127.0.0.1:50051, http: 127.0.0.1:9090 }
backends: { one: { endpoints: [10.0.0.1:3000] } }
routes: [{ path: /one, backends: [one] }]
`,
).config;

const NEVER_TAKEN = "Envoy refuses a configuration, and has never taken one of this router: its own log says why";
const REFUSES = "Envoy refuses a configuration: its own log says why";

function opened() {
  const lines: { refused: string; refusals?: number; msg: string }[] = [];
  const log = createLogger("info", {}, null, { write: (line) => void lines.push(JSON.parse(line)) });
  const envoyRefused = vi.fn();
  const offers = openOffers(CONFIG, { envoyRefused }, log);
  const refuse = (envoy: string, version?: string) => {
    for (let poll = 0; poll < 3; poll++) offers.answer({ envoy, name: "clusters", version });
  };
  const told = () => lines.splice(0).map(({ refused, refusals, msg }) => ({ refused, refusals, msg }));
  return { offers, refuse, told, envoyRefused };
}

test("of Envoys that refuse the same the log has one line a minute, however many names they have", async () => {
  const { refuse, told, envoyRefused } = opened();
  for (let stranger = 0; stranger < 900; stranger++) refuse(`stranger-${stranger} at 10.0.0.9`);
  expect(told()).toEqual([{ refused: "Envoy stranger-0 at 10.0.0.9 refuses clusters", msg: NEVER_TAKEN }]);
  expect(envoyRefused).toHaveBeenCalledTimes(900);
  await vi.advanceTimersByTimeAsync(60_000);
  refuse("another at 10.0.0.9");
  expect(told()).toEqual([{ refused: "Envoy another at 10.0.0.9 refuses clusters", refusals: 900, msg: NEVER_TAKEN }]);
});

test("one that follows is told among any number of those that do not", () => {
  const { offers, refuse, told } = opened();
  const given = offers.answer({ envoy: "real at 10.0.0.1", name: "listeners", version: undefined });
  if (given.kind !== "given") throw new Error(given.kind);
  offers.answer({ envoy: "real at 10.0.0.1", name: "listeners", version: given.resource.version });
  for (let stranger = 0; stranger < 20; stranger++) refuse(`stranger-${stranger} at 10.0.0.9`);
  refuse("real at 10.0.0.1");
  expect(told().map(({ refused, msg }) => [refused, msg])).toEqual([
    ["Envoy stranger-0 at 10.0.0.9 refuses clusters", NEVER_TAKEN],
    ["Envoy real at 10.0.0.1 refuses clusters", REFUSES],
  ]);
  const words = refusalsInWords(offers.refusals());
  expect(words[0]).toBe("Envoy real at 10.0.0.1 refuses clusters");
  expect(words.at(-1)).toBe("and 11 more refusals by Envoys");
  expect(words).toHaveLength(11);
});

test("a few are all named", () => {
  const refusals = ["a", "b"].map((envoy): Refusal => ({ envoy, name: "clusters", version: "c1", follows: true }));
  expect(refusalsInWords(refusals)).toEqual(["Envoy a refuses clusters", "Envoy b refuses clusters"]);
});
