/**
 * A real MCP server that dies, and comes back at the same port without any of its sessions. What has run is counted over all its
 * lives.
 */
import { type McpServer, ResourceTemplate } from "@modelcontextprotocol/server";
import * as z from "zod";
import { freePort } from "../../harness/ports.ts";
import { isOwn } from "./listed-server.ts";
import { startMcpServer, type TestServer, type TestServerOptions } from "./mcp-server.ts";

/** Each runs, and says so (`RanMessage`). */
export const TOOLS = ["left", "right"] as const;

/** What a session has been told since it began. */
interface Told {
  level?: string;
  readonly subscribed: Set<string>;
}

interface Life {
  readonly server: TestServer;
  /** By the session's id. */
  readonly told: Map<string, Told>;
}

/** Of `performance.now()`. */
interface Absence {
  readonly from: number;
  /** Infinity until it is back. */
  to: number;
}

export interface MortalServer {
  readonly name: string;
  readonly endpoint: string;
  readonly absences: readonly Absence[];
  /** How often the tools ran with this argument. */
  times(id: string): number;
  /** The arguments of all that ran. */
  readonly ran: Iterable<string>;
  /** What the session of this life, or the last one, has been told. */
  told(session: string | undefined): Told | undefined;
  /** For each of its lives: the client's name in each initialize. */
  begun(): readonly (readonly string[])[];
  /** The sessions that live, but for those of the routers' own, in which they ask what there is. */
  readonly clientSessions: readonly string[];
  die(): Promise<void>;
  revive(): Promise<void>;
}

/** The text of the result of a tool. */
export interface RanMessage {
  readonly server: string;
  readonly tool: string;
  readonly id: string;
  readonly session?: string;
}

/** Resources: those of `note` are of a template that the server lists, those of `loose` are of none. */
const SCHEMES = ["note", "loose"] as const;
export type Scheme = (typeof SCHEMES)[number];

/** The URI of a resource of the server of this name. */
export function resourceAt(scheme: Scheme, server: string, id: string): string {
  return `${scheme}://${server}/${id}`;
}

export async function startMortalServer(
  name: string,
  options: Pick<TestServerOptions, "json" | "sessions"> = {},
): Promise<MortalServer> {
  const port = await freePort();
  const lives: Life[] = [];
  const absences: Absence[] = [];
  const counts = new Map<string, number>();

  const begin = async () => {
    const told = new Map<string, Told>();
    const offer = (server: McpServer) => {
      offerTools(server, name, (id) => void counts.set(id, (counts.get(id) ?? 0) + 1));
      offerResources(server, name);
      remember(server, told);
    };
    lives.push({ server: await startMcpServer(name, { ...options, port, offer }), told });
  };
  await begin();
  const last = () => {
    const life = lives.at(-1);
    if (!life) throw new Error(`${name} never lived`);
    return life;
  };

  return {
    name,
    endpoint: last().server.endpoint,
    absences,
    times: (id) => counts.get(id) ?? 0,
    get ran() {
      return counts.keys();
    },
    told: (session) => last().told.get(session ?? ""),
    begun: () => lives.map(({ server }) => clientsOf(server)),
    get clientSessions() {
      const { server } = last();
      const named = new Set(server.received.map((request) => !isOwn(request) && request.headers["mcp-session-id"]));
      return server.namedSessions.filter((id) => named.has(id));
    },
    async die() {
      absences.push({ from: performance.now(), to: Number.POSITIVE_INFINITY });
      await last().server.close();
    },
    async revive() {
      await begin();
      const absence = absences.at(-1);
      if (absence) absence.to = performance.now();
    },
  };
}

function offerTools(server: McpServer, name: string, count: (id: string) => void): void {
  for (const tool of TOOLS)
    server.registerTool(tool, { inputSchema: z.object({ id: z.string() }) }, ({ id }, { sessionId }) => {
      count(id);
      const ran: RanMessage = { server: name, tool, id, ...(sessionId !== undefined && { session: sessionId }) };
      return { content: [{ type: "text", text: JSON.stringify(ran) }] };
    });
}

function offerResources(server: McpServer, name: string): void {
  for (const scheme of SCHEMES) {
    const template = new ResourceTemplate(resourceAt(scheme, name, "{id}"), { list: undefined });
    server.registerResource(scheme, template, {}, ({ href }) => ({
      contents: [{ uri: href, text: `${name}: ${href}` }],
    }));
  }
  server.server.setRequestHandler("resources/templates/list", () => ({
    resourceTemplates: [{ name: "note", uriTemplate: resourceAt("note", name, "{id}") }],
  }));
}

/** Takes down what the sessions of the server are told. */
function remember(server: McpServer, told: Map<string, Told>): void {
  const of = (session = "") => {
    const known = told.get(session) ?? { subscribed: new Set() };
    told.set(session, known);
    return known;
  };
  server.server.setRequestHandler("logging/setLevel", ({ params }, { sessionId }) => {
    of(sessionId).level = params.level;
    return {};
  });
  server.server.setRequestHandler("resources/subscribe", ({ params }, { sessionId }) => {
    of(sessionId).subscribed.add(params.uri);
    return {};
  });
}

function clientsOf({ received }: TestServer): string[] {
  return received.flatMap((request) => {
    if (request.method !== "POST" || isOwn(request) || !request.body.includes('"initialize"')) return [];
    const { method, params } = JSON.parse(request.body.toString());
    return method === "initialize" ? params.clientInfo.name : [];
  });
}
