/** What `mcp-router check --live` says of the configuration that Envoy runs with. Pure. */
import type { Config } from "../config/load.ts";
import { type Address, formatAddress, type TcpAddress } from "../core/address.ts";
import type { ConfigurationReport } from "../discovery/report.ts";
import type { ProtoView } from "../envoy-config/lint/proto-view.ts";
import { endpointsOf, socketOf, topologyOf } from "../envoy-config/lint/topology.ts";
import { lintEnvoy } from "../envoy-config/lint.ts";
import { PROCESSOR_CLUSTER } from "../envoy-config/names.ts";
import type { RunsWith } from "./envoy-dump.ts";
import { printable } from "./printable.ts";
import { error, line, type Said, warning } from "./said.ts";

/** Most faults of one Envoy that are told: one that is not ours at all has many. */
const MOST_TOLD = 20;

/**
 * @param at Envoy's admin listener
 * @param reports of the routers that tell
 */
export function envoyFindings(
  runs: RunsWith,
  config: Config,
  at: string,
  reports: readonly ConfigurationReport[],
): readonly Said[] {
  const envoy = `Envoy at ${at} (envoy.admin)`;
  if (runs.source === "elsewhere")
    return [line(`${envoy}: has listeners or clusters from another control plane, so they are not compared`)];
  const faults = [...endpointFaults(runs.bootstrap, config), ...lintFaults(runs.bootstrap, config)];
  const told = faults
    .slice(0, MOST_TOLD)
    .map(({ kind, text }): Said => ({ kind, text: `${envoy}: ${printable(text)}` }));
  const isWrong = faults.some(({ kind }) => kind === "error");
  return [
    ...told,
    ...(faults.length > told.length ? [warning(`${envoy}: ${faults.length - told.length} more faults`)] : []),
    ...unheard(runs, reports, envoy),
    isWrong
      ? error(`${envoy} does not run with what the file makes of it: ${advice(runs)}`)
      : line(`${envoy}: runs with what the file makes of it`),
  ];
}

function advice({ source, refused }: RunsWith): string {
  if (source === "bootstrap") return "print that with `mcp-router envoy`, and restart Envoy with it";
  const why =
    refused.length === 0 ? "Envoy's own log says what it refuses" : `it has refused ${printable(refused.join("; "))}`;
  return `${why}; settings of its bootstrap (\`mcp-router envoy --live\`) need its restart`;
}

/** An Envoy that has all from the router must ask one. */
function unheard({ source, node }: RunsWith, reports: readonly ConfigurationReport[], envoy: string): Said[] {
  if (source !== "router" || reports.length === 0) return [];
  const isHeard = reports.some(
    ({ envoys, moreEnvoys }) => moreEnvoys > 0 || envoys.some((asking) => asking.envoy.startsWith(`${node ?? ""} at `)),
  );
  if (isHeard) return [];
  return [
    error(`${envoy} follows the file, but has not asked the router for 10 s: does it reach envoy.discovery.endpoints?`),
  ];
}

function lintFaults(bootstrap: unknown, config: Config): Said[] {
  return lintEnvoy(bootstrap, config).map(({ severity, rule, path, message }) => ({
    kind: severity === "error" ? "error" : "warning",
    text: `${path}: ${message} [${rule}]`,
  }));
}

/** Endpoints that clusters have otherwise than the file: of the backends, and of the router. */
function endpointFaults(bootstrap: unknown, config: Config): Said[] {
  const { clusters, backendOf } = topologyOf(bootstrap, config);
  return clusters.flatMap((cluster) => {
    const name = cluster.get("name").text;
    const backend = config.backends.find((candidate) => candidate.name === backendOf(name));
    const wanted = name === PROCESSOR_CLUSTER ? config.processor.endpoints : backend?.endpoints;
    // Without an assignment they come from elsewhere.
    if (!wanted || !cluster.get("load_assignment").exists) return [];
    const [has, wants] = [endpointsOf(cluster).map(hostOf), wanted.map(textOf)].map((all) => all.sort().join(", "));
    return has === wants ? [] : [error(`cluster ${name} has the endpoints ${has}, and the file ${wants}`)];
  });
}

function hostOf(endpoint: ProtoView): string {
  const address = endpoint.get("endpoint.address");
  const path = address.get("pipe.path").text;
  return path === undefined ? formatAddress(socketOf(address)) : `unix:${path}`;
}

function textOf(address: Address | TcpAddress): string {
  return "path" in address ? `unix:${address.path}` : formatAddress(address);
}
