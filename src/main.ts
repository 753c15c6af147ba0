#!/usr/bin/env -S node --max-semi-space-size=64
/**
 * The command line. Results go to stdout, everything else to stderr.
 *
 * V8's young generation is larger than Node's default of 16 MiB (here, in package.json and in the bench). Otherwise objects that live
 * as long as a request would move to the old generation, whose collections pause requests for 10 to 40 ms.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { checkLive } from "./check/check-live.ts";
import { policySaid } from "./check/policy-live.ts";
import { readClaims } from "./check/read-claims.ts";
import type { Said } from "./check/said.ts";
import { missingFiles } from "./config/files.ts";
import { ConfigError, readConfig } from "./config/read.ts";
import { whyUnreadable } from "./config/unreadable.ts";
import { MAX_WORKERS } from "./config/workers.ts";
import { parseYaml } from "./config/yaml.ts";
import { bootstrapFor, liveBootstrapFor } from "./envoy-config/bootstrap.ts";
import { ISTIO_MODES, type IstioMode } from "./envoy-config/istio/mesh.ts";
import { istioFor } from "./envoy-config/istio.ts";
import { type Finding, lintEnvoy } from "./envoy-config/lint.ts";
import { rateLimitServiceFor } from "./envoy-config/rate-limit-service.ts";
import { init } from "./init/init.ts";
import { catchTheRest, type Served } from "./last-net.ts";
import { type PinOptions, pin } from "./pins/pin.ts";
import { pinnedConfig } from "./pins/read.ts";
import { serve } from "./serve.ts";
import { up } from "./up/up.ts";
import { VERSION } from "./version.ts";
import { serveForPrimary } from "./workers.ts";

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader of our output (such as `head`) has closed the pipe.
  if (error.code === "EPIPE") process.exit();
  process.exitCode = 1;
  say(`error: cannot write the result: ${error.message}`);
});
// There is nowhere left to report it.
process.stderr.on("error", () => undefined);

enterCallersFolder();

const program = new Command("mcp-router")
  .description("An MCP gateway on the Envoy that you already run")
  .version(VERSION, "--version", "print the version")
  .showHelpAfterError("(mcp-router --help lists the commands)");

program
  .command("serve")
  .description("run the processor that Envoy asks about each request")
  .addOption(configOption())
  .addOption(workersOption())
  .addOption(new Option("--worker <number>").argParser(Number).hideHelp())
  .action(async ({ config, workers, worker }: { config: string; workers?: number; worker?: number }) => {
    if (worker !== undefined) return serveForPrimary((text) => serve(config, process.env, { workers, worker, text }));
    return run(() => serve(config, process.env, { workers }));
  });

program
  .command("up")
  .description("run the router, and an Envoy of this machine that follows the configuration")
  .addOption(configOption())
  .addOption(workersOption())
  .option("--envoy <path>", "the Envoy to run; by default that of ENVOY or PATH")
  .action(({ config: file, workers, envoy }: { config: string; workers?: number; envoy?: string }) =>
    run(() => up({ file, workers, envoy, environment: process.env, say })),
  );

program
  .command("init")
  .description("write a first configuration, from the URLs of MCP servers that run")
  .argument("<url...>", "as http://127.0.0.1:3001/mcp")
  .option("--out <file>", "where to write it", "mcp-router.yaml")
  .option("--force", "replace a file that is there")
  .action(async (urls: string[], { out, force = false }: { out: string; force?: boolean }) => {
    const { lines } = await init({ urls, file: out, force, version: VERSION });
    for (const line of lines) say(line);
    say(`written: ${out}; next: mcp-router up --config ${out}`);
  });

program
  .command("check")
  .description("check a configuration, and an Envoy bootstrap of your own against it")
  .addOption(configOption())
  .addOption(workersOption())
  .option("--envoy <bootstrap>", "Envoy's configuration, YAML or JSON")
  .option(
    "--live",
    "ask what runs, the router, Envoy and the backends: whether it is what the file says, and what clients see",
  )
  .option(
    "--as <claims>",
    "what policy lets somebody do whose token has these claims, a file of JSON; with --live by what the backends list",
  )
  .action(async ({ config: file, workers, envoy, live, as }: CheckOptions) => {
    const { config, text, warnings } = await readConfig(file, { workers });
    const missing = await missingFiles(config);
    for (const warning of [...warnings, ...missing.warnings]) say(`warning: ${file}: ${warning}`);
    if (missing.errors.length > 0) throw new ConfigError(file, missing.errors);
    const pinned = await pinnedConfig(file, config);
    const findings = envoy === undefined ? [] : lintEnvoy(await readBootstrap(envoy), config);
    for (const finding of findings) say(describe(finding, envoy ?? ""));
    const claims = as === undefined ? undefined : await readClaims(as);
    const isPolicyOk = told(file, await policySaid(pinned, claims, live === true));
    const isLiveOk = live === undefined || told(file, await checkLive(pinned, text));
    if (findings.some(({ severity }) => severity === "error") || !isPolicyOk || !isLiveOk) {
      process.exitCode = 1;
      return;
    }
    print(envoy === undefined ? `${file}: ok\n` : `${file} and ${envoy}: ok\n`);
  });

program
  .command("pin")
  .description("show tools that are not what you have accepted (tools.pin of a route), and accept them")
  .addOption(configOption())
  .option("--accept <tool...>", "accept these tools as they are now")
  .option("--all", "accept all tools as they are now")
  .option("--dry-run", "beside --accept or --all: write nothing, and exit with 1 where a tool is not what was accepted")
  .option("--direct", "ask the backends themselves, where no Envoy runs yet")
  .action(async ({ config: file, ...options }: PinOptions & { config: string }) => {
    const { config } = await readConfig(file);
    const { lines, errors, isDone } = await pin(config, options);
    for (const line of lines) print(`${line}\n`);
    for (const error of errors) say(`error: ${file}: ${error}`);
    if (!isDone) process.exitCode = 1;
  });

program
  .command("envoy")
  .description("print Envoy's whole bootstrap for a configuration")
  .addOption(configOption())
  .addOption(workersOption())
  .option(
    "--live",
    "a small bootstrap: this Envoy asks the router for the rest, and follows changes of the configuration",
  )
  .action(async ({ config: file, workers, live }: { config: string; workers?: number; live?: true }) => {
    const { config, warnings } = await readConfig(file, { workers });
    if (live && !config.processor.http)
      throw new ConfigError(file, [
        "processor.http: missing, expected an address: Envoy asks there for its configuration",
      ]);
    for (const warning of warnings) say(`warning: ${file}: ${warning}`);
    print(live ? liveBootstrapFor(config) : bootstrapFor(config));
  });

program
  .command("istio")
  .description("print the objects that an Istio mesh needs for a configuration")
  .addOption(configOption())
  .addOption(
    new Option("--mode <mode>", "whose Envoys ask the router: a gateway's, or the sidecar of the one backend")
      .choices(ISTIO_MODES)
      .makeOptionMandatory(),
  )
  .action(async ({ config: file, mode }: { config: string; mode: IstioMode }) => {
    const { config, warnings } = await readConfig(file);
    const made = istioFor(config, mode);
    if (!made.ok) throw new ConfigError(file, made.errors);
    for (const warning of [...warnings, ...made.warnings]) say(`warning: ${file}: ${warning}`);
    print(made.documents);
  });

program
  .command("ratelimit")
  .description("print the configuration of the rate limit service (limits.service)")
  .addOption(configOption())
  .action(async ({ config: file }: { config: string }) => {
    const { config } = await readConfig(file);
    const made = rateLimitServiceFor(config);
    if (!made.ok) throw new ConfigError(file, made.errors);
    print(made.document);
  });

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = 1;
  if (error instanceof ConfigError) for (const line of error.errors) say(`error: ${error.file}: ${line}`);
  else for (const line of messageOf(error).split("\n")) say(`error: ${line}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Runs until a signal ends it. */
