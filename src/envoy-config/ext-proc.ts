/** The ext_proc filter: how Envoy asks the processor (envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor). */
import { type BackendConfig, longestCall } from "../config/backends.ts";
import type { Config } from "../config/load.ts";
import { CALLS_METADATA } from "../core/call-limits.ts";
import {
  ANSWER_HEADERS,
  BACKEND_ADDRESS_HEADERS,
  COOKIE,
  INTERNAL_HEADERS,
  LAST_EVENT_ID,
  MCP_SESSION_ID,
  PAGE_HEADERS,
  X_CLIENT_ID,
  X_MCP_PATH,
} from "../core/headers.ts";
import { JWT_METADATA } from "../core/identity.ts";
import { REPLACED_BODY, REWRITTEN_BODY } from "../core/mode-override.ts";
import { RELAYED_METADATA } from "../core/relayed.ts";
import {
  catalogueMessageTimeout,
  credentialMessageTimeout,
  federationOf,
  longestOpening,
  memberMessageTimeout,
  type Route,
  recoveryMessageTimeout,
  TELL_TIMEOUT_MS,
  waitMessageTimeout,
} from "../core/routes.ts";
import { EXT_PROC_FILTER, EXT_PROC_TYPE, PROCESSOR_CLUSTER, RESPONSE_ATTRIBUTES } from "./names.ts";
import { duration, extension, type Message, PREVIOUS_HOSTS } from "./proto-json.ts";

/**
 * envoy.config.core.v3.RetryPolicy of the processor's streams: hides a restart from clients. It stands beside envoy_grpc; inside
 * it, Envoy retries nothing.
 *
 * Envoy waits for a random part of an interval, which doubles up to the longest. 30 retries take 3.3 s on average, and less than
 * 2 s once in many thousands. So a lone router may be away for 2 s; if it stays away, a request fails soon, and at the latest
 * after message_timeout.
 */
export const STREAM_RETRY = {
  retry_on: "connect-failure,refused-stream,reset,unavailable",
  num_retries: 30,
  retry_back_off: { base_interval: duration(10), max_interval: duration(250) },
  // Each retry asks another processor. Without this, every sixteenth request would ask the one of two that is gone four times
  // in a row, until Envoy ejects it.
  retry_host_predicate: [PREVIOUS_HOSTS],
  host_selection_retry_max_attempts: 5,
} as const;

/** Headers that the processor writes or removes: on requests, on answers, and on its own replies (core/reject.ts). */
export const WRITTEN_HEADERS = [
  ":path",
  ":status",
  ...INTERNAL_HEADERS,
  X_MCP_PATH,
  MCP_SESSION_ID,
  LAST_EVENT_ID,
  X_CLIENT_ID,
  COOKIE,
  ...PAGE_HEADERS,
  "content-length",
  "accept-encoding",
  ...ANSWER_HEADERS,
  ...BACKEND_ADDRESS_HEADERS,
] as const;

/**
 * Regexes on the whole name of a header: those that the processor may write, and the exceptions, which tell whom a client asks, from
 * where, and how often Envoy retries. Where the processor writes another one, which is a bug, Envoy fails the request, or leaves the
 * header out of a reply of the processor. Envoy refuses a regex whose RE2 program is above 100 instructions, so no list of names.
 */
export const WRITABLE_HEADERS = ":path|:status|[^:].*";
export const UNWRITABLE_HEADERS = "host|forwarded|x-forwarded-.*|x-envoy-[^dp].*";

/** The longest (ms) that the processor may ask Envoy to wait: for a backend, or for the slot of an initialize. */
export function maxMessageTimeout(config: Pick<Config, "processor" | "backends" | "admission" | "routes">): number {
  const { processor, backends, admission, routes } = config;
  const longest = Math.max(
    processor.messageTimeout,
    waitMessageTimeout(admission.wait ?? 0),
    ...backends.map(longestMessageTimeout),
    ...routes.flatMap((route) => federatedMessageTimeouts(route, admission.wait)),
  );
  return longest + credentialMessageTimeout(backends);
}

/**
 * The longest (ms) that the processor may defer any verdict on a backend's requests: to open a session there, and then to wait
 * for an answer. Envoy allows no more than max_message_timeout, so the generated configuration is made of this.
 */
function longestMessageTimeout({ timeouts, credentials }: BackendConfig): number {
  return recoveryMessageTimeout({ timeouts: { ...timeouts, call: longestCall(timeouts) }, credentials });
}

/** For an initialize and the first call at a backend, which may have to wait for the backends' lists; and for what all are told. */
function federatedMessageTimeouts(of: Route, wait: number | undefined): number[] {
  const route = federationOf(of);
  if (!route) return [];
  return [
    catalogueMessageTimeout(route.lists, wait),
    memberMessageTimeout(route.lists.timeout + longestOpening(route)),
    memberMessageTimeout(TELL_TIMEOUT_MS),
  ];
}

/** The processor's cluster (envoy.config.core.v3.GrpcService.EnvoyGrpc). */
export interface ProcessorCluster extends Message {
  readonly cluster_name: string;
  /** The :authority of calls. Default: the cluster's name. */
  readonly authority?: string;
}

export function extProcFilter(
  config: Config,
  cluster: ProcessorCluster = { cluster_name: PROCESSOR_CLUSTER },
): Message {
  const { processor, identity, limits } = config;
  return extension(EXT_PROC_FILTER, EXT_PROC_TYPE, {
    grpc_service: {
      envoy_grpc: cluster,
      retry_policy: STREAM_RETRY,
    },
    failure_mode_allow: false,
    message_timeout: duration(processor.messageTimeout),
    max_message_timeout: duration(maxMessageTimeout(config)),
    processing_mode: {
      request_header_mode: "SEND",
      response_header_mode: "SEND",
      request_body_mode: "BUFFERED",
      response_body_mode: "NONE",
      // Few requests have trailers. Without them Envoy does not tell of an empty body that ends with trailers.
      request_trailer_mode: "SEND",
      response_trailer_mode: "SKIP",
    },
    allow_mode_override: true,
    allowed_override_modes: [REPLACED_BODY, REWRITTEN_BODY],
    mutation_rules: {
      disallow_all: true,
      allow_expression: { regex: WRITABLE_HEADERS },
      disallow_expression: { regex: UNWRITABLE_HEADERS },
      // By default Envoy drops a refused header without a word: a session's pin, say.
      disallow_is_error: true,
    },
    response_attributes: [...RESPONSE_ATTRIBUTES],
    metadata_options: {
      receiving_namespaces: {
        untyped: [RELAYED_METADATA.namespace, ...(limits.calls.length > 0 ? [CALLS_METADATA.namespace] : [])],
      },
      // The claims of the token: they name the session's principal.
      ...(identity.kind === "jwt" && { forwarding_namespaces: { untyped: [JWT_METADATA.namespace] } }),
    },
  });
}
