import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { readConfigText } from "../../../src/config/read.ts";
import type { IstioMode } from "../../../src/envoy-config/istio/mesh.ts";
import { istioFor, POD_ANNOTATION } from "../../../src/envoy-config/istio.ts";
import { printedRoutes } from "../../support/route-forms.ts";
import { bootstrapOf, configOf, type Json, partsOf } from "./configs.ts";

const COMMON = {
  gateway: { listen: "0.0.0.0:8080", hosts: ["mcp.example.com"] },
  egress: { listen: "0.0.0.0:8081", address: "mcp-gateway.mcp.svc.cluster.local:8081" },
  processor: { endpoints: ["mcp-router.mcp.svc.cluster.local:50051"] },
  istio: { namespace: "mcp", selector: { istio: "mcp-gateway" } },
};
const ROUTE = { path: "/everything/mcp", backends: ["everything"] };
const SECTIONS = {
  gateway: {
    ...COMMON,
    backends: {
      everything: { endpoints: ["everything.mcp.svc.cluster.local:3001"], timeouts: { call: "2m" } },
      files: { endpoints: ["files.mcp.svc.cluster.local:3003"], host: "files.internal" },
    },
    routes: [ROUTE, { path: "/files/mcp", backends: ["files"] }],
  },
  sidecar: { ...COMMON, backends: { everything: { endpoints: ["127.0.0.1:8080"] } }, routes: [ROUTE] },
} as const;

type Sections = Readonly<Record<string, unknown>>;

function made(mode: IstioMode, over: Sections = {}) {
  const result = istioFor(configOf({ ...SECTIONS[mode], ...over }), mode);
  if (!result.ok) throw new Error(result.errors.join("\n"));
  return result;
}

function objectsOf(mode: IstioMode, over: Sections = {}): Json[] {
  return parseAllDocuments(made(mode, over).documents).map((document) => document.toJS());
}

function errorsOf(mode: IstioMode, over: Sections): readonly string[] {
  const { config } = readConfigText("mcp-router.yaml", JSON.stringify({ ...SECTIONS[mode], ...over }));
  const result = istioFor(config, mode);
  return result.ok ? [] : result.errors;
}

const find = (objects: Json[], kind: string, name?: string): Json =>
  objects.find((each) => each.kind === kind && (name === undefined || each.metadata.name === name));
const patchesOf = (objects: Json[], applyTo: string): Json[] =>
  find(objects, "EnvoyFilter").spec.configPatches.filter((patch: Json) => patch.applyTo === applyTo);
const valuesOf = (objects: Json[], applyTo: string): Json[] =>
  patchesOf(objects, applyTo).map(({ patch: { value } }: Json) => value);
const extProcOf = (objects: Json[]): Json =>
  valuesOf(objects, "HTTP_FILTER").find((value) => value?.name === "envoy.filters.http.ext_proc");

