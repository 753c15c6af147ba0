/** A complete Envoy bootstrap made from our configuration (envoy.config.bootstrap.v3.Bootstrap). */
import { Document, isNode } from "yaml";
import type { Config } from "../config/load.ts";
import { rateLimitClusters } from "./call-limits.ts";
import { clusters } from "./clusters.ts";
import { listeners } from "./listeners.ts";
import { liveBootstrap } from "./live.ts";
import { type Message, PRINTED } from "./proto-json.ts";
import { shellOf } from "./shell.ts";

/** The bootstrap of an Envoy that has all from it. */
export function staticBootstrap(config: Config): Message {
  return {
    ...shellOf(config),
    static_resources: { listeners: listeners(config), clusters: [...clusters(config), ...rateLimitClusters(config)] },
  };
}

/** The bootstrap as YAML text. The same configuration always gives the same text. */
export function bootstrapFor(config: Config): string {
  const header = "Made by `mcp-router envoy` from mcp-router.yaml. Change that file, not this one.";
  return printed(staticBootstrap(config), header, commentsFor(config));
}

/** The text of the bootstrap for an Envoy that has all else from the router, and follows the configuration. */
export function liveBootstrapFor(config: Config): string {
  const header =
    "Made by `mcp-router envoy --live` from mcp-router.yaml. This Envoy asks the router for all else, and follows its changes.";
  return printed(liveBootstrap(config), header, [GRPC_CLIENT_COMMENT]);
}

type Comment = readonly [path: readonly (string | number)[], comment: string];

function printed(message: Message, header: string, comments: readonly Comment[]): string {
  const document = new Document(message, PRINTED);
  document.commentBefore = ` ${header}`;
  for (const [path, comment] of comments) {
    const node = document.getIn(path, true);
    if (isNode(node)) node.commentBefore = ` ${comment}`;
  }
  return document.toString({ lineWidth: 0 });
}

const GRPC_CLIENT_COMMENT: Comment = [
  ["grpc_async_client_manager_config"],
  "Envoy crashes where a request ends that was the last at a worker for that time.",
];

/** Comments on the parts of the YAML. */
function commentsFor({ backends }: Config): readonly Comment[] {
  const part = (kind: "listeners" | "clusters", index: number) => ["static_resources", kind, index];
  return [
    GRPC_CLIENT_COMMENT,
    [part("listeners", 0), "For clients. The processor is asked about every request, and names the backend."],
    [part("listeners", 1), "For the processor's own calls: without ext_proc, so no client may reach it."],
    [part("clusters", 0), "The backends. Sessions are pinned to an endpoint by x-mcp-endpoint."],
    [part("clusters", backends.length), "The processor, mcp-router."],
    [part("clusters", backends.length + 1), "Without endpoints: what no processor has decided ends here, with 503."],
  ];
}
