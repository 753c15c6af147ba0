import { afterEach, expect, test } from "vitest";
import { freePort } from "../../../harness/ports.ts";
import { askRouter, routersOf } from "../../../src/check/router.ts";
import type { ConfigurationReport } from "../../../src/discovery/report.ts";
import { startHttpServer } from "../../support/scripted-server.ts";
import { load } from "../config/sections.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

const REPORT: ConfigurationReport = {
  version: "1.0.0",
  sections: { backends: "b" },
  lastChange: "in-force",
  needRestart: [],
  envoys: [{ envoy: "e at 10.0.0.1", asked: 100, follows: true, lacks: [], given: [] }],
  moreEnvoys: 0,
};

async function routerSaying(status: number, readiness: string, configuration: string | undefined) {
  const router = await startHttpServer(({ url }, response) => {
    if (url === "/readyz") response.writeHead(status).end(readiness);
    else if (url === "/configuration" && configuration !== undefined) response.end(configuration);
    else response.writeHead(404).end();
  });
  owner.adopt(router, (it) => it.close());
  const at = { host: "127.0.0.1", port: router.port };
  return { says: await askRouter(at), at: `http://127.0.0.1:${router.port}` };
}

test("a router says whether it is ready, what troubles it, and what it has in force", async () => {
  const { says, at } = await routerSaying(503, "not ready\nthe store is away\n", JSON.stringify(REPORT));
  expect(says).toEqual({ at, ready: false, troubles: ["the store is away"], configuration: REPORT });
});

test.each([undefined, "no JSON", "{}"])("a router of another version does not tell the last: %j", async (told) => {
  const { says, at } = await routerSaying(200, "ready\n", told);
  expect(says).toEqual({ at, ready: true, troubles: [], configuration: undefined });
});

test("of a router that is not there the reason is told", async () => {
  const says = await askRouter({ host: "127.0.0.1", port: await freePort() });
  expect(says).toMatchObject({ ready: undefined, troubles: [expect.stringContaining("ECONNREFUSED")] });
});

const config = (http: string | undefined, endpoints?: readonly string[]) =>
  load({
    backends: { one: { endpoints: ["h:1"] } },
    routes: [{ path: "/one", backends: ["one"] }],
    processor: { listen: "127.0.0.1:50051", ...(http && { http }) },
    envoy: { discovery: { ...(endpoints && { endpoints }) } },
  });

test.each([
  [undefined, undefined, []],
  ["0.0.0.0:9090", undefined, ["127.0.0.1:9090"]],
  ["0.0.0.0:9090", ["10.0.0.1:9090"], ["127.0.0.1:9090"]],
  ["0.0.0.0:9090", ["localhost:9090"], ["127.0.0.1:9090"]],
  ["0.0.0.0:9090", ["10.0.0.1:9090", "10.0.0.2:9090"], ["10.0.0.1:9090", "10.0.0.2:9090"]],
])("with processor.http %s and endpoints %j routers are asked at %j", async (http, endpoints, asked) => {
  const addresses = await routersOf(config(http, endpoints));
  expect(addresses.map(({ host, port }) => `${host}:${port}`)).toEqual(asked);
});
