import { describe, expect, test } from "vitest";
import { INTERNAL_HEADERS, MCP_SESSION_ID } from "../../../src/core/headers.ts";
import { bootstrapFor } from "../../../src/envoy-config/bootstrap.ts";
import { UNWRITABLE_HEADERS, WRITABLE_HEADERS, WRITTEN_HEADERS } from "../../../src/envoy-config/ext-proc.ts";
import { printedRoutes } from "../../support/route-forms.ts";
import { bootstrapOf, configOf, type Json, partsOf } from "./configs.ts";

const parts = (sections?: Readonly<Record<string, unknown>>) => partsOf(bootstrapOf(configOf(sections)));
const backend = (section: Readonly<Record<string, unknown>>) =>
  parts({ backends: { one: section }, routes: [{ path: "/mcp", backends: ["one"] }] });
const hostnames = (cluster: Json) =>
  cluster.load_assignment.endpoints[0].lb_endpoints.map(({ endpoint }: Json) => endpoint.hostname);

describe("the text", () => {
  test("says where it comes from, in its first line", () => {
    expect(bootstrapFor(configOf()).split("\n", 1)[0]).toMatch(/^# .*mcp-router envoy/);
  });

  test("is the same for the same configuration", () => {
    expect(bootstrapFor(configOf())).toBe(bootstrapFor(configOf()));
  });

  test("has no anchors, which Envoy's YAML would not all take", () => {
    expect(bootstrapFor(configOf())).not.toMatch(/: [&*]\w/);
  });
});

describe("routes", () => {
  test("need x-mcp-backend for every backend, and end at the empty cluster", () => {
    for (const host of [parts().gatewayHost, parts().egressHost]) {
      const routes = printedRoutes(host);
      const last = routes.at(-1);
      expect(last).toMatchObject({ match: { prefix: "/" }, route: { cluster: "mcp_undecided" } });
      expect(last.match.headers).toBeUndefined();
      for (const route of routes.slice(0, -1))
        expect(route.match.headers[0]).toEqual({ name: "x-mcp-backend", string_match: { exact: route.route.cluster } });
    }
    expect(parts().clusterOf("mcp_undecided").load_assignment.endpoints).toBeUndefined();
  });

  test("never bound a whole answer, bound silence and streams by the backend's times", () => {
    const { gatewayHost } = backend({ endpoints: ["127.0.0.1:1"], timeouts: { call: "90s", listen: "20m" } });
    const times = (bound: string) => ({
      timeout: "0s",
      idle_timeout: bound,
      max_stream_duration: { max_stream_duration: bound },
    });
    const named = Object.fromEntries(printedRoutes(gatewayHost).map((route: Json) => [route.name, route.route]));
    expect(named["one/listen"]).toMatchObject(times("1200s"));
    expect(named["one/subscriptions"]).toMatchObject(times("1200s"));
    expect(named["one/call"]).toMatchObject(times("90s"));
  });

  test("ask another endpoint where one takes no connections, if a session may move there, and repeat nothing else", () => {
    const retries = (sections: Readonly<Record<string, unknown>>) => {
      const { gatewayHost, egressHost } = backend({ endpoints: ["127.0.0.1:1"], ...sections });
      return [gatewayHost, egressHost].map((host) =>
        printedRoutes(host).flatMap(({ route }: Json) => route.retry_policy?.retry_on ?? []),
      );
    };
    expect(retries({})).toEqual([["connect-failure", "connect-failure", "connect-failure"], []]);
    expect(retries({ onSessionLost: "surface" })).toEqual([[], []]);
  });

  test("carry limits.body on the virtual host", () => {
    expect(parts({ limits: { body: "256KiB" } }).gatewayHost.request_body_buffer_limit).toBe(262_144);
  });
});

describe("identity", () => {
  const jwt = { kind: "jwt", issuer: "https://issuer", audiences: ["mcp"], jwks: { file: "/keys.json" } };
  const filtersOf = (sections: Readonly<Record<string, unknown>>) => parts(sections).gatewayManager.http_filters;
  const names = (filters: Json[]) => filters.map(({ name }) => name.replace("envoy.filters.http.", ""));

  test("by tokens has Envoy check them after cors, before the processor, on the public paths alone", () => {
    const filters = filtersOf({ identity: jwt, gateway: { origins: ["https://app.example"] } });
    expect(names(filters)).toEqual(["header_mutation", "cors", "jwt_authn", "ext_proc", "router"]);
    expect(filters[2].typed_config).toMatchObject({
      providers: {
        principal: {
          issuer: "https://issuer",
          audiences: ["mcp"],
          local_jwks: { filename: "/keys.json" },
          forward: true,
          payload_in_metadata: "payload",
        },
      },
      rules: ["/everything/mcp", "/everything/mcp/", "/files/mcp", "/files/mcp/"].map((path) => ({
        match: { path },
        requires: { provider_name: "principal" },
      })),
      bypass_cors_preflight: true,
    });
    expect(filters[3].typed_config.metadata_options).toMatchObject({
      forwarding_namespaces: { untyped: ["envoy.filters.http.jwt_authn"] },
    });
    expect(names(parts({ identity: jwt }).egressManager.http_filters)).toEqual(["router"]);
  });

  test("by tokens whose keys are at a URL has Envoy fetch them ahead of need, over verified TLS", () => {
    const identity = { ...jwt, jwks: { uri: "https://issuer.example/jwks", ca: "/ca.pem", refresh: "1h" } };
    expect(filtersOf({ identity })[0].typed_config.providers.principal).toMatchObject({
      remote_jwks: {
        http_uri: { uri: "https://issuer.example/jwks", cluster: "mcp_jwks", timeout: "5s" },
        cache_duration: "3600s",
        async_fetch: { failed_refetch_duration: "1s" },
      },
    });
    expect(parts({ identity }).clusterOf("mcp_jwks")).toMatchObject({
      type: "STRICT_DNS",
      transport_socket: {
        typed_config: {
          sni: "issuer.example",
          common_tls_context: {
            validation_context: {
              trusted_ca: { filename: "/ca.pem" },
              match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: "issuer.example" } }],
            },
          },
        },
      },
    });
    const byAddress = parts({ identity: { ...jwt, jwks: { uri: "https://10.0.0.1:8443/jwks" } } }).clusterOf(
      "mcp_jwks",
    );
    expect(byAddress).toMatchObject({
      type: "STATIC",
      transport_socket: {
        typed_config: {
          common_tls_context: { validation_context: { match_typed_subject_alt_names: [{ san_type: "IP_ADDRESS" }] } },
        },
      },
    });
    expect(byAddress.transport_socket.typed_config).not.toHaveProperty("sni");
  });

  test("that is not required lets requests without a token through, and no others", () => {
    const [{ typed_config }] = filtersOf({ identity: { ...jwt, required: false } });
    expect(typed_config.rules[0].requires).toEqual({
      requires_any: { requirements: [{ provider_name: "principal" }, { allow_missing: {} }] },
    });
  });

  test.each([{ kind: "none" }, { kind: "header", name: "x-user" }])("%j needs no filter", (identity) => {
    expect(names(filtersOf({ identity }))).toEqual(["ext_proc", "router"]);
    expect(parts({ identity }).extProc.metadata_options).not.toHaveProperty("forwarding_namespaces");
  });
});

