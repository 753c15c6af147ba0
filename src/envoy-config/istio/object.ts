/** One object of the mesh, as `kubectl apply` takes it. */
import type { Config } from "../../config/load.ts";
import type { Message } from "../proto-json.ts";

export interface MeshObject {
  /** What its reader should know of it, in one line or more. */
  readonly comment: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Message;
  readonly spec: Message;
}

/** The section of mcp-router.yaml, and what the objects are called, so that others in the namespace are other objects. */
export type Owner = NonNullable<Config["istio"]> & { readonly name: string };

const API = {
  networking: "networking.istio.io/v1",
  filter: "networking.istio.io/v1alpha3",
  security: "security.istio.io/v1",
};

/** An object in the namespace of the pods that it is for. */
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
