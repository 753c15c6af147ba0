/** Rules on Envoy's reports of the streams that it relays (reports.ts): without them an open stream does not keep its session. */
import type { Config } from "../../config/load.ts";
import { RELAYED_METADATA } from "../../core/relayed.ts";
import { REPORT_LOG_TYPE } from "../names.ts";
import { reportInterval } from "../reports.ts";
import { type Finding, found, seconds, stated } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { type HttpListener, processorClusterName, type Topology } from "./topology.ts";

export function reportFindings({ manager, extProc }: HttpListener, { cluster }: Topology, config: Config): Finding[] {
  if (!extProc) return [];
  const processor = processorClusterName(extProc);
  return [
    ...toldWhose(extProc),
    // A filter that asks an unknown cluster is a finding already.
    ...(cluster(processor) ? sent(manager, processor) : []),
    ...often(manager, config),
  ];
}

function toldWhose(extProc: ProtoView): Finding[] {
  const untyped = extProc.get("typed_config.metadata_options.receiving_namespaces.untyped");
  if (untyped.items().some(({ text }) => text === RELAYED_METADATA.namespace)) return [];
  return [found("reports/metadata", untyped, `${untyped.field} lacks ${RELAYED_METADATA.namespace}`)];
}

function sent(manager: ProtoView, processor: string | undefined): Finding[] {
  const logs = manager.get("access_log");
  const isOurs = (config: ProtoView) =>
    config.isType(REPORT_LOG_TYPE) &&
    config.get("common_config.grpc_service.envoy_grpc.cluster_name").text === processor;
  if (logs.items().some((log) => isOurs(log.get("typed_config")))) return [];
  return [found("reports", logs, `${logs.field} has none that the processor gets`)];
}

function often(manager: ProtoView, config: Config): Finding[] {
  const interval = manager.get("access_log_options.access_log_flush_interval");
  const longest = reportInterval(config);
  if ((interval.duration ?? Number.POSITIVE_INFINITY) > longest)
    return [found("reports/interval", interval, stated(interval, "none"), { interval: seconds(longest) })];
  return manager
    .get("access_log")
    .items()
    .filter((log) => !log.get("typed_config").isType(REPORT_LOG_TYPE) && !choosesType(log.get("filter")))
    .map((log) => found("reports/lines", log, "The access log takes entries of every type"));
}

/** Anywhere in it: it may stand among others. */
function choosesType(filter: ProtoView): boolean {
  return /"log_?type_?filter"/i.test(JSON.stringify(filter.value ?? null));
}
