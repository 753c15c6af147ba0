/** Configurations for these tests, read as a file would be. */
import { parse } from "yaml";
import type { Config } from "../../../src/config/load.ts";
import { readConfigText } from "../../../src/config/read.ts";
import { bootstrapFor } from "../../../src/envoy-config/bootstrap.ts";

// biome-ignore lint/suspicious/noExplicitAny: a parsed document, which tests reach into and break at will
export type Json = any;

/** Sections of mcp-router.yaml over a small one of two backends. */
export function configOf(sections: Readonly<Record<string, unknown>> = {}): Config {
  const text = JSON.stringify({
    backends: {
      everything: { endpoints: ["127.0.0.1:3001", "127.0.0.1:3002"] },
      files: { endpoints: ["files.internal:3003"], path: "/files/mcp" },
    },
    routes: [
      { path: "/everything/mcp", backends: ["everything"] },
      { path: "/files/mcp", backends: ["files"] },
    ],
    ...sections,
  });
  return readConfigText("mcp-router.yaml", text).config;
}

/** The generated bootstrap, parsed. */
export function bootstrapOf(config: Config): Json {
  return parse(bootstrapFor(config));
}

/** Its parts. */
export function partsOf(bootstrap: Json) {
  const [gateway, egress] = bootstrap.static_resources.listeners;
  const managerOf = (listener: Json) => listener.filter_chains[0].filters[0].typed_config;
  const clusterOf = (name: string) =>
    bootstrap.static_resources.clusters.find((cluster: Json) => cluster.name === name);
  return {
    gateway,
    egress,
    gatewayManager: managerOf(gateway),
    egressManager: managerOf(egress),
    extProc: managerOf(gateway).http_filters.find(({ name }: Json) => name === "envoy.filters.http.ext_proc")
      .typed_config,
    gatewayHost: managerOf(gateway).route_config.virtual_hosts[0],
    egressHost: managerOf(egress).route_config.virtual_hosts[0],
    clusterOf,
  };
}
