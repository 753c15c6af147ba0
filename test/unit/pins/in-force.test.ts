import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { stringify } from "yaml";
import { temporaryDirectory } from "../../../harness/temporary.ts";
import type { Config } from "../../../src/config/load.ts";
import { ConfigError, readConfigText } from "../../../src/config/read.ts";
import { pinsText } from "../../../src/pins/file.ts";
import { openPins } from "../../../src/pins/in-force.ts";
import { createLogger } from "../../../src/telemetry/log.ts";

const FILE = "mcp-router.yaml";
const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const textOf = (digit: string) => pinsText([{ name: "one__a", backend: "one", digests: [digest(digit)] }]);

function configOf(pin: string, path = "/mcp"): Config {
  const text = stringify({
    gateway: { hosts: ["gw.example"] },
    backends: { one: { endpoints: ["10.0.0.1:3000"] } },
    routes: [{ path, backends: ["one"], federated: true, tools: { pin } }],
  });
  return readConfigText(FILE, text).config;
}

function digestsIn({ routes }: Config): string[] {
  return routes.flatMap((route) =>
    route.kind === "federated" ? [...(route.pins?.accepted.get("one__a")?.get("one") ?? [])] : [],
  );
}

function logger() {
  const lines: { readonly msg: string }[] = [];
  const log = createLogger("info", {}, null, { write: (line) => void lines.push(JSON.parse(line)) });
  return { log, told: () => lines.splice(0).map(({ msg }) => msg) };
}

/** A folder with a file of pins. */
function folder() {
  const directory = temporaryDirectory("pins");
  onTestFinished(() => directory.remove());
  const pin = join(directory.path, "pins.json");
  writeFileSync(pin, textOf("0"));
  return { pin, other: join(directory.path, "other.json") };
}

async function following() {
  const { pin, other } = folder();
  const { log, told } = logger();
  const config = configOf(pin);
  const pins = await openPins({ file: FILE, config, worker: undefined }, log);
  onTestFinished(() => pins.close());
  const apply = vi.fn((_: Config) => undefined);
  pins.follow(config, apply);
  return { pin, other, told, config, pins, apply };
}

async function refusal(pin: string): Promise<string> {
  const error = await openPins({ file: FILE, config: configOf(pin), worker: undefined }, logger().log).catch(
    (fault: unknown) => fault,
  );
  if (!(error instanceof ConfigError)) throw new Error("it was not refused");
  return error.errors.join();
}

test("a file that is not there keeps the router from starting, and the error says what makes it", async () => {
  expect(await refusal("/no/such.json")).toBe(
    "routes[0].tools.pin: cannot read /no/such.json: no such file; accept the tools that the backends offer now by " +
      "`mcp-router pin --all` for this configuration, which writes it",
  );
});

test("so does one that is no file of pins, or has 50 MB, of which no more is read than it may have", async () => {
  const { pin } = folder();
  writeFileSync(pin, "[]");
  expect(await refusal(pin)).toContain("it is no JSON object");
  truncateSync(pin, 50_000_000);
  expect(await refusal(pin)).toContain("it has more than 16777216 bytes (16 MiB)");
});

test("a worker begins all the same, accepts nothing of such a file, and takes it once it is mended", async () => {
  const { pin } = folder();
  writeFileSync(pin, "[]");
  const config = configOf(pin);
  const pins = await openPins({ file: FILE, config, worker: 1 }, logger().log);
  onTestFinished(() => pins.close());
  const apply = vi.fn();
  pins.follow(config, apply);
  expect(digestsIn(pins.onto(config))).toEqual([]);
  writeFileSync(pin, textOf("4"));
  await pins.check();
  expect(apply).toHaveBeenCalledTimes(1);
  expect(digestsIn(pins.onto(config))).toEqual([digest("4")]);
});

test("a configuration has what its files accept; one that was not read accepts nothing", async () => {
  const { config, pins, other } = await following();
  expect(digestsIn(config)).toEqual([]);
  expect(digestsIn(pins.onto(config))).toEqual([digest("0")]);
  expect(digestsIn(pins.onto(configOf(other)))).toEqual([]);
});

test("what a changed file accepts is applied to the configuration that is followed", async () => {
  const { pin, told, config, pins, apply } = await following();
  writeFileSync(pin, textOf("1"));
  await pins.check();
  expect(apply.mock.calls).toEqual([[config]]);
  expect(digestsIn(pins.onto(config))).toEqual([digest("1")]);
  expect(told()).toEqual(["pins reloaded"]);
});

test.each([
  ["no file of pins", (pin: string) => writeFileSync(pin, "{"), "pins refused: the last ones stay in force"],
  ["too large", (pin: string) => truncateSync(pin, 50_000_000), "pins cannot be read: the last ones stay in force"],
])("one that becomes %s leaves the last one in force until it is mended", async (_, spoil, told) => {
  const { pin, config, pins, apply, told: lines } = await following();
  spoil(pin);
  await pins.check();
  expect([...new Set(lines())]).toEqual([told]);
  expect(digestsIn(pins.onto(config))).toEqual([digest("0")]);
  expect(apply).not.toHaveBeenCalled();
  writeFileSync(pin, textOf("2"));
  await pins.check();
  expect(digestsIn(pins.onto(config))).toEqual([digest("2")]);
});

test("a fault while a change is applied is told of, and leaves the last one in force", async () => {
  const { pin, config, pins, apply, told } = await following();
  apply.mockImplementation(() => {
    throw new Error("no");
  });
  writeFileSync(pin, textOf("1"));
  await pins.check();
  expect(told()).toEqual(["pins not applied because of a fault in the router: the last ones stay in force"]);
  expect(digestsIn(pins.onto(config))).toEqual([digest("0")]);
});

test("a changed configuration lacks a file until that is there, and a change of another file meanwhile forgets nothing", async () => {
  const { pin, other, config, pins, apply } = await following();
  const wanted = configOf(other, "/other");
  expect(pins.lacks(config)).toBeUndefined();
  expect(await pins.lacks(wanted)).toEqual([expect.stringContaining(`${other}: no such file`)]);
  writeFileSync(other, textOf("3"));
  expect(await pins.lacks(wanted)).toEqual([]);
  apply.mockImplementation(() => void pins.follow(config, apply));
  writeFileSync(pin, textOf("1"));
  await pins.check();
  expect(digestsIn(pins.onto(wanted))).toEqual([digest("3")]);
});