describe("the guard", () => {
  const admission = { guard: { perSecond: 10, burst: 20 } };
  const jwt = { kind: "jwt", issuer: "https://issuer", audiences: ["mcp"], jwks: { file: "/keys.json" } };

  test("stands after cors, ahead of tokens and of the processor, and not on the egress listener", () => {
    const { gatewayManager, egressManager } = parts({
      admission,
      identity: jwt,
      gateway: { origins: ["https://app.example"] },
    });
    const names = gatewayManager.http_filters.map(({ name }: Json) => name.replace("envoy.filters.http.", ""));
    expect(names).toEqual(["header_mutation", "cors", "local_ratelimit", "jwt_authn", "ext_proc", "router"]);
    expect(egressManager.http_filters).toHaveLength(1);
  });

  test("has one bucket for what opens something on the public paths, and none for the rest", () => {
    const [{ typed_config }] = parts({ admission }).gatewayManager.http_filters;
    const entry = { key: "mcp_router", value: "opening" };
    expect(typed_config.descriptors).toEqual([
      { entries: [entry], token_bucket: { max_tokens: 20, tokens_per_fill: 10, fill_interval: "1s" } },
    ]);
    expect(typed_config).not.toHaveProperty("token_bucket");
    expect(typed_config.rate_limits).toEqual(
      ["/everything/mcp", "/everything/mcp/", "/files/mcp", "/files/mcp/"].map((path) => ({
        actions: [
          {
            header_value_match: {
              descriptor_key: entry.key,
              descriptor_value: entry.value,
              headers: [
                { name: ":method", string_match: { exact: "POST" } },
                { name: "x-mcp-path", string_match: { exact: path } },
                { name: "mcp-session-id", present_match: false },
                { name: "mcp-method", present_match: false },
              ],
            },
          },
        ],
      })),
    );
  });

  test("is always on, where Envoy's defaults are off", () => {
    const [{ typed_config }] = parts({ admission }).gatewayManager.http_filters;
    for (const share of [typed_config.filter_enabled, typed_config.filter_enforced])
      expect(share).toEqual({ default_value: { numerator: 100, denominator: "HUNDRED" } });
  });

  test("is there only when it is configured", () => {
    expect(bootstrapFor(configOf())).not.toContain("local_ratelimit");
  });
});

