/** Rules on the limits of calls: a rate limit filter behind the processor (limits.calls). */
import type { CallLimitConfig } from "../../config/call-limits.ts";
import type { Config } from "../../config/load.ts";
import { CALLS_METADATA } from "../../core/call-limits.ts";
import { LOCAL_RATE_LIMIT_TYPE, RATE_LIMIT_TYPE } from "../names.ts";
import { type Finding, found } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import type { Topology } from "./topology.ts";

/** Without the setting there is nothing to check. */
export function callLimitFindings(
  manager: ProtoView,
  extProc: ProtoView,
  { cluster }: Topology,
  { limits: { calls, service } }: Config,
): Finding[] {
  if (calls.length === 0) return [];
  const type = service ? RATE_LIMIT_TYPE : LOCAL_RATE_LIMIT_TYPE;
  const filters = manager.get("http_filters");
  const all = filters.items();
  const processor = all.findIndex(({ path }) => path === extProc.path);
  const counting = (filter: ProtoView) =>
    filter.get("typed_config").isType(type) && calls.some((limit) => entriesOf(filter, limit).length > 0);
  const filter = all.slice(processor + 1).find(counting);
  if (!filter) {
    const ahead = all.slice(0, processor).find(counting);
    return ahead
      ? [found("call-limits/ahead", ahead, "The filter stands ahead of the processor")]
      : [found("call-limits", filters, `${filters.field} have no ${type} behind the processor`)];
  }
  return [
    ...told(extProc),
    ...calls.flatMap((limit) => uncounted(filter, limit)),
    ...(service ? unknownService(filter, cluster) : withoutBuckets(filter, calls)),
  ];
}

function told(extProc: ProtoView): Finding[] {
  const untyped = extProc.get("typed_config.metadata_options.receiving_namespaces.untyped");
  if (untyped.items().some(({ text }) => text === CALLS_METADATA.namespace)) return [];
  return [found("call-limits/metadata", untyped, `${untyped.field} lacks ${CALLS_METADATA.namespace}`)];
}

function uncounted(filter: ProtoView, limit: CallLimitConfig): Finding[] {
  const entries = entriesOf(filter, limit);
  const at = filter.get("typed_config.rate_limits");
  if (entries.length === 0) return [found("call-limits/uncounted", at, `${at.field} have none for ${limit.name}`)];
  return entries
    .filter((entry) => isByPrincipal(entry) !== (limit.per === "principal"))
    .map((entry) => found("call-limits/whose", entry, `The limit ${limit.name} is per ${limit.per}`));
}

/** The filter's own rate_limits that count a limit. */
function entriesOf(filter: ProtoView, { name }: Pick<CallLimitConfig, "name">): ProtoView[] {
  return filter
    .get("typed_config.rate_limits")
    .items()
    .filter((entry) => membersIn(entry).includes(CALLS_METADATA.limit(name)));
}

function isByPrincipal(entry: ProtoView): boolean {
  return membersIn(entry).includes(CALLS_METADATA.principal);
}

/** The members of the processor's metadata that an envoy.config.route.v3.RateLimit makes its descriptor of. */
function membersIn(entry: ProtoView): readonly (string | undefined)[] {
  return entry
    .get("actions")
    .items()
    .map((action) => action.get("metadata.metadata_key"))
    .filter((key) => key.get("key").text === CALLS_METADATA.namespace)
    .flatMap((key) => key.get("path").items())
    .map((segment) => segment.get("key").text);
}

/** Envoy limits what it counts only by a descriptor that has a bucket. */
function withoutBuckets(filter: ProtoView, calls: readonly CallLimitConfig[]): Finding[] {
  const config = filter.get("typed_config");
  const descriptors = config.get("descriptors");
  const limited = new Set(
    descriptors
      .items()
      .filter((descriptor) => descriptor.get("token_bucket.max_tokens").exists)
      .flatMap((descriptor) => descriptor.get("entries").items())
      .map((entry) => entry.get("value").text),
  );
  const off = [config.get("filter_enabled"), config.get("filter_enforced")].filter(
    (share) => (share.get("default_value.numerator").number ?? 0) === 0,
  );
  return [
    ...off.map((share) => found("call-limits/off", share, `${share.field} is 0 %`)),
    ...calls
      .filter(({ name }) => !limited.has(name))
      .map(({ name }) =>
        found("call-limits/no-bucket", descriptors, `${descriptors.field} have no bucket for ${name}`),
      ),
  ];
}

function unknownService(filter: ProtoView, cluster: Topology["cluster"]): Finding[] {
  const name = filter.get("typed_config.rate_limit_service.grpc_service.envoy_grpc.cluster_name");
  return name.text !== undefined && cluster(name.text)
    ? []
    : [found("call-limits/service", name, "The filter asks a cluster that is not there")];
}
