import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { validateBootstrap } from "../../harness/envoy.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import type { Config } from "../../src/config/load.ts";
import { readConfigText } from "../../src/config/read.ts";
import { liveBootstrapFor } from "../../src/envoy-config/bootstrap.ts";
import { claimsPolicy, snippetOf } from "../support/snippets.ts";
import { type Manifest, manifestsOf, pick, render, renderOwn } from "./render.ts";

const ROOT = join(import.meta.dirname, "../..");
const TOOLS = join(ROOT, ".tools/k8s");
const OVERLAYS = readdirSync(join(ROOT, "k8s/overlays")).map((name) => `overlays/${name}`);
const DIRECTORIES = ["base", ...OVERLAYS];

/** Both are written in Go. */
const hasValidators = existsSync(join(TOOLS, "kubectl-validate")) && existsSync(join(TOOLS, "pod-security"));
if (!hasValidators)
  process.stderr.write(
    "Schemas and pod security of the manifests are not checked: their validators need Go (install it, then `make tools`).\n",
  );

/** What a strict API server would refuse of it: native kinds, those of Istio and of the Gateway API. */
function schemaErrors(manifests: string): string {
  const { path: directory, remove } = temporaryDirectory("manifests");
  try {
    writeFileSync(join(directory, "manifests.yaml"), manifests);
    const command = [directory, "--local-crds", join(TOOLS, "crds"), "--version", "1.30"];
    const { status, stdout, stderr } = spawnSync(join(TOOLS, "kubectl-validate"), command, { encoding: "utf8" });
    return status === 0 ? "" : stdout + stderr;
  } finally {
    remove();
  }
}

interface Verdict {
  readonly name: string;
  /** What the level `restricted` forbids of it. */
  readonly forbidden: readonly string[];
}

