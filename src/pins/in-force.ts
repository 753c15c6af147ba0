/** What the files of pins say while the router serves: each is read again when it changes. */
import { resolve } from "node:path";
import type { Config } from "../config/load.ts";
import { ConfigError } from "../config/read.ts";
import { POLL_MS, type Watcher, watchFile } from "../config/watch.ts";
import { errorLine } from "../telemetry/error-line.ts";
import type { Logger } from "../telemetry/log.ts";
import { acceptedIn, readPins } from "./file.ts";
import { type PinsOnDisk, pinFault, pinFilesOf, pinsOnDisk, textOfPins, whyPinsUnreadable, withPins } from "./read.ts";

export interface PinsInForce {
  /**
   * Reads the files of a configuration that are not known yet. Resolves to what is wrong with them, in words; undefined: there is
   * nothing to read. Never rejects.
   */
  readonly lacks: (config: Config) => Promise<readonly string[]> | undefined;
  /** The configuration, with what its files accept. */
  onto(config: Config): Config;
  /**
   * Watches the files of a configuration from now on, and calls `apply` with it when one of them accepts something else. Default:
   * other processes, which watch them too, put that in force.
   */
  follow(config: Config, apply?: (config: Config) => void): void;
  /** Reads the files now. Resolves when what has changed is in force. */
  check(): Promise<void>;
  close(): void;
}

interface Starting {
  /** The configuration's. */
  readonly file: string;
  readonly config: Config;
  /** Number of this worker, whose primary has looked at the files: one that is spoilt since then must not keep it from other routes. */
  readonly worker: number | undefined;
}

/** @throws ConfigError where a file is missing, or cannot be read */
export async function openPins({ file, config, worker }: Starting, log: Logger): Promise<PinsInForce> {
  const pins = new WatchedPins(log);
  const faults = (await pins.lacks(config)) ?? [];
  if (faults.length > 0 && worker === undefined) throw new ConfigError(file, faults);
  return pins;
}

class WatchedPins implements PinsInForce {
  readonly #log: Logger;
  /** By file: the last valid ones. */
  readonly #known = new Map<string, PinsOnDisk>();
  readonly #watchers = new Map<string, Watcher>();
  #followed: { readonly config: Config; readonly apply: (config: Config) => void } | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  readonly lacks = (config: Config): Promise<readonly string[]> | undefined => {
    const unknown = [...pinFilesOf(config)].filter(([file]) => !this.#watchers.has(file));
    return unknown.length === 0 ? undefined : this.#read(unknown);
  };

  onto(config: Config): Config {
    return { ...config, routes: withPins(config.routes, this.#known) };
  }

  follow(config: Config, apply: (config: Config) => void = () => undefined): void {
    this.#followed = { config, apply };
    const wanted = pinFilesOf(config);
    // Others that are known are those of a configuration that waits to be in force.
    for (const file of this.#watchers.keys()) if (!wanted.has(file)) this.#forget(file);
    for (const file of wanted.keys()) this.#watch(file);
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

  #watch(file: string): void {
    if (this.#watchers.has(file)) return;
    // A file that could not be read accepts nothing until it can.
    const { text } = this.#known.get(file) ?? { text: "" };
    this.#watchers.set(file, watchFile(resolve(file), text, this.#handlersOf(file), { read: textOfPins }));
  }

  #handlersOf(file: string): Parameters<typeof watchFile>[2] {
    const log = this.#log;
    return {
      onChange: (text) => this.#take(file, text),
      onUnreadable: (error) => log.error({ file, why: whyPinsUnreadable(error) }, `pins cannot be read: ${LAST}`),
      onUnwatched: (error) =>
        log.warn(
          { file, why: error.message },
          `the folder of the pins cannot be watched: changes of the file are seen within ${POLL_MS / 1_000} s`,
        ),
    };
  }

  #take(file: string, text: string): void {
    const read = readPins(text);
    if (!read.ok) {
      this.#log.error({ file, errors: read.errors }, `pins refused: ${LAST}`);
      return;
    }
    const before = this.#known.get(file);
    const pins = { text, ...acceptedIn(text, read.tools) };
    if (!this.#followed || before?.version === pins.version) return;
    this.#known.set(file, pins);
    try {
      this.#followed.apply(this.#followed.config);
      this.#log.info({ file, tools: read.tools.length }, "pins reloaded");
    } catch (error) {
      if (before) this.#known.set(file, before);
      else this.#known.delete(file);
      this.#log.error({ file, ...errorLine(error) }, `pins not applied because of a fault in the router: ${LAST}`);
    }
  }

  #forget(file: string): void {
    this.#watchers.get(file)?.close();
    this.#watchers.delete(file);
    this.#known.delete(file);
  }
}

const LAST = "the last ones stay in force";
