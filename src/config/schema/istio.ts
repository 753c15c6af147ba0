/** `istio`: what `mcp-router istio` needs to know of the mesh. */
import * as z from "zod";
import { anyText, text } from "../values/text.ts";

const istio = z.strictObject({
  namespace: anyText("the name of a namespace")
    .regex(
      /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
      "expected lower-case letters, digits and inner hyphens, at most 63",
    )
    .meta({ title: "the name of a namespace" })
    .describe("Namespace of the generated objects and of the pods that they apply to."),
  selector: z
    .record(z.string(), anyText("the value of a label"), "expected labels, each with its value")
    .refine((labels) => Object.keys(labels).length > 0, "expected at least one label")
    .meta({ title: "labels, each with its value" })
    .describe("Labels of these pods: the gateway's pods, or with `--mode sidecar` the backend's."),
  credentialName: text("the name of a secret")
    .optional()
    .describe("Kubernetes secret with the certificate for clients, instead of the files of `gateway.tls`."),
  router: anyText("a service account")
    .regex(/^[a-z0-9-]+\/[a-z0-9.-]+$/, 'expected a service account such as "mcp/mcp-router": namespace/name')
    .meta({ title: 'a service account such as "mcp/mcp-router"' })
    .optional()
    .describe(
      "The router's service account: only its certificate may then call the egress port, so the router needs a sidecar. " +
        "Default: any pod may call it, and a NetworkPolicy must prevent that.",
    ),
});

export const istioSection = istio
  .optional()
  .describe("Settings for the objects that `mcp-router istio` prints. Nothing else uses them. See [Istio](istio.md).");
