import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Finding, lintEnvoy } from "../../../src/envoy-config/lint.ts";
import { bootstrapOf, configOf, type Json, partsOf } from "./configs.ts";

const config = configOf();
const jwt = { kind: "jwt", issuer: "https://issuer", audiences: ["mcp"], jwks: { file: "/keys.json" } };
const withTokens = configOf({ identity: jwt });
const GUARDED = { identity: jwt, admission: { guard: { perSecond: 10, burst: 20 } } };
const guarded = configOf(GUARDED);
const several = configOf({ processor: { endpoints: ["10.0.0.1:50051", "10.0.0.2:50051"] } });

const GATEWAY = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
const EGRESS = "static_resources.listeners[1].filter_chains[0].filters[0].typed_config";
const EXT_PROC = `${GATEWAY}.http_filters[0].typed_config`;
const HOST = `${GATEWAY}.route_config.virtual_hosts[0]`;
const NAME = "envoy.filters.http.ext_proc";
const PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
const FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig";
const PROCESSOR = "static_resources.clusters[2]";
/** Of the first backend: listen, subscriptions, call; then those of the second; then undecided. */
const LISTEN = 0;
const CALL = 2;
const UNDECIDED = 6;

const generated = new Map([config, several, withTokens, guarded].map((subject) => [subject, bootstrapOf(subject)]));
const fresh = (subject: typeof config): Json => structuredClone(generated.get(subject));

/** What the lint says of the generated bootstrap after a change. */
function lintAfter(change: (parts: ReturnType<typeof partsOf>, bootstrap: Json) => void, subject = config): Finding[] {
  const bootstrap = fresh(subject);
  change(partsOf(bootstrap), bootstrap);
  return lintEnvoy(bootstrap, subject);
}

/** One finding, whole: rule, severity, path, and a part of the message. */
function finding(rule: Finding["rule"], severity: Finding["severity"], path: string, message: string) {
  return { rule, severity, path, message: expect.stringContaining(message) };
}

describe("a generated bootstrap", () => {
  test.each<[string, Record<string, unknown>]>([
    ["as small as it can be", {}],
    ["with TLS for clients", { gateway: { tls: { cert: "/c.pem", key: "/k.pem" } } }],
    ["with a Unix socket", { processor: { listen: "unix:/run/mcp.sock" } }],
    ["with several processors", { processor: { endpoints: ["10.0.0.1:50051", "router.internal:50051"] } }],
    ["on IPv6", { gateway: { listen: "[::]:8080" }, egress: { listen: "[::1]:8081" } }],
    ["with an admin listener", { envoy: { admin: "127.0.0.1:9901" } }],
    ["with origins of browsers", { gateway: { origins: ["https://app.example", "http://localhost:5173"] } }],
    ["with keys of tokens at a URL", { identity: { ...jwt, jwks: { uri: "https://issuer.example/jwks" } } }],
    ["with tokens", { identity: jwt, gateway: { origins: ["https://app.example"] } }],
    ["with a guard", { admission: { guard: { perSecond: 10, burst: 20 } } }],
    ["with a path for health checks", { gateway: { health: "/healthz", origins: ["https://app.example"] } }],
    ["behind trusted proxies", { gateway: { trustedHops: 1 } }],
    ["with a guard, tokens and origins", { ...GUARDED, gateway: { origins: ["https://app.example"] } }],
    ["with other times and limits", { timeouts: { call: "1m", listen: "2m" }, limits: { body: "1KiB" } }],
  ])("%s is clean", (_, sections) => {
    const subject = configOf(sections);
    expect(lintEnvoy(bootstrapOf(subject), subject)).toEqual([]);
  });

  test("is clean in camelCase too", () => {
    expect(lintEnvoy(camelCased(bootstrapOf(config)), config)).toEqual([]);
  });
});

describe("identity by tokens", () => {
  const filters = `${GATEWAY}.http_filters`;
  const providers = `${filters}[0].typed_config.providers`;
  const untyped = `${filters}[1].typed_config.metadata_options.forwarding_namespaces.untyped`;

  test.each<[string, (manager: Json) => void, string, string]>([
    [
      "a filter",
      ({ http_filters }) => http_filters.shift(),
      filters,
      "have no envoy.extensions.filters.http.jwt_authn",
    ],
    [
      "the filter ahead of the processor",
      ({ http_filters }) => http_filters.splice(1, 0, http_filters.shift()),
      filters,
      "ahead of the processor",
    ],
    [
      "a provider of the issuer",
      ({ http_filters }) => Object.assign(http_filters[0].typed_config.providers.principal, { issuer: "other" }),
      providers,
      "have none with the issuer https://issuer",
    ],
    [
      "the claims where the processor looks",
      ({ http_filters }) =>
        Reflect.deleteProperty(http_filters[0].typed_config.providers.principal, "payload_in_metadata"),
      `${providers}["principal"].payload_in_metadata`,
      "is not payload",
    ],
    [
      "a rule for each public path",
      ({ http_filters }) => http_filters[0].typed_config.rules.pop(),
      `${filters}[0].typed_config.rules`,
      "have none for /files/mcp",
    ],
    [
      "a rule that requires something",
      ({ http_filters }) => Reflect.deleteProperty(http_filters[0].typed_config.rules[2], "requires"),
      `${filters}[0].typed_config.rules[2].requires`,
      "is absent: tokens are not checked on /files/mcp",
    ],
    [
      "a requirement that there is, where a rule names one",
      ({ http_filters }) => {
        http_filters[0].typed_config.rules[0] = { match: { path: "/everything/mcp" }, requirement_name: "ours" };
      },
      `${filters}[0].typed_config.requirement_map["ours"]`,
      "is absent: tokens are not checked on /everything/mcp",
    ],
    [
      "a named requirement that lets no bad token through",
      ({ http_filters }) => {
        const { typed_config } = http_filters[0];
        typed_config.rules[0] = { match: { prefix: "/" }, requirement_name: "ours" };
        typed_config.requirement_map = { ours: { allow_missing_or_failed: {} } };
      },
      `${filters}[0].typed_config.requirement_map["ours"]`,
      "lets a forged or expired token through",
    ],
    [
      "the filter switched on",
      ({ http_filters }) => Object.assign(http_filters[0], { disabled: true }),
      `${filters}[0].disabled`,
      "switches the check of tokens off",
    ],
    [
      "a rule that lets no bad token through",
      ({ http_filters }) => {
        const alternatives = [{ provider_name: "principal" }, { allow_missing_or_failed: {} }];
        http_filters[0].typed_config.rules[0].requires = { requires_any: { requirements: alternatives } };
      },
      `${filters}[0].typed_config.rules[0].requires`,
      "lets a forged or expired token through",
    ],
    [
      "the claims handed on",
      ({ http_filters }) => Reflect.deleteProperty(http_filters[1].typed_config, "metadata_options"),
      untyped,
      "lacks envoy.filters.http.jwt_authn",
    ],
  ])("needs %s", (_, change, path, message) => {
    expect(lintAfter(({ gatewayManager }) => change(gatewayManager), withTokens)).toContainEqual(
      finding("identity", "error", path, message),
    );
  });

  test("should come in the header alone", () => {
    const anywhere = ({ gatewayManager }: Json) => {
      delete gatewayManager.http_filters[0].typed_config.providers.principal.from_headers;
    };
    expect(lintAfter(anywhere, withTokens)).toEqual([
      finding("identity", "warning", `${providers}["principal"].from_headers`, "takes a token from the query too"),
    ]);
  });

  test("is what only a configuration with tokens needs", () => {
    const subject = configOf({ identity: { kind: "header", name: "x-user" } });
    expect(lintEnvoy(fresh(config), subject)).toEqual([]);
  });
});

