import { expect, onTestFinished, test, vi } from "vitest";
import { stringify } from "yaml";
import { digestsOf } from "../../src/config/digests.ts";
import { LOOK_AGAIN } from "../../src/config/hold.ts";
import type { Config } from "../../src/config/load.ts";
import { readConfigText } from "../../src/config/read.ts";
import { NO_OFFERS } from "../../src/discovery/offers.ts";
import { type Beside, needRestart, reloadOnChange } from "../../src/reload.ts";
import { createLogger } from "../../src/telemetry/log.ts";

const FILE = "/etc/mcp-router.yaml";

function textOf(over: object = {}): string {
  return stringify({
    gateway: { hosts: ["gw.example"] },
    backends: { one: { endpoints: ["10.0.0.1:3000"] } },
    routes: [{ path: "/mcp", backends: ["one"] }],
    ...over,
  });
}

function configOf(over: object = {}): Config {
  return readConfigText(FILE, textOf(over)).config;
}

/** @param envoys that follow the configuration, and take each at once */
function reloading(
  apply: (config: Config) => void = () => undefined,
  envoys = 0,
  beside?: Beside,
  lacks?: (config: Config) => Promise<readonly string[]> | undefined,
) {
  const lines: { level: number; msg: string }[] = [];
  const log = createLogger("info", {}, null, { write: (line) => void lines.push(JSON.parse(line)) });
  const configReloaded = vi.fn();
  const offers = { ...NO_OFFERS, outcome: () => ({ kind: "taken", envoys }) as const };
  const started = configOf();
  const handlers = reloadOnChange({
    file: FILE,
    text: textOf(),
    started,
    apply,
    offers,
    beside,
    ...(lacks && { lacks: [lacks] }),
    metrics: { configReloaded },
    log,
  });
  onTestFinished(() => handlers.close());
  const messages = () => lines.splice(0).map(({ msg }) => msg);
  return { ...handlers, lines, messages, configReloaded };
}

const MORE_ROUTES = { routes: ["/mcp", "/other"].map((path) => ({ path, backends: ["one"] })) };

test("a change that only the router needs to know is taken, and that is all", () => {
  const apply = vi.fn();
  const { onChange, lines, configReloaded } = reloading(apply);
  onChange(textOf({ gateway: { hosts: ["gw.example", "other.example"] }, ...MORE_ROUTES }));
  expect(apply.mock.calls).toMatchObject([[{ routes: [{ path: "/mcp" }, { path: "/other" }] }, expect.any(String)]]);
  expect(configReloaded.mock.calls).toEqual([[true, false]]);
  expect(lines).toMatchObject([{ file: FILE, routes: ["/mcp", "/other"], msg: "configuration reloaded" }]);
});

test("where Envoy's configuration changes too, it says so and how; not again when the next change is not Envoy's", () => {
  const { onChange, messages } = reloading();
  const advice = `Envoy's configuration changes too: print it with "mcp-router envoy --config ${FILE}" and restart Envoy`;
  const backends = { one: { endpoints: ["10.0.0.1:3000", "10.0.0.2:3000"] } };
  onChange(textOf({ backends }));
  expect(messages()).toEqual([advice, "configuration reloaded"]);
  onChange(textOf({ backends, ...MORE_ROUTES }));
  expect(messages()).toEqual(["configuration reloaded"]);
  onChange(textOf());
  expect(messages()).toEqual([advice, "configuration reloaded"]);
});

test("where Envoys follow the configuration, it says so of their bootstrap alone", () => {
  const { onChange, messages } = reloading(undefined, 1);
  const backends = { one: { endpoints: ["10.0.0.1:3000", "10.0.0.2:3000"] } };
  onChange(textOf({ backends }));
  expect(messages()).toEqual(["configuration reloaded"]);
  onChange(textOf({ backends, envoy: { heap: "1GiB" } }));
  expect(messages()).toEqual([
    `Envoy's configuration changes too: print it with "mcp-router envoy --live --config ${FILE}" and restart Envoy`,
    "configuration reloaded",
  ]);
});

