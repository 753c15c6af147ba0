/** Rules on the limits of calls: a rate limit filter behind the processor (limits.calls). */
import type { CallLimitConfig } from "../../config/call-limits.ts";
import type { Config } from "../../config/load.ts";
import { CALLS_METADATA } from "../../core/call-limits.ts";
import { hitsFormat } from "../call-limits.ts";
import { LOCAL_RATE_LIMIT_TYPE, RATE_LIMIT_TYPE } from "../names.ts";
import { type Finding, found, stated } from "./finding.ts";
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
    ...(service ? [...unknownService(filter, cluster), ...otherService(filter, service)] : buckets(filter, calls)),
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
  return entries.flatMap((entry) => [
    ...(isOwn(entry, limit) ? [] : [found("call-limits/whose", entry, `The limit ${limit.name} is per ${limit.per}`)]),
    ...countedAsOne(entry, limit),
  ]);
}

/** Without an addend of the processor's a request is one hit, however many calls are in it. */
function countedAsOne(entry: ProtoView, { name }: CallLimitConfig): Finding[] {
  const format = entry.get("hits_addend.format");
  if (format.text === hitsFormat(name)) return [];
  return [
    found("call-limits/hits", format, `The calls of ${name} in a batch are not counted`, { hits: hitsFormat(name) }),
  ];
}

/** The filter's own rate_limits that count a limit. */
function entriesOf(filter: ProtoView, { name }: Pick<CallLimitConfig, "name">): ProtoView[] {
  return filter
    .get("typed_config.rate_limits")
    .items()
    .filter((entry) => membersIn(entry).includes(CALLS_METADATA.limit(name)));
}

/** Whether it counts the calls of each principal apart exactly where the limit is for each. */
function isOwn(entry: ProtoView, { per }: CallLimitConfig): boolean {
  return membersIn(entry).includes(CALLS_METADATA.principal) === (per === "principal");
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

function buckets(filter: ProtoView, calls: readonly CallLimitConfig[]): Finding[] {
  const config = filter.get("typed_config");
  const off = [config.get("filter_enabled"), config.get("filter_enforced")].filter(
    (share) => (share.get("default_value.numerator").number ?? 0) === 0,
  );
  return [
    ...off.map((share) => found("call-limits/off", share, `${share.field} is 0 %`)),
    ...calls.flatMap((limit) => bucketOf(filter, limit)),
  ];
}

/** Envoy limits what it counts only by a descriptor of the same keys that has a bucket. */
function bucketOf(filter: ProtoView, limit: CallLimitConfig): Finding[] {
  const descriptors = filter.get("typed_config.descriptors");
  // Entries for the calls of others than the limit's are found by themselves.
  const counted = entriesOf(filter, limit)
    .filter((entry) => isOwn(entry, limit))
    .map(keysIn);
  const own = descriptors
    .items()
    .filter((descriptor) => descriptor.get("token_bucket.max_tokens").exists)
    .filter((descriptor) => {
      const entries = descriptor.get("entries").items();
      const keys = entries.map((entry) => entry.get("key").text).join();
      const isCounted = counted.length === 0 || counted.some((each) => each === undefined || each === keys);
      return isCounted && entries.some((entry) => entry.get("value").text === limit.name);
    });
  if (own.length === 0)
    return [found("call-limits/no-bucket", descriptors, `${descriptors.field} have no bucket for ${limit.name}`)];
  return own.flatMap((descriptor) => otherRate(descriptor.get("token_bucket"), limit));
}

/** The keys of the descriptor that an entry makes. undefined: it has actions that are not judged here. */
function keysIn(entry: ProtoView): string | undefined {
  const keys = entry
    .get("actions")
    .items()
    .map((action) => action.get("metadata.descriptor_key").text);
  return keys.includes(undefined) ? undefined : keys.join();
}

/** Buckets fill in small steps, so how long a fill takes says nothing by itself. */
function otherRate(bucket: ProtoView, { name, calls, seconds }: CallLimitConfig): Finding[] {
  const most = bucket.get("max_tokens").number;
  const filled = bucket.get("tokens_per_fill").number ?? 1;
  const interval = bucket.get("fill_interval").duration;
  const isSame = most === calls && interval !== undefined && filled * seconds * 1_000 === calls * interval;
  if (isSame) return [];
  const says = `The bucket of ${name} holds ${most}, and gets ${filled} in ${bucket.get("fill_interval").text}`;
  return [found("call-limits/rate", bucket, says, { calls, seconds })];
}

function unknownService(filter: ProtoView, cluster: Topology["cluster"]): Finding[] {
  const name = filter.get("typed_config.rate_limit_service.grpc_service.envoy_grpc.cluster_name");
  return name.text !== undefined && cluster(name.text)
    ? []
    : [found("call-limits/service", name, "The filter asks a cluster that is not there")];
}

/** A service knows the limits of a domain, and what becomes of calls while it is away is said at the filter. */
function otherService(filter: ProtoView, { domain, onFailure }: NonNullable<Config["limits"]["service"]>): Finding[] {
  const at = filter.get("typed_config.domain");
  const deny = filter.get("typed_config.failure_mode_deny");
  const other = at.text === domain ? [] : [found("call-limits/domain", at, stated(at, "none"), { domain })];
  if (deny.isTrue === (onFailure === "deny")) return other;
  const id = onFailure === "deny" ? "call-limits/fails-open" : "call-limits/fails-closed";
  return [...other, found(id, deny, stated(deny, "false"))];
}