describe("the slashes of public paths", () => {
  test.each([
    [config, "warning", "what you match on paths does not hold for //mcp"],
    [withTokens, "error", "//mcp goes around the check of tokens; write true"],
    [guarded, "error", "//mcp goes around the check of tokens and admission.guard; write true"],
  ] as const)("are merged by Envoy as by the processor", (subject, severity, message) => {
    for (const merge_slashes of [false, undefined])
      expect(lintAfter(({ gatewayManager }) => Object.assign(gatewayManager, { merge_slashes }), subject)).toEqual([
        finding("paths", severity, `${GATEWAY}.merge_slashes`, message),
      ]);
  });

  test.each(["/everything/mcp", "/everything/mcp/"])("at the end make no difference to the guard: %s", (path) => {
    const pathOf = ({ actions }: Json) => actions[0].header_value_match.headers[1].string_match.exact;
    const findings = lintAfter(({ gatewayManager }) => {
      const { typed_config } = gatewayManager.http_filters[0];
      typed_config.rate_limits = typed_config.rate_limits.filter((entry: Json) => pathOf(entry) !== path);
    }, guarded);
    const limits = `${GATEWAY}.http_filters[0].typed_config.rate_limits`;
    expect(findings).toEqual([finding("guard", "error", limits, `count no initialize on ${path};`)]);
  });

  test("at the end make no difference to the check of tokens", () => {
    const findings = lintAfter(({ gatewayManager }) => {
      const { typed_config } = gatewayManager.http_filters[0];
      typed_config.rules = typed_config.rules.filter(({ match }: Json) => !match.path.endsWith("/"));
    }, withTokens);
    expect(findings.map(({ message }) => message.split(":")[0])).toEqual([
      "have none for /everything/mcp/",
      "have none for /files/mcp/",
    ]);
  });

  test("at the end make no difference to the route, by whichever match", () => {
    const app = { match: { prefix: "/" }, route: { cluster: "mcp_undecided" } };
    const routesOf = (...matches: Json[]) =>
      lintAfter(({ gatewayHost }) => {
        const [undecided] = gatewayHost.routes.splice(UNDECIDED);
        gatewayHost.routes.push(...matches.map((match) => ({ ...undecided, match })), app);
      });
    const spellings = (path: string) => [{ path }, { path: `${path}/` }];
    expect(routesOf({ safe_regex: { regex: "/(everything|files)/mcp/?" } })).toEqual([]);
    expect(routesOf(...spellings("/everything/mcp"), ...spellings("/files/mcp"))).toEqual([]);
    expect(routesOf({ path: "/everything/mcp" }, ...spellings("/files/mcp"))).toEqual([
      finding(
        "paths",
        "warning",
        `${HOST}.routes[${UNDECIDED}].match`,
        "takes /everything/mcp and not /everything/mcp/, which the processor takes for the same",
      ),
    ]);
  });
});

describe("the guard", () => {
  const filters = `${GATEWAY}.http_filters`;
  const guard = `${filters}[0].typed_config`;

  test.each<[string, (filters: Json[]) => void]>([
    ["is there", (all) => all.shift()],
    ["is ahead of the processor", (all) => all.splice(2, 0, ...all.splice(0, 1))],
    ["is ahead of the tokens", (all) => all.splice(1, 0, ...all.splice(0, 1))],
  ])("of admission.guard %s", (_, change) => {
    expect(lintAfter(({ gatewayManager }) => change(gatewayManager.http_filters), guarded)).toEqual([
      finding("guard", "error", filters, "have no envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"),
    ]);
  });

  test.each<[string, (typed_config: Json) => void, Finding["severity"], string, string]>([
    [
      "is switched on",
      (typed_config) => put(typed_config, "filter_enabled", undefined),
      "error",
      `${guard}.filter_enabled`,
      "is 0 %",
    ],
    [
      "is enforced",
      (typed_config) => put(typed_config, "filter_enforced.default_value.numerator", 0),
      "error",
      `${guard}.filter_enforced`,
      "is 0 %",
    ],
    [
      "counts on each public path",
      ({ rate_limits }) => rate_limits.pop(),
      "error",
      `${guard}.rate_limits`,
      "count no initialize on /files/mcp",
    ],
    [
      "leaves sessions alone",
      ({ rate_limits }) => rate_limits[0].actions[0].header_value_match.headers.splice(2, 1),
      "error",
      `${guard}.rate_limits[0]`,
      "counts requests with mcp-session-id too",
    ],
    [
      "leaves modern requests alone",
      ({ rate_limits }) => rate_limits[1].actions[0].header_value_match.headers.splice(3, 1),
      "error",
      `${guard}.rate_limits[1]`,
      "counts requests with mcp-method too",
    ],
    [
      "has no bucket for the rest",
      (typed_config) => put(typed_config, "token_bucket", { max_tokens: 1, fill_interval: "1s" }),
      "warning",
      `${guard}.token_bucket`,
      "leave it out",
    ],
  ])("%s", (_, change, severity, path, message) => {
    expect(lintAfter(({ gatewayManager }) => change(gatewayManager.http_filters[0].typed_config), guarded)).toEqual([
      finding("guard", severity, path, message),
    ]);
  });

  test("may count by more than the lint can judge", () => {
    const perClient = ({ rate_limits }: Json) => rate_limits[0].actions.push({ remote_address: {} });
    expect(lintAfter(({ gatewayManager }) => perClient(gatewayManager.http_filters[0].typed_config), guarded)).toEqual(
      [],
    );
  });

  test("may be there without the setting", () => {
    expect(lintEnvoy(fresh(guarded), withTokens)).toEqual([]);
  });

  test("limits only what a descriptor of the same value has a bucket for", () => {
    const change = ({ gatewayManager }: ReturnType<typeof partsOf>) => {
      gatewayManager.http_filters[0].typed_config.descriptors[0].entries[0].value = "other";
    };
    const path = (n: number) => `${guard}.rate_limits[${n}].actions[0].header_value_match`;
    expect(lintAfter(change, guarded)).toEqual(
      [0, 1, 2, 3].map((n) => finding("guard", "error", path(n), "have no bucket for what it counts")),
    );
  });
});