function podSecurity(manifests: string): Verdict[] {
  const { status, stdout, stderr } = spawnSync(join(TOOLS, "pod-security"), { input: manifests, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

describe.skipIf(!hasValidators).each(DIRECTORIES)("%s", (directory) => {
  test("passes the schemas of its kinds, strictly", () => {
    expect(schemaErrors(render(directory))).toBe("");
  });

  test("runs only pods that the level `restricted` of Pod Security allows", () => {
    const rendered = render(directory);
    const workloads = manifestsOf(rendered).filter(({ spec }) => spec?.template?.spec?.containers);
    expect(workloads.length).toBeGreaterThan(0);
    expect(podSecurity(rendered)).toEqual(
      workloads.map(({ kind, metadata }) => ({ name: `${kind}/${metadata.name}`, forbidden: [] })),
    );
  });
});

test.skipIf(!hasValidators)("the AuthorizationPolicy of docs/istio.md passes the schema of its kind, strictly", () => {
  const policy = claimsPolicy();
  expect(schemaErrors(policy)).toBe("");
  expect(schemaErrors(policy.replace("notValues", "notValue"))).toContain("notValue");
});

describe.skipIf(!hasValidators)("the validators refuse", () => {
  test.each([
    ["a field that is misspelt", "securityContext:", "securityContxt:"],
    ["a value of the wrong type", "terminationGracePeriodSeconds: 90", "terminationGracePeriodSeconds: ninety"],
    ["a version of a kind that there is not", "apiVersion: autoscaling/v2", "apiVersion: autoscaling/v9"],
  ])("%s", (_, right, wrong) => {
    const rendered = render("base");
    expect(rendered).toContain(right);
    expect(schemaErrors(rendered.replace(right, wrong))).not.toBe("");
  });

  test.each([
    ["a root user", "runAsNonRoot: true", "runAsNonRoot: false"],
    ["a privileged container", "allowPrivilegeEscalation: false", "privileged: true"],
    ["capabilities that are kept", "- ALL", "- KILL"],
  ])("%s", (_, right, wrong) => {
    const rendered = render("base");
    expect(rendered).toContain(right);
    expect(podSecurity(rendered.replace(right, wrong))[0]?.forbidden).not.toEqual([]);
  });
});

function configOf(text = ""): Config {
  return readConfigText("mcp-router.yaml", text).config;
}

function portOf(address: object | undefined): number {
  return address && "port" in address ? Number(address.port) : Number.NaN;
}

test("an overlay of one's own, as docs/kubernetes.md has it, replaces image, configuration and bootstrap", () => {
  // The bootstrap is commented out.
  const kustomization = snippetOf("docs/kubernetes.md", "# my-gateway/kustomization.yaml\n").replace(
    "  # - {",
    "  - {",
  );
  const files = { "mcp-router.yaml": "mine: true\n", "bootstrap.yaml": "mine: too\n" };
  const manifests = manifestsOf(renderOwn({ ...files, "kustomization.yaml": kustomization }));
  const { containers } = pick(manifests, "Deployment", "mcp-router").spec.template.spec;
  expect(containers[0].image).toBe("registry.example.com/envoy-mcp-router:0.1.0");
  expect(pick(manifests, "ConfigMap", "mcp-router").data).toEqual({ "mcp-router.yaml": "mine: true\n" });
  const { volumes } = pick(manifests, "Deployment", "mcp-gateway").spec.template.spec;
  expect(pick(manifests, "ConfigMap", volumes[0].configMap.name).data).toEqual({ "bootstrap.yaml": "mine: too\n" });
});

describe("the bootstrap of the Envoy that stands in front", () => {
  const file = join(ROOT, "k8s/components/envoy/bootstrap.yaml");

  test("is what `mcp-router envoy --live` prints for the configuration, and Envoy takes it", () => {
    const bootstrap = readFileSync(file, "utf8");
    const config = configOf(readFileSync(join(ROOT, "k8s/base/mcp-router.yaml"), "utf8"));
    expect(bootstrap, "run `make generate`").toBe(liveBootstrapFor(config));
    expect(validateBootstrap(bootstrap)).toMatchObject({ ok: true });
  });

  test("is the same for a Redis of one's own", () => {
    const config = configOf(readFileSync(join(ROOT, "k8s/overlays/redis/mcp-router.yaml"), "utf8"));
    expect(liveBootstrapFor(config)).toBe(readFileSync(file, "utf8"));
  });

  test("is what the Deployment starts Envoy with", () => {
    const manifests = manifestsOf(render("overlays/envoy"));
    const { containers, volumes } = pick(manifests, "Deployment", "mcp-gateway").spec.template.spec;
    const [{ args, volumeMounts }] = containers;
    const mount = volumeMounts.find(({ name }: { name: string }) => name === volumes[0].name);
    expect(args.slice(0, 2)).toEqual(["--config-path", join(mount.mountPath, "bootstrap.yaml")]);
    const shipped = pick(manifests, "ConfigMap", volumes[0].configMap.name).data;
    expect(shipped).toEqual({ "bootstrap.yaml": readFileSync(file, "utf8") });
  });
});

describe.each(["overlays/envoy", "overlays/example", "overlays/istio-gateway", "overlays/redis"])(
  "in %s",
  (directory) => {
    const manifests = manifestsOf(render(directory));
    const deployments = manifests.filter(({ kind }) => kind === "Deployment");
    const podsThat = (labels: Readonly<Record<string, string>>) =>
      deployments.filter(({ spec }) =>
        Object.entries(labels).every(([label, value]) => spec.template.metadata.labels[label] === value),
      );
    const named = (found: readonly Manifest[]) => found.map(({ metadata }) => metadata.name);
    const { gateway, egress, processor, envoy, backends } = configOf(
      pick(manifests, "ConfigMap", "mcp-router").data?.["mcp-router.yaml"],
    );
    /** Where an Envoy asks for its configuration; nowhere, where istiod tells it. */
    const discovery = directory === "overlays/istio-gateway" ? [] : envoy.discovery.endpoints;

    test("each service, policy and budget selects exactly the pods of one workload", () => {
      const selectors = manifests.flatMap(({ kind, metadata, spec }) => {
        const selector = kind === "Service" ? spec.selector : (spec?.podSelector ?? spec?.selector)?.matchLabels;
        return selector ? [{ of: `${kind}/${metadata.name}`, selects: podsThat(selector).length }] : [];
      });
      expect(selectors.length).toBeGreaterThan(0);
      expect(selectors.filter(({ selects }) => selects !== 1)).toEqual([]);
    });

    test("what is configured is what pods listen on and services offer", () => {
      const ports = (deployment: string) =>
        pick(manifests, "Deployment", deployment)
          .spec.template.spec.containers[0].ports.map(({ containerPort }: { containerPort: number }) => containerPort)
          .toSorted();
      const { streams } = processor;
      const ofRouter = [processor.http, processor.listen, ...(streams ? [streams.listen] : [])];
      expect(ports("mcp-router")).toEqual(ofRouter.map(portOf).toSorted());
      expect(ports("mcp-gateway")).toEqual([gateway.listen, egress.listen].map(portOf).toSorted());
      for (const address of [...processor.endpoints, ...(streams?.endpoints ?? []), ...discovery, egress.address]) {
        const [service = "", namespace] = "host" in address ? address.host.split(".") : [];
        expect(namespace).toBe("mcp");
        const { spec } = pick(manifests, "Service", service);
        expect(spec.ports.map(({ port }: { port: number }) => port)).toContain(portOf(address));
      }
    });

    /** Who may reach a port of a workload's pods, by its network policy: the names of workloads, or `anybody`. */
    const whoReaches = (workload: string, port: number): string[] => {
      const { spec } = pick(manifests, "NetworkPolicy", workload);
      expect(spec.policyTypes).toContain("Ingress");
      return spec.ingress
        .filter(({ ports }: { ports: { port: number }[] }) => ports.some((one) => one.port === port))
        .flatMap(({ from }: { from?: { podSelector?: { matchLabels: Record<string, string> } }[] }) =>
          (from ?? [undefined]).flatMap((peer) =>
            peer ? (peer.podSelector ? named(podsThat(peer.podSelector.matchLabels)) : ["others"]) : ["anybody"],
          ),
        );
    };

    test("only Envoy reaches ext_proc and the servers, and only the router reaches egress and Redis", () => {
      const readers = discovery.length > 0 ? ["mcp-gateway", "others"] : ["others"];
      expect(whoReaches("mcp-router", portOf(processor.http))).toEqual(readers);
      expect(whoReaches("mcp-router", portOf(processor.listen))).toEqual(["mcp-gateway"]);
      if (processor.streams)
        expect(whoReaches("mcp-router", portOf(processor.streams.listen))).toEqual(["mcp-gateway"]);
      expect(whoReaches("mcp-gateway", portOf(egress.listen))).toEqual(["mcp-router"]);
      expect(whoReaches("mcp-gateway", portOf(gateway.listen))).toEqual(["anybody"]);
      if (named(deployments).includes("redis")) expect(whoReaches("redis", 6379)).toEqual(["mcp-router"]);
      for (const { name, endpoints } of backends)
        if (named(deployments).includes(name)) expect(whoReaches(name, portOf(endpoints[0]))).toEqual(["mcp-gateway"]);
    });

    test("a router has the time to drain that its configuration gives it", () => {
      const { spec } = pick(manifests, "Deployment", "mcp-router").spec.template;
      const pause = spec.containers[0].lifecycle.preStop.sleep.seconds;
      expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(pause + processor.drain / 1_000);
    });
  },
);
