import { expect, test } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { firstConfiguration } from "../../../src/init/configuration.ts";

test.each(["null", "true", "no", "123", "1e3", "1e-3", "0x1f", "0o7", "127-0-0-1", "constructor", "files"])(
  "a server may be named %s",
  (name) => {
    const loaded = loadConfig(firstConfiguration([{ name, url: "http://127.0.0.1:1/mcp", about: "one" }]));
    expect(loaded.ok ? loaded.config.backends.map((backend) => backend.name) : loaded.errors).toEqual([name]);
    expect(loaded.ok && loaded.warnings).toEqual([]);
  },
);

test.each(["http://h/:", "http://[::1]:1/mcp", "http://h/a'b"])("a URL may be %s", (url) => {
  const loaded = loadConfig(firstConfiguration([{ name: "one", url, about: "one" }]));
  expect(loaded.ok || loaded.errors).toBe(true);
});
