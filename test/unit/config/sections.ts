/** Configurations for these tests: sections of mcp-router.yaml over the smallest one. */
import { stringify } from "yaml";
import { type Config, loadConfig } from "../../../src/config/load.ts";

export const MINIMAL = {
  backends: { one: { endpoints: ["10.0.0.1:3000"] } },
  routes: [{ path: "/mcp", backends: ["one"] }],
};

export type Sections = Readonly<Record<string, unknown>>;

function loadedFrom(over: Sections) {
  const loaded = loadConfig(stringify({ ...MINIMAL, ...over }));
  if (!loaded.ok) throw new Error(loaded.errors.join("\n"));
  return loaded;
}

export function load(over: Sections = {}): Config {
  return loadedFrom(over).config;
}

export function warningsOf(over: Sections): readonly string[] {
  return loadedFrom(over).warnings;
}

export function errorsOf(over: Sections): readonly string[] {
  return errorsIn(stringify({ ...MINIMAL, ...over }));
}

export function errorsIn(text: string): readonly string[] {
  const loaded = loadConfig(text);
  return loaded.ok ? [] : loaded.errors;
}
