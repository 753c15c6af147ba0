import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { hasIstiod, startIstiod } from "../../harness/istiod.ts";
import { readConfigText } from "../../src/config/read.ts";
import { ISTIO_MODES } from "../../src/envoy-config/istio/mesh.ts";
import { istioFor, POD_ANNOTATION } from "../../src/envoy-config/istio.ts";
import { claimsPolicy, snippetOf } from "../support/snippets.ts";
import { manifestsOf, pick, render, renderOwn } from "./render.ts";

const OVERLAYS = join(import.meta.dirname, "../../k8s/overlays");

describe.each(ISTIO_MODES)("in overlays/istio-%s", (mode) => {
  const fileOf = (name: string) => readFileSync(join(OVERLAYS, `istio-${mode}`, name), "utf8");
  const manifests = manifestsOf(render(`overlays/istio-${mode}`));

  test("the mesh's objects are those that `mcp-router istio` makes of the configuration, without a warning", () => {
    const { config } = readConfigText("mcp-router.yaml", fileOf("mcp-router.yaml"));
    expect(istioFor(config, mode), "run `make generate`").toEqual({
      ok: true,
      documents: fileOf("istio.yaml"),
      warnings: [],
    });
  });

  test.skipIf(!hasIstiod)("Istio's admission has nothing against them but that one is an EnvoyFilter", async () => {
    const istiod = await startIstiod([join(OVERLAYS, `istio-${mode}`, "istio.yaml")]);
    await istiod.stop();
    expect(istiod.verdicts).toEqual([expect.stringMatching(/^warned: EnvoyFilter .* exposes internal/)]);
  });

  test("the router's service has an address, so that sidecars balance over its pods", () => {
    expect(pick(manifests, "Service", "mcp-router").spec).not.toHaveProperty("clusterIP");
  });

  test("the router is told what the mesh's objects are made from", () => {
    expect(pick(manifests, "ConfigMap", "mcp-router").data?.["mcp-router.yaml"]).toBe(fileOf("mcp-router.yaml"));
  });
});

test("the gateway's pods are those that its objects select, and close the processor's streams gracefully", () => {
  const manifests = manifestsOf(render("overlays/istio-gateway"));
  const { labels, annotations } = pick(manifests, "Deployment", "mcp-gateway").spec.template.metadata;
  expect(labels).toMatchObject(pick(manifests, "Gateway", "mcp-gateway").spec.selector);
  expect(annotations).toMatchObject({ "inject.istio.io/templates": "gateway" });
  expect(parse(annotations[POD_ANNOTATION.name])).toMatchObject(parse(POD_ANNOTATION.value));
});

test("the server's service and policy have the ports that its sidecar takes, and the router's is for the router", () => {
  const manifests = manifestsOf(render("overlays/istio-sidecar"));
  const ingress = pick(manifests, "Sidecar", "mcp-router-everything").spec.ingress;
  const ports = ingress.map(({ port }: { port: { number: number } }) => port.number);
  const { spec } = pick(manifests, "Service", "everything");
  expect(spec.ports.map(({ port }: { port: number }) => port)).toEqual(ports);
  const router = { podSelector: { matchLabels: pick(manifests, "Service", "mcp-router").spec.selector } };
  expect(pick(manifests, "NetworkPolicy", "everything").spec.ingress).toEqual([
    { ports: expect.arrayContaining([{ port: ports[0] }]) },
    { from: [router], ports: [{ port: ports[1] }] },
  ]);
});

test("the patch of docs/istio.md lets pods with sidecars in where Istio's CNI plugin is missing", () => {
  const patches = snippetOf("docs/istio.md", "patches:");
  const kustomization = `resources: [../k8s/overlays/istio-sidecar]\n${patches}`;
  const level = (rendered: string) =>
    pick(manifestsOf(rendered), "Namespace", "mcp").metadata.labels?.["pod-security.kubernetes.io/enforce"];
  expect(level(render("overlays/istio-sidecar"))).toBe("restricted");
  expect(level(renderOwn({ "kustomization.yaml": kustomization }))).toBe("privileged");
});

test("the policy for claims of docs/istio.md is for the gateway's pods and their port for clients", () => {
  const { metadata, spec } = parse(claimsPolicy());
  const gateway = pick(manifestsOf(render("overlays/istio-gateway")), "Gateway", "mcp-gateway");
  expect(metadata).toMatchObject({ namespace: gateway.metadata.namespace });
  expect(spec.selector.matchLabels).toEqual(gateway.spec.selector);
  const [rule] = spec.rules;
  expect(rule.to).toEqual([{ operation: { ports: [String(gateway.spec.servers[0].port.number)] } }]);
});
