/** `limits.calls`, `limits.principals` and `limits.service`: how often tools may be called. */
import * as z from "zod";
import { tcpAddress } from "../values/addresses.ts";
import { duration, wholeNumber } from "../values/quantities.ts";
import { rate } from "../values/rates.ts";
import { anyText, glob, text } from "../values/text.ts";

const NAME = "a name of lower-case letters, digits and inner hyphens, at most 63";

const limit = z.strictObject({
  tools: z
    .array(glob, "expected a list of names of tools")
    .min(1, "expected at least one name of a tool")
    .describe(
      "Names of tools as clients see them, in which `*` stands for any text: `github__*` on a federated route, `create_issue` on " +
        "one that leads to that backend alone.",
    ),
  per: z
    .enum(["all", "principal"])
    .default("all")
    .describe(
      "Whose calls count together. `all`: those of all clients. `principal`: those of each principal of `identity` by itself, " +
        "and those of all anonymous callers together.",
    ),
  rate: rate.describe(
    "Most calls in a second (`s`), minute (`m`), hour (`h`) or day (`d`). As many may come at once after a pause.",
  ),
  name: anyText(NAME)
    .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, `expected ${NAME}`)
    .optional()
    .meta({ title: NAME })
    .describe(
      "By which Envoy and the rate limit service count. A limit that keeps its name keeps its counts when its rate changes. " +
        "Default: made of the first tool, `per` and the unit of `rate`, as `github-principal-minute`.",
    ),
});

export const callLimits = {
  calls: z
    .array(limit, "expected a list of limits")
    .max(100, "expected at most 100 limits")
    .default([])
    .describe(
      "How often tools may be called. A call counts under each limit that has its tool, and is refused where one of them is used " +
        "up. Envoy counts, behind the processor. Default: no limit.",
    ),
  principals: wholeNumber(1, 1_000_000)
    .default(10_000)
    .describe(
      "Number of principals that each Envoy counts at the same time under each limit of `calls` that is `per: principal`. Beyond " +
        "it, the one whose calls are longest ago is forgotten, and begins anew. Has no effect with `service`.",
    ),
  service: z
    .strictObject({
      address: tcpAddress.describe(
        "Address of the service: `ip:port`, or `name:port`, which Envoy resolves. It speaks gRPC (HTTP/2 without TLS).",
      ),
      domain: text("the name of a domain")
        .default("mcp")
        .describe("The `domain` in the service's own configuration, which `mcp-router ratelimit` prints."),
      timeout: duration.prefault("20ms").describe("Longest time for an answer of the service."),
      onFailure: z
        .enum(["allow", "deny"])
        .default("deny")
        .describe(
          "What happens to a call that has a limit while the service does not answer. `deny`: it is refused. `allow`: it is not " +
            "counted.",
        ),
    })
    .optional()
    .describe(
      "A rate limit service of Envoy's (github.com/envoyproxy/ratelimit) that counts the calls of several Envoys together. Default: " +
        "each Envoy counts by itself.",
    ),
} as const;
