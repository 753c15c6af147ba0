/** Who may see and use what: what is listed is what can be called, on each kind of route and in both eras. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { offered } from "../support/asking.ts";
import { directoryOfTests } from "../support/directory.ts";
import { type Answer, callMessage, messageOf, openSession, post } from "../support/http.ts";
import { startMcpServer, type TestServer, TOOLS } from "../support/mcp-server.ts";
import { notificationMessage, requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { createIssuer } from "../support/tokens.ts";

const ISSUER = "https://issuer.example";
const issuer = createIssuer(ISSUER, "mcp");
const directory = directoryOfTests("policy");

const bearer = (claims: object) => ({ authorization: `Bearer ${issuer.token({ sub: "ada", ...claims })}` });
const CALLERS = {
  plain: bearer({}),
  scoped: bearer({ scope: "openid say" }),
  listed: bearer({ scp: ["say"] }),
  admin: bearer({ groups: ["staff", "admin"] }),
  nested: bearer({ realm: { level: 3 } }),
} as const;
type CallerName = keyof typeof CALLERS;

/** By caller, the tools of each server that it may use. */
const MAY: Readonly<Record<CallerName, readonly string[]>> = {
  plain: ["echo", "whoami"],
  scoped: ["echo", "say", "whoami"],
  listed: ["echo", "say", "whoami"],
  admin: [...TOOLS, "elicit", "log", "sample", "wait"].filter((name) => name !== "announce"),
  nested: ["echo", "run", "whoami"],
};

const ROUTES = [
  ["transparent", "/one", ""],
  ["federated", "/mcp", "one__"],
  ["federated, of one", "/alone", "one__"],
  ["bridged", "/bridged", ""],
] as const;

let both: TestServer;
let legacy: TestServer;
let stack: Stack;

beforeAll(async () => {
  writeFileSync(join(directory, "jwks.json"), issuer.jwks);
  both = await startMcpServer("one", { offer: offered("one").offer });
  legacy = await startMcpServer("two", { eras: "legacy", json: true, offer: offered("two").offer });
  stack = await startStack({
    backends: { one: [both.endpoint], two: [legacy.endpoint] },
    routes: [
      { path: "/one", backends: ["one"] },
      { path: "/mcp", backends: ["one", "two"], era: "bridge" },
      { path: "/alone", backends: ["one"], federated: true },
      { path: "/bridged", backends: ["two"], era: "bridge" },
    ],
    config: {
      identity: {
        kind: "jwt",
        issuer: ISSUER,
        audiences: ["mcp"],
        jwks: { file: join(directory, "jwks.json") },
        scopes: ["mcp"],
      },
      processor: { streams: { listen: `127.0.0.1:${await freePort()}` } },
      admission: { perPrincipal: "off" },
      policy: [
        { deny: { tools: ["*announce"] } },
        { allow: { tools: ["*echo", "*whoami"] } },
        { allow: { tools: ["*say"] }, when: { scope: "say" } },
        { allow: { tools: ["*run"] }, when: { claim: { "realm.level": [3, 4] } } },
        { allow: { tools: ["*"], prompts: ["*"], resources: ["*"] }, when: { claim: { groups: "admin" } } },
      ],
    },
  });
});
afterAll(async () => {
  await stack?.stop();
  await both?.close();
  await legacy?.close();
});

type Send = (method: string, params?: object, name?: string) => Promise<Answer>;

