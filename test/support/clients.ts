/** The clients of the official SDKs of npm, as one kind of client for a test. Those of other languages: test/clients/programs.ts. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport as AnyTransportV1 } from "@modelcontextprotocol/sdk/shared/transport.js";
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

export interface TestClient {
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

export interface Sdk {
  readonly name: string;
  connect(url: string): Promise<TestClient>;
  /** Why there is no client of it here. */
  readonly missing?: string | undefined;
}

export const NPM_SDKS: readonly Sdk[] = [
  { name: "TypeScript SDK v2", connect: connectV2 },
  { name: "TypeScript SDK v1", connect: connectV1 },
];

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
