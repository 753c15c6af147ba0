/** The Docker that run.sh starts, and docker-compose.yaml on it. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import * as z from "zod";
import { type Child, start } from "../../harness/child.ts";

const ROOT = join(import.meta.dirname, "../..");
/** As run.sh has it. */
const PROJECT = "mcp-router-compose";
if (process.env.COMPOSE_PROJECT_NAME !== PROJECT)
  throw new Error("only test/compose/run.sh runs this, on a Docker of its own");

const inspected = z.object({
  RestartCount: z.int(),
  State: z.object({ Pid: z.int(), ExitCode: z.int(), Health: z.object({ Status: z.string() }).optional() }),
  NetworkSettings: z.object({
    Networks: z.record(z.string(), z.object({ IPAddress: z.string() })),
    Ports: z.record(z.string(), z.array(z.object({ HostIp: z.string(), HostPort: z.string() })).nullable()),
  }),
});

/** Id of the container of a service. */
export async function container(service: string): Promise<string> {
  // Not `docker-compose ps`, which takes ten times as long.
  const labels = { project: PROJECT, service };
  const filters = Object.entries(labels).flatMap(([key, value]) => [
    "--filter",
    `label=com.docker.compose.${key}=${value}`,
  ]);
  const id = (await docker("ps", "--all", "--quiet", ...filters)).trim();
  if (id === "") throw new Error(`the service ${service} has no container`);
  return id;
}

/** What Docker says of the container of a service, as far as tests look into it. */
export async function inspect(service: string): Promise<z.output<typeof inspected>> {
  const [found] = z.array(inspected).parse(JSON.parse(await docker("inspect", await container(service))));
  if (!found) throw new Error(`Docker knows no container of ${service}`);
  return found;
}

/** Runs `docker`, and gives what it writes to stdout. */
export function docker(...args: string[]): Promise<string> {
  return run("docker", ...args);
}

/** Follows the output of a service. */
export async function follow(service: string, onOutput: (chunk: string) => void): Promise<Child> {
  return start(service, "docker", ["logs", "--follow", await container(service)], {}, onOutput);
}

/** Runs JavaScript with this machine's node in the network of a service, and gives what it writes to stdout. */
export async function inNetworkOf(service: string, code: string): Promise<string> {
  const { State } = await inspect(service);
  return run("nsenter", "--target", String(State.Pid), "--net", process.execPath, "--eval", code);
}

/** The address of a service in one of its networks. */
export async function addressOf(service: string, network: string): Promise<string> {
  const found = (await inspect(service)).NetworkSettings.Networks[`${PROJECT}_${network}`];
  if (!found) throw new Error(`${service} is not in the network ${network}`);
  return found.IPAddress;
}

/** Runs docker-compose, or what COMPOSE says in its place, such as "docker compose", on the public file. */
export function compose(...args: string[]): Promise<string> {
  const [program = "", ...first] = (process.env.COMPOSE || "docker-compose").split(" ");
  return run(program, ...first, ...args);
}

async function run(program: string, ...args: string[]): Promise<string> {
  const options = { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 };
  try {
    return (await promisify(execFile)(program, args, options)).stdout;
  } catch (error) {
    // A rejection of execFile has what the program wrote; its end says why, and a build writes much.
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(" ")}\n${stdout.slice(-4_000)}\n${stderr.slice(-4_000)}`, { cause: error });
  }
}
