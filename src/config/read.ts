/** Reads `mcp-router.yaml` from disk. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type Config, loadConfig, type Overrides } from "./load.ts";

/** A configuration that cannot be used, with every error in it. */
export class ConfigError extends Error {
  readonly file: string;
  readonly errors: readonly string[];

  constructor(file: string, errors: readonly string[]) {
    super(`${file}: ${errors.join("; ")}`);
    this.name = "ConfigError";
    this.file = file;
    this.errors = errors;
  }
}

interface Read {
  readonly text: string;
  readonly config: Config;
  readonly warnings: readonly string[];
}

/**
 * Reads and checks a configuration file.
 * @throws ConfigError when it is not there or not right
 */
export async function readConfig(file: string, overrides: Overrides = {}): Promise<Read> {
  let text: string;
  try {
    // The whole path, so that an error says in which folder it was looked for.
    text = await readFile(resolve(file), "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(file, [`cannot be read: ${reason}; name your mcp-router.yaml by --config`]);
  }
  return readConfigText(file, text, overrides);
}

/**
 * Checks a text as that of a configuration file.
 * @throws ConfigError when it is not right
 */
export function readConfigText(file: string, text: string, overrides: Overrides = {}): Read {
  const loaded = loadConfig(text, overrides);
  if (!loaded.ok) throw new ConfigError(file, loaded.errors);
  return { text, config: loaded.config, warnings: loaded.warnings };
}
