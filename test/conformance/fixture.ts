/**
 * The MCP server that the conformance suite is pointed at, directly and through the gateway: it has the tools, resources
 * and prompts that the suite's scenarios ask for by name, in both eras, on one endpoint.
 *
 *     node test/conformance/fixture.ts PORT      listens on 127.0.0.1:PORT, path /mcp, until it gets SIGTERM or SIGINT
 */
import { createServer } from "node:http";
import { localhostHostValidation, localhostOriginValidation, toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, isLegacyRequest } from "@modelcontextprotocol/server";
import { createChanges } from "./fixture/changes.ts";
import { createFixtureServer } from "./fixture/server.ts";
import { createSessions } from "./fixture/sessions.ts";

const changes = createChanges(() => modern.notify);
// The modern era: a server for each request, so what changes is announced on the handler's subscription streams.
const modern = createMcpHandler(() => createFixtureServer(changes, "request"), { legacy: "reject" });
// The legacy era: a server for each session, which tells its own client.
const legacy = createSessions(() => createFixtureServer(changes, "session"));

const serve = toNodeHandler(
  { fetch: async (request) => ((await isLegacyRequest(request)) ? legacy(request) : modern.fetch(request)) },
  { onerror: (error) => console.error(error) },
);
// Against DNS rebinding: both answer 403 themselves and return false.
const hostIsLocal = localhostHostValidation();
const originIsLocal = localhostOriginValidation();

const server = createServer((request, response) => {
  if (!hostIsLocal(request, response) || !originIsLocal(request, response)) return;
  if (new URL(request.url ?? "/", "http://localhost").pathname !== "/mcp") {
    response.writeHead(404).end();
    return;
  }
  // What a server receives has a method and a URL; the adapter's type wants them not to be undefined.
  void serve(request as typeof request & { method: string; url: string }, response);
});

const port = Number(process.argv[2]);
if (!Number.isInteger(port) || port < 1) {
  console.error("usage: node test/conformance/fixture.ts PORT");
  process.exit(2);
}
server.listen(port, "127.0.0.1", () => console.error(`conformance fixture on http://127.0.0.1:${port}/mcp`));
// Streams that clients left open would keep a graceful close waiting; a fixture has nothing to lose.
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(0));
