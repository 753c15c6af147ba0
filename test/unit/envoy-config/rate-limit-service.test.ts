/** `mcp-router ratelimit`: the service's own configuration. */
import { expect, test } from "vitest";
import { rateLimitServiceFor } from "../../../src/envoy-config/rate-limit-service.ts";
import { configOf } from "./configs.ts";

test("the service's configuration has a limit for each of ours, by what Envoy sends", () => {
  const calls = [
    { tools: ["github__*", 'odd",#\n'], per: "principal", rate: "10/m" },
    { tools: ["*"], rate: "100/s", name: "all" },
  ];
  const made = rateLimitServiceFor(
    configOf({ limits: { calls, service: { address: "ratelimit:8081", domain: "gw" } } }),
  );
  expect(made).toEqual({
    ok: true,
    document: `# Made by \`mcp-router ratelimit\` from mcp-router.yaml. Change that file, not this one.

domain: gw
descriptors:
  # Calls of each principal of "github__*", "odd\\",#\\n".
  - key: mcp_limit
    value: github-principal-minute
    descriptors:
      - key: principal
        rate_limit:
          unit: minute
          requests_per_unit: 10
  # Calls of all clients of "*".
  - key: mcp_limit
    value: all
    rate_limit:
      unit: second
      requests_per_unit: 100
`,
  });
});

test("without a service there is nothing to print, which is said", () => {
  expect(rateLimitServiceFor(configOf())).toEqual({
    ok: false,
    errors: ["limits.service: missing, expected the service that the limits are for"],
  });
});