describe("the ext_proc filter", () => {
  test("must be there", () => {
    expect(lintAfter(({ gatewayManager }) => gatewayManager.http_filters.shift())).toContainEqual(
      finding("ext-proc-missing", "error", "static_resources.listeners", "add to http_filters"),
    );
  });

  test.each<[string, Finding["rule"], Finding["severity"], string, unknown, string]>([
    [
      "request bodies streamed",
      "request-body-mode",
      "error",
      "processing_mode.request_body_mode",
      "STREAMED",
      "write BUFFERED",
    ],
    [
      "request bodies by number",
      "request-body-mode",
      "error",
      "processing_mode.request_body_mode",
      1,
      "write BUFFERED",
    ],
    [
      "no request bodies",
      "request-body-mode",
      "error",
      "processing_mode.request_body_mode",
      undefined,
      "absent, so NONE",
    ],
    ["response bodies", "response-body-mode", "error", "processing_mode.response_body_mode", "BUFFERED", "write NONE"],
    ["no request headers", "header-modes", "error", "processing_mode.request_header_mode", "SKIP", "write SEND"],
    ["no response headers", "header-modes", "error", "processing_mode.response_header_mode", 2, "write SEND"],
    ["trailers", "header-modes", "warning", "processing_mode.response_trailer_mode", "SEND", "write SKIP"],
    ["no mode override", "mode-override", "error", "allow_mode_override", undefined, "write true"],
    [
      "an override with a mode left out",
      "mode-override",
      "error",
      "allowed_override_modes",
      [{ response_body_mode: "FULL_DUPLEX_STREAMED" }],
      "response_trailer_mode: SEND",
    ],
    ["failure mode allow", "fail-open", "error", "failure_mode_allow", true, "write false"],
    ["observability mode", "fail-open", "error", "observability_mode", true, "write false"],
    ["no immediate responses", "fail-open", "error", "disable_immediate_response", true, "write false"],
    ["the default message timeout", "message-timeout", "error", "message_timeout", undefined, "absent, so 0.2s"],
    ["a short message timeout", "message-timeout", "error", "message_timeout", "0.9s", "write 5s"],
    ["a middling message timeout", "message-timeout", "warning", "message_timeout", "1s", "write 5s"],
    ["no longer message timeout", "message-timeout", "error", "max_message_timeout", undefined, "write 611s"],
    ["no rewriting", "mutation-rules", "error", "mutation_rules", { disallow_all: true }, ":path"],
    [
      "no system headers",
      "mutation-rules",
      "error",
      "mutation_rules",
      { disallow_system: true },
      "refuse :path, :status,",
    ],
    [
      "a header forbidden",
      "mutation-rules",
      "error",
      "mutation_rules",
      { allow_expression: { regex: ".*" }, disallow_expression: { regex: "mcp-.*" } },
      "refuse mcp-session-id,",
    ],
    [
      "a header of Envoy's own forbidden",
      "mutation-rules",
      "error",
      "mutation_rules",
      { disallow_is_error: true },
      "refuse x-envoy-decorator-operation,",
    ],
    ["no attributes", "response-attributes", "error", "response_attributes", undefined, "upstream.address"],
    [
      "too few attributes",
      "response-attributes",
      "warning",
      "response_attributes",
      ["upstream.address", "xds.cluster_name"],
      "lacks response.code_details, response.flags",
    ],
    ["a route cache that stays", "route-cache", "error", "route_cache_action", "RETAIN", "write DEFAULT"],
    [
      "a route cache that stays, in old words",
      "route-cache",
      "error",
      "disable_clear_route_cache",
      true,
      "write false",
    ],
  ])("with %s breaks %s", (_, rule, severity, path, value, message) => {
    const findings = lintAfter(({ extProc }) => put(extProc, path, value));
    expect(findings).toEqual([finding(rule, severity, `${EXT_PROC}.${path}`, message)]);
  });

  test("may leave mutation rules and allowed overrides out", () => {
    expect(
      lintAfter(({ extProc }) => {
        put(extProc, "mutation_rules", undefined);
        put(extProc, "allowed_override_modes", undefined);
      }),
    ).toEqual([]);
  });

  test("may have its override as Envoy prints it, without the mode that is 0", () => {
    expect(lintAfter(({ extProc }) => delete extProc.allowed_override_modes[0].request_body_mode)).toEqual([]);
  });

  test("is found among others by the processor's address", () => {
    const findings = lintAfter(({ gatewayManager, clusterOf }) => {
      const other = structuredClone(gatewayManager.http_filters[0]);
      other.typed_config.grpc_service.envoy_grpc.cluster_name = "other";
      other.typed_config.processing_mode.request_body_mode = "NONE";
      gatewayManager.http_filters.unshift(other);
      clusterOf("mcp_router").name = "renamed";
      gatewayManager.http_filters[1].typed_config.grpc_service.envoy_grpc.cluster_name = "renamed";
    });
    expect(findings).toEqual([]);
  });
});

