/**
 * Rules for an Envoy at the edge: what clients can make it hold, and what its log says of them. All are warnings, as an Envoy
 * may have reasons of its own.
 */
import type { Config } from "../../config/load.ts";
import { X_MCP_PRINCIPAL } from "../../core/headers.ts";
import { REPORT_LOG_TYPE } from "../names.ts";
import { FIXED_HEAP, MAX_CONNECTIONS } from "../overload.ts";
import { undecidedBound } from "../routes.ts";
import { type Finding, found, seconds, stated } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { type HttpListener, type Topology, undecidedRoutes } from "./topology.ts";

/** Rules of the whole Envoy, where clients reach it. */
export function overloadFindings({ bootstrap }: Topology, { envoy }: Config): Finding[] {
  const manager = bootstrap.get("overload_manager");
  const namesOf = (items: readonly ProtoView[]) => new Set(items.map((item) => item.get("name").text));
  const monitors = namesOf(manager.get("resource_monitors").items());
  const actions = manager.get("actions").items();
  const triggers = namesOf(actions.flatMap((action) => action.get("triggers").items()));
  const findings: Finding[] = [];
  if (!monitors.has(FIXED_HEAP) || !triggers.has(FIXED_HEAP)) {
    const says = monitors.has(FIXED_HEAP) ? "has no action by" : "has no monitor";
    findings.push(found("overload/heap", manager, `${manager.field} ${says} ${FIXED_HEAP}`, { heap: envoy.heap }));
  }
  if (!monitors.has(MAX_CONNECTIONS)) {
    const { connections } = envoy;
    findings.push(
      found("overload/connections", manager, `${manager.field} has no monitor ${MAX_CONNECTIONS}`, { connections }),
    );
  }
  return findings;
}

/** Rules of a listener for clients. */
export function edgeFindings(http: HttpListener, config: Config): Finding[] {
  const { listener, manager, virtualHosts } = http;
  const undecided = virtualHosts.flatMap((host) => undecidedRoutes(host, config));
  return [
    ...vanishedClients(listener),
    ...connectionFindings(manager, config),
    ...proxiesAhead(manager, config),
    ...undecided.flatMap((route) => slowBodies(route, manager, config)),
    ...loggedCallers(http),
  ];
}

/** SO_KEEPALIVE of Linux is there by its numbers, or the option of newer Envoys. */
function vanishedClients(listener: ProtoView): Finding[] {
  const options = listener.get("socket_options");
  const isOn = (option: ProtoView) =>
    option.get("level").number === 1 && option.get("name").number === 9 && option.get("int_value").number === 1;
  if (listener.get("tcp_keepalive").exists || options.items().some(isOn)) return [];
  return [found("edge/keepalive", options, `${options.field} lack SO_KEEPALIVE`)];
}

/** Envoy's own default for idle connections, in ms. */
const DEFAULT_IDLE_CONNECTION = 3_600_000;

function connectionFindings(manager: ProtoView, { envoy: { streams } }: Config): Finding[] {
  const findings: Finding[] = [];
  const most = manager.get("http2_protocol_options.max_concurrent_streams");
  if ((most.number ?? Number.POSITIVE_INFINITY) > streams)
    findings.push(found("edge/streams", most, stated(most, "1024 or more"), { streams }));
  const idle = manager.get("common_http_protocol_options.idle_timeout");
  const ms = idle.duration ?? DEFAULT_IDLE_CONNECTION;
  if (ms === 0 || ms >= DEFAULT_IDLE_CONNECTION)
    findings.push(found("edge/idle", idle, stated(idle, seconds(DEFAULT_IDLE_CONNECTION))));
  const underscores = manager.get("common_http_protocol_options.headers_with_underscores_action");
  const action = underscores.enumIn(["ALLOW", "REJECT_REQUEST", "DROP_HEADER"]) ?? "ALLOW";
  if (action === "ALLOW") findings.push(found("edge/underscores", underscores, stated(underscores, "ALLOW")));
  return findings;
}

/** Proxies ahead that speak HTTP/1.0, and how many of them Envoy believes about a client. */
function proxiesAhead(manager: ProtoView, { gateway: { trustedHops } }: Config): Finding[] {
  const findings: Finding[] = [];
  const http10 = manager.get("http_protocol_options.accept_http_10");
  if (!http10.isTrue) findings.push(found("edge/http10", http10, `${http10.field} is not true`));
  const own = manager.get("use_remote_address");
  if (!own.isTrue) findings.push(found("edge/remote-address", own, `${own.field} is not true`));
  const hops = manager.get("xff_num_trusted_hops");
  if ((hops.number ?? 0) !== trustedHops)
    findings.push(found("edge/trusted-hops", hops, stated(hops, "0"), { hops: trustedHops }));
  return findings;
}

/** A route without a `timeout` has Envoy's, of 15 s. */
function slowBodies(route: ProtoView, manager: ProtoView, config: Config): Finding[] {
  const action = route.get("route");
  const duration = action.get("max_stream_duration.max_stream_duration");
  const others = [manager.get("common_http_protocol_options.max_stream_duration"), manager.get("request_timeout")];
  const bounds = [duration, action.get("timeout"), ...others].map((view) => view.duration ?? 0);
  if (!action.get("timeout").exists || bounds.some((ms) => ms > 0)) return [];
  const bound = seconds(undecidedBound(config));
  return [found("edge/slow-bodies", duration, `${duration.field} is absent`, { bound })];
}

/** The formatter of the principal, which Envoy's own format of a log does not have. */
const PRINCIPAL = `the principal (%REQ(${X_MCP_PRINCIPAL.toUpperCase()})%)`;

/** What each line of an access log should say, by a part of the formatter that says it. */
const CALLER: readonly [what: string, formatter: RegExp][] = [
  [
    "the client's address (%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%)",
    /%DOWNSTREAM_(?:DIRECT_)?REMOTE_ADDRESS|X-FORWARDED-FOR/i,
  ],
  [PRINCIPAL, new RegExp(X_MCP_PRINCIPAL, "i")],
  ["the request's id (%REQ(X-REQUEST-ID)%)", /x-request-id|%STREAM_ID%/i],
];

function loggedCallers({ manager, listener }: HttpListener): Finding[] {
  const at = manager.get("access_log");
  const all = [...at.items(), ...listener.get("access_log").items()];
  const logs = all.filter((log) => !log.get("typed_config").isType(REPORT_LOG_TYPE));
  if (logs.length === 0)
    return [found("edge/no-log", at, `${at.field} ${all.length === 0 ? "is absent" : "has reports of streams alone"}`)];
  const configs = logs.map((log) => log.get("typed_config").value);
  const format = JSON.stringify(configs);
  const isEnvoys = configs.every((config) => !/format/i.test(JSON.stringify(config ?? null)));
  const absent = CALLER.filter(([, formatter]) => !formatter.test(format)).map(([what]) => what);
  const missing = isEnvoys ? absent.filter((what) => what === PRINCIPAL) : absent;
  return missing.length > 0 ? [found("edge/log", at, `${at.field} leaves out ${missing.join(", ")}`)] : [];
}
