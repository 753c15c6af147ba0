/** What `check --live` says of the configuration that Envoy runs with; test/e2e/running-envoy.test.ts asks real ones. */
import { describe, expect, test } from "vitest";
import { runsWith } from "../../../src/check/envoy-dump.ts";
import { envoyFindings } from "../../../src/check/envoy-report.ts";
import type { ConfigurationReport } from "../../../src/discovery/report.ts";
import { bootstrapOf, configOf, type Json } from "../envoy-config/configs.ts";

const CONFIG = configOf({ gateway: { hosts: ["gw.example"] } });

/** The dump of an Envoy with this bootstrap. @param parts further ones, by name */
function dumpOf(bootstrap: Json, parts: Readonly<Record<string, object>> = {}) {
  const all = { BootstrapConfigDump: { bootstrap }, ...parts };
  return {
    configs: Object.entries(all).map(([name, part]) => ({
      "@type": `type.googleapis.com/envoy.admin.v3.${name}`,
      ...part,
    })),
  };
}

/** The dump of one that has all from the router. */
function followingDump(error?: string) {
  const { static_resources, ...shell } = bootstrapOf(CONFIG);
  const source = { api_config_source: { api_type: "REST", cluster_names: ["mcp_discovery"] } };
  const [gateway, egress] = static_resources.listeners;
  const manager = gateway.filter_chains[0].filters[0].typed_config;
  const table = manager.route_config;
  manager.rds = { route_config_name: table.name };
  manager.route_config = undefined;
  return dumpOf(
    {
      ...shell,
      dynamic_resources: { lds_config: source, cds_config: source },
      static_resources: { clusters: [{ name: "mcp_discovery" }] },
    },
    {
      ListenersConfigDump: {
        dynamic_listeners: [
          { name: "gateway", active_state: { listener: gateway } },
          { name: "egress", active_state: { listener: egress } },
          ...(error === undefined
            ? []
            : [{ error_state: { failed_configuration: { name: "gateway" }, details: error } }]),
        ],
      },
      RoutesConfigDump: { dynamic_route_configs: [{ route_config: table }] },
      ClustersConfigDump: {
        dynamic_active_clusters: static_resources.clusters.map((cluster: Json) => ({ cluster })),
      },
    },
  );
}

function findings(dump: Json, config = CONFIG, reports: readonly ConfigurationReport[] = []) {
  const runs = runsWith(dump);
  if (!runs) throw new Error("no dump");
  return envoyFindings(runs, config, "ADMIN", reports).map(({ kind, text }) => `${kind}: ${text}`);
}

const OK = "line: Envoy at ADMIN (envoy.admin): runs with what the file makes of it";

test("one that runs with what is printed has no fault, and so has one that has it from the router", () => {
  expect(findings(dumpOf(bootstrapOf(CONFIG)))).toEqual([OK]);
  expect(findings(followingDump())).toEqual([OK]);
});

test("endpoints that differ, whose order makes no difference, are errors, with what to do", () => {
  const bootstrap = bootstrapOf(CONFIG);
  const [everything] = bootstrap.static_resources.clusters;
  everything.load_assignment.endpoints[0].lb_endpoints.reverse();
  expect(findings(dumpOf(bootstrap))).toEqual([OK]);
  everything.load_assignment.endpoints[0].lb_endpoints.pop();
  expect(findings(dumpOf(bootstrap))).toEqual([
    "error: Envoy at ADMIN (envoy.admin): cluster everything has the endpoints 127.0.0.1:3002, and the file 127.0.0.1:3001, 127.0.0.1:3002",
    "error: Envoy at ADMIN (envoy.admin) does not run with what the file makes of it: print that with `mcp-router envoy`, and restart Envoy with it",
  ]);
  // As those of a service discovery.
  delete everything.load_assignment;
  expect(findings(dumpOf(bootstrap))).toEqual([OK]);
});

test("so are other routers than those of the file", () => {
  const processor = { listen: "127.0.0.1:50051", endpoints: ["127.0.0.1:50051", "unix:/run/other.sock"] };
  expect(findings(dumpOf(bootstrapOf(CONFIG)), configOf({ processor }))[0]).toBe(
    "error: Envoy at ADMIN (envoy.admin): cluster mcp_router has the endpoints 127.0.0.1:50051, and the file 127.0.0.1:50051, unix:/run/other.sock",
  );
});

test("what the lint finds in it is told, a warning as such", () => {
  const bootstrap = bootstrapOf(CONFIG);
  delete bootstrap.layered_runtime;
  expect(findings(dumpOf(bootstrap))[0]).toMatch(
    /^error: Envoy at ADMIN \(envoy\.admin\): layered_runtime.*\[graceful-close\]$/,
  );
});

test("of an Envoy that is not ours at all some faults are told", () => {
  const backends = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`b${n}`, { endpoints: ["h:1"] }]));
  const config = configOf({ backends, routes: [{ path: "/b0", backends: ["b0"] }] });
  const said = findings(dumpOf(bootstrapOf(CONFIG)), config);
  expect(said).toHaveLength(22);
  expect(said.at(-2)).toMatch(/^warning: .*: \d+ more faults$/);
});

test("one with another control plane is not compared", () => {
  const bootstrap = { ...bootstrapOf(CONFIG), dynamic_resources: { ads_config: { api_type: "GRPC" } } };
  expect(findings(dumpOf(bootstrap))).toEqual([
    "line: Envoy at ADMIN (envoy.admin): has listeners or clusters from another control plane, so they are not compared",
  ]);
});

describe("an Envoy that follows", () => {
  const report = (envoy: string): ConfigurationReport => ({
    version: "1",
    sections: {},
    lastChange: "in-force",
    needRestart: [],
    envoys: [{ envoy, asked: 0, follows: true, lacks: [], given: [] }],
    moreEnvoys: 0,
  });

  test("must have asked a router", () => {
    expect(findings(followingDump(), CONFIG, [report("mcp-gateway at 127.0.0.1")])).toEqual([OK]);
    expect(findings(followingDump(), CONFIG, [report("other at 127.0.0.1")])).toEqual([
      "error: Envoy at ADMIN (envoy.admin) follows the file, but has not asked the router for 10 s: does it reach envoy.discovery.endpoints?",
      OK,
    ]);
  });

  test("has refused a listener once, which is told where something is wrong, and nowhere else", () => {
    expect(findings(followingDump("no\nkey"))).toEqual([OK]);
    const config = configOf({ gateway: { hosts: ["gw.example"] }, limits: { body: "1MiB" } });
    expect(findings(followingDump("no\nkey"), config).at(-1)).toMatch(
      /does not run with what the file makes of it: it has refused listener gateway: no\\u000akey; settings of its bootstrap/,
    );
    expect(findings(followingDump(), config).at(-1)).toMatch(/Envoy's own log says what it refuses; settings/);
  });
});

test.each([undefined, {}, { configs: [] }, { configs: [{ "@type": "x/envoy.admin.v3.BootstrapConfigDump" }] }])(
  "what is no dump is none: %j",
  (dump) => {
    expect(runsWith(dump)).toBeUndefined();
  },
);
