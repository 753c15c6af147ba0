/** The clients of the official SDKs of npm, as one kind of client for a test. Those of other languages: test/clients/programs.ts. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport as AnyTransportV1 } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

type Arguments = Readonly<Record<string, unknown>>;

export interface TestClient {
  /** Resolves with the content of what the tool gave. */
  call(name: string, args: Arguments): Promise<unknown>;
  /** Calls a tool, and cancels that as soon as it is told of progress. */
  abandon(name: string, args: Arguments): Promise<void>;
  /** The names of all tools, page after page. */
  tools(): Promise<readonly string[]>;
  /** The content of the prompt's first message. */
  prompt(name: string, args: Readonly<Record<string, string>>): Promise<unknown>;
  /** The text of the resource. */
  read(uri: string): Promise<unknown>;
  /** The values that a prompt's argument may go on to. */
  complete(prompt: string, argument: string, value: string): Promise<readonly string[]>;
  setLevel(level: "debug" | "error"): Promise<void>;
  ping(): Promise<void>;
  /** As the client knows it; after a call at the latest. */
  readonly sessionId: string | undefined;
  /** The data of log messages. */
  readonly heard: readonly unknown[];
  /** What the calls have been told of their progress. */
  readonly progress: readonly number[];
  /** How often it was told that the list of tools has changed. */
  readonly changes: number;
  /** Some leave their session to the server then. */
  close(): Promise<void>;
  /** Ends the session, and closes. */
  end(): Promise<void>;
}

export interface Sdk {
  readonly name: string;
  connect(url: string): Promise<TestClient>;
  /** Why there is no client of it here. */
  readonly missing?: string | undefined;
}

export const NPM_SDKS: readonly Sdk[] = [
  { name: "TypeScript SDK v2", connect: (url) => connectV2(url, "legacy") },
  { name: "TypeScript SDK v1", connect: connectV1 },
];

/** Asks a server first which era it is of. */
export const OF_EITHER_ERA: Sdk = {
  name: "TypeScript SDK v2, of either era,",
  connect: (url) => connectV2(url, "auto"),
};

const INFO = { name: "test", version: "1" };
const CAPABILITIES = { capabilities: { sampling: {}, elicitation: {} } };

/** What every client here answers to a server that asks its user. */
const elicited = (message: string) => ({ action: "accept" as const, content: { word: `yes to ${message}` } });

/** What every client here answers to a server that asks its model. */
function sampled(content: unknown) {
  const text = `sampled ${textOf(content)}`;
  return { role: "assistant" as const, model: "test", content: { type: "text" as const, text } };
}

function textOf(content: unknown): unknown {
  return typeof content === "object" && content !== null && "text" in content ? content.text : undefined;
}

/** What a client has been told, as it grows. */
interface Told {
  readonly heard: unknown[];
  readonly progress: number[];
  changes: number;
}

interface ProgressOptions {
  onprogress(step: { readonly progress: number }): void;
  readonly signal?: AbortSignal;
}

/** What the clients of both versions have in common. */
interface Common {
  listTools(params: { cursor?: string }): Promise<{
    readonly tools: readonly { readonly name: string }[];
    readonly nextCursor?: string | undefined;
  }>;
  getPrompt(params: { name: string; arguments: Record<string, string> }): Promise<{
    readonly messages: readonly { readonly content: unknown }[];
  }>;
  readResource(params: { uri: string }): Promise<{ readonly contents: readonly unknown[] }>;
  complete(params: {
    ref: { type: "ref/prompt"; name: string };
    argument: { name: string; value: string };
  }): Promise<{ readonly completion: { readonly values: readonly string[] } }>;
  setLoggingLevel(level: "debug" | "error"): Promise<unknown>;
  ping(): Promise<unknown>;
  close(): Promise<void>;
}

interface Transport {
  readonly sessionId?: string | undefined;
  terminateSession(): Promise<void>;
}

/** @param call its answer's content */
function clientOf(
  client: Common,
  transport: Transport,
  told: Told,
  call: (name: string, args: Arguments, options: ProgressOptions) => Promise<unknown>,
): TestClient {
  return {
    call: (name, args) => call(name, args, { onprogress: ({ progress }) => void told.progress.push(progress) }),
    async abandon(name, args) {
      const cancel = new AbortController();
      const over = call(name, args, { onprogress: () => cancel.abort(), signal: cancel.signal });
      await over.then(
        () => Promise.reject(new Error("a call that was cancelled has an answer")),
        () => undefined,
      );
    },
    async tools() {
      const names: string[] = [];
      let cursor: string | undefined;
      do {
        const { tools, nextCursor } = await client.listTools(cursor === undefined ? {} : { cursor });
        names.push(...tools.map(({ name }) => name));
        cursor = nextCursor;
      } while (cursor !== undefined);
      return names;
    },
    prompt: async (name, args) => (await client.getPrompt({ name, arguments: args })).messages[0]?.content,
    read: async (uri) => textOf((await client.readResource({ uri })).contents[0]),
    async complete(name, argument, value) {
      const ref = { type: "ref/prompt", name } as const;
      return (await client.complete({ ref, argument: { name: argument, value } })).completion.values;
    },
    setLevel: async (level) => void (await client.setLoggingLevel(level)),
    ping: async () => void (await client.ping()),
    get sessionId() {
      return transport.sessionId;
    },
    heard: told.heard,
    progress: told.progress,
    get changes() {
      return told.changes;
    },
    close: () => client.close(),
    async end() {
      await transport.terminateSession();
      await client.close();
    },
  };
}

async function connectV2(url: string, mode: "legacy" | "auto"): Promise<TestClient> {
  const client = new Client(INFO, { ...CAPABILITIES, versionNegotiation: { mode } });
  const transport = new StreamableHTTPClientTransport(new URL(url));
  const told: Told = { heard: [], progress: [], changes: 0 };
  client.setNotificationHandler("notifications/message", ({ params }) => void told.heard.push(params.data));
  client.setNotificationHandler("notifications/tools/list_changed", () => void told.changes++);
  client.setRequestHandler("elicitation/create", ({ params }) => elicited(params.message));
  client.setRequestHandler("sampling/createMessage", ({ params }) => sampled(params.messages[0]?.content));
  await client.connect(transport);
  return clientOf(
    client,
    transport,
    told,
    async (name, args, options) => (await client.callTool({ name, arguments: args }, options)).content,
  );
}

async function connectV1(url: string): Promise<TestClient> {
  const client = new ClientV1(INFO, CAPABILITIES);
  const transport = new TransportV1(new URL(url));
  const told: Told = { heard: [], progress: [], changes: 0 };
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void told.heard.push(params.data));
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void told.changes++);
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => elicited(params.message));
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => sampled(params.messages[0]?.content));
  // Its own type says `string | undefined` where its interface has an optional string.
  await client.connect(transport as AnyTransportV1);
  return clientOf(
    client,
    transport,
    told,
    async (name, args, options) => (await client.callTool({ name, arguments: args }, undefined, options)).content,
  );
}
