/**
 * Clients of the official SDKs of other languages. Each is a program in a folder beside this file: it takes a URL, connects, and
 * says `{connected}`; for a line `{tool, arguments}` on its stdin it calls a tool, and answers `{content, session}` or `{error}`
 * on its stdout, where it also says `{heard}` for each log message and `{progress}` for each step of a call. The end of its stdin
 * ends its session, and the program.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { start } from "../../harness/child.ts";
import type { Sdk, TestClient } from "../support/clients.ts";

const TOOLS = join(import.meta.dirname, "../../.tools");
const GO_CLIENT = join(TOOLS, "go-client");

export const PROGRAM_SDKS: readonly Sdk[] = [
  { name: "Python SDK", ...ofPython("python") },
  { name: "Python SDK 1.x", ...ofPython("python-v1") },
  {
    name: "Go SDK",
    connect: (url) => connectProgram(GO_CLIENT, [url]),
    missing: unless(GO_CLIENT, "Go 1.25 or newer"),
  },
];

for (const { name, missing } of PROGRAM_SDKS)
  if (missing !== undefined) process.stderr.write(`The client of the ${name} is not tested: ${missing}.\n`);

/** A program in Python, with its own packages. */
function ofPython(folder: string): Pick<Sdk, "connect" | "missing"> {
  const packages = join(TOOLS, `${folder}-client`);
  const program = join(import.meta.dirname, `${folder}/client.py`);
  return {
    connect: (url) => connectProgram("python3", [program, url], { PYTHONPATH: packages }),
    missing: unless(packages, "Python 3.11 or newer with pip"),
  };
}

/** `make tools` makes it wherever it can, and fails where it should be able to. */
function unless(made: string, toolchain: string): string | undefined {
  return existsSync(made) ? undefined : `it has not been made; with ${toolchain}, run "make tools"`;
}

/** What a program says in a line. */
type Line =
  | { readonly connected: true }
  | { readonly content: unknown; readonly session: string | undefined }
  | { readonly error: string }
  | { readonly heard: unknown }
  | { readonly progress: number };

/** How long a program may take to end its session and itself, in ms. */
const CLOSE_MS = 10_000;

async function connectProgram(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<TestClient> {
  const heard: unknown[] = [];
  const progress: number[] = [];
  let sessionId: string | undefined;
  /** Those that wait for `connected`, then for their calls, in their order. */
  const waiting: PromiseWithResolvers<unknown>[] = [];
  const wait = () => {
    const one = Promise.withResolvers<unknown>();
    waiting.push(one);
    return one.promise;
  };
  const read = (line: Line) => {
    if ("heard" in line) heard.push(line.heard);
    else if ("progress" in line) progress.push(line.progress);
    else if ("error" in line) waiting.shift()?.reject(new Error(line.error));
    else if ("content" in line) {
      sessionId = line.session;
      waiting.shift()?.resolve(line.content);
    } else waiting.shift()?.resolve(undefined);
  };
  let rest = "";
  const connected = wait();
  const child = start(
    command,
    command,
    args,
    { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } },
    (chunk) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      // Safe: our own programs write them.
      for (const line of lines) read(JSON.parse(line) as Line);
    },
  );
  let ended: Error | undefined;
  void child.exited.then(() => {
    ended = new Error(`the client has ended:\n${child.output()}`);
    for (const one of waiting) one.reject(ended);
  });
  // A call that meets the end of the program fails by that, not by the broken pipe.
  child.stdin?.on("error", () => undefined);
  await connected;
  return {
    call: async (tool, args) => {
      if (ended) throw ended;
      const answer = wait();
      child.stdin?.write(`${JSON.stringify({ tool, arguments: args })}\n`);
      return answer;
    },
    get sessionId() {
      return sessionId;
    },
    heard,
    progress,
    close: async () => {
      child.stdin?.end();
      const timer = setTimeout(() => child.signal("SIGKILL"), CLOSE_MS);
      const code = await child.exited;
      clearTimeout(timer);
      if (code !== 0) throw new Error(`the client ended with ${code}:\n${child.output()}`);
    },
  };
}
