import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { Agent, type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startEnvoy } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import { temporaryDirectory } from "../../harness/temporary.ts";
import { startDns } from "../support/dns.ts";
import { startRouter } from "../support/router.ts";
import { bootstrapAt, configAt, freePlaces, routersName } from "./gateway.ts";
import { manifestsOf, pick, render } from "./render.ts";

const PAUSE = /; sleep \d+$/;

const manifests = manifestsOf(render("overlays/envoy"));
const [container] = pick(manifests, "Deployment", "mcp-gateway").spec.template.spec.containers;
const [shell, option, script]: string[] = container.lifecycle.preStop.exec.command;

const started = new AsyncDisposableStack();
let admin: number;
let port: number;

beforeAll(async () => {
  const places = await freePlaces();
  ({ admin, port } = places);
  const dns = await startDns(routersName(manifests), 0);
  started.defer(() => dns.close());
  dns.resolve(["127.0.0.1"]);
  // One that has not reached its Redis yet tells Envoy what for to listen too.
  const store = { kind: "redis", url: `redis://127.0.0.1:${await freePort()}` };
  const file = join(started.use(temporaryDirectory("drain")).path, "mcp-router.yaml");
  writeFileSync(file, configAt(manifests, places, "127.0.0.1", { store }));
  const router = startRouter("mcp-router", file);
  started.defer(async () => void (await router.stop()));
  const flags = container.args.slice(container.args.indexOf("--drain-time-s"));
  const envoy = await startEnvoy(bootstrapAt(manifests, places, dns.port), `127.0.0.1:${admin}`, { flags });
  started.defer(async () => void (await envoy.stop()));
});
afterAll(() => started.disposeAsync());

/** Of a path that is no route. */
async function answer(agent: Agent): Promise<IncomingMessage> {
  const outgoing = request({ agent, host: "127.0.0.1", port, path: "/nothing" }).end();
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
  expect((await answer(new Agent())).statusCode).toBe(404);
  agent.destroy();
});
