/** What the overlays' EnvoyFilters say of Envoy, each in its place in a bootstrap, which Envoy validates. */
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { validateBootstrap } from "../../harness/envoy.ts";
import { ISTIO_MODES } from "../../src/envoy-config/istio/mesh.ts";
import { HCM_FILTER, HCM_TYPE, ROUTER_FILTER } from "../../src/envoy-config/names.ts";
import { extension, PRINTED, typed } from "../../src/envoy-config/proto-json.ts";
import { manifestsOf, render } from "./render.ts";

// biome-ignore lint/suspicious/noExplicitAny: parsed documents, which the tests reach into and break
type Json = any;

const ROUTER = extension(ROUTER_FILTER, "envoy.extensions.filters.http.router.v3.Router");

function patchesOf(overlay: string): Json[] {
  const filters = manifestsOf(render(overlay)).filter(({ kind }) => kind === "EnvoyFilter");
  return filters.flatMap(({ spec }) => spec.configPatches);
}

/** A listener for each port that the patches name; what has no port is in all. */
function bootstrapOf(patches: readonly Json[]): Json {
  const portOf = ({ match }: Json) => match.listener?.portNumber ?? match.routeConfiguration?.portNumber;
  const ports = [...new Set(patches.map(portOf).filter((port) => port !== undefined))];
  const clusters = patches.filter(({ applyTo }) => applyTo === "CLUSTER").map(clusterOf);
  const listeners = ports.map((port) =>
    listenerOf(
      port,
      patches.filter((patch) => [port, undefined].includes(portOf(patch))),
    ),
  );
  // Istio's own clusters, which routes lead to.
  const routes = patches
    .filter(({ applyTo }) => applyTo === "HTTP_ROUTE")
    .map(({ patch }) => patch.value?.route.cluster);
  const others = [...new Set(routes)].filter((name) => name && !clusters.some((cluster) => cluster.name === name));
  return { static_resources: { listeners, clusters: [...clusters, ...others.map((name) => emptyCluster(name))] } };
}

function listenerOf(port: number, patches: readonly Json[]): Json {
  const values = (applyTo: string) =>
    patches.filter((one) => one.applyTo === applyTo && one.patch.value).map(({ patch }) => patch.value);
  const routes = values("HTTP_ROUTE").map((value) => ({
    match: { prefix: "/" },
    ...value,
    route: { cluster: "mcp_undecided", ...value.route },
  }));
  const manager = Object.assign({}, ...values("NETWORK_FILTER").map(({ typed_config }) => typed_config), {
    stat_prefix: "test",
    route_config: { virtual_hosts: [{ name: "test", domains: ["*"], routes, ...values("VIRTUAL_HOST")[0] }] },
    http_filters: [...values("HTTP_FILTER"), ROUTER],
  });
  return {
    name: String(port),
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: [{ filters: [{ name: HCM_FILTER, typed_config: typed(HCM_TYPE, manager) }] }],
    ...values("LISTENER")[0],
  };
}

function clusterOf({ match, patch }: Json): Json {
  return { ...emptyCluster(match.cluster?.name), ...patch.value };
}

function emptyCluster(name: string): Json {
  return { name, type: "STATIC", load_assignment: { cluster_name: name } };
}

describe.each(ISTIO_MODES)("of overlays/istio-%s", (mode) => {
  const patches = patchesOf(`overlays/istio-${mode}`);
  const validated = (change: (applyTo: string, value: Json) => void = () => undefined) => {
    const copy = structuredClone(patches);
    for (const { applyTo, patch } of copy) if (patch.value) change(applyTo, patch.value);
    return validateBootstrap(stringify(bootstrapOf(copy), PRINTED));
  };

  test("Envoy accepts every patch", () => {
    expect(validated()).toMatchObject({ ok: true });
  });

  const kinds = [...new Set(patches.filter(({ patch }) => patch.value).map(({ applyTo }) => applyTo))];
  test.each(kinds)("Envoy would not accept a field of no meaning in a %s", (kind) => {
    const { ok, output } = validated((applyTo, value) => {
      if (applyTo === kind) Object.assign(value.typed_config ?? value, { misspelt: true });
    });
    expect(ok).toBe(false);
    expect(output).toContain("misspelt");
  });
});
