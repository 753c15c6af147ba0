/** What becomes of answers of backends that show where they are, or that their MCP endpoint is elsewhere. */
import type { RequestListener } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callMessage, initializeMessage, MCP_HEADERS, post, send } from "../support/http.ts";
import { type HttpServer, startHttpServer } from "../support/scripted-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const SESSION = "backend-session";

/** Begins a session, and answers the rest as its route says. */
const answers: Readonly<Record<string, RequestListener>> = {
  redirecting: (request, response) => {
    response.writeHead(307, { location: `http://${request.headers.host}/mcp/` }).end("elsewhere");
  },
  /** Its initialize is answered where it is, the rest is not. */
  wandering: (request, response) => {
    if (request.method === "POST" && request.headers["mcp-session-id"] === undefined) begin(response);
    else response.writeHead(308, { location: "/elsewhere", "mcp-session-id": SESSION }).end();
  },
  telling: (request, response) => {
    const headers = { ...PLACE, location: `http://${request.headers.host}/mcp`, "x-any": "1" };
    if (request.method === "POST") begin(response, headers);
    else if (request.method === "GET")
      response.writeHead(200, { ...headers, "content-type": "text/event-stream" }).end();
    else response.writeHead(204, headers).end();
  },
  /** Begins sessions, and lets nobody end them. */
  keeping: (request, response) => {
    if (request.method === "POST") begin(response);
    else response.writeHead(Number(request.headers["x-answer"]), { "content-type": "text/plain" }).end("not ended");
  },
  unchanged: (request, response) => {
    if (request.method === "POST") begin(response);
    else response.writeHead(304, { etag: '"1"' }).end();
  },
};

const PLACE = {
  "content-location": "/mcp",
  link: '<http://127.0.0.1/mcp>; rel="canonical"',
  refresh: "5; url=/mcp",
  "alt-svc": 'h3="127.0.0.1:443"',
  "x-envoy-decorator-operation": "files.mcp.svc.cluster.local:3001/*",
  "x-envoy-peer-metadata": "Cg==",
  "x-envoy-peer-metadata-id": "sidecar~10.0.0.1~files~mcp.svc.cluster.local",
};

function begin(response: Parameters<RequestListener>[1], headers: Readonly<Record<string, string>> = {}): void {
  response
    .writeHead(200, { ...headers, "content-type": "application/json", "mcp-session-id": SESSION })
    .end('{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}');
}

const backends: Record<string, HttpServer> = {};
let stack: Stack;

beforeAll(async () => {
  for (const [name, answer] of Object.entries(answers)) backends[name] = await startHttpServer(answer);
  const endpoints = Object.entries(backends).map(([name, { endpoint }]) => [name, [endpoint]]);
  stack = await startStack({ backends: Object.fromEntries(endpoints) });
});

afterAll(async () => {
  await stack?.stop();
  for (const backend of Object.values(backends)) await backend.close();
});

async function opened(name: string): Promise<string> {
  const { headers } = await post(stack.port, `/${name}/mcp`, initializeMessage());
  const id = headers["mcp-session-id"];
  if (typeof id !== "string") throw new Error("no session");
  return id;
}

describe("a redirect reaches no client", () => {
  const refused = (id?: unknown) => ({ jsonrpc: "2.0", ...(id !== undefined && { id }), error: { code: -32603 } });

  test.each([
    ["an initialize", initializeMessage(7)],
    ["a call outside sessions", callMessage("x", {}, 7)],
  ])("as the answer to %s", async (_, message) => {
    const answer = await post(stack.port, "/redirecting/mcp", message);
    expect(answer).toMatchObject({ status: 502, headers: { "content-type": "application/json" } });
    expect(JSON.parse(answer.body)).toMatchObject(refused(7));
    expect(answer.headers.location).toBeUndefined();
    expect(answer.body).not.toContain("127.0.0.1");
  });

  test("as the answer to a call and to a GET in a session, which goes on", async () => {
    const session = await opened("wandering");
    const headers = { ...MCP_HEADERS, "mcp-session-id": session };
    for (let times = 0; times < 2; times++) {
      const call = await post(stack.port, "/wandering/mcp", callMessage("x", {}, "c"), headers);
      expect(call.status).toBe(502);
      expect(JSON.parse(call.body)).toMatchObject(refused("c"));
      const stream = await send({ port: stack.port, path: "/wandering/mcp", headers });
      expect(stream).toMatchObject({ status: 502, headers: { "content-type": "application/json" } });
      expect([call, stream].map((answer) => answer.headers.location)).toEqual([undefined, undefined]);
    }
  });

  test("a 304 is none: it leads nowhere", async () => {
    const session = await opened("unchanged");
    const headers = { accept: "text/event-stream", "if-none-match": '"1"', "mcp-session-id": session };
    expect(await send({ port: stack.port, path: "/unchanged/mcp", headers })).toMatchObject({ status: 304 });
  });
});

test("what names a backend's own place reaches no client, and the rest does", async () => {
  const path = "/telling/mcp";
  const session = await opened("telling");
  const headers = { ...MCP_HEADERS, "mcp-session-id": session };
  const places = ["location", ...Object.keys(PLACE)];
  for (const answer of [
    await post(stack.port, path, initializeMessage()),
    await post(stack.port, path, callMessage("x"), headers),
    await post(stack.port, path, callMessage("x")),
    await send({ port: stack.port, path, headers }),
    await send({ port: stack.port, path, method: "DELETE", headers }),
  ]) {
    expect(answer.headers).toMatchObject({ "x-any": "1" });
    expect(places.filter((name) => answer.headers[name] !== undefined)).toEqual([]);
    expect(JSON.stringify(answer.headers)).not.toContain("127.0.0.1");
  }
});

describe("the DELETE of a session is answered by a success, whatever its backend says", () => {
  const end = async (headers: Readonly<Record<string, string>>) => {
    const session = await opened("keeping");
    const sent = { port: stack.port, path: "/keeping/mcp", method: "DELETE" };
    const answer = await send({ ...sent, headers: { ...headers, "mcp-session-id": session } });
    expect((await send({ ...sent, headers: { ...headers, "mcp-session-id": session } })).status).toBe(404);
    return answer;
  };

  test.each(["405", "404", "401", "500", "503"])("which is %s", async (status) => {
    const answer = await end({ "x-answer": status });
    expect(answer).toMatchObject({ status: 204, body: "" });
    expect(answer.headers).not.toHaveProperty("content-type");
  });

  test("or nothing, since it is away", async () => {
    const away = await startHttpServer(answers.keeping ?? (() => undefined));
    const own = await startStack({ backends: { keeping: [away.endpoint] } });
    try {
      const { headers } = await post(own.port, "/keeping/mcp", initializeMessage());
      await away.close();
      const session = { "mcp-session-id": String(headers["mcp-session-id"]) };
      const answer = await send({ port: own.port, path: "/keeping/mcp", method: "DELETE", headers: session });
      expect(answer).toMatchObject({ status: 204, body: "" });
    } finally {
      await own.stop();
    }
  });

  test("and its own success goes on as it is", async () => {
    expect(await end({ "x-answer": "202" })).toMatchObject({ status: 202, body: "not ended" });
  });
});

test("an empty mcp-session-id is none, and an empty Origin too", async () => {
  const headers = { ...MCP_HEADERS, "mcp-session-id": "", origin: "" };
  expect((await post(stack.port, "/keeping/mcp", callMessage("x"), headers)).status).toBe(200);
});
