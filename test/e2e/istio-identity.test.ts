/** identity.kind jwt in a mesh: Istio checks the tokens, and the router finds the claims where Istio puts them. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasIstiod } from "../../harness/istiod.ts";
import { ISTIO_MODES } from "../../src/envoy-config/istio/mesh.ts";
import {
  type Answer,
  callMessage,
  callTool,
  initializeMessage,
  messageOf,
  openSession,
  post,
  send,
} from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Mesh, startMesh } from "../support/mesh.ts";
import { createIssuer } from "../support/tokens.ts";

const ISSUER = "https://issuer.example";
const APP = "https://app.example";
const PATH = "/one/mcp";
const GUARD = { perSecond: 1, burst: 30 };
const issuer = createIssuer(ISSUER, "mcp");
const bearer = (sub: string, by = issuer) => ({ authorization: `Bearer ${by.token({ sub })}` });

describe.skipIf(!hasIstiod).each(ISTIO_MODES)("with tokens, in mode %s", (mode) => {
  let keys: Server;
  let server: TestServer;
  let mesh: Mesh;

  beforeAll(async () => {
    keys = createServer((_, response) => response.end(issuer.jwks)).listen(0, "127.0.0.1");
    await once(keys, "listening");
    const { port } = keys.address() as AddressInfo; // A TCP listener has one.
    server = await startMcpServer("one");
    const jwks = { uri: `http://127.0.0.1:${port}/jwks` };
    mesh = await startMesh(mode, {
      backends: { one: [server.endpoint] },
      sections: {
        identity: { kind: "jwt", issuer: ISSUER, audiences: ["mcp"], jwks },
        gateway: { origins: [APP] },
        admission: { guard: GUARD },
      },
    });
  });
  afterAll(async () => {
    await mesh?.stop();
    await server?.close();
    keys?.close();
  });

  const callIn = (session: string, headers: Readonly<Record<string, string>>) =>
    post(mesh.port, PATH, callMessage("echo", { text: "x" }), { ...headers, "mcp-session-id": session });

  test("a session is its principal's alone, and the backend gets the token", async () => {
    const session = await openSession(mesh.port, PATH, bearer("ada"));
    const ada = bearer("ada");
    expect(await callTool(mesh.port, PATH, session, "echo", { text: "hi" }, ada)).toContain("hi");
    expect(server.received.at(-1)?.headers).toMatchObject(ada);
    expect(await callIn(session, bearer("bob"))).toMatchObject({ status: 404 });
    expect(await callIn(session, ada)).toMatchObject({ status: 200 });
  });

  test("no token is 401 with a challenge, by the router", async () => {
    const answer = await post(mesh.port, PATH, initializeMessage());
    expect(answer).toMatchObject({ status: 401, headers: { "www-authenticate": "Bearer" } });
  });

  test("a forged one is 401 as JSON-RPC, by Istio, and a browser may read it", async () => {
    const forged = bearer("ada", createIssuer(ISSUER, "mcp"));
    const answer = await post(mesh.port, PATH, initializeMessage(), { ...forged, origin: APP });
    expect(answer).toMatchObject({ status: 401, headers: { "access-control-allow-origin": APP } });
    expect(answer.headers["www-authenticate"]).toMatch(/^Bearer /);
    expect(messageOf(answer)).toEqual({ jsonrpc: "2.0", error: { code: -32600, message: "Authentication required" } });
  });

  test("a token in the query is none", async () => {
    const token = issuer.token({ sub: "ada" });
    expect(await post(mesh.port, `${PATH}?access_token=${token}`, initializeMessage())).toMatchObject({ status: 401 });
  });

  test("the guard bounds what opens something, ahead of tokens", async () => {
    const headers = { "content-type": "application/json" };
    const ask = () => send({ port: mesh.port, method: "POST", path: PATH, headers, body: "{}" });
    const answers = await Promise.all(Array.from({ length: 2 * GUARD.burst }, ask));
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(0);
    expect(messageOf(refused[0] as Answer)).toMatchObject({ error: { code: -32000 } });
  });
});
