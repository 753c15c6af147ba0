/** Notices that a configuration file changed, also where Kubernetes swaps a symlink in the path to it. */
import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Editors and Kubernetes make several events of one change: the file is read this long (ms) after the last of them. */
const SETTLE_MS = 100;
/** How often (ms) the file is read whether an event came or not: what no event tells is seen by then. */
export const POLL_MS = 5_000;

export interface Watcher {
  /**
   * Looks now, after the looks that are under way. Resolves when the handlers have been called, if there was anything
   * to tell; rejects with what a handler threw.
   */
  check(): Promise<void>;
  close(): void;
}

/** What a watcher tells. These must not throw: nobody is there to catch it. */
export interface WatchHandlers {
  /** The file's text differs from the last that was told, or the file can be read again. */
  onChange(text: string): void;
  /** The file cannot be read. Told once, and at each `check` of a caller, until it can be read again. */
  onUnreadable(error: Error): void;
  /** The folder gives no events (any more). Told once until it does again; the file is still read every POLL_MS. */
  onUnwatched(error: Error): void;
}

/**
 * Watches a file: by events of its folder, which come at once, and by reading it now and then, since events fail in
 * silence (a folder that was replaced, a network file system) or are not to be had (no inotify watches left).
 * Never throws, and does not keep the process alive.
 * @param text what the file said when it was last read; a change since then is told too
 */
export function watchFile(
  file: string,
  text: string,
  handlers: WatchHandlers,
  { settle = SETTLE_MS, poll = POLL_MS }: { readonly settle?: number; readonly poll?: number } = {},
): Watcher {
  /** Undefined while the file cannot be read. */
  let last: string | undefined = text;
  let closed = false;
  /** Looks go one after another: the one that began last is the one that counts. */
  let looks: Promise<unknown> = Promise.resolve();

  const look = async (asked: boolean): Promise<boolean> => {
    if (closed) return false;
    const read = await readFile(file, "utf8").catch(asError);
    if (closed || read === last) return false;
    if (read instanceof Error) {
      const isNews = last !== undefined;
      last = undefined;
      if (isNews || asked) handlers.onUnreadable(read);
      return isNews;
    }
    last = read;
    handlers.onChange(read);
    return true;
  };
  const lookInTurn = (asked: boolean): Promise<boolean> => {
    const found = looks.then(() => look(asked));
    looks = found.catch(() => undefined);
    return found;
  };

  let settling: NodeJS.Timeout | undefined;
  const folder = watchFolder(
    dirname(file),
    () => {
      clearTimeout(settling);
      settling = setTimeout(() => void lookInTurn(false), settle).unref();
    },
    (error) => handlers.onUnwatched(error),
  );

  let polling: NodeJS.Timeout | undefined;
  const pollLater = () => {
    polling = setTimeout(async () => {
      const missed = await lookInTurn(false);
      if (closed) return;
      // A change that came without an event: the folder of that name is not the one that is watched.
      if (missed || !folder.isWatched()) folder.watch();
      pollLater();
    }, poll).unref();
  };
  pollLater();
  // What changed before the folder was watched.
  void lookInTurn(false);

  return {
    check: async () => void (await lookInTurn(true)),
    close() {
      closed = true;
      clearTimeout(settling);
      clearTimeout(polling);
      folder.close();
    },
  };
}

/** Events of a folder. The folder and not the file: a rename over the file would leave a watch on the old inode. */
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
