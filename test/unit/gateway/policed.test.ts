/** What the rules of `policy` refuse, whatever else is the matter with a request. */
import { describe, expect, test } from "vitest";
import type { Verdict } from "../../../src/core/http.ts";
import { createAccess } from "../../../src/core/policy/access.ts";
import type { FederatedRoute, TransparentRoute } from "../../../src/core/routes.ts";
import { modernMessage } from "../../support/modern.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";
import { allow } from "../core/policy/rules.ts";
import { POLICY, ROUTE } from "../core/policy.ts";
import { answerHead, type OpenOptions, openGateway } from "./open.ts";
import { settled } from "./verdicts.ts";

function replyIn(verdict: Verdict) {
  if (verdict.kind !== "reply") throw new Error(verdict.kind);
  return verdict;
}

const RULES = [
  allow({ tools: ["open"] }),
  allow({ tools: ["scoped"] }, { scopes: ["b"] }),
  allow({ tools: ["more"] }, { scopes: ["c"] }),
];

async function open(route: TransparentRoute | FederatedRoute = ROUTE, options: OpenOptions = {}) {
  const access = createAccess(RULES, [route.path], 10_000);
  const identity = {
    kind: "jwt",
    issuer: "https://issuer",
    required: false,
    metadata: { resource: undefined, authorizationServers: ["https://issuer"], scopes: ["a"] },
  } as const;
  const opened = await openGateway({
    ...options,
    policy: { ...POLICY, routes: new Map([[route.path, route]]), access, identity },
  });
  const { exchange, id } = opened;
  const post = async (body: object | string, session: string | undefined = id, more: Record<string, string> = {}) => {
    const headers = fields({
      ":method": "POST",
      ":path": route.path,
      ":authority": "gw",
      "x-forwarded-proto": "https",
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...(session !== "" && { "mcp-session-id": session ?? "" }),
      ...more,
    });
    exchange.requestHeaders({ headers, endOfStream: false });
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return settled(exchange.requestBody(Buffer.from(text)));
  };
  return { ...opened, post };
}

const call = (name: string, id?: number) => ({
  jsonrpc: "2.0",
  ...(id && { id }),
  method: "tools/call",
  params: { name },
});
const challenge = (scope: string) =>
  `Bearer error="insufficient_scope", scope="${scope}", resource_metadata="https://gw/.well-known/oauth-protected-resource/mcp"`;

describe("a call", () => {
  test("that is allowed goes on", async () => {
    const { post } = await open();
    expect(await post(call("open", 1))).toMatchObject({ kind: "mutate" });
  });

  test("that is refused is so in its session, and outside one", async () => {
    for (const session of [undefined, ""]) {
      const { post, events } = await open();
      const reply = replyIn(await post(call("hidden", 1), session));
      expect(reply).toMatchObject({ status: 200, details: "mcp_not_offered" });
      expect(events).toContainEqual({ kind: "rejected", reason: "not-offered", route: ROUTE });
    }
  });

  test("in a session that is gone, or while the store is away, is told that", async () => {
    const { post } = await open();
    expect(replyIn(await post(call("hidden", 1), "A".repeat(43)))).toMatchObject({ status: 404 });
    const away = await open(ROUTE, {
      store: {
        find: async () => ({ kind: "unavailable" }),
        outageWait: () => ({ retry: async () => false, cancel: () => undefined }),
      },
    });
    expect(replyIn(await away.post(call("hidden", 1)))).toMatchObject({
      status: 200,
      details: "mcp_store_unavailable",
    });
  });

  test("without the session that its route requires is told that", async () => {
    const { post } = await open({ ...ROUTE, sessions: "required" });
    expect(replyIn(await post(call("hidden", 1), ""))).toMatchObject({ status: 400, details: "mcp_session_required" });
    const federated = await open(federatedRoute([memberOf("files"), memberOf("git")]));
    expect(replyIn(await federated.post(call("hidden", 1), ""))).toMatchObject({ details: "mcp_session_required" });
  });

  test("that nobody waits for is dropped, and counted", async () => {
    const { post, events } = await open();
    expect(replyIn(await post(call("hidden")))).toMatchObject({ status: 202 });
    expect(events).toContainEqual({ kind: "rejected", reason: "not-offered", route: ROUTE });
  });

  test("that lacks a scope is told all that it takes", async () => {
    const { post } = await open();
    const reply = replyIn(await post(call("scoped", 1)));
    expect(reply.status).toBe(403);
    expect(reply.headers).toContainEqual(["www-authenticate", challenge("a b")]);
  });
});

