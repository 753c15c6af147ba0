import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { type RunningEnvoy, startEnvoy } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import { PRINTED } from "../../src/envoy-config/proto-json.ts";
import { manifestsOf, pick, render } from "./render.ts";

const PAUSE = /; sleep \d+$/;

const manifests = manifestsOf(render("overlays/envoy"));
const [container] = pick(manifests, "Deployment", "mcp-gateway").spec.template.spec.containers;
const [shell, option, script]: string[] = container.lifecycle.preStop.exec.command;
const configMap = manifests.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name.startsWith("envoy-"));

let envoy: RunningEnvoy;
let admin: number;
let port: number;

beforeAll(async () => {
  admin = await freePort();
  port = await freePort();
  const bootstrap = parse(configMap?.data?.["bootstrap.yaml"] ?? "");
  bootstrap.admin.address.socket_address.port_value = admin;
  const [gateway, egress] = bootstrap.static_resources.listeners;
  gateway.address.socket_address = { address: "127.0.0.1", port_value: port };
  egress.address.socket_address = { address: "127.0.0.1", port_value: await freePort() };
  const flags = container.args.slice(container.args.indexOf("--drain-time-s"));
  envoy = await startEnvoy(stringify(bootstrap, PRINTED), `127.0.0.1:${admin}`, { flags });
});
afterAll(() => envoy?.stop());

/** There is no router here, and so an answer of Envoy's own. */
async function answer(agent: Agent): Promise<IncomingMessage> {
  const outgoing = request({ agent, host: "127.0.0.1", port, path: "/mcp" }).end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  await once(response.resume(), "end");
  return response;
}

test("before Envoy ends in Kubernetes it closes connections by their next answer, and still takes new ones", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  expect((await answer(agent)).headers.connection).not.toBe("close");

  expect(script).toMatch(PAUSE);
  const command = script?.replace(PAUSE, "").replace("/9901", `/${admin}`) ?? "";
  const hook = spawn(shell ?? "", [option ?? "", command], { stdio: "inherit" });
  expect(await once(hook, "exit")).toEqual([0, null]);

  await expect.poll(async () => (await answer(agent)).headers.connection, { timeout: 30_000 }).toBe("close");
  expect((await answer(new Agent())).statusCode).toBe(503);
  agent.destroy();
});
