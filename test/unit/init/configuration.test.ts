import { expect, test } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { firstConfiguration } from "../../../src/init/configuration.ts";

test("names that YAML would take for something else stay what they are", () => {
  const names = ["2048", "null", "files"];
  const url = "http://127.0.0.1:3001/mcp";
  const text = firstConfiguration(names.map((name) => ({ name, url, about: "a: server # of\nmine" })));
  const loaded = loadConfig(text);
  expect(loaded.ok ? [] : loaded.errors).toEqual([]);
  expect(loaded.ok && loaded.config.backends.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
});
