/** What a mesh needs for the gateway: Istio's objects made from our configuration, to be applied beside the router. */
import { Document, isNode } from "yaml";
import type { Config } from "../config/load.ts";
import { gatewayObjects } from "./istio/gateway.ts";
import { type IstioMode, placeInMesh } from "./istio/mesh.ts";
import type { MeshObject } from "./istio/object.ts";
import { sidecarObjects } from "./istio/sidecar.ts";
import { GRACEFUL_CLOSE_FLAG } from "./names.ts";
import { PRINTED } from "./proto-json.ts";

export type IstioResult =
  | { readonly ok: true; readonly documents: string; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly errors: readonly string[] };

/** The objects as YAML documents, or what to change in the configuration. The same configuration always gives the same text. */
export function istioFor(config: Config, mode: IstioMode): IstioResult {
  const placed = placeInMesh(config, mode);
  if (!placed.ok) return placed;
  const { mesh, warnings } = placed;
  const objects = mesh.mode === "gateway" ? gatewayObjects(config, mesh) : sidecarObjects(config, mesh);
  return { ok: true, documents: `${head(mode)}\n${objects.map(print).join("---\n")}`, warnings };
}

/**
 * The annotation of the pods that sets GRACEFUL_CLOSE_FLAG in the proxy's bootstrap, for which Istio has no object.
 */
export const POD_ANNOTATION = {
  name: "proxy.istio.io/config",
  value: JSON.stringify({ runtimeValues: { [GRACEFUL_CLOSE_FLAG]: "true" } }),
} as const;

function head(mode: IstioMode): string {
  return [
    `Made by \`mcp-router istio --mode ${mode}\` from mcp-router.yaml. Change that file, not this one.`,
    "The pods that it selects need this annotation as well, or Node refuses Envoy's streams under load:",
    `  ${POD_ANNOTATION.name}: '${POD_ANNOTATION.value}'`,
  ]
    .map((line) => `# ${line}\n`)
    .join("");
}

function print({ comment, ...object }: MeshObject): string {
  const document = new Document(object, PRINTED);
  const { contents } = document;
  if (isNode(contents)) contents.commentBefore = comment.replace(/^/gm, " ");
  return document.toString({ lineWidth: 0 });
}
