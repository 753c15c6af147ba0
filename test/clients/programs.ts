/**
 * Clients of the official SDKs of other languages. Each is a program in a folder beside this file: it takes a URL, connects, and
 * says `{connected}`. Each line of its stdin has an `id` and something to `do`, as TestClient has it; it does them at the same time,
 * and answers each with `{id, answer, session}` or `{id, error}` on its stdout, where it also says `{heard}` for each log message,
 * `{progress}` for each step of a call, and `{changed}` when it is told of another list of tools. The end of its stdin ends its
 * session, and the program. To log in it has two variables: BROWSER_URL, and CLIENT_ID where it need not register.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { start } from "../../harness/child.ts";
import type { Sdk, TestClient } from "../support/clients.ts";

const TOOLS = join(import.meta.dirname, "../../.tools");
const GO_CLIENT = join(TOOLS, "go-client");

/** A client that logs in: its user's browser is a server, which is given an address as `url`, and says where that ends. */
interface Login {
  readonly browser: string;
  /** Without one the client registers. */
  readonly clientId?: string;
}

export interface ProgramSdk extends Sdk {
  connect(url: string, login?: Login): Promise<TestClient>;
}

export const PROGRAM_SDKS: readonly ProgramSdk[] = [
  { name: "Python SDK", ...ofPython("python") },
  { name: "Python SDK 1.x", ...ofPython("python-v1") },
  {
    name: "Go SDK",
    connect: (url, login) => connectProgram(GO_CLIENT, [url], environmentOf(login)),
    missing: unless(GO_CLIENT, "Go 1.25 or newer"),
  },
];

for (const { name, missing } of PROGRAM_SDKS)
  if (missing !== undefined) process.stderr.write(`The client of the ${name} is not tested: ${missing}.\n`);

/** A program in Python, with its own packages. */
function ofPython(folder: string): Pick<ProgramSdk, "connect" | "missing"> {
  const packages = join(TOOLS, `${folder}-client`);
  const program = join(import.meta.dirname, `${folder}/client.py`);
  return {
    connect: (url, login) =>
      connectProgram("python3", [program, url], {
        PYTHONPATH: [packages, import.meta.dirname].join(delimiter),
        ...environmentOf(login),
      }),
    missing: unless(packages, "Python 3.11 or newer with pip"),
  };
}

function environmentOf(login?: Login): Record<string, string> {
  if (!login) return {};
  return { BROWSER_URL: login.browser, ...(login.clientId !== undefined && { CLIENT_ID: login.clientId }) };
}

/** `make tools` makes it wherever it can, and fails where it should be able to. */
function unless(made: string, toolchain: string): string | undefined {
  return existsSync(made) ? undefined : `it has not been made; with ${toolchain}, run "make tools"`;
}

/** What a program says in a line. */
type Line =
  | { readonly connected: true }
  | { readonly id: number; readonly answer: unknown; readonly session: string | undefined }
  | { readonly id: number; readonly error: string }
  | { readonly heard: unknown }
  | { readonly progress: number }
  | { readonly changed: true };

/** How long a program may take to end its session and itself, in ms. */
const CLOSE_MS = 10_000;

async function connectProgram(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<TestClient> {
  const heard: unknown[] = [];
  const progress: number[] = [];
  let changes = 0;
  let sessionId: string | undefined;
  const connected = Promise.withResolvers<void>();
  /** What waits for an answer, by its id. */
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const settle = (id: number, go: (one: PromiseWithResolvers<unknown>) => void) => {
    const one = waiting.get(id);
    waiting.delete(id);
    if (one) go(one);
  };
  const read = (line: Line) => {
    if ("heard" in line) heard.push(line.heard);
    else if ("progress" in line) progress.push(line.progress);
    else if ("changed" in line) changes++;
    else if ("connected" in line) connected.resolve();
    else if ("error" in line) settle(line.id, ({ reject }) => reject(new Error(line.error)));
    else {
      sessionId = line.session;
      settle(line.id, ({ resolve }) => resolve(line.answer));
    }
  };
  let rest = "";
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
    connected.reject(ended);
    for (const one of waiting.values()) one.reject(ended);
  });
  // A call that meets the end of the program fails by that, not by the broken pipe.
  child.stdin?.on("error", () => undefined);
  await connected.promise;
  let asked = 0;
  const ask = (what: string, members: object = {}): Promise<unknown> => {
    if (ended) return Promise.reject(ended);
    const id = asked++;
    const one = Promise.withResolvers<unknown>();
    waiting.set(id, one);
    child.stdin?.write(`${JSON.stringify({ id, do: what, ...members })}\n`);
    return one.promise;
  };
  const close = async () => {
    child.stdin?.end();
    const timer = setTimeout(() => child.signal("SIGKILL"), CLOSE_MS);
    const code = await child.exited;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`the client ended with ${code}:\n${child.output()}`);
  };
  // Each program answers as its line above says.
  const texts = async (answer: Promise<unknown>) => (await answer) as readonly string[];
  return {
    call: (name, args) => ask("call", { name, arguments: args }),
    abandon: async (name, args) => void (await ask("abandon", { name, arguments: args })),
    tools: () => texts(ask("tools")),
    prompt: (name, args) => ask("prompt", { name, arguments: args }),
    read: (uri) => ask("read", { uri }),
    complete: (name, argument, value) => texts(ask("complete", { name, argument, value })),
    setLevel: async (level) => void (await ask("level", { level })),
    ping: async () => void (await ask("ping")),
    get sessionId() {
      return sessionId;
    },
    heard,
    progress,
    get changes() {
      return changes;
    },
    close,
    end: close,
  };
}