describe("a way around the filter", () => {
  test("on a public listener without ext_proc is an error", () => {
    expect(lintAfter(({ egress }) => put(egress, "address.socket_address.address", "0.0.0.0"))).toEqual([
      finding("bypass", "error", "static_resources.listeners[1].address", "0.0.0.0:8081 reaches backends"),
    ]);
  });

  test("by the egress listener is a warning where the configuration asks for it", () => {
    const subject = configOf({ egress: { listen: "10.0.0.5:8081" } });
    expect(lintEnvoy(bootstrapOf(subject), subject)).toEqual([
      finding("bypass", "warning", "static_resources.listeners[1].address", "as egress.listen says"),
    ]);
  });

  test("by a cluster of another name, with an endpoint of a backend, is a warning", () => {
    const findings = lintAfter(({ egress, egressHost, clusterOf }, { static_resources }) => {
      put(egress, "address.socket_address.address", "0.0.0.0");
      static_resources.clusters.push({ ...clusterOf("files"), name: "app" });
      egressHost.routes = [{ match: { prefix: "/" }, route: { cluster: "app" } }];
    });
    expect(findings.filter(({ rule }) => rule === "bypass")).toEqual([
      finding("bypass", "warning", `${EGRESS}.route_config.virtual_hosts[0].routes[0].route.cluster`, "backend files"),
    ]);
  });

  describe("by a TCP proxy", () => {
    const proxyTo = (cluster: string) => ({
      address: { socket_address: { address: "0.0.0.0", port_value: 7000 } },
      filter_chains: [
        {
          filters: [
            {
              typed_config: {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                cluster,
              },
            },
          ],
        },
      ],
    });

    test("is an error", () => {
      const findings = lintAfter((_, { static_resources }) => static_resources.listeners.push(proxyTo("files")));
      expect(findings).toEqual([finding("bypass", "error", "static_resources.listeners[2].address", "0.0.0.0:7000")]);
    });

    test("to a cluster of another name, with an endpoint of a backend, is a warning", () => {
      const findings = lintAfter(({ clusterOf }, { static_resources }) => {
        static_resources.clusters.push({ ...clusterOf("files"), name: "app" });
        static_resources.listeners.push(proxyTo("app"));
      });
      const proxy = "static_resources.listeners[2].filter_chains[0].filters[0].typed_config";
      expect(findings).toEqual([finding("bypass", "warning", `${proxy}.cluster`, "backend files")]);
    });
  });

  test.each([
    ["a route", HOST.concat(`.routes[${CALL}]`), (parts: Json) => parts.gatewayHost.routes[CALL]],
    ["the undecided route", HOST.concat(`.routes[${UNDECIDED}]`), (parts: Json) => parts.gatewayHost.routes[UNDECIDED]],
    ["a virtual host", HOST, (parts: Json) => parts.gatewayHost],
    ["a route table", `${GATEWAY}.route_config`, (parts: Json) => parts.gatewayManager.route_config],
  ])("by switching it off for %s is an error", (_, path, scope) => {
    const findings = lintAfter((parts) => {
      scope(parts).typed_per_filter_config = { [NAME]: { "@type": PER_ROUTE, disabled: true } };
    });
    expect(findings).toEqual([
      finding("bypass", "error", `${path}.typed_per_filter_config["${NAME}"].disabled`, "remove it"),
    ]);
  });

  test("by a FilterConfig, or a filter that is off, is an error", () => {
    const findings = lintAfter(({ gatewayHost, gatewayManager }) => {
      gatewayManager.http_filters[0].disabled = true;
      gatewayHost.typed_per_filter_config = {
        [NAME]: { "@type": FILTER_CONFIG, disabled: true },
      };
    });
    expect(findings.map(({ path }) => path)).toEqual([
      `${GATEWAY}.http_filters[0].disabled`,
      `${HOST}.typed_per_filter_config["${NAME}"].disabled`,
    ]);
  });

  test("by overrides of a route is an error", () => {
    const findings = lintAfter(({ gatewayHost }) => {
      gatewayHost.routes[CALL].typed_per_filter_config = {
        [NAME]: {
          "@type": PER_ROUTE,
          overrides: { processing_mode: { request_body_mode: "NONE" }, failure_mode_allow: true },
        },
      };
    });
    const overrides = `${HOST}.routes[${CALL}].typed_per_filter_config["${NAME}"].overrides`;
    expect(findings).toEqual([
      finding("request-body-mode", "error", `${overrides}.processing_mode.request_body_mode`, "write BUFFERED"),
      finding("fail-open", "error", `${overrides}.failure_mode_allow`, "write false"),
    ]);
  });

  test("by a filter that is off, and switched on for some routes only, is an error", () => {
    const switchedOn = { [NAME]: { "@type": FILTER_CONFIG, config: {} } };
    const everywhere = lintAfter(({ gatewayHost, gatewayManager }) => {
      gatewayManager.http_filters[0].disabled = true;
      for (const route of gatewayHost.routes) route.typed_per_filter_config = switchedOn;
    });
    const butForOne = lintAfter(({ gatewayHost, gatewayManager }) => {
      gatewayManager.http_filters[0].disabled = true;
      for (const route of gatewayHost.routes.slice(1)) route.typed_per_filter_config = switchedOn;
    });
    expect(everywhere).toEqual([]);
    expect(butForOne).toEqual([finding("bypass", "error", `${HOST}.routes[0]`, "add typed_per_filter_config")]);
  });
});

describe("other routes on the listener", () => {
  const APP = { match: { prefix: "/app" }, route: { cluster: "app" } };
  const OFF = { typed_per_filter_config: { [NAME]: { "@type": PER_ROUTE, disabled: true } } };
  const withApp = (change: (parts: ReturnType<typeof partsOf>) => void) =>
    lintAfter((parts, { static_resources }) => {
      static_resources.clusters.push({
        name: "app",
        load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint: {} }] }] },
      });
      change(parts);
    });

  test("are answered by the processor, unless it is switched off for them", () => {
    const beside = (route: object) => withApp(({ gatewayHost }) => gatewayHost.routes.unshift(route));
    expect(beside(APP)).toEqual([finding("other-routes", "warning", `${HOST}.routes[0].match`, "disabled: true")]);
    expect(beside({ ...APP, ...OFF })).toEqual([]);
  });

  test("may be in a virtual host for which it is switched off", () => {
    const apart = (host: object) =>
      withApp(({ gatewayManager }) => gatewayManager.route_config.virtual_hosts.push({ routes: [APP], ...host }));
    const path = `${GATEWAY}.route_config.virtual_hosts[1].routes[0].match`;
    expect(apart({})).toEqual([finding("other-routes", "warning", path, "disabled: true")]);
    expect(apart(OFF)).toEqual([]);
  });

  test("are not asked about where the filter is off by itself", () => {
    const findings = withApp(({ gatewayHost, gatewayManager }) => {
      gatewayManager.http_filters[0].disabled = true;
      for (const route of gatewayHost.routes)
        route.typed_per_filter_config = { [NAME]: { "@type": FILTER_CONFIG, config: {} } };
      gatewayHost.routes.unshift(APP);
    });
    expect(findings).toEqual([]);
  });
});

describe("the egress listener", () => {
  const absent = finding("egress", "warning", "static_resources.listeners", "have none on 127.0.0.1:8081");

  test("should be there, where the processor calls it, and lead to the backends", () => {
    expect(lintAfter((_, { static_resources }) => static_resources.listeners.pop())).toEqual([absent]);
    expect(lintAfter(({ egress }) => put(egress, "address.socket_address.port_value", 8082))).toEqual([absent]);
    expect(lintAfter(({ egressHost }) => egressHost.routes.splice(0, UNDECIDED))).toEqual([absent]);
  });

  test("says which endpoint answered, or no lost session is recovered", () => {
    expect(lintAfter(({ egressHost }) => put(egressHost, "response_headers_to_add", undefined))).toEqual([
      finding(
        "egress",
        "warning",
        "static_resources.listeners[1].filter_chains[0].filters[0].typed_config.route_config.response_headers_to_add",
        "lacks x-mcp-endpoint",
      ),
    ]);
    const onTheTable = lintAfter(({ egressHost, egressManager }) => {
      put(egressManager, "route_config.response_headers_to_add", egressHost.response_headers_to_add);
      put(egressHost, "response_headers_to_add", undefined);
    });
    expect(onTheTable).toEqual([]);
  });

  test("should say of the client what the client's listener has said", () => {
    const path = "static_resources.listeners[1].filter_chains[0].filters[0].typed_config.use_remote_address";
    expect(lintAfter(({ egressManager }) => put(egressManager, "use_remote_address", true))).toEqual([
      finding("egress", "warning", path, "is true"),
    ]);
  });

  test("may come over xDS, or its routes may", () => {
    const listeners = lintAfter((_, bootstrap) => {
      bootstrap.static_resources.listeners.pop();
      bootstrap.dynamic_resources = { lds_config: { ads: {} } };
    });
    const routes = lintAfter(({ egressManager }) => {
      egressManager.route_config = undefined;
      egressManager.rds = {};
    });
    expect([listeners, routes]).toEqual([[], []]);
  });
});

