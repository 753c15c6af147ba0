/** An Envoy that follows a file which two routers read, one of them later. */
import { writeFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { stringify } from "yaml";
import { startEnvoy } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { readConfig } from "../../src/config/read.ts";
import { configurationReport } from "../../src/discovery/report.ts";
import { liveBootstrapFor } from "../../src/envoy-config/bootstrap.ts";
import { serve } from "../../src/serve.ts";
import { initializeMessage, post, send } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";

const PATIENCE = { timeout: 30_000, interval: 50 };

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

async function pair() {
  const ports = await Promise.all(Array.from({ length: 7 }, freePort));
  const [gateway = 0, egress, admin, ...router] = ports;
  const at = (port: number | undefined) => `127.0.0.1:${port}`;
  const [grpc, http] = [router.slice(0, 2).map(at), router.slice(2).map(at)];
  const directory = owner.use(temporaryDirectory("live-routers")).path;
  const files = [0, 1].map((number) => `${directory}/${number}.yaml`);
  /** Has a router read a file, which is the same for both but for their own addresses. */
  const write = (number: number, sections: object) => {
    const processor = { listen: grpc[number], endpoints: grpc, http: http[number] };
    const shared = {
      egress: { listen: at(egress) },
      envoy: { admin: at(admin), discovery: { endpoints: http } },
      log: { level: "silent" },
    };
    const file = { ...shared, processor, ...sections };
    writeFileSync(files[number] ?? "", stringify(file));
  };
  const start = async (sections: object) => {
    for (const number of files.keys()) write(number, sections);
    for (const file of files) owner.adopt(await serve(file, {}), async (it) => void (await it.stop()));
    const { config } = await readConfig(files[0] ?? "");
    owner.adopt(await startEnvoy(liveBootstrapFor(config), at(admin)), async (it) => void (await it.stop()));
  };
  const readiness = () =>
    Promise.all(router.slice(2).map(async (port) => (await send({ port, path: "/readyz" })).body));
  const lastChanges = () =>
    Promise.all(
      router.slice(2).map(async (port) => {
        const report = configurationReport.parse(JSON.parse((await send({ port, path: "/configuration" })).body));
        return [report.lastChange, report.envoys.map(({ lacks }) => lacks)];
      }),
    );
  const metric = async (name: string) =>
    Promise.all(
      router.slice(2).map(async (port) => {
        const { body } = await send({ port, path: "/metrics" });
        return body.split("\n").find((line) => line.startsWith(name));
      }),
    );
  return { gateway, write, start, readiness, lastChanges, metric };
}

test("changes that one router sees seconds later come and go: no request fails, and no router takes Envoy to refuse them", async () => {
  const servers = [await startMcpServer("one", { json: true }), await startMcpServer("two", { json: true })];
  for (const server of servers) owner.adopt(server, (it) => it.close());
  const { gateway, write, start, readiness, lastChanges, metric } = await pair();
  const sections = (names: readonly string[], over: object) => ({
    gateway: { listen: `127.0.0.1:${gateway}`, hosts: ["127.0.0.1"], ...over },
    backends: Object.fromEntries(names.map((name, n) => [name, { endpoints: [servers[n]?.endpoint], path: "/mcp" }])),
    routes: names.map((name) => ({ path: `/${name}/mcp`, backends: [name] })),
  });
  await start(sections(["one"], {}));
  const statusOf = async (path: string) => (await post(gateway, path, initializeMessage())).status;
  const statuses = { one: new Set<number | undefined>(), two: new Set<number | undefined>() };
  /** How many requests in a row must meet the status: routers take turns. */
  const met = async (status: number) => {
    for (let request = 0; request < 6; request++) {
      statuses.one.add(await statusOf("/one/mcp"));
      const two = await statusOf("/two/mcp");
      statuses.two.add(two);
      if (two !== status) return false;
    }
    return true;
  };

  // The listener changes too, and back: an Envoy between two opinions would have it replaced at each poll.
  for (const [names, over, status] of [
    [["one", "two"], { trustedHops: 1 }, 200],
    [["one"], {}, 404],
  ] as const) {
    write(0, sections(names, over));
    const later = setTimeout(() => write(1, sections(names, over)), 3_000);
    owner.defer(() => clearTimeout(later));
    await expect.poll(() => met(status), PATIENCE).toBe(true);
    await expect.poll(lastChanges, PATIENCE).toEqual(Array(2).fill(["in-force", [[]]]));
  }
  expect([...statuses.one]).toEqual([200]);
  expect([...statuses.two].sort()).toEqual([200, 404]);
  expect(await readiness()).toEqual(["ready\n", "ready\n"]);
  expect(await metric("mcp_router_config_stale")).toEqual(["mcp_router_config_stale 0", "mcp_router_config_stale 0"]);
});
