/** Directories for the files of programs that are started here. */
import { mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TemporaryDirectory extends Disposable {
  readonly path: string;
  /** With all that is in it. Nothing happens the second time. */
  remove(): void;
}

const present = new Set<TemporaryDirectory>();

/**
 * Makes a directory of one's own. It goes when its owner removes it, or with this process if that ends first.
 * @param what part of its name: who is to blame for one that stays
 */
export function temporaryDirectory(what: string): TemporaryDirectory {
  if (present.size === 0) process.on("exit", removeAll);
  const { path, remove: removeNow } = mkdtempDisposableSync(join(tmpdir(), `mcp-router-${what}-`));
  const remove = () => {
    removeNow();
    present.delete(directory);
    if (present.size === 0) process.off("exit", removeAll);
  };
  const directory = { path, remove, [Symbol.dispose]: remove };
  present.add(directory);
  return directory;
}

/** Listens since the first was made, which is later than child.ts: a program that writes into one has ended before. */
function removeAll(): void {
  for (const directory of present) directory.remove();
}
