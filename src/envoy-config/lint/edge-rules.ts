/** Rules for an Envoy at the edge: what clients can make it hold, and what its log says of them. All are warnings: it may have its reasons. */
import type { Config } from "../../config/load.ts";
import { X_MCP_PRINCIPAL } from "../../core/headers.ts";
import { CONNECTION_IDLE } from "../listeners.ts";
import { FIXED_HEAP, MAX_CONNECTIONS } from "../overload.ts";
import { undecidedBound } from "../routes.ts";
import { type Finding, warning } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";
import { undecidedRoutes } from "./route-rules.ts";
import type { HttpListener, Topology } from "./topology.ts";

/** Rules of the whole Envoy, where clients reach it. */
export function overloadFindings({ bootstrap }: Topology, { envoy }: Config): Finding[] {
  const manager = bootstrap.get("overload_manager");
  const monitors = new Set(
    manager
      .get("resource_monitors")
      .items()
      .map((one) => one.get("name").text),
  );
  const triggers = manager
    .get("actions")
    .items()
    .flatMap((action) => action.get("triggers").items());
  const acts = triggers.some((trigger) => trigger.get("name").text === FIXED_HEAP);
  const findings: Finding[] = [];
  if (!monitors.has(FIXED_HEAP) || !acts)
    findings.push(
      warning(
        "overload",
        manager,
        `${monitors.has(FIXED_HEAP) ? "does nothing by" : "has no"} ${FIXED_HEAP}: bodies that do not end take all memory; write actions by it, ` +
          `with max_heap_size_bytes: ${envoy.heap}, as "mcp-router envoy" prints them`,
      ),
    );
  if (!monitors.has(MAX_CONNECTIONS))
    findings.push(
      warning(
        "overload",
        manager,
        `has no ${MAX_CONNECTIONS}: nothing bounds connections; add it with max_active_downstream_connections: ${envoy.connections}`,
      ),
    );
  return findings;
}

/** Rules of a listener for clients. */
export function edgeFindings(http: HttpListener, config: Config): Finding[] {
  const { manager, virtualHosts } = http;
  const undecided = virtualHosts.flatMap((host) => undecidedRoutes(host, config));
  return [
    ...connectionFindings(manager, config),
    ...proxiesAhead(manager, config),
    ...undecided.flatMap((route) => slowBodies(route, manager, config)),
    ...loggedCallers(http),
  ];
}

/** Envoy's own default for idle connections, in ms. */
const DEFAULT_IDLE_CONNECTION = 3_600_000;

function connectionFindings(manager: ProtoView, { envoy: { streams } }: Config): Finding[] {
  const findings: Finding[] = [];
  const most = manager.get("http2_protocol_options.max_concurrent_streams");
  if ((most.number ?? Number.POSITIVE_INFINITY) > streams)
    findings.push(
      warning(
        "edge",
        most,
        `is ${most.exists ? String(most.value) : "absent, so 1024 or more"}: one connection may hold as many bodies; write ${streams} (envoy.streams)`,
      ),
    );
  const idle = manager.get("common_http_protocol_options.idle_timeout");
  const ms = idle.duration ?? DEFAULT_IDLE_CONNECTION;
  if (ms === 0 || ms >= DEFAULT_IDLE_CONNECTION)
    findings.push(
      warning(
        "edge",
        idle,
        `is ${idle.exists ? String(idle.value) : "absent, so 3600s"}: connections that nobody uses stay; write ${CONNECTION_IDLE / 1000}s`,
      ),
    );
  const underscores = manager.get("common_http_protocol_options.headers_with_underscores_action");
  const action = underscores.enumIn(["ALLOW", "REJECT_REQUEST", "DROP_HEADER"]) ?? "ALLOW";
  if (action === "ALLOW")
    findings.push(
      warning(
        "edge",
        underscores,
        "lets mcp_session_id and x_mcp_name through, which some frameworks take for the headers with hyphens; write REJECT_REQUEST",
      ),
    );
  return findings;
}

/** Proxies ahead that speak HTTP/1.0, and how much of what they say of a client is believed. */
function proxiesAhead(manager: ProtoView, { gateway: { trustedHops } }: Config): Finding[] {
  const findings: Finding[] = [];
  const old = manager.get("http_protocol_options.accept_http_10");
  if (!old.isTrue)
    findings.push(
      warning(
        "edge",
        old,
        "is not true: nginx with proxy_pass alone, and health checks of some balancers, get no answer; write true",
      ),
    );
  const own = manager.get("use_remote_address");
  if (!own.isTrue)
    findings.push(
      warning("edge", own, "is not true: the log has the address that a client writes in x-forwarded-for; write true"),
    );
  const hops = manager.get("xff_num_trusted_hops");
  if ((hops.number ?? 0) !== trustedHops)
    findings.push(
      warning(
        "edge",
        hops,
        `is ${hops.exists ? String(hops.value) : "absent, so 0"}, and gateway.trustedHops is ${trustedHops}: the log has the address of ` +
          `another than the client; write ${trustedHops}`,
      ),
    );
  return findings;
}

/** A route that says nothing of it has Envoy's `timeout`, of 15 s. */
function slowBodies(route: ProtoView, manager: ProtoView, { limits }: Config): Finding[] {
  const action = route.get("route");
  const duration = action.get("max_stream_duration.max_stream_duration");
  const others = [manager.get("common_http_protocol_options.max_stream_duration"), manager.get("request_timeout")];
  const bounds = [duration, action.get("timeout"), ...others].map((view) => view.duration ?? 0);
  if (!action.get("timeout").exists || bounds.some((ms) => ms > 0)) return [];
  return [
    warning(
      "edge",
      duration,
      `is absent: nothing bounds how long a body may take to come; write ${undecidedBound(limits) / 1000}s`,
    ),
  ];
}

/** What each line of an access log should say, by a part of the formatter that says it. */
const CALLER: readonly [what: string, formatter: RegExp][] = [
  [
    "the client's address (%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%)",
    /%DOWNSTREAM_(?:DIRECT_)?REMOTE_ADDRESS|X-FORWARDED-FOR/i,
  ],
  [`the principal (%REQ(${X_MCP_PRINCIPAL.toUpperCase()})%)`, new RegExp(X_MCP_PRINCIPAL, "i")],
  ["the request's id (%REQ(X-REQUEST-ID)%)", /x-request-id|%STREAM_ID%/i],
];

function loggedCallers({ manager, listener }: HttpListener): Finding[] {
  const logs = [...manager.get("access_log").items(), ...listener.get("access_log").items()];
  if (logs.length === 0)
    return [warning("edge", manager.get("access_log"), "is absent: nothing tells who called; write one")];
  const format = JSON.stringify(logs.map((log) => log.get("typed_config").value));
  // Envoy's own format has the address and the id, and nothing of ours.
  const isOwn = logs.every((log) => !/format/i.test(JSON.stringify(log.get("typed_config").value ?? null)));
  const absent = CALLER.filter(([, formatter]) => !formatter.test(format)).map(([what]) => what);
  const left = isOwn ? absent.filter((what) => what.includes(X_MCP_PRINCIPAL.toUpperCase())) : absent;
  if (left.length === 0) return [];
  return [warning("edge", manager.get("access_log"), `leave out ${left.join(", ")}; add it to the format`)];
}
