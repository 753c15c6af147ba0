/** What the files of pins say while the router serves: each is read again when it changes. */
import { resolve } from "node:path";
import type { Config } from "../config/load.ts";
import { ConfigError } from "../config/read.ts";
import { whyUnreadable } from "../config/unreadable.ts";
import { type Watcher, watchFile } from "../config/watch.ts";
import type { Logger } from "../telemetry/log.ts";
import { acceptedIn, readPins } from "./file.ts";
import { type PinsOnDisk, pinFault, pinFilesOf, pinsOnDisk, textOfPins, withPins } from "./read.ts";

export interface PinsInForce {
  /**
   * Reads the files of a configuration that are not known yet. Resolves to what is wrong with them, in words; undefined: there is
   * nothing to read. Never rejects.
   */
  readonly lacks: (config: Config) => Promise<readonly string[]> | undefined;
  /** The configuration, with what its files accept. From now on these are watched. */
  follow(config: Config): Config;
  /** Calls `apply` with the configuration that is followed when one of its files accepts something else. */
  watch(apply: (config: Config) => void): void;
  /** Reads the files now. Resolves when what has changed is in force. */
  check(): Promise<void>;
  close(): void;
}

/** @throws ConfigError where a file is missing, or cannot be read */
export async function openPins(file: string, config: Config, log: Logger): Promise<PinsInForce> {
  const pins = new WatchedPins(log);
  const faults = (await pins.lacks(config)) ?? [];
  if (faults.length > 0) throw new ConfigError(file, faults);
  return pins;
}

class WatchedPins implements PinsInForce {
  readonly #log: Logger;
  /** By file: the last valid ones. */
  readonly #known = new Map<string, PinsOnDisk>();
  readonly #watchers = new Map<string, Watcher>();
  #config: Config | undefined;
  /** undefined: files are not watched yet. */
  #apply: ((config: Config) => void) | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  readonly lacks = (config: Config): Promise<readonly string[]> | undefined => {
    const unknown = [...pinFilesOf(config)].filter(([file]) => !this.#watchers.has(file));
    return unknown.length === 0 ? undefined : this.#read(unknown);
  };

  follow(config: Config): Config {
    this.#config = config;
    const wanted = pinFilesOf(config);
    // Others that are known are those of a configuration that waits to be in force.
    for (const file of this.#watchers.keys()) if (!wanted.has(file)) this.#forget(file);
    if (this.#apply) this.#watchAll(config);
    return { ...config, routes: withPins(config.routes, this.#known) };
  }

  watch(apply: (config: Config) => void): void {
    this.#apply = apply;
    if (this.#config) this.#watchAll(this.#config);
  }

  async check(): Promise<void> {
    await Promise.all([...this.#watchers.values()].map((watcher) => watcher.check()));
  }

  close(): void {
    for (const file of this.#watchers.keys()) this.#forget(file);
  }

  async #read(files: readonly (readonly [file: string, setting: string])[]): Promise<readonly string[]> {
    const faults = files.map(async ([file, setting]) => {
      const read = await pinsOnDisk(file);
      if (!read.ok) return [pinFault(setting, file, read)];
      if (!this.#watchers.has(file)) this.#known.set(file, read.pins);
      return [];
    });
    return (await Promise.all(faults)).flat();
  }

  #watchAll(config: Config): void {
    for (const file of pinFilesOf(config).keys()) {
      const text = this.#known.get(file)?.text;
      if (text === undefined || this.#watchers.has(file)) continue;
      const watcher = watchFile(resolve(file), text, this.#handlersOf(file), { read: textOfPins });
      this.#watchers.set(file, watcher);
    }
  }

  #handlersOf(file: string): Parameters<typeof watchFile>[2] {
    const log = this.#log;
    return {
      onChange: (text) => {
        const read = readPins(text);
        if (!read.ok) return log.error({ file, errors: read.errors }, `pins refused: ${LAST}`);
        const before = this.#known.get(file);
        const pins = { text, ...acceptedIn(text, read.tools) };
        if (!this.#config || !this.#apply || before?.version === pins.version) return;
        this.#known.set(file, pins);
        log.info({ file, tools: pins.accepted.size }, "pins reloaded");
        this.#apply(this.#config);
      },
      onUnreadable: (error) => log.error({ file, why: whyUnreadable(error) }, `pins cannot be read: ${LAST}`),
      onUnwatched: (error) =>
        log.warn({ file, why: error.message }, "the folder of the pins cannot be watched: changes are seen later"),
    };
  }

  #forget(file: string): void {
    this.#watchers.get(file)?.close();
    this.#watchers.delete(file);
    this.#known.delete(file);
  }
}

const LAST = "the last ones stay in force";
