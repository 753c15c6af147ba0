/** A server behind a route with `era: bridge` that changes: what it lists, and which eras it speaks. */
import type { RegisteredTool } from "@modelcontextprotocol/server";
import { afterEach, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { freePort } from "../../harness/ports.ts";
import { connectHearing } from "../support/hearing-client.ts";
import { messageOf, openSession, post } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATIENT = { timeout: 30_000, interval: 50 };

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

/** A server whose tool is described anew. */
async function changingServer(eras: "legacy" | "modern") {
  const tools: RegisteredTool[] = [];
  let description = "first";
  const server = await startMcpServer(eras, {
    eras,
    offer: (each) => void tools.push(each.registerTool("told", { description }, () => ({ content: [] }))),
  });
  owner.defer(() => server.close());
  return {
    server,
    describe(text: string) {
      description = text;
      for (const tool of tools) tool.update({ description });
      server.notify.toolsChanged();
    },
  };
}

describe("of a changed list hears", () => {
  async function open(eras: "legacy" | "modern") {
    const changing = await changingServer(eras);
    const own = await startStack({
      backends: { one: [changing.server.endpoint] },
      routes: [{ path: "/mcp", backends: ["one"], era: "bridge" }],
      config: { processor: { streams: { listen: `127.0.0.1:${await freePort()}` } } },
    });
    owner.defer(() => own.stop());
    return { ...changing, url: own.url("/mcp") };
  }

  /** Changes it again and again: nobody says when a stream of the gateway's at the server has begun. */
  async function untilHeard(heard: readonly string[], describe: (text: string) => void) {
    let times = 0;
    await vi.waitFor(() => {
      describe(`${++times}`);
      expect(heard).toContain("notifications/tools/list_changed");
    }, PATIENT);
  }

  test("a client without sessions, of a server that needs them, by its subscription", async () => {
    const { url, describe } = await open("legacy");
    const { client, heard, close } = await connectHearing(url, { pin: "2026-07-28" });
    owner.defer(close);
    const subscription = await client.listen({ toolsListChanged: true });
    owner.defer(() => subscription.close());
    await untilHeard(heard, describe);
  });

  test("a client of sessions, of a server that has none, by its session's stream", async () => {
    const { url, describe } = await open("modern");
    const { client, heard, close } = await connectHearing(url, "legacy");
    owner.defer(close);
    expect(client.getServerCapabilities()?.tools).toMatchObject({ listChanged: true });
    await untilHeard(heard, describe);
  });
});

describe("a server that is replaced by one of other eras", () => {
  /** What the router knows of the server. */
  const knownEras = async (own: Stack): Promise<unknown> => {
    const report = await fetch(`http://127.0.0.1:${own.httpPort}/catalogue`);
    return z.object({ backends: z.array(z.object({ eras: z.unknown() })) }).parse(await report.json()).backends[0]
      ?.eras;
  };
  const call = modernMessage("tools/call", { name: "whoami", arguments: {} });
  const CALL = { ...modernHeaders("tools/call", "whoami"), "x-user": "ada" };
  const legacyCall = requestMessage("tools/call", { name: "whoami", arguments: {} });

  async function open(eras: "legacy" | "modern") {
    let server = await startMcpServer("one", { eras });
    owner.defer(() => server.close());
    const own = await startStack({
      backends: { one: [server.endpoint] },
      routes: [{ path: "/mcp", backends: ["one"], era: "bridge" }],
      config: {
        identity: { kind: "header", name: "x-user", required: false },
        lists: { refresh: "1s", timeout: "5s" },
        log: { level: "fatal" },
      },
    });
    owner.defer(() => own.stop());
    return {
      own,
      async replaceBy(next: "legacy" | "modern" | "both", wanted: readonly string[]) {
        await server.close();
        server = await startMcpServer("two", { eras: next, port: server.port });
        // Asked for by each request, where it is due.
        await vi.waitFor(async () => {
          await post(own.port, "/mcp", call, CALL);
          expect(await knownEras(own)).toEqual(wanted);
        }, PATIENT);
      },
    };
  }

  test("by one of both: a session goes on, and a client without goes on without", async () => {
    const { own, replaceBy } = await open("legacy");
    const session = await openSession(own.port, "/mcp", { "x-user": "ada" });
    expect((await post(own.port, "/mcp", call, CALL)).body).toContain("one-");
    await replaceBy("both", ["legacy", "modern"]);
    const inSession = await post(own.port, "/mcp", legacyCall, { "mcp-session-id": session, "x-user": "ada" });
    expect(inSession.body).toContain("two-");
    const without = await post(own.port, "/mcp", call, CALL);
    expect(messageOf(without)).toMatchObject({ result: { content: [{ text: '{"server":"two"}' }] } });
  });

  test("by one of none: a session is lost, and the next one is the gateway's", async () => {
    const { own, replaceBy } = await open("legacy");
    const session = await openSession(own.port, "/mcp", { "x-user": "ada" });
    await replaceBy("modern", ["modern"]);
    const inSession = await post(own.port, "/mcp", legacyCall, { "mcp-session-id": session, "x-user": "ada" });
    expect(inSession.status).toBe(404);
    expect(messageOf(inSession)).toMatchObject({ id: 1, error: { code: -32001, message: "Session not found" } });
    const next = { "mcp-session-id": await openSession(own.port, "/mcp", { "x-user": "ada" }), "x-user": "ada" };
    const answer = await post(own.port, "/mcp", legacyCall, next);
    expect(messageOf(answer)).toMatchObject({ result: { content: [{ text: '{"server":"two"}' }] } });
  });

  test("of none by one of both: a session of the gateway's goes on", async () => {
    const { own, replaceBy } = await open("modern");
    const session = await openSession(own.port, "/mcp", { "x-user": "ada" });
    const inSession = () => post(own.port, "/mcp", legacyCall, { "mcp-session-id": session, "x-user": "ada" });
    expect(messageOf(await inSession())).toMatchObject({ result: { content: [{ text: '{"server":"one"}' }] } });
    await replaceBy("both", ["legacy", "modern"]);
    expect((await inSession()).body).toContain("two-");
    // By now it is bound to one of the server's.
    expect((await inSession()).body).toContain("two-");
  });

  test("by the same: what the gateway holds goes on in another session", async () => {
    const { own, replaceBy } = await open("legacy");
    expect((await post(own.port, "/mcp", call, CALL)).body).toContain("one-");
    await replaceBy("legacy", ["legacy"]);
    const answer = await post(own.port, "/mcp", call, CALL);
    expect(answer.status).toBe(200);
    expect(answer.body).toContain("two-");
  });
});
