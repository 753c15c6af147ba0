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

/** A line that stands for one or more lines that the page leaves out. */
const LEFT_OUT = "…";

/** What the command prints, without the lines that a page leaves out where it shows LEFT_OUT. */
export function abridged(text: string, shown: string): string {
  const wanted = new Set(shown.split("\n"));
  if (!wanted.has(LEFT_OUT)) return text;
  const lines = text.split("\n").map((line) => (wanted.has(line) ? line : LEFT_OUT));
  return lines.filter((line, n) => line !== LEFT_OUT || lines[n - 1] !== LEFT_OUT).join("\n");
}
