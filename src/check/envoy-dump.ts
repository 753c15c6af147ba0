/** What Envoy's admin listener tells of its configuration (envoy.admin.v3.ConfigDump, `/config_dump`). Pure. */
import { isJsonObject } from "../core/json/parse.ts";
import { ProtoView } from "../envoy-config/lint/proto-view.ts";
import { DISCOVERY_CLUSTER } from "../envoy-config/names.ts";

/** What an Envoy runs with. */
export interface RunsWith {
  /** Where it has its listeners and clusters from: its bootstrap, the router, or another control plane. */
  readonly source: "bootstrap" | "router" | "elsewhere";
  /** Its `node.id`. */
  readonly node: string | undefined;
  /** Its bootstrap, with all that it has from the router in place. */
  readonly bootstrap: unknown;
  /** Listeners that it has refused at some time, and why. */
  readonly refused: readonly string[];
}

/** @returns undefined where it is no ConfigDump with a bootstrap */
export function runsWith(dump: unknown): RunsWith | undefined {
  const parts = new ProtoView(dump, "").get("configs").items();
  const part = (name: string) =>
    parts.find((candidate) => candidate.isType(`envoy.admin.v3.${name}`)) ?? new ProtoView({}, "");
  const bootstrap = part("BootstrapConfigDump").get("bootstrap");
  if (!isJsonObject(bootstrap.value)) return undefined;
  const listeners = part("ListenersConfigDump").get("dynamic_listeners").items();
  const source = sourceOf(bootstrap);
  const all = () => {
    const tables = part("RoutesConfigDump").get("dynamic_route_configs").items();
    const clusters = part("ClustersConfigDump").get("dynamic_active_clusters").items();
    return {
      listeners: withTables(
        present(listeners.map((of) => of.get("active_state.listener"))),
        present(tables.map((of) => of.get("route_config"))),
      ),
      clusters: present([
        ...bootstrap.get("static_resources.clusters").items(),
        ...clusters.map((of) => of.get("cluster")),
      ]),
    };
  };
  return {
    source,
    node: bootstrap.get("node.id").text,
    bootstrap:
      source === "router"
        ? { ...bootstrap.value, dynamic_resources: undefined, static_resources: all() }
        : bootstrap.value,
    refused: [...new Set(listeners.flatMap(refusalOf))],
  };
}

function sourceOf(bootstrap: ProtoView): RunsWith["source"] {
  const sources = ["lds_config", "cds_config", "ads_config"]
    .map((name) => bootstrap.get("dynamic_resources").get(name))
    .filter(({ exists }) => exists);
  if (sources.length === 0) return "bootstrap";
  const isRouter = (source: ProtoView) =>
    source
      .get("api_config_source.cluster_names")
      .items()
      .some(({ text }) => text === DISCOVERY_CLUSTER);
  return sources.every(isRouter) ? "router" : "elsewhere";
}

function refusalOf(listener: ProtoView): string[] {
  const { text } = listener.get("error_state.details");
  const name = listener.get("error_state.failed_configuration.name").text ?? listener.get("name").text;
  return text === undefined ? [] : [`listener ${name ?? ""}: ${text}`];
}

function present(views: readonly ProtoView[]): unknown[] {
  return views.filter(({ exists }) => exists).map(({ value }) => value);
}

/** The listeners, with their tables of routes in place of references to them. */
function withTables(listeners: readonly unknown[], tables: readonly unknown[]): unknown {
  const byName = new Map(tables.map((table) => [new ProtoView(table, "").get("name").text, table]));
  const inlined = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(inlined);
    if (!isJsonObject(value)) return value;
    const table = byName.get(new ProtoView(value, "").get("rds.route_config_name").text);
    const members = Object.entries(value).map(([key, member]) => [key, inlined(member)] as const);
    return { ...Object.fromEntries(members), ...(table !== undefined && { route_config: table }) };
  };
  return inlined(listeners);
}
