import { expect, test } from "vitest";
import { createLogger } from "../../../src/telemetry/log.ts";

/** A logger, and the lines that it has written. */
function logger(level: string, environment: NodeJS.ProcessEnv) {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger(level, environment, null, { write: (line) => void lines.push(JSON.parse(line)) });
  return { log, lines };
}

test("the level is the configuration's", () => {
  const { log, lines } = logger("warn", {});
  expect(log.level).toBe("warn");
  log.info("not this");
  log.warn("this");
  expect(lines).toMatchObject([{ msg: "this" }]);
});

test.each([
  ["debug", "debug"],
  ["DEBUG", "debug"],
  ["Silent", "silent"],
  ["", "info"],
])("LOG_LEVEL=%j gives the level %s", (LOG_LEVEL, level) => {
  const { log, lines } = logger("info", { LOG_LEVEL });
  expect(log.level).toBe(level);
  expect(lines).toEqual([]);
});

test.each(["loud", "constructor"])("LOG_LEVEL=%s is no level, and the log says which there are", (LOG_LEVEL) => {
  const { log, lines } = logger("info", { LOG_LEVEL });
  expect(log.level).toBe("info");
  expect(lines).toMatchObject([
    { LOG_LEVEL, msg: "LOG_LEVEL is none of trace, debug, info, warn, error, fatal, silent: using info" },
  ]);
});