test("limits of calls that Envoy may not count are a trouble until they are as at the start, where no Envoy follows", () => {
  const limits = { calls: [{ tools: ["*"], rate: "1/d" }] };
  const alone = reloading();
  expect(alone.troubles()).toEqual([]);
  alone.onChange(textOf({ limits, ...MORE_ROUTES }));
  expect(alone.troubles()).toEqual([expect.stringContaining("counts no call under a new limit")]);
  alone.onChange(textOf(MORE_ROUTES));
  expect(alone.troubles()).toEqual([]);
  const followed = reloading(undefined, 1);
  followed.onChange(textOf({ limits }));
  expect(followed.troubles()).toEqual([]);
});

test("settings that are read at the start only are named", () => {
  const { onChange, lines } = reloading();
  onChange(textOf({ log: { level: "debug" } }));
  expect(lines).toMatchObject([
    { settings: ["log"], msg: "these settings change only with a restart of mcp-router" },
    { msg: "configuration reloaded" },
  ]);
});

test.each<[object, string[]]>([
  [{}, []],
  [MORE_ROUTES, []],
  [{ timeouts: { call: "1m" } }, []],
  [{ limits: { body: "1MiB" } }, []],
  [{ limits: { body: "8MiB" } }, ["limits.body"]],
  [
    { limits: { replayBodies: "32MiB", recoveredAnswers: "128MiB" } },
    ["limits.replayBodies", "limits.recoveredAnswers"],
  ],
  [{ egress: { listen: "127.0.0.1:9" } }, ["egress"]],
  [
    { processor: { drain: "1s" }, sessions: { lifetime: "1h" }, log: { level: "warn" } },
    ["processor", "sessions", "log"],
  ],
  [{ identity: { kind: "header", name: "x-user" } }, ["admission.anonymous"]],
])("of %j the process needs a restart for %j", (over, settings) => {
  expect(needRestart(configOf(), configOf(over))).toEqual(settings);
});

test("the warnings of a configuration are told as at the start", () => {
  const { onChange, messages } = reloading();
  onChange(textOf({ gateway: {} }));
  expect(messages()).toEqual([expect.stringContaining("gateway.hosts is not set"), "configuration reloaded"]);
});

test("a bad configuration is refused with its errors, and counted", () => {
  const apply = vi.fn();
  const { onChange, lines, configReloaded } = reloading(apply);
  onChange("routes: []");
  expect(apply).not.toHaveBeenCalled();
  expect(configReloaded.mock.calls).toEqual([[false]]);
  expect(lines).toMatchObject([
    { errors: [expect.any(String), expect.any(String)], msg: expect.stringContaining("refused") },
  ]);
});

test("streams that were not there at the start are promised to nobody", () => {
  const apply = vi.fn();
  const { onChange } = reloading(apply);
  const backends = { one: { endpoints: ["10.0.0.1:3000"] }, two: { endpoints: ["10.0.0.2:3000"] } };
  const processor = { listen: "127.0.0.1:50051", streams: { listen: "127.0.0.1:9091" } };
  onChange(textOf({ backends, processor, routes: [{ path: "/mcp", backends: ["one", "two"] }] }));
  const bridged = { path: "/one", backends: ["one"], era: "bridge" };
  onChange(textOf({ backends, processor, routes: [bridged] }));
  expect(apply.mock.calls).toMatchObject([
    [{ routes: [{ path: "/mcp", stream: "none" }] }, expect.any(String)],
    [{ routes: [{ path: "/one", kind: "bridged", federated: { stream: "none" } }] }, expect.any(String)],
  ]);
});

test("a fault of ours is told as such, and the next change is compared with what is in force", () => {
  const apply = vi.fn().mockImplementationOnce(() => {
    throw new Error("ours");
  });
  const { onChange, lines, messages, configReloaded } = reloading(apply);
  const changed = textOf({ timeouts: { call: "1m" } });
  onChange(changed);
  expect(configReloaded.mock.calls).toEqual([[false]]);
  expect(lines).toMatchObject([{ err: { message: "ours" }, msg: expect.stringContaining("a fault in the router") }]);
  lines.splice(0);
  onChange(changed);
  expect(messages()).toEqual([expect.stringContaining("Envoy's configuration"), "configuration reloaded"]);
});

