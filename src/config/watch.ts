/** Detects changes of a configuration file, also when Kubernetes swaps a symlink in its path. */
import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Editors and Kubernetes cause several events for one change: the file is read this long (ms) after the last event. */
const SETTLE_MS = 100;
/** Interval (ms) between reads without an event, which find changes that caused none. */
export const POLL_MS = 5_000;

export interface Watcher {
  /**
   * Reads the file now, after the reads in progress. Resolves when the handlers have returned; rejects with what a handler threw.
   */
  check(): Promise<void>;
  close(): void;
}

/** Called by the watcher. They must not throw, because nothing catches it. */
export interface WatchHandlers {
  /** The file's text has changed since the last report, or the file can be read again. */
  onChange(text: string): void;
  /** The file cannot be read. Reported once, and at each `check`, until it can be read again. */
  onUnreadable(error: Error): void;
  /** The folder cannot be watched. Reported once until it can; the file is still read every POLL_MS. */
  onUnwatched(error: Error): void;
}

interface WatchOptions {
  readonly settle?: number;
  readonly poll?: number;
  readonly read?: (file: string) => Promise<string>;
}

function readText(file: string): Promise<string> {
  return readFile(file, "utf8");
}

/**
 * Watches a file by events of its folder and by periodic reads, because events can be silently lost (a replaced folder, a network file
 * system) or unavailable (no inotify watches left). Never throws, and does not keep the process alive.
 * @param text the file's text when it was last read; a change since then is reported too
 * @param options `read`: how the file is read; it rejects where it cannot be
 */
export function watchFile(
  file: string,
  text: string,
  handlers: WatchHandlers,
  { settle = SETTLE_MS, poll = POLL_MS, read = readText }: WatchOptions = {},
): Watcher {
  const reader = changesOf(file, text, handlers, read);
  let settling: NodeJS.Timeout | undefined;
  const folder = watchFolder(
    dirname(file),
    () => {
      clearTimeout(settling);
      settling = setTimeout(() => void reader.read(false), settle).unref();
    },
    (error) => handlers.onUnwatched(error),
  );

  let polling: NodeJS.Timeout | undefined;
  const pollLater = () => {
    polling = setTimeout(async () => {
      const missed = await reader.read(false);
      if (reader.isClosed()) return;
      // A change without an event: the path may lead to another folder now.
      if (missed || !folder.isWatched()) folder.watch();
      pollLater();
    }, poll).unref();
  };
  pollLater();
  // A change may have come before the folder was watched.
  void reader.read(false);

  return {
    check: async () => void (await reader.read(true)),
    close() {
      reader.close();
      clearTimeout(settling);
      clearTimeout(polling);
      folder.close();
    },
  };
}

/** Reads the file and reports changes. `read` resolves to whether there was one; `asked` says that a caller of `check` waits. */
function changesOf(file: string, text: string, handlers: WatchHandlers, readNew: typeof readText) {
  /** undefined while the file cannot be read. */
  let last: string | undefined = text;
  let closed = false;
  /** Reads run one after another, so that the last one to start decides. */
  let reads: Promise<unknown> = Promise.resolve();

  const readNow = async (asked: boolean): Promise<boolean> => {
    if (closed) return false;
    const found = await readNew(file).catch(asError);
    if (closed || found === last) return false;
    if (found instanceof Error) {
      const isNews = last !== undefined;
      last = undefined;
      if (isNews || asked) handlers.onUnreadable(found);
      return isNews;
    }
    last = found;
    handlers.onChange(found);
    return true;
  };

  return {
    read(asked: boolean): Promise<boolean> {
      const changed = reads.then(() => readNow(asked));
      reads = changed.catch(() => undefined);
      return changed;
    },
    isClosed: () => closed,
    close() {
      closed = true;
    },
  };
}

/** Watches the folder and not the file, because a rename over the file would leave the watch on the old inode. */
function watchFolder(folder: string, onEvent: () => void, onLost: (error: Error) => void) {
  let watcher: FSWatcher | undefined;
  let told = false;

  const close = () => {
    watcher?.close();
    watcher = undefined;
  };
  const lose = (error: unknown) => {
    close();
    if (!told) onLost(asError(error));
    told = true;
  };
  const start = () => {
    close();
    try {
      watcher = watch(folder, { persistent: false }, onEvent).on("error", lose);
      told = false;
    } catch (error) {
      lose(error);
    }
  };
  start();
  return { isWatched: () => watcher !== undefined, watch: start, close };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