describe.each(["gateway", "sidecar"] as const)("mode %s", (mode) => {
  const guarded = { admission: { guard: { perSecond: 5, burst: 10 } } };

  test("prints the same text for the same configuration, and says at its head what made it", () => {
    const { documents } = made(mode);
    expect(made(mode).documents).toBe(documents);
    expect(documents).toMatch(new RegExp(`^# Made by \`mcp-router istio --mode ${mode}\` from mcp-router\\.yaml\\.`));
    expect(documents).toContain(`#   ${POD_ANNOTATION.name}: '${POD_ANNOTATION.value}'`);
  });

  test("asks the processor as the bootstrap does, but by the mesh's name of it", () => {
    const { grpc_service, ...rest } = extProcOf(objectsOf(mode)).typed_config;
    const { grpc_service: ours, ...same } = partsOf(bootstrapOf(configOf(SECTIONS[mode]))).extProc;
    expect(rest).toEqual(same);
    expect(grpc_service).toEqual({
      ...ours,
      envoy_grpc: {
        cluster_name: "outbound|50051||mcp-router.mcp.svc.cluster.local",
        authority: "mcp-router.mcp.svc.cluster.local",
      },
    });
  });

  test("strips internal headers, words errors and bounds connections as the bootstrap does", () => {
    const { gatewayManager, egressManager } = partsOf(bootstrapOf(configOf(SECTIONS[mode])));
    const [clients, egress] = valuesOf(objectsOf(mode), "NETWORK_FILTER").map((value) => value.typed_config);
    const { access_log, ...others } = clients;
    expect(gatewayManager).toMatchObject(others);
    expect(clients.early_header_mutation_extensions).toEqual(gatewayManager.early_header_mutation_extensions);
    expect(clients.local_reply_config).toEqual(gatewayManager.local_reply_config);
    expect(egressManager).toMatchObject(egress);
    expect(egress).not.toHaveProperty("early_header_mutation_extensions");
  });

  test("has open streams reported as the bootstrap does, but by the mesh's name of the processor", () => {
    const { gatewayManager, egressManager } = partsOf(bootstrapOf(configOf(SECTIONS[mode])));
    const [clients, egress] = valuesOf(objectsOf(mode), "NETWORK_FILTER").map((value) => value.typed_config);
    const reports = gatewayManager.access_log.at(-1);
    const { common_config } = reports.typed_config;
    common_config.grpc_service.envoy_grpc = extProcOf(objectsOf(mode)).typed_config.grpc_service.envoy_grpc;
    expect(clients.access_log).toEqual([reports]);
    expect(clients.access_log_options).toEqual({ access_log_flush_interval: "20s" });
    for (const manager of [egress, egressManager]) expect(manager).not.toHaveProperty("access_log_options");
  });

  test("bounds bodies, and says on the router's port alone which endpoint answered", () => {
    const [clients, egress] = patchesOf(objectsOf(mode, { limits: { body: "1MiB" } }), "VIRTUAL_HOST");
    expect(clients.match.routeConfiguration).toEqual({ portNumber: 8080 });
    expect(clients.patch.value).toMatchObject({ request_body_buffer_limit: 1024 * 1024 });
    expect(clients.patch.value.response_headers_to_add).toMatchObject([{ header: { key: "x-accel-buffering" } }]);
    expect(egress.match.routeConfiguration).toEqual({ portNumber: 8081 });
    expect(egress.patch.value.response_headers_to_add).toMatchObject([
      { header: { key: "x-mcp-endpoint" } },
      { header: { key: "x-accel-buffering" } },
    ]);
  });

  test("answers health checks ahead of all filters and routes, as the bootstrap does, where they are configured", () => {
    const gateway = { ...COMMON.gateway, health: "/healthz" };
    const { gatewayManager, gatewayHost } = partsOf(bootstrapOf(configOf({ ...SECTIONS[mode], gateway })));
    const objects = objectsOf(mode, { gateway });
    const [filter] = patchesOf(objects, "HTTP_FILTER").filter(({ patch }) =>
      patch.value?.name.endsWith("health_check"),
    );
    expect(filter.patch).toEqual({ operation: "INSERT_FIRST", value: gatewayManager.http_filters[0] });
    const added = patchesOf(objects, "HTTP_ROUTE").filter(({ patch }) => patch.operation === "ADD");
    expect(added[0].patch.value).toEqual(printedRoutes(gatewayHost).find(({ name }) => name === "health"));
    expect(added[0].match.routeConfiguration).toEqual({ portNumber: 8080 });
    expect(JSON.stringify(objectsOf(mode))).not.toContain("health_check");
  });

  test("trusts the proxies ahead that the bootstrap does", () => {
    const gateway = { ...COMMON.gateway, trustedHops: 2 };
    const [clients] = valuesOf(objectsOf(mode, { gateway }), "NETWORK_FILTER").map((value) => value.typed_config);
    expect(clients.xff_num_trusted_hops).toBe(2);
    expect(JSON.stringify(clients)).not.toContain("x-forwarded-");
  });

  test("sends what is undecided to a cluster without endpoints, on both ports", () => {
    const objects = objectsOf(mode);
    const undecided = patchesOf(objects, "HTTP_ROUTE").filter(({ patch }) => patch.value?.name === "undecided");
    expect(undecided.map(({ match }) => match.routeConfiguration.portNumber)).toEqual([8080, 8081]);
    const { cluster } = undecided[0].patch.value.route;
    expect(valuesOf(objects, "CLUSTER")).toContainEqual(partsOf(bootstrapOf(configOf())).clusterOf(cluster));
  });

  test("puts the limits of calls behind the processor, with a cluster of their own where a service counts", () => {
    const calls = [{ tools: ["*"], rate: "5/s" }];
    const filters = (limits: Sections) =>
      patchesOf(objectsOf(mode, { limits }), "HTTP_FILTER").map(({ patch }) => [patch.operation, patch.value?.name]);
    const behind = [
      ["INSERT_BEFORE", "envoy.filters.http.ext_proc"],
      ["INSERT_BEFORE", "mcp_call_limits"],
    ];
    expect(filters({ calls })).toEqual(behind);
    const service = { address: "ratelimit.gateway.svc.cluster.local:8081" };
    expect(filters({ calls, service })).toEqual(behind);
    const clusters = patchesOf(objectsOf(mode, { limits: { calls, service } }), "CLUSTER");
    expect(clusters.map(({ patch }) => patch.value?.name)).toContain("mcp_rate_limit");
  });

  test("puts the filter of CORS and the guard ahead of Istio's own, where they are configured", () => {
    const filters = (over: Sections) =>
      patchesOf(objectsOf(mode, over), "HTTP_FILTER").map(({ patch }) => [patch.operation, patch.value?.name]);
    expect(filters({})).toEqual([["INSERT_BEFORE", "envoy.filters.http.ext_proc"]]);
    expect(filters({ ...guarded, gateway: { ...COMMON.gateway, origins: ["https://app.example"] } })).toEqual([
      ["INSERT_FIRST", "envoy.filters.http.local_ratelimit"],
      ["REMOVE", undefined],
      ["INSERT_FIRST", "envoy.filters.http.cors"],
      ["INSERT_FIRST", "envoy.filters.http.header_mutation"],
      ["INSERT_BEFORE", "envoy.filters.http.ext_proc"],
    ]);
  });

  test("lets Istio check tokens, where principals come by them", () => {
    const jwks = { uri: "https://issuer.example/jwks" };
    const objects = objectsOf(mode, { identity: { kind: "jwt", issuer: "i", audiences: ["a"], jwks } });
    expect(find(objects, "RequestAuthentication").spec).toEqual({
      selector: { matchLabels: COMMON.istio.selector },
      jwtRules: [
        {
          issuer: "i",
          audiences: ["a"],
          jwksUri: jwks.uri,
          fromHeaders: [{ name: "Authorization", prefix: "Bearer " }],
          forwardOriginalToken: true,
        },
      ],
    });
    expect(extProcOf(objects).typed_config.metadata_options).toMatchObject({
      forwarding_namespaces: { untyped: ["envoy.filters.http.jwt_authn"] },
    });
  });

  test("leaves the router's port to a NetworkPolicy, or denies it to all but the router's account", () => {
    expect(find(objectsOf(mode), "AuthorizationPolicy")).toBeUndefined();
    const objects = objectsOf(mode, { istio: { ...COMMON.istio, router: "mcp/mcp-router" } });
    expect(find(objects, "AuthorizationPolicy").spec).toEqual({
      selector: { matchLabels: COMMON.istio.selector },
      action: "DENY",
      rules: [
        {
          from: [{ source: { notPrincipals: ["*/ns/mcp/sa/mcp-router"] } }],
          to: [{ operation: { ports: ["8081"] } }],
        },
      ],
    });
  });

  test("everything is for the selected pods, in their namespace", () => {
    const istio = { namespace: "elsewhere", selector: { app: "mine", tier: "edge" } };
    const objects = objectsOf(mode, { istio });
    expect(objects.map(({ metadata }) => metadata.namespace)).toEqual(objects.map(() => "elsewhere"));
    for (const { kind, spec } of objects)
      if (kind !== "VirtualService") expect(JSON.stringify(spec)).toContain(JSON.stringify(istio.selector));
  });

  test.each([
    [{ istio: undefined, gateway: { listen: "0.0.0.0:8079" } }, "istio: is missing; add the namespace"],
    [{ processor: {} }, "processor.endpoints: got 127.0.0.1:50051, expected one service of the mesh by its full name"],
    [
      { processor: { endpoints: ["unix:/run/r.sock"] } },
      "processor.endpoints: got unix:/run/r.sock, expected one service",
    ],
    [
      { processor: { endpoints: ["a.mcp.svc.cluster.local:1", "b.mcp.svc.cluster.local:1"] } },
      "processor.endpoints: got a.",
    ],
    [
      { processor: { endpoints: ["mcp-router:50051"] } },
      "processor.endpoints: got mcp-router:50051, expected one service",
    ],
    [{ processor: { endpoints: ["mcp-router.mcp.svc:50051"] } }, "processor.endpoints: got mcp-router.mcp.svc:50051"],
    [{ egress: { listen: "0.0.0.0:8081" } }, "egress.address: got 127.0.0.1:8081, expected the service by which"],
    [
      { identity: { kind: "jwt", issuer: "i", audiences: ["a"], jwks: { file: "/k" } } },
      "identity.jwks.file: is not for Istio",
    ],
    [
      { identity: { kind: "jwt", issuer: "i", audiences: ["a"], jwks: { uri: "https://i/k", ca: "/ca" } } },
      "identity.jwks.ca: is not for Istio",
    ],
    [
      { store: { kind: "redis", url: "redis://redis:6379" }, processor: { ...COMMON.processor, workers: 2 } },
      "processor.workers: got 2, expected 1",
    ],
  ])("refuses %j", (over, error) => {
    expect(errorsOf(mode, over)).toEqual([expect.stringContaining(error)]);
  });

  test("warns where a listener's address is none that Istio takes", () => {
    expect(made(mode).warnings).toEqual([]);
    expect(made(mode, { egress: { address: "gateway.mcp.svc.cluster.local:8081" } }).warnings).toEqual([
      expect.stringContaining("egress.listen: got 127.0.0.1:8081, but Istio takes the port alone"),
    ]);
  });
});

