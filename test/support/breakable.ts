/** A whole gateway and two servers, all of whose parts a test ends and starts again. */
import type { McpServer } from "@modelcontextprotocol/server";
import * as z from "zod";
import { freePort } from "../../harness/ports.ts";
import { type RunningRedis, startRedis } from "../../harness/redis.ts";
import { type Fleet, startFleet } from "./fleet.ts";
import { startMcpServer, type TestServer } from "./mcp-server.ts";

/** `keeping` keeps the events of its streams, `plain` does not. */
const SERVERS = ["plain", "keeping"] as const;
export type ServerName = (typeof SERVERS)[number];

/** One that leads to a server alone, and one to both. */
export const ROUTES = ["transparent", "federated"] as const;
type RouteKind = (typeof ROUTES)[number];

/** ms after which a client is to come back to `keeping`: Envoy has restarted by then, and two attempts are the most of some. */
const RETRY_MS = 3_000;

/** Its tools, beside those of every server of tests: `hold`, which answers once it is let go, and `ask`, which asks on the GET stream. */
export interface BreakableServer {
  /** How many calls of `hold` wait. */
  readonly holding: number;
  letGo(): void;
  /** Logs on the GET stream of each session. */
  tell(text: string): Promise<void>;
  /** Ends it. Its sessions are gone. */
  die(): Promise<void>;
  revive(): Promise<void>;
}

export interface Breakable {
  readonly fleet: Fleet;
  readonly redis: RunningRedis;
  readonly servers: Readonly<Record<ServerName, BreakableServer>>;
  /** What a client takes to use this server on such a route. */
  way(kind: RouteKind, server: ServerName): { readonly url: string; readonly prefix: string };
  stop(): Promise<void>;
}

/** @param sections of mcp-router.yaml, beside backends, routes and addresses */
export async function startBreakable(sections: Readonly<Record<string, unknown>> = {}): Promise<Breakable> {
  const started = new AsyncDisposableStack();
  try {
    const redis = await startRedis({ persistence: true });
    started.defer(() => redis.stop().then(() => undefined));
    const [plain, keeping] = [await startServer("plain", started), await startServer("keeping", started, RETRY_MS)];
    const fleet = await startFleet(1, {
      ...sections,
      processor: { streams: {} },
      store: { kind: "redis", url: redis.url, ...Object(sections.store) },
      backends: { plain: { endpoints: [plain.endpoint] }, keeping: { endpoints: [keeping.endpoint] } },
      routes: [
        { path: "/plain/mcp", backends: ["plain"] },
        { path: "/keeping/mcp", backends: ["keeping"] },
        { path: "/both/mcp", backends: ["plain", "keeping"] },
      ],
    });
    started.defer(() => fleet.stop());
    const at = (path: string) => `http://127.0.0.1:${fleet.port}/${path}/mcp`;
    return {
      fleet,
      redis,
      servers: { plain, keeping },
      way: (kind, server) =>
        kind === "transparent" ? { url: at(server), prefix: "" } : { url: at("both"), prefix: `${server}__` },
      stop: () => started.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

async function startServer(name: ServerName, started: AsyncDisposableStack, retry?: number) {
  const port = await freePort();
  const waiting = new Set<() => void>();
  /** One for each session of the life that it lives now. */
  let sessions: McpServer[] = [];
  const offer = (server: McpServer) => {
    sessions.push(server);
    offerTools(server, () => new Promise<void>((resolve) => waiting.add(resolve)));
  };
  const begin = () =>
    startMcpServer(name, { port, offer, eras: "legacy", record: false, ...(retry !== undefined && { retry }) });
  let life: TestServer = await begin();
  started.defer(() => life.close());
  return {
    endpoint: life.endpoint,
    get holding() {
      return waiting.size;
    },
    letGo() {
      for (const go of waiting) go();
      waiting.clear();
    },
    async tell(text: string) {
      await Promise.all(
        sessions.map(({ server }) => server.sendLoggingMessage({ level: "info", data: text }).catch(() => undefined)),
      );
    },
    async die() {
      sessions = [];
      waiting.clear();
      await life.close();
    },
    async revive() {
      life = await begin();
    },
  };
}

function offerTools(server: McpServer, hold: () => Promise<void>): void {
  const text = (value: string) => ({ content: [{ type: "text" as const, text: value }] });
  server.registerTool("hold", { inputSchema: z.object({}) }, async (_, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken ?? "none";
    // A client that is told of progress has begun to read its answer.
    await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress: 1 } });
    await hold();
    return text("held");
  });
  server.registerTool("ask", { inputSchema: z.object({}) }, async () => {
    const requestedSchema = { type: "object" as const, properties: { word: { type: "string" as const } } };
    const { content } = await server.server.elicitInput({ message: "ask", requestedSchema });
    return text(String(content?.word));
  });
}