describe("a backend's cluster", () => {
  test("gives a backend its own address as Host, or the configured one", () => {
    const own = backend({ endpoints: ["127.0.0.1:3001", "[::1]:3002"] });
    expect(hostnames(own.clusterOf("one"))).toEqual(["127.0.0.1:3001", "[::1]:3002"]);
    expect(printedRoutes(own.gatewayHost)[0].route.auto_host_rewrite).toBe(true);
    const named = backend({ endpoints: ["127.0.0.1:3001"], host: "mcp.internal" });
    expect(printedRoutes(named.gatewayHost)[0].route).toMatchObject({ host_rewrite_literal: "mcp.internal" });
    expect(printedRoutes(named.gatewayHost)[0].route.auto_host_rewrite).toBeUndefined();
  });

  test("leaves the scheme's default port out of Host, as HTTP clients do", () => {
    expect(hostnames(backend({ endpoints: ["a.internal:80", "a.internal:443"] }).clusterOf("one"))).toEqual([
      "a.internal",
      "a.internal:443",
    ]);
    const tls = backend({ endpoints: ["a.internal:80", "[::1]:443"], tls: { sni: "a.internal" } });
    expect(hostnames(tls.clusterOf("one"))).toEqual(["a.internal:80", "[::1]"]);
  });

  test("resolves names only where there are some", () => {
    expect(backend({ endpoints: ["127.0.0.1:1", "[::1]:1"] }).clusterOf("one").type).toBe("STATIC");
    expect(backend({ endpoints: ["127.0.0.1:1", "a.internal:1"] }).clusterOf("one").type).toBe("STRICT_DNS");
  });

  test("verifies a TLS backend's certificate for its server name", () => {
    const { typed_config } = backend({
      endpoints: ["a.internal:443"],
      tls: { sni: "a.internal", ca: "/ca.pem" },
    }).clusterOf("one").transport_socket;
    expect(typed_config).toMatchObject({
      sni: "a.internal",
      common_tls_context: {
        validation_context: {
          trusted_ca: { filename: "/ca.pem" },
          match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: "a.internal" } }],
        },
      },
    });
  });
});

