/** The gateway in a mesh for a test: Istio's own control plane, an Envoy that it configures, and the router as a process. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, parseAllDocuments, stringify } from "yaml";
import { start } from "../../harness/child.ts";
import type { RunningEnvoy } from "../../harness/envoy.ts";
import { type Account, hasIstiod, type Istiod, joinMesh, startIstiod } from "../../harness/istiod.ts";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import type { IstioMode } from "../../src/envoy-config/istio/mesh.ts";
import { POD_ANNOTATION } from "../../src/envoy-config/istio.ts";
import { PRINTED } from "../../src/envoy-config/proto-json.ts";
import { MAIN, startRouter, untilReady } from "./router.ts";
import { merge } from "./sections.ts";

const NAMESPACE = "mcp";

// biome-ignore lint/suspicious/noExplicitAny: a parsed document, which tests reach into and break at will
export type Json = any;

export interface Mesh {
  /** Port of clients. */
  readonly port: number;
  readonly egressPort: number;
  /** Port of the service EGRESS_SERVICE, on which the sidecar of one who calls it listens. */
  readonly egressServicePort: number;
  readonly envoy: RunningEnvoy;
  readonly istiod: Istiod;
  stop(): Promise<void>;
}

export interface MeshOptions {
  /** Endpoints (`127.0.0.1:port`) of each backend; in mode sidecar one of one. The path of a backend is `/<name>/mcp`. */
  readonly backends: Readonly<Record<string, readonly string[]>>;
  /** Further sections of mcp-router.yaml. */
  readonly sections?: Readonly<Record<string, unknown>>;
  /** Changes what `mcp-router istio` has printed, or adds to it. */
  readonly change?: (objects: Json[], asking: Asking) => void;
  /** Lets the configuration name EGRESS_SERVICE, which the router itself would not find. Otherwise it calls egress directly. */
  readonly egressByService?: boolean;
  /** Whose certificate the test wants. */
  readonly account?: Account;
}

/** The pods that ask the router: their port of clients and their labels. */
interface Asking {
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** The port of egress as a service of the mesh. */
export const EGRESS_SERVICE = hostOf("egress");

if (!hasIstiod)
  process.stderr.write(
    'The gateway is not tested with Istio: there is no istiod. Install Go and run "make tools", or set ISTIOD.\n',
  );

/** Starts it, and resolves when Envoy has its configuration. */
export async function startMesh(mode: IstioMode, options: MeshOptions): Promise<Mesh> {
  const { backends, sections = {}, change, egressByService = false, account } = options;
  const ports = await Promise.all(Array.from({ length: 6 }, freePort));
  const [port = 0, egressPort = 0, grpc = 0, http = 0, servicePort = 0, egressServicePort = 0] = ports;
  const started = new AsyncDisposableStack();
  try {
    const directory = started.use(temporaryDirectory("mesh")).path;
    const write = (name: string, text: string) => {
      writeFileSync(join(directory, name), text);
      return join(directory, name);
    };

    const labels = { app: mode };
    const egress = egressByService ? `${EGRESS_SERVICE}:${egressServicePort}` : `localhost:${egressPort}`;
    const config = write(
      "mcp-router.yaml",
      stringify(
        merge(
          {
            gateway: { listen: `0.0.0.0:${port}`, hosts: ["127.0.0.1"] },
            egress: { listen: `0.0.0.0:${egressPort}`, address: egress },
            processor: {
              listen: `127.0.0.1:${grpc}`,
              http: `127.0.0.1:${http}`,
              // A sidecar whose pod redirects nothing listens on it.
              endpoints: [`${hostOf("mcp-router")}:${servicePort}`],
            },
            istio: { namespace: NAMESPACE, selector: labels },
            log: { level: "error" },
            backends: Object.fromEntries(
              Object.entries(backends).map(([name, endpoints]) => [
                name,
                { endpoints: mode === "gateway" ? [`${hostOf(name)}:3001`] : endpoints },
              ]),
            ),
            routes: Object.keys(backends).map((name) => ({ path: `/${name}/mcp`, backends: [name] })),
          },
          sections,
        ),
      ),
    );

    const objects = parseAllDocuments(await run("istio", "--config", config, "--mode", mode)).map((each) =>
      each.toJS(),
    );
    change?.(objects, { port, labels });
    const services = [
      service("mcp-router", "GRPC", servicePort, [`127.0.0.1:${grpc}`]),
      service("egress", "HTTP", egressServicePort, [`127.0.0.1:${egressPort}`]),
      ...(mode === "gateway"
        ? Object.entries(backends).map(([name, endpoints]) => service(name, "HTTP", 3001, endpoints))
        : []),
    ];
    const files = [write("objects.yaml", documents(objects)), write("services.yaml", documents(services))];
    const istiod = await startIstiod(files, account);
    started.defer(async () => void (await istiod.stop()));

    const router = startRouter("mcp-router", config);
    started.defer(async () => void (await router.stop()));
    await untilReady(router, `127.0.0.1:${http}`);

    const envoy = await joinMesh(istiod, {
      kind: mode === "gateway" ? "router" : "sidecar",
      ip: mode === "gateway" ? "127.0.0.4" : "127.0.0.2",
      namespace: NAMESPACE,
      account: "default",
      labels,
      runtimeValues: parse(POD_ANNOTATION.value).runtimeValues,
    });
    started.defer(async () => void (await envoy.stop()));
    return { port, egressPort, egressServicePort, envoy, istiod, stop: () => started.disposeAsync() };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

/** stdout of a command of the router's. */
async function run(...args: string[]): Promise<string> {
  let text = "";
  const child = start("mcp-router", process.execPath, [MAIN, ...args], {}, (chunk) => {
    text += chunk;
  });
  if ((await child.exited) !== 0) throw new Error(child.output());
  return text;
}

function hostOf(name: string): string {
  return `${name}.${NAMESPACE}.svc.cluster.local`;
}

/** A service, as the mesh would know it from Kubernetes. */
function service(name: string, protocol: string, number: number, endpoints: readonly string[]): object {
  const port = protocol.toLowerCase();
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name, namespace: NAMESPACE },
    spec: {
      hosts: [hostOf(name)],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      ports: [{ number, name: port, protocol }],
      endpoints: endpoints.map((endpoint) => {
        const [address, at] = endpoint.split(":");
        return { address, ports: { [port]: Number(at) }, labels: { app: name } };
      }),
    },
  };
}

function documents(objects: readonly object[]): string {
  return objects.map((object) => stringify(object, PRINTED)).join("---\n");
}