test("what is in force is told by section, and what became of the last change", () => {
  const apply = vi.fn();
  const { onChange, onUnreadable, report } = reloading(apply);
  const sections = digestsOf(textOf());
  expect(report()).toEqual({ sections, lastChange: "in-force", needRestart: [] });
  onChange("routes: []");
  expect(report()).toEqual({ sections, lastChange: "invalid", needRestart: [] });
  onUnreadable(new Error("ENOENT"));
  expect(report().lastChange).toBe("unreadable");
  apply.mockImplementationOnce(() => {
    throw new Error("ours");
  });
  onChange(textOf(MORE_ROUTES));
  expect(report()).toEqual({ sections, lastChange: "fault", needRestart: [] });
  const changed = textOf({ ...MORE_ROUTES, log: { level: "debug" } });
  onChange(changed);
  expect(report()).toEqual({ sections: digestsOf(changed), lastChange: "in-force", needRestart: ["log"] });
});

test("a file that cannot be read is an error and counts; a folder that cannot be watched is a warning and does not", () => {
  const { onUnreadable, onUnwatched, lines, configReloaded } = reloading();
  onUnreadable(Object.assign(new Error("no such file or directory, open"), { code: "ENOENT" }));
  expect(configReloaded.mock.calls).toEqual([[false]]);
  onUnwatched(new Error("ENOSPC"));
  expect(configReloaded).toHaveBeenCalledTimes(1);
  expect(lines).toMatchObject([
    { level: 50, why: "no such file", msg: "configuration cannot be read: the last valid one stays in force" },
    {
      level: 40,
      why: "ENOSPC",
      msg: "the configuration's folder cannot be watched: changes of the file are seen within 5 s; send SIGHUP to reload at once",
    },
  ]);
  // No stack: whoever runs the router is to read one line.
  expect(JSON.stringify(lines)).not.toContain("    at ");
});

test("whoever runs an Envoy beside the router says what the machine lacks, and is told what is in force", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const missing = new Set(["gateway.tls.cert: cannot read /no/cert: no such file"]);
  const inForce = vi.fn();
  const apply = vi.fn();
  const { onChange, lines, configReloaded } = reloading(apply, 1, { lacks: async () => [...missing], inForce });
  onChange(textOf(MORE_ROUTES));
  await vi.advanceTimersByTimeAsync(LOOK_AGAIN);
  expect([apply.mock.calls, inForce.mock.calls, configReloaded.mock.calls]).toEqual([[], [], [[false]]]);
  expect(lines).toMatchObject([
    { errors: [...missing], msg: "configuration refused: the last valid one stays in force" },
  ]);
  missing.clear();
  await vi.advanceTimersByTimeAsync(LOOK_AGAIN);
  expect(inForce.mock.calls).toMatchObject([[{ routes: [{ path: "/mcp" }, { path: "/other" }] }]]);

  // An invalid text takes the place of one that is held back.
  missing.add("another");
  onChange(textOf());
  await vi.advanceTimersByTimeAsync(0);
  onChange("routes: []");
  missing.clear();
  await vi.advanceTimersByTimeAsync(LOOK_AGAIN);
  expect(inForce).toHaveBeenCalledTimes(1);
});

test("a configuration that names a file which the router lacks waits for it; one that names none is taken at once", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const missing = new Set(["pins.json: no such file"]);
  const apply = vi.fn();
  const lacks = ({ routes }: Config) => (routes.length > 1 ? Promise.resolve([...missing]) : undefined);
  const { onChange, lines } = reloading(apply, 0, undefined, lacks);
  onChange(textOf({ gateway: { hosts: ["other.example"] } }));
  expect(apply).toHaveBeenCalledTimes(1);
  lines.splice(0);
  onChange(textOf(MORE_ROUTES));
  await vi.advanceTimersByTimeAsync(LOOK_AGAIN);
  expect(lines).toMatchObject([
    { errors: [...missing], msg: "configuration refused: the last valid one stays in force" },
  ]);
  missing.clear();
  await vi.advanceTimersByTimeAsync(LOOK_AGAIN);
  expect(apply).toHaveBeenCalledTimes(2);
});