describe("a batch", () => {
  test("whose refused calls all lack scopes is told those of all", async () => {
    const { post } = await open();
    const reply = replyIn(await post([call("scoped", 1), call("open", 2), call("more", 3)]));
    expect(reply.status).toBe(403);
    expect(reply.headers).toContainEqual(["www-authenticate", challenge("a b c")]);
    expect(JSON.parse(String(reply.body)).map((each: { id: number }) => each.id)).toEqual([1, 2, 3]);
  });

  test("with a call that no scope helps is refused in band, each by its own error", async () => {
    const { post } = await open();
    const reply = replyIn(await post([call("scoped", 1), call("hidden", 2), call("open", 3), call("open")]));
    expect(reply.status).toBe(200);
    expect(reply.headers.map(([name]) => name)).not.toContain("www-authenticate");
    expect(JSON.parse(String(reply.body))).toMatchObject([
      { id: 1, error: { message: expect.stringContaining("Insufficient scope") } },
      { id: 2, error: { message: "Unknown tool: hidden" } },
      { id: 3, error: { message: expect.stringContaining("another message of the batch is refused") } },
    ]);
  });

  test("of notifications alone is dropped as a whole", async () => {
    const { post } = await open();
    expect(replyIn(await post([call("open"), call("hidden")]))).toMatchObject({ status: 202 });
  });
});

test("a method that nobody here knows is none, in the words of each era", async () => {
  const legacy = await open();
  const reply = replyIn(await legacy.post({ jsonrpc: "2.0", id: 1, method: "tools/search" }));
  expect(reply).toMatchObject({ status: 200, details: "mcp_method_not_offered" });
  const modern = await open();
  const headers = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/search" };
  expect(replyIn(await modern.post(modernMessage("tools/search"), "", headers))).toMatchObject({ status: 404 });
});

describe("an answer that may hold a list", () => {
  const list = { jsonrpc: "2.0", id: 1, method: "tools/list" };

  test("is rewritten as it passes, and Envoy's own is not", async () => {
    const { post, exchange } = await open();
    const verdict = await post(list, undefined, { "accept-encoding": "gzip" });
    expect(verdict).toMatchObject({ kind: "mutate", remove: expect.arrayContaining(["accept-encoding"]) });
    const json = { ":status": "200", "content-type": "application/json" };
    expect(await settled(exchange.responseHeaders(answerHead(json, { endpoint: undefined as never })))).toMatchObject({
      kind: "continue",
    });
    const rewrite = await settled(exchange.responseHeaders(answerHead(json)));
    if (rewrite.kind !== "rewrite") throw new Error(rewrite.kind);
    const { rewriter } = rewrite;
    const text = '{"id":1,"result":{"tools":[{"name":"open"},{"name":"hidden"}]}}';
    const written = Buffer.concat([rewriter.write(Buffer.from(text)), rewriter.end()]);
    expect(written.toString()).toBe('{"id":1,"result":{"tools":[{"name":"open"}]}}');
  });

  test("that nobody can read is an error by 200", async () => {
    const { post, exchange } = await open();
    await post(list);
    const head = answerHead({ ":status": "200", "content-type": "application/json", "content-encoding": "br" });
    expect(replyIn(await settled(exchange.responseHeaders(head)))).toMatchObject({
      status: 200,
      details: "mcp_backend_failed",
    });
  });

  test("is held for its principal, and no more once the client has left", async () => {
    let held = 0;
    const holders: string[] = [];
    const hold = (holder: string) => {
      holders.push(holder);
      return (bytes: number) => {
        held = bytes;
        return true;
      };
    };
    const { post, exchange } = await open(ROUTE, { hold });
    await post(list);
    const rewrite = await settled(
      exchange.responseHeaders(answerHead({ ":status": "200", "content-type": "application/json" })),
    );
    if (rewrite.kind !== "rewrite") throw new Error(rewrite.kind);
    rewrite.rewriter.write(Buffer.from("[".repeat(90)));
    expect(held).toBe(90);
    exchange.closed();
    expect(held).toBe(0);
    expect(holders).toEqual([ROUTE.backend.name]);
  });

  test("may also be that to a call, onto whose stream a server may put it", async () => {
    const { post, exchange } = await open();
    await post(call("open", 1));
    const head = answerHead({ ":status": "200", "content-type": "application/json" });
    expect(await settled(exchange.responseHeaders(head))).toMatchObject({ kind: "rewrite" });
  });
});