describe("the processor's cluster", () => {
  test("is neither checked nor ejected from where there is one processor", () => {
    expect(parts().clusterOf("mcp_router")).not.toHaveProperty("health_checks");
  });

  test.each([
    ["several processors", ["10.0.0.1:50051", "10.0.0.2:50051"]],
    ["a name, which may stand for several", ["mcp-router.mcp.svc:50051"]],
  ])("is checked and ejected from with %s", (_, endpoints) => {
    expect(parts({ processor: { endpoints } }).clusterOf("mcp_router")).toMatchObject({
      health_checks: [{ grpc_health_check: {} }],
      outlier_detection: { max_ejection_percent: 50 },
      common_lb_config: { update_merge_window: "0s" },
    });
  });

  test("may be a Unix socket", () => {
    const { clusterOf } = parts({ processor: { listen: "unix:/run/mcp.sock" } });
    expect(clusterOf("mcp_router").load_assignment.endpoints[0].lb_endpoints).toEqual([
      { endpoint: { address: { pipe: { path: "/run/mcp.sock" } } } },
    ]);
  });
});

describe("headers", () => {
  test("that only the processor may set are taken from clients, and not from the processor's own calls", () => {
    const { gatewayManager, egressManager } = parts();
    const { mutations } = gatewayManager.early_header_mutation_extensions[0].typed_config;
    expect(mutations.flatMap(({ remove }: Json) => remove ?? [])).toEqual(
      expect.arrayContaining([...INTERNAL_HEADERS]),
    );
    expect(egressManager).not.toHaveProperty("early_header_mutation_extensions");
  });

  test("that proxies ahead would say are taken from clients, unless there are some that are trusted", () => {
    const removed = (gateway: object) => {
      const { gatewayManager, egressManager } = parts({ gateway });
      expect(egressManager).not.toHaveProperty("xff_num_trusted_hops");
      const mutations = JSON.stringify(gatewayManager.early_header_mutation_extensions);
      return { hops: gatewayManager.xff_num_trusted_hops, mutations };
    };
    expect(removed({})).toEqual({ hops: undefined, mutations: expect.stringContaining('"prefix":"x-forwarded-"') });
    expect(removed({ trustedHops: 3 })).toEqual({ hops: 3, mutations: expect.not.stringContaining("x-forwarded-") });
  });

  test("that the processor writes may be written, and no others", () => {
    const [writable, unwritable] = [WRITABLE_HEADERS, UNWRITABLE_HEADERS].map((names) => new RegExp(`^(?:${names})$`));
    const mayWrite = (name: string) => writable?.test(name) && !unwritable?.test(name);
    for (const name of WRITTEN_HEADERS) expect(mayWrite(name), name).toBe(true);
    for (const name of [":authority", ":method", "host", "x-envoy-retry-on", "x-forwarded-for"])
      expect(mayWrite(name), name).toBe(false);
  });

  test("that are secret are not logged", () => {
    for (const manager of [parts().gatewayManager, parts().egressManager]) {
      const log = JSON.stringify(manager.access_log).toLowerCase();
      expect(log).not.toContain(MCP_SESSION_ID);
      expect(log).not.toContain("authorization");
    }
  });
});

test("the egress listener has no ext_proc, and says which endpoint served", () => {
  const { egressManager, egressHost } = parts();
  expect(egressManager.http_filters.map(({ name }: Json) => name)).toEqual(["envoy.filters.http.router"]);
  expect(egressHost.response_headers_to_add).toEqual([
    {
      header: { key: "x-mcp-endpoint", value: "%UPSTREAM_REMOTE_ADDRESS%" },
      append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
    },
    { header: { key: "x-accel-buffering", value: "no" }, append_action: "ADD_IF_ABSENT" },
  ]);
});

test("a text that YAML 1.1 takes for a boolean is quoted, since Envoy reads YAML 1.1", () => {
  const text = bootstrapFor(
    configOf({ backends: { on: { endpoints: ["127.0.0.1:1"] } }, routes: [{ path: "/on", backends: ["on"] }] }),
  );
  expect(text).toContain('name: "on"');
  expect(text).toContain('value: "no"');
  expect(text).not.toMatch(/: (on|no)$/m);
});

test("the admin listener is there only when it is configured", () => {
  expect(bootstrapOf(configOf())).not.toHaveProperty("admin");
  expect(bootstrapOf(configOf({ envoy: { admin: "127.0.0.1:9901" } })).admin).toEqual({
    address: { socket_address: { address: "127.0.0.1", port_value: 9901 } },
    ignore_global_conn_limit: true,
  });
});

