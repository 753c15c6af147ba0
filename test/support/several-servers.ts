/** One URL of a gateway that leads to several servers of different make, one of which a test restarts. */
import { freePort } from "../../harness/ports.ts";
import { offered } from "./asking.ts";
import { type DescribedServer, describedServer } from "./described-server.ts";
import { startMcpServer, type TestServer } from "./mcp-server.ts";
import { type Stack, startStack } from "./stack.ts";

/** Those of them that ask their client: their tools are `elicit` and `sample`. */
export const ASKING: readonly string[] = ["sse", "also"];

export interface SeveralServers {
  readonly stack: Stack;
  readonly url: string;
  /** Answers by event streams; the one that runs now, or that ran last. */
  readonly sse: TestServer;
  restartSse(): Promise<void>;
  /** How many calls of its tool `wait` have been cancelled. */
  readonly cancelled: number;
  /** Answers by JSON. */
  readonly json: TestServer;
  /** Has no sessions, and one tool. */
  readonly plain: DescribedServer;
  stop(): Promise<void>;
}

/** How many bytes of a list a client gets at once. */
const PAGE = "1KiB";

export async function startSeveralServers(): Promise<SeveralServers> {
  const started = new AsyncDisposableStack();
  try {
    const atSse = offered("sse");
    let sse = await startMcpServer("sse", { offer: atSse.offer });
    started.defer(() => sse.close());
    const json = await startMcpServer("json", { json: true, offer: offered("json").offer });
    started.defer(() => json.close());
    const also = await startMcpServer("also", { offer: offered("also").offer });
    started.defer(() => also.close());
    const plain = await describedServer("first");
    started.defer(() => plain.close());
    const stack = await startStack({
      backends: {
        sse: [sse.endpoint],
        json: [json.endpoint],
        plain: [plain.endpoint],
        also: [also.endpoint],
      },
      routes: [{ path: "/mcp", backends: ["sse", "json", "plain", "also"] }],
      config: {
        processor: { streams: { listen: `127.0.0.1:${await freePort()}` } },
        lists: { refresh: "500ms", stale: "10m", page: PAGE },
      },
    });
    started.defer(() => stack.stop());
    return {
      stack,
      url: stack.url("/mcp"),
      get sse() {
        return sse;
      },
      get cancelled() {
        return atSse.cancelled;
      },
      async restartSse() {
        await sse.close();
        sse = await startMcpServer("sse", { port: sse.port, offer: atSse.offer });
      },
      json,
      plain,
      stop: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}