describe("clusters by other names", () => {
  /** As other control planes name them, one for each route. */
  const renamed = (change: (bootstrap: Json) => void = () => undefined) =>
    lintAfter(({ gatewayHost, egressHost, clusterOf }, bootstrap) => {
      for (const backend of ["everything", "files"]) clusterOf(backend).name = `outbound|80||${backend}`;
      for (const { route } of [...gatewayHost.routes.slice(0, UNDECIDED), ...egressHost.routes.slice(0, UNDECIDED)])
        route.cluster = `outbound|80||${route.cluster}`;
      change(bootstrap);
    });

  test("are those of the backends that the routes to them want", () => {
    expect(renamed()).toEqual([]);
  });

  test("must pin sessions as well", () => {
    const findings = renamed(({ static_resources }) => {
      static_resources.clusters[1].load_balancing_policy = undefined;
    });
    expect(findings).toEqual([
      finding("backend-cluster", "error", "static_resources.clusters[1].load_balancing_policy", "override_host"),
    ]);
  });

  test("must not be reached around the processor", () => {
    const findings = renamed((bootstrap) => {
      const { gatewayHost } = partsOf(bootstrap);
      gatewayHost.routes.unshift({
        match: { path: "/around" },
        route: { cluster: "outbound|80||files", timeout: "0s" },
      });
    });
    expect(findings).toEqual([
      finding("fail-closed", "error", `${HOST}.routes[0].match`, "reaches a backend without a decision"),
    ]);
  });
});

describe("routes before the decision", () => {
  test("must not reach a backend", () => {
    expect(lintAfter(({ gatewayHost }) => gatewayHost.routes[CALL].match.headers.shift())).toContainEqual(
      finding("fail-closed", "error", `${HOST}.routes[${CALL}].match`, "add to headers { name: x-mcp-backend"),
    );
  });

  test("must not let the client name a cluster", () => {
    const findings = lintAfter(({ gatewayHost }) => {
      gatewayHost.routes[CALL].route = {
        ...gatewayHost.routes[CALL].route,
        cluster: undefined,
        cluster_header: "x-to",
      };
    });
    expect(findings).toContainEqual(
      finding("fail-closed", "error", `${HOST}.routes[${CALL}].route.cluster_header`, "write x-mcp-backend"),
    );
  });

  test("must be there", () => {
    expect(lintAfter(({ gatewayHost }) => gatewayHost.routes.pop())).toEqual([
      finding("fail-closed", "error", `${HOST}.routes`, "take /everything/mcp, /files/mcp nowhere"),
    ]);
  });

  test("must not answer directly, which switches the body limit off", () => {
    const findings = lintAfter(({ gatewayHost }) => {
      gatewayHost.routes[UNDECIDED] = { match: { prefix: "/" }, direct_response: { status: 503 } };
    });
    expect(findings).toEqual([
      finding("fail-closed", "error", `${HOST}.routes[${UNDECIDED}].direct_response`, "cluster: mcp_undecided"),
    ]);
  });

  test.each([
    ["with endpoints", { name: "web", load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint: {} }] }] } }],
    ["found elsewhere", { name: "web", type: "EDS" }],
    ["of another name", { name: "other" }],
  ])("must not lead to a cluster %s", (_, cluster) => {
    const findings = lintAfter(({ gatewayHost }, { static_resources }) => {
      put(gatewayHost.routes[UNDECIDED], "route.cluster", "web");
      static_resources.clusters.push(cluster);
    });
    expect(findings).toEqual([
      finding("fail-closed", "error", `${HOST}.routes[${UNDECIDED}].route.cluster`, "give that cluster type STATIC"),
    ]);
  });

  test("must carry limits.body", () => {
    expect(lintAfter(({ gatewayHost }) => put(gatewayHost, "request_body_buffer_limit", 1000))).toEqual([
      finding("body-limit", "error", `${HOST}.request_body_buffer_limit`, "write request_body_buffer_limit: 4194304"),
    ]);
    expect(lintAfter(({ gatewayHost }) => put(gatewayHost, "request_body_buffer_limit", undefined))).toEqual([
      finding("body-limit", "error", `${HOST}.request_body_buffer_limit`, "absent, so 65536"),
    ]);
    expect(
      lintAfter(({ gatewayHost }) => put(gatewayHost.routes[UNDECIDED], "request_body_buffer_limit", "7")),
    ).toEqual([finding("body-limit", "error", `${HOST}.routes[${UNDECIDED}].request_body_buffer_limit`, "is 7")]);
  });

  test("may take the limit from the connection, or from text", () => {
    const byConnection = lintAfter(({ gatewayHost, gateway }) => {
      put(gatewayHost, "request_body_buffer_limit", undefined);
      put(gateway, "per_connection_buffer_limit_bytes", config.limits.body);
    });
    const asText = lintAfter(({ gatewayHost }) =>
      put(gatewayHost, "request_body_buffer_limit", String(config.limits.body)),
    );
    expect([byConnection, asText]).toEqual([[], []]);
  });
});