describe("what clients can make Envoy hold", () => {
  const envoy = { heap: "1MiB", connections: 7, streams: 5, requests: 9 };

  test("is bounded by the settings of envoy", () => {
    const bootstrap = bootstrapOf(configOf({ envoy }));
    const { gatewayManager, clusterOf } = partsOf(bootstrap);
    expect(bootstrap.overload_manager.resource_monitors.map(({ typed_config }: Json) => typed_config)).toMatchObject([
      { max_heap_size_bytes: 1024 * 1024 },
      { max_active_downstream_connections: 7 },
    ]);
    expect(gatewayManager.http2_protocol_options.max_concurrent_streams).toBe(5);
    expect(clusterOf("mcp_router").circuit_breakers.thresholds).toMatchObject([
      { max_requests: 9, max_pending_requests: 9 },
    ]);
  });

  test("leaves the router's own calls out", () => {
    const { egress, egressManager } = partsOf(bootstrapOf(configOf({ envoy })));
    expect(egress.ignore_global_conn_limit).toBe(true);
    expect(egressManager.http2_protocol_options.max_concurrent_streams).toBe(1024);
    expect(egressManager.common_http_protocol_options).not.toHaveProperty("headers_with_underscores_action");
  });

  test.each([
    ["4MiB", "173s"],
    ["1KiB", "46s"],
    ["1GiB", "32813s"],
  ])("is a body of at most %s for %s", (body, longest) => {
    const { gatewayHost } = partsOf(
      bootstrapOf(configOf({ limits: { body, initialize: "1KiB", replayBody: "1KiB" } })),
    );
    expect(printedRoutes(gatewayHost).at(-1).route).toMatchObject({
      timeout: "0s",
      idle_timeout: "45s",
      max_stream_duration: { max_stream_duration: longest },
    });
  });

  test("ends with idle connections, and with handshakes of TLS that do not", () => {
    const { gateway, gatewayManager } = partsOf(bootstrapOf(configOf({ gateway: { tls: { cert: "/c", key: "/k" } } })));
    expect(gatewayManager.common_http_protocol_options.idle_timeout).toBe("900s");
    expect(gateway.filter_chains[0].transport_socket_connect_timeout).toBe("10s");
  });
});

test("the message timeout is the configured one, and the longest lets a lost session be recovered and its call be answered", () => {
  const timeouts = { call: "1m", initialize: "5s" };
  expect(parts({ processor: { messageTimeout: "2500ms" }, timeouts }).extProc).toMatchObject({
    message_timeout: "2.5s",
    max_message_timeout: "66s",
  });
  expect(parts({ processor: { messageTimeout: "2m" }, timeouts }).extProc.max_message_timeout).toBe("120s");
});

test("the longest message timeout is that of all backends, whatever becomes of their lost sessions", () => {
  const timeouts = { call: "1m", initialize: "5s" };
  const backends = { one: { endpoints: ["127.0.0.1:3001"], onSessionLost: "surface" } };
  const routes = [{ path: "/mcp", backends: ["one"] }];
  expect(parts({ backends, routes, timeouts }).extProc.max_message_timeout).toBe("66s");
});

