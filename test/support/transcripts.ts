/** What a page of the documentation shows of the command line: runs it, and says what really comes. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const MAIN = join(ROOT, "src/main.ts");

export interface Transcript {
  /** As `mcp-router check --config …`. */
  readonly command: string;
  /** What the page shows below it, both streams in one. */
  readonly shown: string;
}

/** The blocks of a page that are marked `console` and begin with a call of mcp-router. */
export function transcriptsOf(page: string): Transcript[] {
  const blocks = readFileSync(join(ROOT, page), "utf8").matchAll(/^```console\n\$ (mcp-router [^\n]*)\n(.*?)^```$/gms);
  return [...blocks].map(([, command = "", shown = ""]) => ({ command, shown }));
}

/** What the command prints, in the directory of the repository. */
export function printed(command: string): string {
  const [, ...args] = command.split(" ");
  const { stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { cwd: ROOT, encoding: "utf8" });
  return stderr + stdout;
}