describe("mode gateway", () => {
  test("serves clients and the router on ports of their own", () => {
    const objects = objectsOf("gateway");
    const serversOf = (name: string) => find(objects, "Gateway", name).spec.servers;
    expect(serversOf("mcp-gateway")).toEqual([
      { port: { number: 8080, name: "http-clients", protocol: "HTTP" }, hosts: ["*"] },
    ]);
    expect(serversOf("mcp-egress")).toEqual([
      { port: { number: 8081, name: "http-egress", protocol: "HTTP" }, hosts: ["*"] },
    ]);
  });

  test("takes the mesh's certificates on the router's port, and lets the router show its own, where it must", () => {
    const objects = objectsOf("gateway", { istio: { ...COMMON.istio, router: "mcp/mcp-router" } });
    expect(find(objects, "Gateway", "mcp-egress").spec.servers).toMatchObject([
      { port: { number: 8081, protocol: "HTTPS" }, tls: { mode: "ISTIO_MUTUAL" } },
    ]);
    expect(find(objects, "DestinationRule", "mcp-egress").spec).toEqual({
      host: "mcp-gateway.mcp.svc.cluster.local",
      trafficPolicy: { portLevelSettings: [{ port: { number: 8081 }, tls: { mode: "ISTIO_MUTUAL" } }] },
    });
  });

  test.each([
    [{ gateway: { ...COMMON.gateway, tls: { cert: "/c", key: "/k" } } }, { serverCertificate: "/c", privateKey: "/k" }],
    [{ istio: { ...COMMON.istio, credentialName: "mcp-tls" } }, { credentialName: "mcp-tls" }],
  ])("takes a certificate for clients from %j", (over, certificate) => {
    expect(find(objectsOf("gateway", over), "Gateway", "mcp-gateway").spec.servers[0]).toMatchObject({
      port: { protocol: "HTTPS" },
      tls: { mode: "SIMPLE", minProtocolVersion: "TLSV1_2", ...certificate },
    });
  });

  test.each(["mcp-gateway", "mcp-egress"])("%s leads by the processor's headers to the services", (name) => {
    const { spec } = find(objectsOf("gateway"), "VirtualService", name);
    expect(spec.gateways).toEqual([`mcp/${name}`]);
    expect(spec.http.map((route: Json) => [route.name, route.match[0]])).toEqual(
      ["everything", "files"].flatMap((backend) => [
        [
          `${backend}/listen`,
          {
            method: { exact: "GET" },
            headers: { "x-mcp-backend": { exact: backend } },
          },
        ],
        [
          `${backend}/subscriptions`,
          { headers: { "x-mcp-backend": { exact: backend }, "x-mcp-method": { exact: "subscriptions/listen" } } },
        ],
        [`${backend}/call`, { headers: { "x-mcp-backend": { exact: backend } } }],
      ]),
    );
    expect(spec.http.at(-1)).toMatchObject({
      rewrite: { authority: "files.internal" },
      route: [{ destination: { host: "files.mcp.svc.cluster.local", port: { number: 3003 } } }],
    });
    expect(spec.http[0].rewrite).toEqual({ authority: "everything.mcp.svc.cluster.local:3001" });
  });

  test("asks another endpoint as the bootstrap does: for clients, and where a session can be recovered", () => {
    const [everything, files] = Object.values(SECTIONS.gateway.backends);
    const objects = objectsOf("gateway", { backends: { everything, files: { ...files, onSessionLost: "surface" } } });
    const retriesOf = (name: string) =>
      find(objects, "VirtualService", name)
        .spec.http.filter((route: Json) => route.name.endsWith("/call"))
        .map(({ retries }: Json) => retries);
    const routes = printedRoutes(partsOf(bootstrapOf(configOf(SECTIONS.gateway))).gatewayHost);
    const { num_retries, retry_on } = routes[0].route.retry_policy;
    expect(retriesOf("mcp-gateway")).toEqual([{ attempts: num_retries, retryOn: retry_on }, { attempts: 0 }]);
    expect(retriesOf("mcp-egress")).toEqual([{ attempts: 0 }, { attempts: 0 }]);
  });

  test("keeps what has an affinity on one endpoint as the bootstrap does", () => {
    const { everything, files } = SECTIONS.gateway.backends;
    const backends = { everything: { ...everything, affinity: { header: "x-tenant" } }, files };
    const objects = objectsOf("gateway", { backends });
    const [, routes] = bootstrapOf(configOf({ ...SECTIONS.gateway, backends })).static_resources.listeners;
    expect(JSON.stringify(routes)).toContain('"hash_policy":[{"header":{"header_name":"x-tenant"}}]');
    const hashed = valuesOf(objects, "HTTP_ROUTE").filter(({ route }) => route?.hash_policy);
    expect(hashed.length).toBeGreaterThan(0);
    for (const { route } of hashed) expect(route.hash_policy).toEqual([{ header: { header_name: "x-tenant" } }]);
    const policies = valuesOf(objects, "CLUSTER").filter((value) => JSON.stringify(value).includes("ring_hash"));
    expect(policies).toHaveLength(1);
  });

  test("gives each route the times that it has in the bootstrap", () => {
    const routes = printedRoutes(partsOf(bootstrapOf(configOf(SECTIONS.gateway))).gatewayHost);
    const merged = patchesOf(objectsOf("gateway"), "HTTP_ROUTE").filter(({ patch }) => patch.operation === "MERGE");
    expect(merged.map(({ match }) => match.routeConfiguration.vhost.route.name)).toEqual(
      routes.map(({ name }) => name).filter((name) => name !== "undecided"),
    );
    for (const [index, { patch }] of merged.entries()) expect(routes[index].route).toMatchObject(patch.value.route);
  });

  test("chooses endpoints and bounds connections of backends and processor as the bootstrap does", () => {
    const objects = objectsOf("gateway");
    const { clusterOf } = partsOf(bootstrapOf(configOf(SECTIONS.gateway)));
    const merged = patchesOf(objects, "CLUSTER").filter(({ patch }) => patch.operation === "MERGE");
    expect(merged.map(({ match }) => match.cluster.name)).toEqual([
      "outbound|3001||everything.mcp.svc.cluster.local",
      "outbound|3003||files.mcp.svc.cluster.local",
      "outbound|50051||mcp-router.mcp.svc.cluster.local",
    ]);
    const [everything, , processor] = merged.map(({ patch }) => patch.value);
    expect(clusterOf("everything")).toMatchObject(everything);
    expect(clusterOf("mcp_router")).toMatchObject({
      typed_extension_protocol_options: processor.typed_extension_protocol_options,
    });
    const [{ max_requests, max_retries }] = clusterOf("mcp_router").circuit_breakers.thresholds;
    expect(
      find(objects, "DestinationRule", "mcp-router.mcp-router.mcp.svc.cluster.local").spec.trafficPolicy,
    ).toMatchObject({
      portLevelSettings: [
        {
          port: { number: 50051 },
          connectionPool: { http: { http2MaxRequests: max_requests, maxRetries: max_retries } },
        },
      ],
    });
    expect(find(objects, "DestinationRule").spec.trafficPolicy.portLevelSettings).toMatchObject([
      {
        port: { number: 3001 },
        connectionPool: { tcp: { connectTimeout: "5s" }, http: { idleTimeout: "4s" } },
        loadBalancer: { localityLbSetting: { enabled: false } },
      },
    ]);
  });

  test("has one DestinationRule for two ports of one service", () => {
    const backends = {
      a: { endpoints: ["tools.mcp.svc.cluster.local:3001"] },
      b: { endpoints: ["tools.mcp.svc.cluster.local:3002"] },
    };
    const objects = objectsOf("gateway", { backends, routes: [{ path: "/a", backends: ["a"] }] });
    const rules = objects.filter(({ kind, spec }) => kind === "DestinationRule" && spec.host.startsWith("tools."));
    expect(rules.map(({ spec }) => spec.trafficPolicy.portLevelSettings.map((each: Json) => each.port.number))).toEqual(
      [[3001, 3002]],
    );
  });

  test.each([
    [["10.0.0.1:3001"], "backends.everything.endpoints: got 10.0.0.1:3001, expected one service"],
    [["everything:3001"], "backends.everything.endpoints: got everything:3001, expected one service"],
    [["a.mcp.svc.cluster.local:1", "b.mcp.svc.cluster.local:1"], "backends.everything.endpoints: got a.mcp"],
  ])("refuses a backend at %j", (endpoints, error) => {
    const over = { backends: { everything: { endpoints } }, routes: [ROUTE] };
    expect(errorsOf("gateway", over)).toEqual([expect.stringContaining(error)]);
  });

  test.each([
    [
      {
        backends: { a: { endpoints: ["x.y.z:1"] }, b: { endpoints: ["x.y.z:1"] } },
        routes: [{ path: "/", backends: ["a"] }],
      },
      "backends.b.endpoints: got x.y.z:1, which backends.a has already",
    ],
    [
      { backends: { everything: { endpoints: ["x.y.z:1"], tls: { sni: "x" } } }, routes: [ROUTE] },
      "backends.everything.tls: is not for Istio",
    ],
    [{ processor: { ...COMMON.processor, streams: {} } }, "processor.streams: is not for Istio yet; remove it"],
    [
      {
        gateway: { ...COMMON.gateway, tls: { cert: "/c", key: "/k" } },
        istio: { ...COMMON.istio, credentialName: "mcp-tls" },
      },
      "istio.credentialName: there is gateway.tls too",
    ],
  ])("refuses %j", (over, error) => {
    expect(errorsOf("gateway", over)).toEqual([expect.stringContaining(error)]);
  });
});

