/** One object of the mesh, as `kubectl apply` takes it. */
import type { Config } from "../../config/load.ts";
import type { Message } from "../proto-json.ts";

export interface MeshObject {
  /** Comment on the object in the YAML, in one line or more. */
  readonly comment: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Message;
  readonly spec: Message;
}

/** The section `istio` of mcp-router.yaml, and the name of the objects, which differs from that of other objects in the namespace. */
export type Owner = NonNullable<Config["istio"]> & { readonly name: string };

const API = {
  networking: "networking.istio.io/v1",
  filter: "networking.istio.io/v1alpha3",
  security: "security.istio.io/v1",
};

/** An object in the namespace of its pods. */
export function meshObject(
  group: keyof typeof API,
  kind: string,
  owner: Owner,
  {
    comment,
    name = owner.name,
    annotations,
    spec,
  }: Pick<MeshObject, "comment" | "spec"> & { name?: string; annotations?: Message },
): MeshObject {
  return {
    comment,
    apiVersion: API[group],
    kind,
    metadata: { name, namespace: owner.namespace, ...(annotations && { annotations }) },
    spec,
  };
}
