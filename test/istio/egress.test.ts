/** istio.router: the port of egress is the router's alone, by the certificates of the mesh. */
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasIstiod, joinMesh } from "../../harness/istiod.ts";
import { ISTIO_MODES, type IstioMode } from "../../src/envoy-config/istio/mesh.ts";
import { directoryOfTests } from "../support/directory.ts";
import { callTool, initializeMessage, MCP_HEADERS, openSession, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { EGRESS_SERVICE, type Mesh, startMesh } from "../support/mesh.ts";

const ROUTER = "mcp/mcp-router";

const folder = directoryOfTests("account");
let server: TestServer;

beforeAll(async () => {
  server = await startMcpServer("one");
});
afterAll(async () => {
  await server?.close();
});

/** A mesh of whose accounts the test has the certificate of one. */
function meshWith(mode: IstioMode, account: string): Promise<Mesh> {
  return startMesh(mode, {
    backends: { one: [server.endpoint] },
    sections: { istio: { router: ROUTER } },
    account: { name: account, folder },
  });
}

/** Calls the port of egress as a sidecar of that account would, and gives the status and who answered. */
function callEgress({ egressPort }: Mesh): Promise<{ status: number | undefined; endpoint: unknown }> {
  const [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map((name) => readFileSync(join(folder, name)));
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: "127.0.0.1",
        port: egressPort,
        method: "POST",
        path: "/mcp",
        headers: { ...MCP_HEADERS, "x-mcp-backend": "one" },
        ...{ cert, key, ca, servername: "egress.mcp.svc.cluster.local", ALPNProtocols: ["istio", "http/1.1"] },
        // By a SPIFFE id, which Node does not know; the authority is checked.
        checkServerIdentity: () => undefined,
        agent: false,
      },
      (response) => {
        response.resume();
        resolve({ status: response.statusCode, endpoint: response.headers["x-mcp-endpoint"] });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(JSON.stringify(initializeMessage()));
  });
}

describe.skipIf(!hasIstiod).each(ISTIO_MODES)("in mode %s the router's port", (mode) => {
  test("serves who has the router's certificate, and nobody without one; clients are served as ever", async () => {
    const mesh = await meshWith(mode, ROUTER);
    try {
      expect(mesh.istiod.verdicts).toEqual([expect.stringMatching(/^warned: EnvoyFilter .* exposes internal/)]);
      expect(await callEgress(mesh)).toEqual({ status: 200, endpoint: server.endpoint });
      const plain = post(mesh.egressPort, "/mcp", initializeMessage(), { "x-mcp-backend": "one" });
      // A gateway takes nothing but TLS there; a sidecar's port takes both.
      if (mode === "gateway") await expect(plain).rejects.toThrow();
      else expect(await plain).toMatchObject({ status: 403 });
      const session = await openSession(mesh.port, "/one/mcp");
      expect(await callTool(mesh.port, "/one/mcp", session, "echo", { text: "x" })).toContain("x");
    } finally {
      await mesh.stop();
    }
  });

  test.each(["mcp/other", "other/mcp-router"])("refuses %s", async (account) => {
    const mesh = await meshWith(mode, account);
    try {
      const before = server.requests;
      expect(await callEgress(mesh)).toEqual({ status: 403, endpoint: undefined });
      expect(server.requests).toBe(before);
    } finally {
      await mesh.stop();
    }
  });
});

describe.skipIf(!hasIstiod)("in mode gateway, through the sidecar of", () => {
  test.each([
    ["mcp-router", 200],
    ["other", 403],
  ])("%s the router's port answers %i", async (account, status) => {
    const mesh = await startMesh("gateway", {
      backends: { one: [server.endpoint] },
      sections: { istio: { router: ROUTER } },
      egressByService: true,
    });
    const sidecar = await joinMesh(mesh.istiod, {
      kind: "sidecar",
      ip: "127.0.0.6",
      namespace: "mcp",
      account,
      labels: { app: account },
      runtimeValues: {},
    });
    try {
      const headers = { "x-mcp-backend": "one", host: EGRESS_SERVICE };
      expect((await post(mesh.egressServicePort, "/mcp", initializeMessage(), headers)).status).toBe(status);
    } finally {
      await sidecar.stop();
      await mesh.stop();
    }
  });
});