async function run(start: () => Promise<Served & { reload(): Promise<void> }>): Promise<void> {
  let serving: Served | undefined;
  const stop = (signal: NodeJS.Signals) => {
    // A second signal ends the process at once, and so does one while it starts.
    process.removeListener("SIGTERM", stop).removeListener("SIGINT", stop);
    if (serving) void serving.stop().then(exitWhenDone);
    else process.kill(process.pid, signal);
  };
  // Before the log says that the router serves: whoever reads that may stop it at once.
  process.on("SIGTERM", stop).on("SIGINT", stop);
  const started = await start();
  serving = started;
  catchTheRest(process, started);
  process.on("SIGHUP", () => void started.reload());
}

interface CheckOptions {
  readonly config: string;
  readonly workers?: number;
  readonly envoy?: string;
  readonly live?: true;
  readonly as?: string;
}

/** Prints what a check of what runs says. Returns whether all is in order. */
function told(file: string, said: readonly Said[]): boolean {
  for (const { kind, text } of said) {
    if (kind === "line") print(`${text}\n`);
    else say(`${kind}: ${file}: ${text}`);
  }
  return said.every(({ kind }) => kind !== "error");
}

function configOption(): Option {
  return new Option("--config <file>", "mcp-router.yaml").makeOptionMandatory();
}

/**
 * npm runs a script in the folder of package.json, and passes the caller's directory in INIT_CWD (docs.npmjs.com, "npm run-script").
 * Paths of the command line and of the configuration alike start from the caller's.
 */
function enterCallersFolder(): void {
  const { INIT_CWD: folder, npm_lifecycle_event: script } = process.env;
  if (script === "mcp-router" && folder !== undefined) process.chdir(folder);
}

/** All commands have this option, since Envoy's configuration lists the workers. */
function workersOption(): Option {
  return new Option("--workers <number>", "processes to run, in place of processor.workers").argParser((text) => {
    const workers = Number(text);
    if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS)
      throw new InvalidArgumentError(`Expected a whole number from 1 to ${MAX_WORKERS}.`);
    return workers;
  });
}

async function readBootstrap(file: string): Promise<unknown> {
  const text = await readFile(resolve(file), "utf8").catch((error: Error) => {
    throw new ConfigError(file, [`cannot read ${resolve(file)}: ${whyUnreadable(error)}`]);
  });
  const parsed = parseYaml(text);
  if (!parsed.ok) throw new ConfigError(file, parsed.errors);
  return parsed.value;
}

function describe({ severity, rule, path, message }: Finding, file: string): string {
  return `${severity}: ${file}: ${path}: ${message} [${rule}]`;
}

function print(text: string): void {
  process.stdout.write(text);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Exits with 1 if requests were cut off: no error, but Kubernetes' events show the code. */
function exitWhenDone(clean: unknown): void {
  process.exitCode = clean === false ? 1 : 0;
}
