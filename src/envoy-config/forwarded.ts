/** Headers by which proxies ahead of Envoy describe the client (x-forwarded-*, RFC 7239), and how many proxies are trusted. */
import type { Config } from "../config/load.ts";
import { FORWARDED_HEADERS, FORWARDED_PREFIX } from "../core/headers.ts";
import type { Message } from "./proto-json.ts";

/**
 * envoy.config.common.mutation_rules.v3.HeaderMutation: without trusted proxies the client itself wrote these headers. Envoy writes
 * x-forwarded-for and x-forwarded-proto from the connection afterwards.
 */
export function forwardedMutations({ trustedHops }: Pick<Config["gateway"], "trustedHops">): Message[] {
  if (trustedHops > 0) return [];
  return [
    ...FORWARDED_HEADERS.map((name) => ({ remove: name })),
    { remove_on_match: { key_matcher: { prefix: FORWARDED_PREFIX } } },
  ];
}

/** For the clients' connection manager: which address is the client's in the log, and whether x-forwarded-proto is kept. */
export function trustedProxies({ trustedHops }: Pick<Config["gateway"], "trustedHops">): Message {
  return trustedHops > 0 ? { xff_num_trusted_hops: trustedHops } : {};
}