/** A client of an era, which sends single requests. */
async function client(
  era: "legacy" | "modern",
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Send> {
  if (era === "modern")
    return (method, params = {}, name = undefined) =>
      post(stack.port, path, modernMessage(method, params), { ...headers, ...modernHeaders(method, name) });
  const session = await openSession(stack.port, path, headers);
  return (method, params) =>
    post(stack.port, path, requestMessage(method, params), { ...headers, "mcp-session-id": session });
}

async function listed(send: Send, method = "tools/list", member = "tools", key = "name"): Promise<unknown[]> {
  const answer = await send(method);
  const { result } = messageOf(answer) as { result?: Record<string, Record<string, unknown>[]> };
  return (result?.[member] ?? []).map((item) => item[key]).sort();
}

const call = (send: Send, name: string) => send("tools/call", { name, arguments: { text: "hi", run: "x" } }, name);

function outcomeOf(answer: Answer): "called" | "unknown" | "scope" {
  const message = messageOf(answer) as { error?: { code: number } };
  if (answer.status === 403) return "scope";
  return message.error?.code === -32602 && answer.body.includes("Unknown tool") ? "unknown" : "called";
}

describe.each(ROUTES)("on a %s route", (_, path, prefix) => {
  describe.each(["legacy", "modern"] as const)("a client of the %s era", (era) => {
    test.each(Object.keys(CALLERS) as CallerName[])("is listed what it can call: %s", async (name) => {
      const send = await client(era, path, CALLERS[name]);
      const all = await listed(send);
      const own = all.filter((tool) => String(tool).startsWith(prefix));
      expect(own).toEqual(MAY[name].map((tool) => prefix + tool).sort());
      for (const tool of ["echo", "say", "announce", "run"]) {
        const outcome = outcomeOf(await call(send, prefix + tool));
        expect([tool, outcome === "called"]).toEqual([tool, MAY[name].includes(tool)]);
      }
      // It goes on after a refusal.
      expect(outcomeOf(await call(send, `${prefix}whoami`))).toBe("called");
      const sees = name === "admin";
      expect((await listed(send, "prompts/list", "prompts")).length > 0).toBe(sees);
      expect((await listed(send, "resources/list", "resources", "uri")).length > 0).toBe(sees);
    });

    test("that only lacks a scope is told all that the call takes", async () => {
      const send = await client(era, path, CALLERS.plain);
      const answer = await call(send, `${prefix}say`);
      expect(answer).toMatchObject({ status: 403, headers: { "content-type": "application/json" } });
      expect(answer.headers["www-authenticate"]).toBe(
        `Bearer error="insufficient_scope", scope="mcp say", resource_metadata="http://127.0.0.1:${stack.port}/.well-known/oauth-protected-resource${path}"`,
      );
      expect(messageOf(answer)).toMatchObject({ id: 1, error: { code: -32600 } });
      const hidden = await call(send, `${prefix}announce`);
      expect(hidden).toMatchObject({ status: 200 });
      expect(messageOf(hidden)).toMatchObject({
        id: 1,
        error: { code: -32602, message: `Unknown tool: ${prefix}announce` },
      });
    });
  });
});

test("a batch with a message that is refused is not sent, and each request in it is answered", async () => {
  for (const path of ["/one", "/mcp"]) {
    const prefix = path === "/mcp" ? "one__" : "";
    const session = await openSession(stack.port, path, CALLERS.plain);
    const received = both.received.length;
    const batch = [
      callMessage(`${prefix}echo`, { text: "a" }, 1),
      callMessage(`${prefix}announce`, {}, "two"),
      notificationMessage("notifications/cancelled", { requestId: 9 }),
    ];
    const answer = await post(stack.port, path, batch, { ...CALLERS.plain, "mcp-session-id": session });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject([
      { id: 1, error: { code: -32600 } },
      { id: "two", error: { code: -32602 } },
    ]);
    expect(both.received.slice(received).filter(({ body }) => String(body).includes("tools/call"))).toEqual([]);
    const lacking = await post(stack.port, path, [callMessage(`${prefix}say`, {}, 3)], {
      ...CALLERS.plain,
      "mcp-session-id": session,
    });
    expect(lacking.status).toBe(403);
    expect(lacking.headers["www-authenticate"]).toContain('scope="mcp say"');
    expect(JSON.parse(lacking.body)).toMatchObject([{ id: 3, error: { code: -32600 } }]);
  }
});
