/**
 * Mistakes that Istio does not tell of: it leaves a patch out, or makes one that does not work, and goes on. The canary finds
 * them, a request that only the router refuses in these words, and meanwhile nothing goes around the router.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasIstiod } from "../../harness/istiod.ts";
import { ISTIO_MODES, type IstioMode } from "../../src/envoy-config/istio/mesh.ts";
import { EXT_PROC_FILTER } from "../../src/envoy-config/names.ts";
import { messageOf, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Json, startMesh } from "../support/mesh.ts";

const PATH = "/one/mcp";

/** Of Envoy's configuration, the patch that asks the router, and in it the filter's settings. */
type Mistake = (patch: Json, filter: Json) => void;

/** With what the canary is told then (docs/istio.md, "See that it works"). */
const MISTAKES: [name: string, message: string, make: Mistake][] = [
  ["a wrong @type", "Backend unavailable", (_, filter) => Object.assign(filter, { "@type": `${filter["@type"]}s` })],
  [
    "a wrong enum",
    "Backend unavailable",
    (_, { processing_mode }) => Object.assign(processing_mode, { request_body_mode: "BUFERED" }),
  ],
  ["a wrong duration", "Backend unavailable", (_, filter) => Object.assign(filter, { message_timeout: "5 s" })],
  [
    "a misspelt subFilter",
    "Backend unavailable",
    ({ match }) => Object.assign(match.listener.filterChain.filter.subFilter, { name: "envoy.filters.http.rooter" }),
  ],
  [
    "another port",
    "Backend unavailable",
    ({ match }) => Object.assign(match.listener, { portNumber: match.listener.portNumber + 1 }),
  ],
  [
    "no authority",
    "Gateway unavailable",
    (_, { grpc_service }) => Reflect.deleteProperty(grpc_service.envoy_grpc, "authority"),
  ],
  [
    "a cluster that is not there",
    "Gateway unavailable",
    (_, { grpc_service }) =>
      Object.assign(grpc_service.envoy_grpc, { cluster_name: "outbound|50051||router.mcp.svc.cluster.local" }),
  ],
];

const patchesOf = (objects: Json[]) => objects.find(({ kind }) => kind === "EnvoyFilter").spec.configPatches as Json[];

let server: TestServer;

beforeAll(async () => {
  server = await startMcpServer("one");
});
afterAll(() => server?.close());

/** What the canary is answered where Istio was given what `change` made of the objects, and whether the backend saw it. */
async function canary(mode: IstioMode, change: (objects: Json[]) => void, headers = { "x-mcp-backend": "one" }) {
  server.received.length = 0;
  const mesh = await startMesh(mode, { backends: { one: [server.endpoint] }, change });
  try {
    const { status, body } = await post(mesh.port, PATH, "no JSON", headers);
    return { status, body, reached: server.received.length > 0 };
  } finally {
    await mesh.stop();
  }
}

const REFUSED = { status: 400, body: expect.stringContaining("Parse error: the body is not JSON"), reached: false };

describe.skipIf(!hasIstiod).each(ISTIO_MODES)("in mode %s the canary", (mode) => {
  test("is refused by the router where nothing is wrong", async () => {
    expect(await canary(mode, () => undefined)).toEqual(REFUSED);
  });

  test.each(MISTAKES)("is not with %s but told: %s", async (_, message, make) => {
    const answer = await canary(mode, (objects) => {
      const patch = patchesOf(objects).find(({ patch: { value } }) => value?.name === EXT_PROC_FILTER);
      make(patch, patch.patch.value.typed_config);
    });
    expect(answer).not.toEqual(REFUSED);
    expect(answer).toMatchObject({ status: 503, reached: false });
    expect(messageOf({ ...answer, headers: {} })).toMatchObject({ error: { code: -32603, message } });
  });

  test("is not without the EnvoyFilter, and then who knows the header reaches the backend", async () => {
    const answer = await canary(mode, withoutFilter);
    expect(answer).not.toEqual(REFUSED);
    expect(answer.reached).toBe(true);
  });
});

test.skipIf(!hasIstiod)(
  "in mode gateway the canary is 404 without the EnvoyFilter, where it does not know the header",
  async () => {
    expect(await canary("gateway", withoutFilter, { "x-mcp-backend": "" })).toEqual({
      status: 404,
      body: "",
      reached: false,
    });
  },
);

function withoutFilter(objects: Json[]): void {
  const index = objects.findIndex(({ kind }) => kind === "EnvoyFilter");
  objects.splice(index, 1);
}