describe("with a federated route", () => {
  const backends = {
    one: { endpoints: ["127.0.0.1:3001"], timeouts: { initialize: "38s" } },
    two: { endpoints: ["127.0.0.1:3002"] },
  };
  const routes = [{ path: "/mcp", backends: ["one", "two"] }];
  const undecidedOf = ({ gatewayHost }: ReturnType<typeof parts>) => printedRoutes(gatewayHost).at(-1).route;

  test("Envoy waits for the lists of its backends, and then for a slot or for a session at one", () => {
    const timeouts = { call: "1s" };
    const longest = (wait: string, lists: string) =>
      parts({ backends, routes, timeouts, admission: { wait }, lists: { timeout: lists } }).extProc.max_message_timeout;
    expect(longest("40s", "10s")).toBe("51s");
    expect(longest("1s", "10s")).toBe("49s");
  });

  test("so it does on a route to one that bridges the eras", () => {
    const bridged = [{ path: "/mcp", backends: ["one"], era: "bridge" }];
    const { extProc } = parts({ backends, routes: bridged, timeouts: { call: "1s" }, admission: { wait: "1s" } });
    expect(extProc.max_message_timeout).toBe("44s");
  });

  test("Envoy waits for each backend to take a message that all get", () => {
    const short = { call: "1s", initialize: "1s" };
    const both = { one: { ...backends.one, timeouts: short }, two: { ...backends.two, timeouts: short } };
    const parted = parts({
      backends: both,
      routes,
      timeouts: short,
      lists: { timeout: "1s" },
      admission: { wait: "1s" },
    });
    expect(parted.extProc.max_message_timeout).toBe("6s");
  });

  test("Envoy bears with a request for as long before the processor has decided", () => {
    const { idle_timeout, max_stream_duration } = undecidedOf(parts({ backends, routes, lists: { timeout: "10s" } }));
    expect(idle_timeout).toBe("55s");
    expect(max_stream_duration).toEqual({ max_stream_duration: "183s" });
    expect(undecidedOf(parts()).idle_timeout).toBe("45s");
  });

  test("each backend has its routes and its cluster, as with routes to one", () => {
    const { gatewayHost, clusterOf } = parts({ backends, routes });
    expect(printedRoutes(gatewayHost).map(({ name }: Json) => name)).toEqual(
      expect.arrayContaining(["one/call", "two/call", "one/listen", "two/listen"]),
    );
    expect([clusterOf("one"), clusterOf("two")]).not.toContain(undefined);
  });
});

test("Envoy allows both overrides of an answer's body: another in its place, and the same rewritten as it passes", () => {
  expect(parts().extProc.allowed_override_modes).toMatchObject([
    { request_body_mode: "NONE", response_body_mode: "FULL_DUPLEX_STREAMED", response_trailer_mode: "SEND" },
    { request_body_mode: "NONE", response_body_mode: "STREAMED", response_trailer_mode: "SKIP" },
  ]);
});

test("Envoy's own errors carry no id, and the processor's are left alone first of all", () => {
  const [first, ...mappers] = parts().gatewayManager.local_reply_config.mappers;
  expect(Object.keys(first)).toEqual(["filter"]);
  expect(JSON.stringify(first)).toContain("startsWith('mcp_')");
  for (const { body_format_override: format } of mappers) {
    expect(format.content_type).toBe("application/json");
    const body = JSON.parse(format.text_format_source.inline_string);
    expect(body).toEqual({ jsonrpc: "2.0", error: { code: expect.any(Number), message: expect.any(String) } });
  }
});

const replyOf = (message: string) =>
  parts().gatewayManager.local_reply_config.mappers.find((mapper: Json) => JSON.stringify(mapper).includes(message));

test("what an RBAC filter denies is 403, whatever its policy is called, which clients are not told", () => {
  const { filter, ...reply } = replyOf("Access denied");
  expect(JSON.stringify(filter)).toContain("response.code_details.startsWith('rbac_access_denied')");
  expect(reply).toEqual({
    status_code: 403,
    body_format_override: {
      text_format_source: { inline_string: '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Access denied"}}' },
      content_type: "application/json",
    },
  });
});

describe("a failure of the processor", () => {
  test("is to be tried again only where the backend has not the request yet", () => {
    expect(replyOf("Gateway unavailable")).toMatchObject({ status_code: 503, headers_to_add: [expect.anything()] });
    expect(replyOf("Gateway lost")).toMatchObject({ status_code: 502 });
    expect(replyOf("Gateway lost")).not.toHaveProperty("headers_to_add");
  });

  test("comes behind what is the request's own fault", () => {
    expect(replyOf("Request headers too large")).toMatchObject({ status_code: 431 });
    const order = ["Gateway lost", "Request headers too large", "Gateway unavailable"].map((message) =>
      parts().gatewayManager.local_reply_config.mappers.findIndex((mapper: Json) =>
        JSON.stringify(mapper).includes(message),
      ),
    );
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });
});