describe("routes after the decision", () => {
  test("must give a GET of any accept that takes an event stream the time of one", () => {
    const findings = lintAfter(({ gatewayHost }) => {
      gatewayHost.routes[LISTEN].match.headers.push({
        name: "accept",
        string_match: { contains: "text/event-stream" },
      });
    });
    expect(findings).toEqual([
      finding(
        "route-timeout",
        "warning",
        `${HOST}.routes[${CALL}].route.idle_timeout`,
        "a GET that opens an event stream",
      ),
      finding(
        "route-timeout",
        "warning",
        `${HOST}.routes[${CALL}].route.max_stream_duration.max_stream_duration`,
        "a GET that opens an event stream is cut",
      ),
    ]);
  });

  test("must be there for each kind of request of each backend", () => {
    const findings = lintAfter(({ gatewayHost }) => gatewayHost.routes.splice(3, 3));
    expect(findings).toHaveLength(4);
    expect(findings).toContainEqual(
      finding("backend-route", "error", `${HOST}.routes`, "take a GET that opens an event stream for files nowhere"),
    );
    expect(lintAfter(({ gatewayHost }) => gatewayHost.routes.splice(0, 6))).toContainEqual(
      finding("backend-route", "error", `${GATEWAY}.route_config`, "has no route to a backend"),
    );
  });

  test("must lead to the backend that the header names", () => {
    expect(lintAfter(({ gatewayHost }) => put(gatewayHost.routes[CALL], "route.cluster", "files"))).toContainEqual(
      finding("backend-route", "error", `${HOST}.routes[${CALL}].route.cluster`, "write everything"),
    );
  });

  test("may name the cluster by the header", () => {
    const findings = lintAfter(({ gatewayHost }) => {
      const { route } = gatewayHost.routes[LISTEN];
      gatewayHost.routes = [
        { match: { prefix: "/" }, route: { ...route, cluster: undefined, cluster_header: "x-mcp-backend" } },
      ];
    });
    // One route for all has the longer times, which calls may have too.
    expect(findings).toEqual([]);
  });

  test.each<[string, number, string, unknown, Finding["severity"], string]>([
    ["Envoy's timeout of 15 s", CALL, "timeout", undefined, "error", "absent, so 15s: a POST is cut"],
    ["a timeout", LISTEN, "timeout", "60s", "error", "is 60s: a GET that opens an event stream is cut"],
    ["Envoy's idle timeout of 5 min", LISTEN, "idle_timeout", undefined, "error", "absent, so 300s"],
    ["a short idle timeout", CALL, "idle_timeout", "30s", "warning", "write 600s"],
    ["no end", CALL, "max_stream_duration", undefined, "error", "is absent: a POST may outlive its session"],
    ["a late end", CALL, "max_stream_duration", { max_stream_duration: "7200s" }, "error", "sessions.idle"],
    ["an early end", LISTEN, "max_stream_duration", { max_stream_duration: "60s" }, "warning", "write 1800s"],
  ])("with %s are found", (_, route, field, value, severity, message) => {
    const findings = lintAfter(({ gatewayHost }) => put(gatewayHost.routes[route].route, field, value));
    const path = field === "max_stream_duration" ? `${field}.max_stream_duration` : field;
    expect(findings[0]).toEqual(finding("route-timeout", severity, `${HOST}.routes[${route}].route.${path}`, message));
    expect(findings.every(({ rule }) => rule === "route-timeout")).toBe(true);
  });

  test.each([
    ["5xx,connect-failure", "error", "has 5xx: a call that ran"],
    ["reset", "error", "has reset: a call that ran"],
    ["refused-stream", "warning", "leaves the endpoint"],
  ] as const)("must not retry on %s", (retry_on, severity, message) => {
    expect(
      lintAfter(({ gatewayHost, egressHost }) => {
        put(gatewayHost.routes[CALL], "route.retry_policy", { retry_on });
        put(egressHost.routes[CALL], "route.retry_policy", { retry_on });
      }),
    ).toEqual([
      finding("repeated-requests", severity, `${HOST}.routes[${CALL}].route.retry_policy.retry_on`, message),
      finding(
        "repeated-requests",
        severity,
        `${EGRESS}.route_config.virtual_hosts[0].routes[${CALL}].route.retry_policy.retry_on`,
        message,
      ),
    ]);
  });

  test("may retry on connect-failure where the processor sees the answer, and nowhere else", () => {
    const retry_policy = { retry_on: "connect-failure" };
    const onRoute = (listener: "gatewayHost" | "egressHost") =>
      lintAfter((parts) => put(parts[listener].routes[CALL], "route.retry_policy", retry_policy));
    expect(onRoute("gatewayHost")).toEqual([]);
    expect(onRoute("egressHost")).toMatchObject([{ severity: "warning", rule: "repeated-requests" }]);
  });

  test("must not retry for a whole virtual host either", () => {
    const findings = lintAfter(({ egressHost }) => put(egressHost, "retry_policy", { retry_on: "5xx" }));
    expect(findings[0]).toMatchObject({ severity: "error", rule: "repeated-requests" });
  });

  test("must not mirror", () => {
    const findings = lintAfter(({ gatewayHost }) =>
      put(gatewayHost.routes[CALL], "route.request_mirror_policies", [{ cluster: "files" }]),
    );
    expect(findings).toEqual([
      finding("repeated-requests", "error", `${HOST}.routes[${CALL}].route.request_mirror_policies`, "run twice"),
    ]);
  });
});

describe("clusters", () => {
  test("must be there for each backend", () => {
    const findings = lintAfter(({ clusterOf }) => put(clusterOf("files"), "name", "file"));
    expect(findings).toContainEqual(
      finding("backend-cluster", "error", "static_resources.clusters", "lacks the backend files"),
    );
  });

  test("of backends must pin sessions", () => {
    expect(lintAfter(({ clusterOf }) => put(clusterOf("files"), "load_balancing_policy", undefined))).toEqual([
      finding(
        "backend-cluster",
        "error",
        "static_resources.clusters[1].load_balancing_policy",
        "use the policy override_host",
      ),
    ]);
    const source = "load_balancing_policy.policies.0.typed_extension_config.typed_config.override_host_sources";
    expect(lintAfter(({ clusterOf }) => put(clusterOf("files"), source, [{ header: "x-other" }]))).toEqual([
      finding(
        "backend-cluster",
        "error",
        "static_resources.clusters[1].load_balancing_policy.policies",
        "x-mcp-endpoint",
      ),
    ]);
  });

  test("of the processor must speak HTTP/2", () => {
    expect(
      lintAfter(({ clusterOf }) => put(clusterOf("mcp_router"), "typed_extension_protocol_options", undefined)),
    ).toEqual([
      finding(
        "processor-cluster",
        "error",
        `${PROCESSOR}.typed_extension_protocol_options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].explicit_http_config`,
        "write http2_protocol_options: {}",
      ),
    ]);
  });

  test("of the processor must be known", () => {
    expect(lintAfter(({ extProc }) => put(extProc, "grpc_service.envoy_grpc.cluster_name", "nowhere"))).toEqual([
      finding(
        "processor-cluster",
        "error",
        `${EXT_PROC}.grpc_service.envoy_grpc.cluster_name`,
        "nowhere is no cluster",
      ),
    ]);
    const google = lintAfter(({ extProc }) =>
      put(extProc, "grpc_service", { google_grpc: { target_uri: "router:50051" } }),
    );
    expect(google).toEqual([finding("processor-cluster", "error", `${EXT_PROC}.grpc_service`, "write envoy_grpc")]);
  });

  test("of the processor must hold more than a thousand requests", () => {
    expect(lintAfter(({ clusterOf }) => put(clusterOf("mcp_router"), "circuit_breakers", undefined))).toEqual(
      ["max_pending_requests: 5000", "max_requests: 5000", "max_retries: 5000"].map((advice) =>
        finding("processor-circuit-breakers", "error", `${PROCESSOR}.circuit_breakers.thresholds`, advice),
      ),
    );
    const low = lintAfter(({ clusterOf }) =>
      put(clusterOf("mcp_router"), "circuit_breakers.thresholds.0.max_requests", 100),
    );
    expect(low).toEqual([
      finding(
        "processor-circuit-breakers",
        "error",
        `${PROCESSOR}.circuit_breakers.thresholds[0].max_requests`,
        "write max_requests: 5000",
      ),
    ]);
  });

  test("of several processors, one that has gone should be left at once", () => {
    const change = ({ clusterOf }: ReturnType<typeof partsOf>) =>
      Reflect.deleteProperty(clusterOf("mcp_router"), "common_lb_config");
    const path = `${PROCESSOR}.common_lb_config.update_merge_window`;
    expect(lintAfter(change, several)).toEqual([finding("processor-ejection", "warning", path, "is not 0s")]);
    expect(lintAfter(change, config)).toEqual([]);
  });

  test("of one processor should be retried, of several must", () => {
    const policy = `${EXT_PROC}.grpc_service.retry_policy`;
    const inside = ({ extProc }: Json) => {
      extProc.grpc_service.envoy_grpc.retry_policy = extProc.grpc_service.retry_policy;
      delete extProc.grpc_service.retry_policy;
    };
    expect(lintAfter(inside)).toEqual([
      finding("processor-retry", "warning", policy, "beside envoy_grpc, not inside it"),
    ]);
    expect(lintAfter(inside, several)).toEqual([finding("processor-retry", "error", policy, "num_retries: 30")]);
  });

  test("of a processor should be tried for as long as it may take to restart", () => {
    const policy = `${EXT_PROC}.grpc_service.retry_policy`;
    const tried = (num_retries: number | undefined, retry_back_off?: object) =>
      lintAfter(({ extProc }) => Object.assign(extProc.grpc_service.retry_policy, { num_retries, retry_back_off }));
    expect(tried(3, { base_interval: "0.01s", max_interval: "0.1s" })).toEqual([
      finding("processor-retry", "warning", policy, "gives up after 35 ms on average"),
    ]);
    expect(tried(undefined)).toEqual([finding("processor-retry", "warning", policy, "gives up after 13 ms")]);
    expect(tried(30, { base_interval: "0.01s", max_interval: "0.25s" })).toEqual([]);
    expect(tried(20)).toEqual([]);
  });
});

