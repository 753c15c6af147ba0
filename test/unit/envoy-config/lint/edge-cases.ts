/** Cases of the rules on Envoy's own errors, on its bounds, and on its log. */
import type { Rule } from "../../../../src/envoy-config/lint/rules.ts";
import { NO_REPORTS } from "../../../../src/envoy-config/reports.ts";
import { configOf, type Json } from "../configs.ts";
import {
  type Case,
  type Change,
  error,
  GATEWAY,
  good,
  HOST,
  put,
  set,
  UNDECIDED,
  unchanged,
  warning,
  wrong,
} from "./case.ts";

const REPLIES = `${GATEWAY}.local_reply_config`;
const MANAGER = "overload_manager";

const replies =
  (change: (config: Json) => void): Change =>
  ({ gatewayManager }) =>
    change(gatewayManager.local_reply_config);

const body = (text: string) => ({ text_format_source: { inline_string: text }, content_type: "application/json" });
/** The mapper of a body that is too large, with another body of its own. */
const secondMapper = (format: unknown) => replies((config) => put(config, "mappers.1.body_format_override", format));
const BODY = `${REPLIES}.mappers[1].body_format_override`;
const WITH_ID = '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"%RESPONSE_CODE%"}}';
const BY_STATUS = { status_code_filter: { comparison: { op: "EQ", value: { default_value: 413 } } } };
const uncovered = (what: string) => warning(`${REPLIES}.mappers`, what);

function overload(what: string, change: (bootstrap: Json) => void, message: string): Case {
  return wrong(what, (_, bootstrap) => change(bootstrap), [warning(MANAGER, message)], { isPart: true });
}

/** A field of the clients' connection manager. */
function edge(what: string, path: string, value: unknown, message: string): Case {
  return wrong(what, set("gatewayManager", path, value), [warning(`${GATEWAY}.${path}`, message)]);
}

const STREAM_BOUND = `routes.${UNDECIDED}.route.max_stream_duration`;
const keepalive =
  (option: object): Change =>
  (_, bootstrap) =>
    put(bootstrap, "static_resources.listeners.0.socket_options", [option]);
/** In place of the printed logs, beside the reports of streams. */
const log =
  (logs: readonly object[]): Change =>
  ({ gatewayManager }) => {
    const own = logs.map((one) => ({ ...one, filter: NO_REPORTS }));
    gatewayManager.access_log = [...own, gatewayManager.access_log.at(-1)];
  };
const textLog = (format: string) => [
  { typed_config: { log_format: { text_format_source: { inline_string: format } } } },
];
const TRUSTING = configOf({ gateway: { trustedHops: 2 } });
const UNDERSCORES = "common_http_protocol_options.headers_with_underscores_action";

