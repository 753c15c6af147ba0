/**
 * identity.kind jwt in a mesh: Istio checks the tokens, and the router finds the claims where Istio puts them. An
 * AuthorizationPolicy may ask for more of them.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { hasIstiod } from "../../harness/istiod.ts";
import { ISTIO_MODES, type IstioMode } from "../../src/envoy-config/istio/mesh.ts";
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
import { type Mesh, type MeshOptions, startMesh } from "../support/mesh.ts";
import { type HttpServer, startHttpServer } from "../support/scripted-server.ts";
import { claimsPolicy } from "../support/snippets.ts";
import { createIssuer } from "../support/tokens.ts";

/** A challenge that says where to get a token. */
const TO_METADATA =
  /^Bearer (?:error="invalid_token", )?resource_metadata="http:\/\/[^"]+\/\.well-known\/oauth-protected-resource\//;
const ISSUER = "https://issuer.example";
const APP = "https://app.example";
const PATH = "/one/mcp";
/** `run` takes a scope of its own. */
const POLICY = [{ allow: { tools: ["echo"] } }, { allow: { tools: ["run"] }, when: { scope: "mcp:run" } }];
const GUARD = { perSecond: 1, burst: 30 };
const issuer = createIssuer(ISSUER, "mcp");
const bearer = (sub: string, by = issuer) => ({ authorization: `Bearer ${by.token({ sub })}` });

let keys: HttpServer;
let server: TestServer;

beforeAll(async () => {
  keys = await startHttpServer((_, response) => response.end(issuer.jwks));
  server = await startMcpServer("one");
});
afterAll(async () => {
  await server?.close();
  await keys?.close();
});

function meshWithTokens(mode: IstioMode, change?: MeshOptions["change"]): Promise<Mesh> {
  const jwks = { uri: `${keys.url}/jwks` };
  return startMesh(mode, {
    backends: { one: [server.endpoint] },
    sections: {
      identity: { kind: "jwt", issuer: ISSUER, audiences: ["mcp"], jwks },
      gateway: { origins: [APP] },
      admission: { guard: GUARD },
      policy: POLICY,
    },
    ...(change && { change }),
  });
}

describe.skipIf(!hasIstiod).each(ISTIO_MODES)("with tokens, in mode %s", (mode) => {
  let mesh: Mesh;

  beforeAll(async () => {
    mesh = await meshWithTokens(mode);
  });
  afterAll(() => mesh?.stop());

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
    expect(answer.status).toBe(401);
    expect(answer.headers["www-authenticate"]).toMatch(TO_METADATA);
  });

  test("a call is 403 with the scope that its token lacks, and answered by a token that has it", async () => {
    const session = await openSession(mesh.port, PATH, bearer("ada"));
    const run = (claims: object) => {
      const authorization = `Bearer ${issuer.token({ sub: "ada", ...claims })}`;
      return post(mesh.port, PATH, callMessage("run", { id: mode }), { authorization, "mcp-session-id": session });
    };
    const refused = await run({});
    expect(refused.status).toBe(403);
    expect(refused.headers["www-authenticate"]).toMatch(/^Bearer error="insufficient_scope", .*scope="mcp:run"/);
    expect(server.ran).not.toContain(mode);
    expect(await run({ scope: "mcp:run" })).toMatchObject({ status: 200 });
    expect(server.ran).toContain(mode);
  });

  test("a forged one is 401 as JSON-RPC, by Istio, and a browser may read it", async () => {
    const forged = bearer("ada", createIssuer(ISSUER, "mcp"));
    const answer = await post(mesh.port, PATH, initializeMessage(), { ...forged, origin: APP });
    expect(answer).toMatchObject({ status: 401, headers: { "access-control-allow-origin": APP } });
    expect(answer.headers["www-authenticate"]).toMatch(TO_METADATA);
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

describe.skipIf(!hasIstiod).each(ISTIO_MODES)("with the policy for claims of docs/istio.md, in mode %s", (mode) => {
  let mesh: Mesh;

  beforeAll(async () => {
    mesh = await meshWithTokens(mode, (objects, { port, labels }) => {
      const policy = parse(claimsPolicy());
      policy.spec.selector.matchLabels = labels;
      policy.spec.rules[0].to[0].operation.ports = [String(port)];
      objects.push(policy);
    });
  });
  afterAll(() => mesh?.stop());

  const begin = (claims: Readonly<Record<string, unknown>>) =>
    post(mesh.port, PATH, initializeMessage(), { authorization: `Bearer ${issuer.token({ sub: "ada", ...claims })}` });

  test("Istio's admission has nothing against it", () => {
    expect(mesh.istiod.verdicts).toEqual([expect.stringMatching(/^warned: EnvoyFilter /)]);
  });

  test.each([
    ["alone, as a string", "mcp-users"],
    ["in a list", ["others", "mcp-users"]],
  ])("a token with the group is served: %s", async (_, groups) => {
    expect(await begin({ groups })).toMatchObject({ status: 200 });
  });

  test.each([
    ["no group", {}],
    ["other groups", { groups: ["others", "mcp-users-too"] }],
    ["no group, whose subject is of two lines", { sub: "ada\nbob" }],
  ])("a token with %s is 403 as JSON-RPC, and reaches no backend", async (_, claims) => {
    const before = server.requests;
    const answer = await begin(claims);
    expect(answer).toMatchObject({ status: 403, headers: { "content-type": "application/json" } });
    expect(messageOf(answer)).toEqual({ jsonrpc: "2.0", error: { code: -32600, message: "Access denied" } });
    expect(server.requests).toBe(before);
  });

  test("no token is the router's 401 with a challenge", async () => {
    const answer = await post(mesh.port, PATH, initializeMessage());
    expect(answer.status).toBe(401);
    expect(answer.headers["www-authenticate"]).toMatch(TO_METADATA);
  });
});
