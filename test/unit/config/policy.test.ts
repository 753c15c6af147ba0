import { expect, test } from "vitest";
import { requestPolicy } from "../../../src/config/policy.ts";
import { load } from "./sections.ts";

test("requests are decided by the routes, hosts, origins and limits of the configuration", () => {
  const config = load({
    gateway: { hosts: ["GW.example"], origins: ["https://app.example"] },
    backends: { one: { endpoints: ["h:1"], path: "/deep/mcp" } },
    routes: [{ path: "/mcp", backends: ["one"], sessions: "required" }],
  });
  expect(config.backends).toMatchObject([{ name: "one", path: "/deep/mcp", onSessionLost: "recover" }]);
  expect(requestPolicy(config)).toEqual({
    routes: new Map([
      [
        "/mcp",
        {
          kind: "transparent",
          path: "/mcp",
          sessions: "required",
          backend: config.backends[0],
        },
      ],
    ]),
    hosts: ["gw.example"],
    identity: { kind: "none" },
    addsCredentials: false,
    origins: ["https://app.example"],
    admission: {
      sessions: 100,
      perPrincipal: 10,
      anonymous: undefined,
      parking: { idle: 63_000, unnamed: 5_000 },
      waiting: 100,
      wait: 40_000,
      retryAfter: 30,
    },
    callLimits: { limits: [], counts: "steps" },
    toolTimeouts: [],
    limits: config.limits,
  });
});
