/** The configuration of a rate limit service (github.com/envoyproxy/ratelimit), made from limits.calls. */
import { Document, isNode } from "yaml";
import type { CallLimitConfig } from "../config/call-limits.ts";
import type { Config } from "../config/load.ts";
import { LIMIT_KEY, PRINCIPAL_KEY } from "./call-limits.ts";
import { type Message, PRINTED } from "./proto-json.ts";

export type RateLimitServiceResult =
  | { readonly ok: true; readonly document: string }
  | { readonly ok: false; readonly errors: readonly string[] };

/** A file of the service's configuration as YAML, or what to change in ours. The same configuration always gives the same text. */
export function rateLimitServiceFor({ limits: { calls, service } }: Config): RateLimitServiceResult {
  if (!service) return { ok: false, errors: ["limits.service: missing, expected the service that the limits are for"] };
  const document = new Document({ domain: service.domain, descriptors: calls.map(descriptor) }, PRINTED);
  document.commentBefore = " Made by `mcp-router ratelimit` from mcp-router.yaml. Change that file, not this one.";
  for (const [index, limit] of calls.entries()) {
    const node = document.getIn(["descriptors", index], true);
    if (isNode(node)) node.commentBefore = ` ${describe(limit)}`;
  }
  return { ok: true, document: document.toString({ lineWidth: 0 }) };
}

/** A key without a value has a count of its own for each value. */
function descriptor({ name, per, calls, unit }: CallLimitConfig): Message {
  const limit = { rate_limit: { unit, requests_per_unit: calls } };
  const ours = { key: LIMIT_KEY, value: name };
  return per === "principal" ? { ...ours, descriptors: [{ key: PRINCIPAL_KEY, ...limit }] } : { ...ours, ...limit };
}

function describe({ written, per }: CallLimitConfig): string {
  const whose = per === "principal" ? "of each principal" : "of all clients";
  return `Calls ${whose} of ${written.map((tool) => JSON.stringify(tool)).join(", ")}.`;
}
