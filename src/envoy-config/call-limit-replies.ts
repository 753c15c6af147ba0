/**
 * What a client gets where the filter of limits.calls refuses its call, as far as Envoy knows it. The processor puts its own answer in
 * place of that (gateway/limited.ts), but Envoy 1.36 does not show it the refusal.
 */
import { CALLS_METADATA } from "../core/call-limits.ts";
import { RATE_LIMIT_REACHED, RATE_LIMITS_UNAVAILABLE, SERVER_BUSY } from "../core/codes.ts";
import { LIMITS_RETRY_AFTER } from "../core/reject.ts";
import { CEL_FILTER_TYPE } from "./names.ts";
import { extension, type Message, setHeader } from "./proto-json.ts";

const { namespace, id, principal, retryAfter } = CALLS_METADATA;

/** Of either filter, by its code details. */
const REACHED = "response.code_details in ['local_rate_limited', 'request_rate_limited']";
const UNAVAILABLE = "response.code_details == 'rate_limiter_error'";

/** Mappers (envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper): in band, where there is an id. */
export function callLimitReplies(): Message[] {
  return [
    refusal(REACHED, id, 200, RATE_LIMIT_REACHED, told(retryAfter)),
    refusal(REACHED, principal, 429, RATE_LIMIT_REACHED, told(retryAfter)),
    // How long a limit takes to have room says nothing of when the service is back.
    refusal(UNAVAILABLE, id, 200, RATE_LIMITS_UNAVAILABLE, String(LIMITS_RETRY_AFTER)),
    refusal(UNAVAILABLE, principal, 503, RATE_LIMITS_UNAVAILABLE, String(LIMITS_RETRY_AFTER)),
  ];
}

/**
 * @param having the member that the processor has told Envoy
 * @param wait seconds after which the client may come again
 */
function refusal(
  expression: string,
  having: typeof id | typeof principal,
  status_code: number,
  message: string,
  wait: string,
): Message {
  const error = `"error":{"code":${SERVER_BUSY},"message":"${message}","data":{"retryAfterMs":${wait}000}}`;
  const body = having === id ? `{"jsonrpc":"2.0","id":${told(id)},${error}}` : `{"jsonrpc":"2.0",${error}}`;
  return {
    filter: {
      and_filter: {
        filters: [
          {
            extension_filter: extension("envoy.access_loggers.extension_filters.cel", CEL_FILTER_TYPE, { expression }),
          },
          {
            metadata_filter: {
              matcher: { filter: namespace, path: [{ key: having }], value: { present_match: true } },
              match_if_key_not_found: false,
            },
          },
        ],
      },
    },
    status_code,
    headers_to_add: [setHeader("retry-after", wait)],
    body_format_override: { text_format_source: { inline_string: body }, content_type: "application/json" },
  };
}

/** The text that the processor has told Envoy. */
function told(member: string): string {
  return `%DYNAMIC_METADATA(${namespace}:${member})%`;
}
