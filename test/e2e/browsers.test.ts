import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callMessage, initializeMessage, openResponse, openSession, post, send } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const APP = "https://app.example";
const PREFLIGHT = {
  "access-control-request-method": "POST",
  "access-control-request-headers": "authorization,content-type,mcp-session-id,mcp-param-region",
};

let server: TestServer;
let stack: Stack;

beforeAll(async () => {
  server = await startMcpServer("server", { json: true });
  stack = await startStack({
    backends: {
      server: [server.endpoint],
      curious: { endpoints: [server.endpoint], path: "/mcp", origin: "forward" },
    },
    config: { gateway: { origins: [APP], hosts: ["127.0.0.1"] } },
  });
});

afterAll(async () => {
  await stack?.stop();
  await server?.close();
});

function preflight(origin: string) {
  return send({ port: stack.port, method: "OPTIONS", path: "/server/mcp", headers: { ...PREFLIGHT, origin } });
}

describe("an origin that is configured", () => {
  test("has its preflight answered, without a word to the backend", async () => {
    const answer = await preflight(APP);
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      "access-control-allow-origin": APP,
      "access-control-allow-methods": "GET, POST, DELETE",
      "access-control-allow-headers": "authorization, *",
    });
    expect(server.received).toEqual([]);
  });

  test("may read answers and the session id in them", async () => {
    const answer = await post(stack.port, "/server/mcp", initializeMessage(), { origin: APP });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      "access-control-allow-origin": APP,
      "access-control-expose-headers": "mcp-session-id, www-authenticate, retry-after",
      vary: expect.stringContaining("Origin"),
    });
  });

  test("is said to caches once: in answers to it, to others, to none, in refusals and in preflights", async () => {
    const answers = [
      await preflight(APP),
      await preflight("https://other.example"),
      await post(stack.port, "/server/mcp", initializeMessage(), { origin: APP }),
      await post(stack.port, "/server/mcp", initializeMessage()),
      await post(stack.port, "/server/mcp", "{", { origin: APP }),
      await send({ port: stack.port, path: "/nowhere", headers: { origin: APP } }),
    ];
    expect(answers.map(({ headers }) => headers.vary)).toEqual(answers.map(() => "Origin"));
  });

  test("may read our refusals too", async () => {
    const answer = await post(stack.port, "/server/mcp", "{", { origin: APP });
    expect(answer).toMatchObject({
      status: 400,
      headers: { "access-control-allow-origin": APP, vary: expect.stringContaining("Origin") },
    });
  });
});

describe("what says of which page a request is, once it was checked,", () => {
  const page = { origin: APP, "sec-fetch-site": "cross-site" };
  /** What the server was told of it by each method of a session. */
  const told = async (path: string) => {
    server.received.length = 0;
    const session = await openSession(stack.port, path, page);
    const headers = { ...page, accept: "text/event-stream", "mcp-session-id": session };
    await post(stack.port, path, callMessage("whoami"), headers);
    (await openResponse({ port: stack.port, path, headers })).destroy();
    await send({ port: stack.port, path, method: "DELETE", headers });
    return server.received.map(({ method, headers }) => [method, headers.origin, headers["sec-fetch-site"]]);
  };

  test("reaches no backend, which would compare it with a Host of its own", async () => {
    expect(await told("/server/mcp")).toEqual(
      ["POST", "POST", "POST", "GET", "DELETE"].map((method) => [method, undefined, undefined]),
    );
  });

  test("reaches one that wants it", async () => {
    expect(await told("/curious/mcp")).toEqual(
      ["POST", "POST", "POST", "GET", "DELETE"].map((method) => [method, APP, "cross-site"]),
    );
  });
});

describe("an origin that is not configured", () => {
  test.each(["https://evil.example", "http://app.example", "null"])(
    "%s gets 403 and leave for nothing",
    async (origin) => {
      for (const answer of [
        await preflight(origin),
        await post(stack.port, "/server/mcp", initializeMessage(), { origin }),
      ]) {
        expect(answer.status).toBe(403);
        expect(answer.body).toContain("gateway.origins");
        // What is configured is nobody's business.
        expect(answer.body).not.toContain(APP);
        expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
      }
    },
  );
});

test("a host that is not configured gets 403", async () => {
  const answer = await post(stack.port, "/server/mcp", initializeMessage(), { host: "evil.example" });
  expect(answer.status).toBe(403);
  expect(answer.body).toContain("gateway.hosts");
  expect(answer.body).not.toContain("127.0.0.1");
});