describe("the runtime", () => {
  const FLAG = "envoy.reloadable_features.ext_proc_graceful_grpc_close";
  const layers = (...values: unknown[]) => ({ layers: values.map((static_layer) => ({ static_layer })) });

  test.each([
    ["nothing", undefined, "layered_runtime.layers"],
    ["false", layers({ [FLAG]: false }), `layered_runtime.layers[0].static_layer["${FLAG}"]`],
    ["a later false", layers({ [FLAG]: true }, { [FLAG]: false }), `layered_runtime.layers[1].static_layer["${FLAG}"]`],
  ])("must set the graceful close, not %s", (_, runtime, path) => {
    const findings = lintAfter((__, bootstrap) => put(bootstrap, "layered_runtime", runtime));
    expect(findings).toEqual([finding("graceful-close", "error", path, "static_layer")]);
  });

  test.each([
    ["nested", layers({ envoy: { reloadable_features: { ext_proc_graceful_grpc_close: true } } })],
    ["half nested", layers({ "envoy.reloadable_features": { ext_proc_graceful_grpc_close: "true" } })],
    ["deferred", layers({ [FLAG]: false }, { [FLAG]: true }, {})],
  ])("may set it %s", (_, runtime) => {
    expect(lintAfter((__, bootstrap) => put(bootstrap, "layered_runtime", runtime))).toEqual([]);
  });
});

describe("local replies", () => {
  const REPLIES = `${GATEWAY}.local_reply_config`;
  const replies = (change: (config: Json) => void) =>
    lintAfter(({ gatewayManager }) => change(gatewayManager.local_reply_config));
  const body = (text: string) => ({ text_format_source: { inline_string: text }, content_type: "application/json" });

  test("must be JSON-RPC", () => {
    expect(lintAfter(({ gatewayManager }) => put(gatewayManager, "local_reply_config", undefined))).toEqual([
      finding("local-replies", "error", REPLIES, "is absent"),
    ]);
    const at = `${REPLIES}.mappers[1].body_format_override.text_format_source.inline_string`;
    expect(replies((config) => put(config, "mappers.1.body_format_override", body("too large")))).toEqual([
      finding("local-replies", "error", at, "is no JSON-RPC error"),
    ]);
    const withId = body('{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"%RESPONSE_CODE%"}}');
    expect(replies((config) => put(config, "mappers.1.body_format_override", withId))).toEqual([
      finding("local-replies", "error", at, "has an id"),
    ]);
    expect(replies((config) => put(config, "mappers.1.body_format_override", undefined))).toContainEqual(
      finding("local-replies", "warning", `${REPLIES}.mappers`, "request_payload_too_large"),
    );
    expect(replies((config) => put(config, "mappers.2.body_format_override", undefined))).toEqual([
      finding("local-replies", "error", `${REPLIES}.mappers[2]`, "without making it JSON-RPC"),
    ]);
  });

  test("must be application/json", () => {
    expect(replies((config) => put(config, "mappers.1.body_format_override.content_type", undefined))).toEqual([
      finding(
        "local-replies",
        "error",
        `${REPLIES}.mappers[1].body_format_override.content_type`,
        "write application/json",
      ),
    ]);
  });

  test("may be written as json_format", () => {
    const json_format = { jsonrpc: "2.0", error: { code: -32600, message: "%RESPONSE_CODE_DETAILS%" } };
    expect(replies((config) => put(config, "mappers.1.body_format_override", { json_format }))).toEqual([]);
  });

  test("must leave the processor's own alone", () => {
    const byStatus = { status_code_filter: { comparison: { op: "EQ", value: { default_value: 413 } } } };
    const first = (config: Json) => config.mappers.unshift({ ...config.mappers[1], filter: byStatus });
    expect(replies(first)).toEqual([
      finding("local-replies", "error", `${REPLIES}.mappers[0].filter`, "startsWith('mcp_')"),
    ]);
    expect(replies((config) => config.mappers.push({ ...config.mappers[1], filter: byStatus }))).toEqual([]);
    expect(replies((config) => config.mappers.shift()).map(({ path }) => path)).toEqual([
      `${REPLIES}.mappers[8].filter`,
      `${REPLIES}.mappers[9].filter`,
    ]);
    expect(replies((config) => put(config, "body_format", body("{}")))).toEqual([
      finding("local-replies", "error", `${REPLIES}.body_format`, "the processor's own too"),
    ]);
  });

  test("should cover what clients meet", () => {
    expect(replies((config) => config.mappers.splice(1))).toHaveLength(3);
    const withoutProcessor = (config: Json) =>
      put(
        config,
        "mappers",
        config.mappers.filter((mapper: Json) => !JSON.stringify(mapper).includes("ext_proc")),
      );
    expect(replies(withoutProcessor)).toEqual([
      finding("local-replies", "warning", `${REPLIES}.mappers`, "a processor that is away"),
    ]);
  });
});

