/** The whole gateway on one machine: the router, and an Envoy that follows its configuration. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingFiles } from "../config/files.ts";
import type { Config, Overrides } from "../config/load.ts";
import { ConfigError, readConfig } from "../config/read.ts";
import { formatAddress, type TcpAddress, whyNoListener } from "../core/address.ts";
import { liveBootstrapFor } from "../envoy-config/bootstrap.ts";
import type { Served } from "../last-net.ts";
import { type Router, serve } from "../serve.ts";
import { findEnvoy } from "./find-envoy.ts";
import { keepRunning } from "./keep-running.ts";
import { createUrlPrinter } from "./urls.ts";

/** Where Envoy asks for its configuration, if the file has no `processor.http`. */
const HTTP: TcpAddress = { host: "127.0.0.1", port: 9090 };

/** How often (ms) it is seen whether Envoy listens, and how long (ms) that may take before it is said. */
const LOOK_EVERY = 100;
const LISTENS_WITHIN = 15_000;

interface UpOptions {
  readonly file: string;
  readonly workers?: number | undefined;
  /** Path of an Envoy. Default: one is looked for. */
  readonly envoy?: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
  /** Prints a line for the user. */
  readonly say: (line: string) => void;
}

/**
 * Starts both, and resolves when clients can connect, or when it has been said why they cannot yet.
 * @throws ConfigError, or an Error that says what to do
 */
export async function up({
  file,
  workers,
  envoy,
  environment,
  say,
}: UpOptions): Promise<Served & Pick<Router, "reload">> {
  const overrides: Overrides = { workers, http: HTTP };
  const { config } = await readConfig(file, overrides);
  const missing = await lacks(config);
  if (missing.length > 0) throw new ConfigError(file, missing);
  const found = await findEnvoy(envoy, environment);
  if (found.kind === "none") throw new Error(found.why);
  await mustBeFree(file, config);

  const started = new AsyncDisposableStack();
  try {
    const folder = await mkdtemp(join(tmpdir(), "mcp-router-"));
    started.defer(() => rm(folder, { recursive: true, force: true }));
    const bootstrap = join(folder, "envoy.yaml");
    await writeFile(bootstrap, liveBootstrapFor(config));
    const printUrls = createUrlPrinter(say);
    const router = await serve(file, environment, { ...overrides, beside: { lacks, inForce: printUrls } });
    const { path, version } = found;
    say(`Envoy ${version} (${path})`);
    const kept = keepRunning({
      path,
      args: ["-c", bootstrap, ...FLAGS],
      onEnd: (how, again) => say(`Envoy ended (${how}): it is started again in ${again / 1_000} s`),
    });
    // Envoy goes last: requests under way need both.
    started.defer(() => kept.stop());
    let clean = true;
    started.defer(async () => {
      clean = await router.stop();
    });
    if (await envoyListens(config.gateway.listen)) {
      printUrls(config);
      say("ready: add and remove servers in the file while it runs; Ctrl-C ends both");
      say("what follows: on stdout a line of Envoy for each request, on stderr the log");
    } else say(`Envoy does not listen on ${formatAddress(config.gateway.listen)} yet: see its log above`);
    return {
      untaken: (error, how) => router.untaken(error, how),
      reload: () => router.reload(),
      async stop() {
        await started.disposeAsync();
        return clean;
      },
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

/**
 * With hot restart Envoy ends when its parent does, however that ends (docs/internals/envoy-facts.md). Each has its own base id, so that
 * several run side by side. It writes the lines of requests in blocks, by default every 10 s, which is long for somebody who looks on.
 */
const FLAGS = ["--use-dynamic-base-id", "--log-level", "warning", "--file-flush-interval-msec", "500"];

/** This Envoy runs here, and serves nobody without its files. */
async function lacks(config: Config): Promise<readonly string[]> {
  const { errors, envoys } = await missingFiles(config);
  return [...errors, ...envoys];
}

/** Envoy would only log that it cannot listen, and try again. */
async function mustBeFree(file: string, { gateway, egress, envoy }: Config): Promise<void> {
  const taken: string[] = [];
  for (const [setting, address] of Object.entries({
    "gateway.listen": gateway.listen,
    "egress.listen": egress.listen,
    "envoy.admin": envoy.admin,
  })) {
    const error = address && (await cannotListen(address));
    if (error)
      taken.push(`${setting}: got "${formatAddress(address)}", where Envoy cannot listen: ${whyNoListener(error)}`);
  }
  if (taken.length > 0) throw new ConfigError(file, taken);
}

function cannotListen({ host, port }: TcpAddress): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/** By a connection: a look at whether the port is free would take it from Envoy for that moment. */
function listens({ host, port }: TcpAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** Resolves to whether Envoy listens, after a while at the latest. */
async function envoyListens(address: TcpAddress): Promise<boolean> {
  const until = Date.now() + LISTENS_WITHIN;
  while (!(await listens(address))) {
    if (Date.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
  return true;
}
