/** Cases of the rules on the gateway's own streams. */
import type { Rule } from "../../../../src/envoy-config/lint/rules.ts";
import { configOf } from "../configs.ts";
import { type Case, error, good, HOST, put, unchanged, wrong } from "./case.ts";

const ROUTES = [{ path: "/mcp", backends: ["everything", "files"] }];
const WITH_STREAMS = configOf({ processor: { streams: {} }, routes: ROUTES });
const WITHOUT = configOf({ routes: ROUTES });

/** The printed route of the streams comes first. */
const ROUTE = 0;
const NOWHERE = error(`${HOST}.routes`, "Add `{ match: { prefix: /, headers: [{ name: x-mcp-backend");

export const STREAM_CASES = {
  streams: [
    wrong("without a route for the gateway's streams", ({ gatewayHost }) => gatewayHost.routes.shift(), [NOWHERE], {
      config: WITH_STREAMS,
    }),
    wrong(
      "with a route for the gateway's streams that takes GETs alone",
      ({ gatewayHost }) =>
        gatewayHost.routes[ROUTE].match.headers.push({ name: ":method", string_match: { exact: "GET" } }),
      [error(`${HOST}.routes`, "The routes take a POST for the gateway's own streams nowhere")],
      { config: WITH_STREAMS },
    ),
    wrong("of a configuration without streams", unchanged, [NOWHERE], { config: WITH_STREAMS, printedFor: WITHOUT }),
    wrong(
      "without the cluster of the gateway's streams",
      ({ clusterOf }) => put(clusterOf("mcp_streams"), "name", "other"),
      [error(`${HOST}.routes[${ROUTE}].route.cluster`, "mcp_streams is no cluster of this file")],
      { config: WITH_STREAMS },
    ),
    wrong(
      "with a cluster for each backend by header, and none for the streams",
      ({ gatewayHost, clusterOf }) => {
        gatewayHost.routes[ROUTE].route = { cluster_header: "x-mcp-backend", timeout: "1800s" };
        put(clusterOf("mcp_streams"), "name", "other");
      },
      [error(`${HOST}.routes[${ROUTE}].route.cluster_header`, "mcp_streams is no cluster of this file")],
      { config: WITH_STREAMS, isPart: true },
    ),
    wrong(
      "with the gateway's streams cut off",
      ({ gatewayHost }) => put(gatewayHost.routes[ROUTE], "route.timeout", "15s"),
      [
        error(
          `${HOST}.routes[${ROUTE}].route.timeout`,
          "For a GET for the gateway's own streams, timeout is 15s",
          "route-timeout",
        ),
      ],
      { config: WITH_STREAMS },
    ),
    good("with the gateway's streams as they are printed", unchanged, { config: WITH_STREAMS }),
    good(
      "with a cluster of the streams that comes over CDS",
      ({ clusterOf }, bootstrap) => {
        put(clusterOf("mcp_streams"), "name", "other");
        put(bootstrap, "dynamic_resources", { cds_config: {} });
      },
      { config: WITH_STREAMS },
    ),
    good("without streams, where there are none", unchanged, { config: WITHOUT }),
    good("without the streams, where no route has several backends", ({ gatewayHost }) => gatewayHost.routes.shift(), {
      config: configOf({ processor: { streams: {} } }),
    }),
  ],
} satisfies Partial<Record<Rule, readonly Case[]>>;
