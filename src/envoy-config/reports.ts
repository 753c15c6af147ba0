/**
 * Envoy's reports of the streams that it relays: entries of its access log about open streams, sent to the processor
 * (envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig). A report that is lost is followed by another.
 */
import type { Config } from "../config/load.ts";
import { RELAYED_METADATA, reportedEvery } from "../core/relayed.ts";
import type { ProcessorCluster } from "./ext-proc.ts";
import { PROCESSOR_CLUSTER, REPORT_LOG_TYPE } from "./names.ts";
import { duration, extension, type Message } from "./proto-json.ts";

/** An entry about a request that is still open. */
const PERIODIC = { types: ["DownstreamPeriodic"] } as const;

/** Share of the interval for which Envoy collects entries before it sends them together. */
const COLLECTED = 10;

/** For the other access logs (envoy.config.accesslog.v3.AccessLogFilter): they get one line for a request, when it is over. */
export const NO_REPORTS = { log_type_filter: { ...PERIODIC, exclude: true } } as const;

/** How often (ms) Envoy must report. */
export function reportInterval({ admission, sessions }: Pick<Config, "admission" | "sessions">): number {
  return reportedEvery(admission.park, sessions.idle);
}

/** For the clients' connection manager: for all of its access logs. */
export function reportOptions(config: Config): Message {
  return { access_log_options: { access_log_flush_interval: duration(reportInterval(config)) } };
}

/** An access log of the clients' connection manager. */
export function reportLog(config: Config, cluster: ProcessorCluster = { cluster_name: PROCESSOR_CLUSTER }): Message {
  const ofRelayed = {
    matcher: {
      filter: RELAYED_METADATA.namespace,
      path: [{ key: RELAYED_METADATA.session }],
      value: { present_match: true },
    },
    match_if_key_not_found: false,
  };
  return {
    ...extension("envoy.access_loggers.http_grpc", REPORT_LOG_TYPE, {
      common_config: {
        log_name: "mcp_relayed",
        transport_api_version: "V3",
        grpc_service: { envoy_grpc: cluster },
        buffer_flush_interval: duration(Math.ceil(reportInterval(config) / COLLECTED)),
      },
    }),
    filter: { and_filter: { filters: [{ log_type_filter: PERIODIC }, { metadata_filter: ofRelayed }] } },
  };
}
