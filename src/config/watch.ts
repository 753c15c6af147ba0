/** Notices that a configuration file changed, also where Kubernetes swaps a symlink in the path to it. */
import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Editors and Kubernetes make several events of one change: the file is read this long (ms) after the last of them. */
const SETTLE_MS = 100;

export interface Watcher {
  /** Looks now. Resolves when `onChange` has been called, if there was anything to tell. */
  check(): Promise<void>;
  close(): void;
}

/**
 * Watches a file's folder and calls `onChange` with the file's text each time that it differs from the last.
 * @param text what the file said at the start
 * @param onUnreadable called when the file cannot be read; the next change is looked for all the same
 */
export function watchFile(
  file: string,
  text: string,
  onChange: (text: string) => void,
  onUnreadable: (error: Error) => void,
): Watcher {
  let last = text;
  let timer: NodeJS.Timeout | undefined;

  const check = async () => {
    try {
      const now = await readFile(file, "utf8");
      if (now === last) return;
      last = now;
      onChange(now);
    } catch (error) {
      onUnreadable(error instanceof Error ? error : new Error(String(error)));
    }
  };
  // The folder and not the file: a rename over the file, or a swap of `..data`, would leave a watch on the old inode.
  const watcher = watch(dirname(file), () => {
    clearTimeout(timer);
    timer = setTimeout(() => void check(), SETTLE_MS);
  });
  watcher.on("error", onUnreadable);

  return {
    check,
    close() {
      clearTimeout(timer);
      watcher.close();
    },
  };
}
