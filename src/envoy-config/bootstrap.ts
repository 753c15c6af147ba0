/** A complete Envoy bootstrap made from our configuration (envoy.config.bootstrap.v3.Bootstrap). */
import { Document, isNode } from "yaml";
import type { Config } from "../config/load.ts";
import { clusters } from "./clusters.ts";
import { listeners } from "./listeners.ts";
import { GRACEFUL_CLOSE_FLAG, GRPC_CLIENT_IDLE } from "./names.ts";
import { overloadManager } from "./overload.ts";
import { addressOf, duration, type Message, PRINTED } from "./proto-json.ts";

/** The bootstrap as YAML text. The same configuration always gives the same text. */
export function bootstrapFor(config: Config): string {
  const document = new Document(bootstrapMessage(config), PRINTED);
  document.commentBefore = " Made by `mcp-router envoy` from mcp-router.yaml. Change that file, not this one.";
  for (const [path, comment] of commentsFor(config)) {
    const node = document.getIn(path, true);
    if (isNode(node)) node.commentBefore = ` ${comment}`;
  }
  return document.toString({ lineWidth: 0 });
}

function bootstrapMessage(config: Config): Message {
  return {
    node: { id: "mcp-gateway", cluster: "mcp-gateway" },
    // An operator must get in when clients hold all of envoy.connections.
    ...(config.envoy.admin && { admin: { address: addressOf(config.envoy.admin), ignore_global_conn_limit: true } }),
    layered_runtime: { layers: [{ name: "static", static_layer: { [GRACEFUL_CLOSE_FLAG]: true } }] },
    grpc_async_client_manager_config: { max_cached_entry_idle_duration: duration(GRPC_CLIENT_IDLE) },
    overload_manager: overloadManager(config.envoy),
    static_resources: { listeners: listeners(config), clusters: clusters(config) },
  };
}

/** Comments on the parts of the YAML. */
function commentsFor({ backends }: Config): [path: (string | number)[], comment: string][] {
  const part = (kind: "listeners" | "clusters", index: number) => ["static_resources", kind, index];
  return [
    [
      ["grpc_async_client_manager_config"],
      "Envoy crashes where a request ends that was the last at a worker for that time.",
    ],
    [part("listeners", 0), "For clients. The processor is asked about every request, and names the backend."],
    [part("listeners", 1), "For the processor's own calls: without ext_proc, so no client may reach it."],
    [part("clusters", 0), "The backends. Sessions are pinned to an endpoint by x-mcp-endpoint."],
    [part("clusters", backends.length), "The processor, mcp-router."],
    [part("clusters", backends.length + 1), "Without endpoints: what no processor has decided ends here, with 503."],
  ];
}