export const EDGE_CASES = {
  "local-replies": [
    wrong("without the field", set("gatewayManager", "local_reply_config", undefined), [error(REPLIES, "is absent")]),
    wrong("with plain text", secondMapper(body("too large")), [
      error(`${BODY}.text_format_source.inline_string`, "is no JSON-RPC error"),
    ]),
    wrong("with an id", secondMapper(body(WITH_ID)), [error(`${BODY}.text_format_source.inline_string`, "has an id")]),
    wrong("without the body of an error", secondMapper(undefined), [uncovered("request_payload_too_large")], {
      isPart: true,
    }),
    wrong(
      "with a status alone",
      replies((config) => put(config, "mappers.2.body_format_override", undefined)),
      [error(`${REPLIES}.mappers[2]`, "without making it JSON-RPC")],
    ),
    wrong(
      "without a content type",
      replies((config) => put(config, "mappers.1.body_format_override.content_type", undefined)),
      [error(`${BODY}.content_type`, "Write `content_type: application/json`")],
    ),
    wrong(
      "with a first mapper by status, which takes the processor's own",
      replies(({ mappers }) => mappers.unshift({ ...mappers[1], filter: BY_STATUS })),
      [error(`${REPLIES}.mappers[0].filter`, "startsWith('mcp_')")],
    ),
    wrong(
      "without the mapper that leaves the processor's own alone",
      replies(({ mappers }) => mappers.shift()),
      [8, 9].map((n) => error(`${REPLIES}.mappers[${n}].filter`, "startsWith('mcp_')")),
    ),
    wrong(
      "with a format for all",
      replies((config) => put(config, "body_format", body("{}"))),
      [error(`${REPLIES}.body_format`, "the processor's own too")],
    ),
    wrong(
      "without the errors that clients meet",
      replies(({ mappers }) => mappers.splice(1)),
      ["request_payload_too_large", "a processor that is away", "a backend that is away"].map(uncovered),
    ),
    wrong(
      "without the processor's absence",
      replies((config) =>
        put(
          config,
          "mappers",
          config.mappers.filter((mapper: Json) => !JSON.stringify(mapper).includes("ext_proc")),
        ),
      ),
      [uncovered("a processor that is away")],
    ),
    good(
      "with json_format",
      secondMapper({
        json_format: { jsonrpc: "2.0", error: { code: -32600, message: "%RESPONSE_CODE_DETAILS%" } },
      }),
    ),
    good(
      "with a last mapper by status",
      replies(({ mappers }) => mappers.push({ ...mappers[1], filter: BY_STATUS })),
    ),
  ],
  overload: [
    overload(
      "without an overload manager",
      (bootstrap) => Reflect.deleteProperty(bootstrap, MANAGER),
      "has no monitor envoy.resource_monitors.fixed_heap",
    ),
    overload(
      "without a bound on memory",
      ({ overload_manager }) => overload_manager.resource_monitors.shift(),
      "max_heap_size_bytes: 805306368",
    ),
    overload(
      "without an action at the bound",
      ({ overload_manager }) => put(overload_manager, "actions", []),
      "has no action by",
    ),
    overload(
      "without a bound on connections",
      ({ overload_manager }) => overload_manager.resource_monitors.pop(),
      "max_active_downstream_connections: 10000",
    ),
    good("with one action by memory", (_, { overload_manager }) => overload_manager.actions.splice(1)),
  ],
  edge: [
    edge(
      "with streams without a bound",
      "http2_protocol_options.max_concurrent_streams",
      undefined,
      "Write `max_concurrent_streams: 128`",
    ),
    edge("with many streams", "http2_protocol_options.max_concurrent_streams", 1_000, "is 1000"),
    edge("with idle connections", "common_http_protocol_options.idle_timeout", undefined, "Write `idle_timeout: 900s`"),
    edge("with idle connections for ever", "common_http_protocol_options.idle_timeout", "0s", "is 0s"),
    edge("without HTTP/1.0", "http_protocol_options.accept_http_10", undefined, "nginx with proxy_pass alone"),
    edge("with the client's word for its address", "use_remote_address", false, "Write `use_remote_address: true`"),
    edge("with more trusted proxies than there are", "xff_num_trusted_hops", 2, "`gateway.trustedHops` is `0`"),
    edge("with underscores", UNDERSCORES, undefined, "Write `headers_with_underscores_action: REJECT_REQUEST`"),
    wrong(
      "with fewer trusted proxies than there are",
      set("gatewayManager", "xff_num_trusted_hops", undefined),
      [warning(`${GATEWAY}.xff_num_trusted_hops`, "is absent, so Envoy uses 0")],
      { config: TRUSTING },
    ),
    wrong("without a bound on how long a body takes", set("gatewayHost", STREAM_BOUND, undefined), [
      warning(
        `${HOST}.routes[${UNDECIDED}].route.max_stream_duration.max_stream_duration`,
        "max_stream_duration: 173s",
      ),
    ]),
    wrong("where a client that went without a word stays", keepalive({ level: 6, name: 9, int_value: 1 }), [
      warning("static_resources.listeners[0].socket_options", "SO_KEEPALIVE"),
    ]),
    good("with keepalive in quotes", keepalive({ level: "1", name: "9", int_value: "1" })),
    good("with keepalive as newer Envoys have it", (_, bootstrap) => {
      const [listener] = bootstrap.static_resources.listeners;
      put(listener, "socket_options", undefined);
      put(listener, "tcp_keepalive", {});
    }),
    wrong("without a log", log([]), [warning(`${GATEWAY}.access_log`, "has reports of streams alone")]),
    // Envoy's own format has all but the principal.
    wrong("with a log in Envoy's own format", log([{ name: "envoy.access_loggers.stdout", typed_config: {} }]), [
      warning(`${GATEWAY}.access_log`, "leaves out the principal (%REQ(X-MCP-PRINCIPAL)%)."),
    ]),
    wrong("with a log that names nobody", log(textLog("%RESPONSE_CODE%")), [
      warning(`${GATEWAY}.access_log`, "the client's address"),
    ]),
    good("with as many trusted proxies as there are", unchanged, { config: TRUSTING }),
    good("with a bound on how long a request takes", (parts) => {
      put(parts.gatewayHost, STREAM_BOUND, undefined);
      put(parts.gatewayManager, "request_timeout", "60s");
    }),
    good(
      "with a log in a format of its own",
      log(textLog("%DOWNSTREAM_REMOTE_ADDRESS% %REQ(x-mcp-principal)% %REQ(X-REQUEST-ID)%")),
    ),
    ...["DROP_HEADER", 2].map((action) =>
      good(`with underscores dropped, by ${action}`, set("gatewayManager", UNDERSCORES, action)),
    ),
  ],
} satisfies Partial<Record<Rule, readonly Case[]>>;
