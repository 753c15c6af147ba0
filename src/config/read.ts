/** Reads `mcp-router.yaml` from disk. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type Config, loadConfig, type Overrides } from "./load.ts";
import { whyUnreadable } from "./unreadable.ts";

/** A configuration that cannot be used, with its errors. */
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
 * @throws ConfigError if the file cannot be read or has errors
 */
export async function readConfig(file: string, overrides: Overrides = {}): Promise<Read> {
  let text: string;
  try {
    // The absolute path, so that an error shows the folder.
    text = await readFile(resolve(file), "utf8");
  } catch (error) {
    const why = whyUnreadable(error);
    throw new ConfigError(file, [
      `cannot read ${resolve(file)}: ${why}; pass the path of your mcp-router.yaml with --config`,
    ]);
  }
  return readConfigText(file, text, overrides);
}

/**
 * Checks the text of a configuration file.
 * @throws ConfigError if it has errors
 */
export function readConfigText(file: string, text: string, overrides: Overrides = {}): Read {
  const loaded = loadConfig(text, overrides);
  if (!loaded.ok) throw new ConfigError(file, loaded.errors);
  return { text, config: loaded.config, warnings: loaded.warnings };
}