describe("the edge", () => {
  const MANAGER = "overload_manager";

  test.each<[string, (bootstrap: Json) => void, string]>([
    [
      "no overload manager",
      (bootstrap) => Reflect.deleteProperty(bootstrap, MANAGER),
      "has no envoy.resource_monitors.fixed_heap",
    ],
    [
      "no bound on memory",
      ({ overload_manager }) => overload_manager.resource_monitors.shift(),
      "max_heap_size_bytes: 805306368",
    ],
    ["no action at the bound", ({ overload_manager }) => put(overload_manager, "actions", []), "does nothing by"],
    [
      "no bound on connections",
      ({ overload_manager }) => overload_manager.resource_monitors.pop(),
      "max_active_downstream_connections: 10000",
    ],
  ])("should not have %s", (_, change, message) => {
    expect(lintAfter((_, bootstrap) => change(bootstrap))[0]).toEqual(finding("overload", "warning", MANAGER, message));
  });

  test.each<[string, string, unknown, string]>([
    ["streams without a bound", "http2_protocol_options.max_concurrent_streams", undefined, "write 128"],
    ["many streams", "http2_protocol_options.max_concurrent_streams", 1_000, "is 1000"],
    ["idle connections", "common_http_protocol_options.idle_timeout", undefined, "write 900s"],
    ["idle connections for ever", "common_http_protocol_options.idle_timeout", "0s", "is 0s"],
    ["no HTTP/1.0", "http_protocol_options.accept_http_10", undefined, "nginx with proxy_pass alone"],
    ["the client's word for its address", "use_remote_address", false, "write true"],
    ["more trusted proxies than there are", "xff_num_trusted_hops", 2, "gateway.trustedHops is 0"],
    ["underscores", "common_http_protocol_options.headers_with_underscores_action", undefined, "write REJECT_REQUEST"],
  ])("should not take %s", (_, path, value, message) => {
    expect(lintAfter(({ gatewayManager }) => put(gatewayManager, path, value))).toEqual([
      finding("edge", "warning", `${GATEWAY}.${path}`, message),
    ]);
  });

  test("should trust as many proxies as there are", () => {
    const trusting = configOf({ gateway: { trustedHops: 2 } });
    expect(lintEnvoy(bootstrapOf(trusting), trusting)).toEqual([]);
    expect(lintEnvoy(bootstrapOf(config), trusting)).toEqual([
      finding("edge", "warning", `${GATEWAY}.xff_num_trusted_hops`, "is absent, so 0"),
    ]);
  });

  test("may drop headers with underscores", () => {
    const path = "common_http_protocol_options.headers_with_underscores_action";
    for (const action of ["DROP_HEADER", 2])
      expect(lintAfter(({ gatewayManager }) => put(gatewayManager, path, action))).toEqual([]);
  });

  test("should bound how long a body takes, in one way or another", () => {
    const path = `routes.${UNDECIDED}.route.max_stream_duration`;
    const unbounded = ({ gatewayHost }: ReturnType<typeof partsOf>) => put(gatewayHost, path, undefined);
    expect(lintAfter(unbounded)).toEqual([
      finding(
        "edge",
        "warning",
        `${HOST}.routes[${UNDECIDED}].route.max_stream_duration.max_stream_duration`,
        "write 173s",
      ),
    ]);
    const bounded = (parts: ReturnType<typeof partsOf>) => {
      unbounded(parts);
      put(parts.gatewayManager, "request_timeout", "60s");
    };
    expect(lintAfter(bounded)).toEqual([]);
  });

  test("should log who calls", () => {
    const logged = (log: unknown) => lintAfter(({ gatewayManager }) => put(gatewayManager, "access_log", log));
    const text = (format: string) => [
      { typed_config: { log_format: { text_format_source: { inline_string: format } } } },
    ];
    expect(logged([])).toEqual([finding("edge", "warning", `${GATEWAY}.access_log`, "is absent")]);
    // Envoy's own format has all but the principal.
    expect(logged([{ name: "envoy.access_loggers.stdout", typed_config: {} }])).toEqual([
      finding("edge", "warning", `${GATEWAY}.access_log`, "leave out the principal (%REQ(X-MCP-PRINCIPAL)%);"),
    ]);
    expect(logged(text("%DOWNSTREAM_REMOTE_ADDRESS% %REQ(x-mcp-principal)% %REQ(X-REQUEST-ID)%"))).toEqual([]);
    expect(logged(text("%RESPONSE_CODE%"))).toEqual([
      finding("edge", "warning", `${GATEWAY}.access_log`, "the client's address"),
    ]);
  });
});

describe("what cannot be read", () => {
  test.each([[undefined], [null], [7], ["text"], [[]], [{}], [{ static_resources: { listeners: {} } }]])(
    "is a finding: %j",
    (document) => {
      expect(lintEnvoy(document, config)).toEqual([
        finding("bootstrap", "error", "static_resources.listeners", "no bootstrap"),
      ]);
    },
  );

  test("because it comes over xDS is a warning", () => {
    expect(lintEnvoy({ dynamic_resources: { lds_config: {} } }, config)).toEqual([
      finding("not-visible", "warning", "static_resources.listeners", "LDS"),
    ]);
    const rds = lintAfter(({ gatewayManager }) => {
      put(gatewayManager, "route_config", undefined);
      gatewayManager.rds = {};
    });
    expect(rds).toEqual([finding("not-visible", "warning", GATEWAY, "rds")]);
    const cds = lintAfter(({ clusterOf }, bootstrap) => {
      put(clusterOf("files"), "name", "other");
      put(clusterOf("mcp_router"), "name", "another");
      bootstrap.dynamic_resources = { cds_config: {} };
    });
    expect(cds).toEqual([
      finding("not-visible", "warning", `${EXT_PROC}.grpc_service.envoy_grpc.cluster_name`, "CDS"),
      finding("not-visible", "warning", "static_resources.clusters", "lacks the backend files"),
    ]);
  });

  test("never makes the lint throw", () => {
    const places = placesIn(bootstrapOf(guarded));
    fc.assert(
      fc.property(fc.constantFrom(...places), fc.jsonValue({ maxDepth: 2 }), (place, value) => {
        const bootstrap = fresh(guarded);
        put(bootstrap, place, value);
        for (const { path, message } of lintEnvoy(bootstrap, guarded)) expect(path && message).toBeTruthy();
      }),
      { numRuns: 500 },
    );
  });
});

/** Sets, or with undefined removes, what is at a dotted path (indices are numbers) or at a list of keys. */
function put(root: Json, path: string | readonly string[], value: unknown): void {
  const keys = typeof path === "string" ? path.split(".") : [...path];
  const last = keys.pop() ?? "";
  const holder = keys.reduce((node, key) => node[key], root);
  if (value === undefined) delete holder[last];
  else holder[last] = value;
}

/** The keys to every place in a document. */
function placesIn(node: Json, keys: readonly string[] = []): (readonly string[])[] {
  if (typeof node !== "object" || node === null) return keys.length > 0 ? [keys] : [];
  const inside = Object.keys(node).flatMap((key) => placesIn(node[key], [...keys, key]));
  return keys.length > 0 ? [keys, ...inside] : inside;
}

/** proto3 JSON's other spelling of field names. Map keys, which hold dots, and @type stay. */
function camelCased(node: Json): Json {
  if (Array.isArray(node)) return node.map(camelCased);
  if (typeof node !== "object" || node === null) return node;
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => [
      key.includes(".") ? key : key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
      camelCased(value),
    ]),
  );
}