describe("mode sidecar", () => {
  test("warns where the server has a port of its own, which goes around the router", () => {
    const gateway = { ...COMMON.gateway, listen: "0.0.0.0:3000" };
    expect(made("sidecar", { gateway }).warnings).toEqual([
      expect.stringContaining("gateway.listen: got port 3000, but the server listens on 8080"),
    ]);
  });

  test("takes clients and the router to the server in the pod, in place of Istio's own routes", () => {
    const objects = objectsOf("sidecar");
    expect(find(objects, "Sidecar").spec.ingress).toEqual([
      { port: { number: 8080, name: "http-mcp", protocol: "HTTP" }, defaultEndpoint: "127.0.0.1:8080" },
      { port: { number: 8081, name: "http-egress", protocol: "HTTP" }, defaultEndpoint: "127.0.0.1:8080" },
    ]);
    const bootstrap = printedRoutes(partsOf(bootstrapOf(configOf(SECTIONS.sidecar))).gatewayHost);
    for (const port of [8080, 8081]) {
      const ofPort = patchesOf(objects, "HTTP_ROUTE").filter(
        ({ match }) => match.routeConfiguration.portNumber === port,
      );
      expect(ofPort.map(({ patch }) => [patch.operation, patch.value?.name])).toEqual([
        ["REMOVE", undefined],
        ...bootstrap.map(({ name }) => ["ADD", name]),
      ]);
      const action = { cluster: `inbound|${port}||`, host_rewrite_literal: "127.0.0.1:8080" };
      for (const [index, { name, match, route }] of bootstrap.slice(0, -1).entries()) {
        const { cluster, auto_host_rewrite, retry_policy, ...times } = route;
        expect(ofPort[index + 1].patch.value).toEqual({ name, match, route: { ...action, ...times } });
      }
    }
  });

  test("names its objects by the backend, beside those of others in the namespace", () => {
    const names = (mode: IstioMode) => objectsOf(mode).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    const all = [...names("gateway"), ...names("sidecar")];
    expect(new Set(all).size).toBe(all.length);
    expect(names("sidecar")).toContain("EnvoyFilter mcp-router-everything");
  });

  test.each([
    [
      { backends: SECTIONS.gateway.backends, routes: SECTIONS.gateway.routes },
      "backends: got everything, files, expected one",
    ],
    [
      { backends: { everything: { endpoints: ["everything.mcp.svc.cluster.local:3001"] } } },
      "expected the port in the sidecar's own pod",
    ],
    [
      { backends: { everything: { endpoints: ["127.0.0.1:1", "127.0.0.1:2"] } } },
      "expected the port in the sidecar's own pod",
    ],
    [{ gateway: { ...COMMON.gateway, tls: { cert: "/c", key: "/k" } } }, "gateway.tls: is not for sidecars"],
    [{ istio: { ...COMMON.istio, credentialName: "mcp-tls" } }, "istio.credentialName: is not for sidecars"],
  ])("refuses %j", (over, error) => {
    expect(errorsOf("sidecar", over)).toEqual([expect.stringContaining(error)]);
  });
});

test("the annotation switches the graceful close of streams on, as a bootstrap of ours does", () => {
  const [{ static_layer }] = bootstrapOf(configOf()).layered_runtime.layers;
  const { runtimeValues } = parse(POD_ANNOTATION.value);
  expect(Object.entries(runtimeValues)).toEqual(Object.entries(static_layer).map(([flag, on]) => [flag, String(on)]));
});
