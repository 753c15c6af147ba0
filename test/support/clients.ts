/**
 * The clients of the official SDKs, as one kind of client for a test. Those that are not of TypeScript are programs of their
 * own (test/clients): each takes a URL, connects, and says `{connected}`; of a line `{tool, arguments}` on its stdin it calls
 * a tool, and answers `{content, session}` or `{error}` on its stdout, where it also says `{heard}` of each log message and
 * `{progress}` of each step of a call. The end of its stdin ends its session, and it.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport as AnyTransportV1 } from "@modelcontextprotocol/sdk/shared/transport.js";
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { start } from "../../harness/child.ts";

interface TestClient {
  /** Resolves with the content of what the tool gave. */
  call(name: string, args: Record<string, unknown>): Promise<unknown>;
  /** As the client knows it; after a call at the latest. */
  readonly sessionId: string | undefined;
  /** The data of log messages, which come on the GET stream. */
  readonly heard: readonly unknown[];
  /** What the calls have been told of their progress. */
  readonly progress: readonly number[];
  close(): Promise<void>;
}

interface Sdk {
  readonly name: string;
  connect(url: string): Promise<TestClient>;
  /** Why there is no client of it here. */
  readonly missing?: string | undefined;
}

const TOOLS = join(import.meta.dirname, "../../.tools");
const GO_CLIENT = join(TOOLS, "go-client");

export const SDKS: readonly Sdk[] = [
  { name: "TypeScript SDK v2", connect: connectV2 },
  { name: "TypeScript SDK v1", connect: connectV1 },
  { name: "Python SDK", ...ofPython("python") },
  { name: "Python SDK 1.x", ...ofPython("python-v1") },
  {
    name: "Go SDK",
    connect: (url) => connectProgram(GO_CLIENT, [url]),
    missing: unless(GO_CLIENT, "Go 1.25 or newer"),
  },
];

for (const { name, missing } of SDKS)
  if (missing !== undefined) process.stderr.write(`The client of the ${name} is not tested: ${missing}.\n`);

/** A program of test/clients in Python, with its own packages. */
function ofPython(folder: string): Pick<Sdk, "connect" | "missing"> {
  const packages = join(TOOLS, `${folder}-client`);
  const program = join(import.meta.dirname, `../clients/${folder}/client.py`);
  return {
    connect: (url) => connectProgram("python3", [program, url], { PYTHONPATH: packages }),
    missing: unless(packages, "Python 3.11 or newer with pip"),
  };
}

/** `make tools` makes it wherever it can, and fails where it should be able to. */
function unless(made: string, toolchain: string): string | undefined {
  return existsSync(made) ? undefined : `it has not been made; with ${toolchain}, run "make tools"`;
}

const INFO = { name: "test", version: "1" };

async function connectV2(url: string): Promise<TestClient> {
  const client = new Client(INFO);
  const transport = new StreamableHTTPClientTransport(new URL(url));
  const heard: unknown[] = [];
  const progress: number[] = [];
  const onprogress = (step: { readonly progress: number }) => void progress.push(step.progress);
  client.setNotificationHandler("notifications/message", ({ params }) => void heard.push(params.data));
  await client.connect(transport);
  return {
    call: async (name, args) => (await client.callTool({ name, arguments: args }, { onprogress })).content,
    get sessionId() {
      return transport.sessionId;
    },
    heard,
    progress,
    close: () => client.close(),
  };
}

async function connectV1(url: string): Promise<TestClient> {
  const client = new ClientV1(INFO);
  const transport = new TransportV1(new URL(url));
  const heard: unknown[] = [];
  const progress: number[] = [];
  const onprogress = (step: { readonly progress: number }) => void progress.push(step.progress);
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void heard.push(params.data));
  // Its own type says `string | undefined` where its interface has an optional string.
  await client.connect(transport as AnyTransportV1);
  return {
    call: async (name, args) => (await client.callTool({ name, arguments: args }, undefined, { onprogress })).content,
    get sessionId() {
      return transport.sessionId;
    },
    heard,
    progress,
    close: () => client.close(),
  };
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
  void child.exited.then(() => {
    for (const one of waiting) one.reject(new Error(`the client has ended:\n${child.output()}`));
  });
  await connected;
  return {
    call: (tool, args) => {
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
