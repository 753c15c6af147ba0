/** A scripted MCP server that has sessions, and lists what a test says, byte for byte. */
import { ALL_LISTS, LIST_KINDS, type ListKind } from "../../src/core/federation/kinds.ts";
import { X_CLIENT_ID } from "../../src/core/headers.ts";
import { resultMessage } from "./messages.ts";
import { type Call, json, type Script } from "./scripted-server.ts";
import { type SessionServer, startSessionServer } from "./session-server.ts";

/** JSON texts of items, by page. */
type Pages = readonly (readonly string[])[];

export type Lists = Readonly<Partial<Record<ListKind, Pages>>>;

/**
 * A server whose initialize names what it lists. Everything else it says is a session server's.
 * @param ahead what it waits for before it answers an initialize
 */
export async function startListedServer(
  lists: Lists,
  ahead: (call: Call) => Promise<unknown> | undefined = () => undefined,
): Promise<SessionServer> {
  const server = await startSessionServer();
  const listed = ALL_LISTS.filter((kind) => lists[kind]);
  const capabilities = Object.fromEntries(listed.map((kind) => [LIST_KINDS[kind].capability, {}]));
  server.on("initialize", async (call) => {
    await ahead(call);
    return json(200, resultMessage(JSON.parse(call.body).id, { protocolVersion: "2025-11-25", capabilities }), {
      "mcp-session-id": server.begin(),
    });
  });
  for (const kind of listed) server.on(LIST_KINDS[kind].method, pagesOf(kind, lists[kind] ?? []));
  return server;
}

/** Whether a call is the router's own, by which it learns what a server lists. */
export function isOwn({ headers }: Pick<Call, "headers">): boolean {
  return headers[X_CLIENT_ID] === "mcp-router/list";
}

function pagesOf(kind: ListKind, pages: Pages): Script {
  return ({ body }) => {
    const { id, params } = JSON.parse(body);
    const page = Number(params?.cursor ?? 0);
    const next = page + 1 < pages.length ? `,"nextCursor":"${page + 1}"` : "";
    const items = pages[page]?.join(" ,\n") ?? "";
    const result = `{"${LIST_KINDS[kind].member}":[${items}]${next}}`;
    return {
      status: 200,
      headers: { "content-type": "application/json" },
      body: `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`,
    };
  };
}
