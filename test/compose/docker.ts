/** The Docker that run.sh starts, by testcontainers, and what that does not do for docker-compose.yaml on it. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { BoundPorts, GenericContainer, getContainerRuntimeClient, Wait } from "testcontainers";

export const ROOT = join(import.meta.dirname, "../..");
/** As run.sh has it. */
export const PROJECT = "mcp-router-compose";
if (process.env.COMPOSE_PROJECT_NAME !== PROJECT)
  throw new Error("only test/compose/run.sh runs this, on a Docker of its own");

export const docker = await getContainerRuntimeClient();

/** Docker's own `docker compose`, or the docker-compose of before. */
export const COMPOSE =
  spawnSync("docker", ["compose", "version"]).status === 0 ? {} : { executable: { standalone: true as const } };

/** The container of a service that runs or has run: what Compose calls it depends on its version, and a new one has a new id. */
export async function container(service: string) {
  const found = await docker.container.fetchByLabel("com.docker.compose.service", service);
  if (!found) throw new Error(`the service ${service} has no container`);
  return found;
}

export async function inspect(service: string) {
  return docker.container.inspect(await container(service));
}

/** The address of a service in one of its networks. */
export async function addressOf(service: string, network: string): Promise<string> {
  const found = (await inspect(service)).NetworkSettings.Networks[`${PROJECT}_${network}`];
  if (!found) throw new Error(`${service} is not in the network ${network}`);
  return found.IPAddress;
}

/** Resolves once the health check of a service that was started again has passed. */
export async function healthy(service: string): Promise<void> {
  await Wait.forHealthCheck().waitUntilReady(await container(service), new BoundPorts());
}

/** Puts a new container in the place of a service's. */
export async function recreate(service: string): Promise<void> {
  const options = { filePath: ROOT, files: "docker-compose.yaml", projectName: PROJECT, ...COMPOSE };
  await docker.compose.up({ ...options, commandOptions: ["--force-recreate", "--no-deps"] }, [service]);
}

/** A container that runs to its end, without rights, and without a network if it is given none. */
export class OneShot extends GenericContainer {
  constructor(image: string) {
    super(image);
    this.hostConfig.ReadonlyRootfs = true;
    this.withNetworkMode("none")
      .withDroppedCapabilities("ALL")
      .withAutoCleanup(false)
      .withWaitStrategy(Wait.forOneShotStartup());
  }

  /** Starts it, and gives what it has written. */
  async output(): Promise<string> {
    const ended = await this.start();
    try {
      return await text(await ended.logs());
    } finally {
      await ended.stop();
    }
  }
}

/** Writes the last lines of each container to stderr. */
export async function showLogs(): Promise<void> {
  const { dockerode } = docker.container;
  for (const { Id, Names } of await dockerode.listContainers({ all: true })) {
    const logs = await dockerode.getContainer(Id).logs({ stdout: true, stderr: true, tail: 40 });
    const frames = new PassThrough();
    dockerode.modem.demuxStream(frames, process.stderr, process.stderr);
    process.stderr.write(`${Names.join(" ")}:\n`);
    frames.end(logs);
  }
}
