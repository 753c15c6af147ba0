/** What a running Envoy tells of its configuration, and what `check --live` says of that. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate } from "selfsigned";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { runsWith } from "../../src/check/envoy-dump.ts";
import { envoyFindings } from "../../src/check/envoy-report.ts";
import { readConfig } from "../../src/config/read.ts";
import { directoryOfTests } from "../support/directory.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { createIssuer } from "../support/tokens.ts";

const directory = directoryOfTests("running-envoy");
const cert = join(directory, "cert.pem");
const key = join(directory, "key.pem");
const jwks = join(directory, "jwks.json");

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

beforeAll(async () => {
  const made = await generate([{ name: "commonName", value: "localhost" }], { keyType: "ec", curve: "P-256" });
  writeFileSync(key, made.private);
  writeFileSync(cert, made.cert);
  writeFileSync(jwks, createIssuer("https://issuer.example", "mcp").jwks);
});

const BACKENDS = {
  one: { endpoints: ["127.0.0.1:3001", "127.0.0.1:3002"], affinity: "principal", path: "/mcp" },
  six: { endpoints: ["[::1]:3001"] },
  two: { endpoints: ["localhost:3003"], host: "two.example", timeouts: { call: "90s", connect: "1500ms" } },
};

async function stackOf(live: boolean, config: Readonly<Record<string, unknown>>): Promise<Stack> {
  const routes = [
    { path: "/one/mcp", backends: ["one"] },
    { path: "/mcp", backends: ["one", "two", "six"] },
  ];
  const options = { backends: BACKENDS, routes, live, config: { log: { level: "silent" }, ...config } };
  return owner.adopt(await startStack(options), (it) => it.stop());
}

async function findings({ envoy, configFile }: Stack, over: object = {}) {
  const runs = runsWith(JSON.parse(await envoy.admin("/config_dump")));
  if (!runs) throw new Error("no configuration");
  const { config } = await readConfig(configFile);
  return envoyFindings(runs, { ...config, ...over }, "ADMIN", []);
}

describe.each([false, true])("an Envoy that follows the file: %s", (live) => {
  test.each<[string, () => Readonly<Record<string, unknown>>]>([
    ["few", () => ({})],
    [
      "many",
      () => ({
        gateway: { tls: { cert, key }, origins: ["https://app.example"], trustedHops: 1, health: "/healthz" },
        identity: { kind: "jwt", issuer: "https://issuer.example", audiences: ["mcp"], jwks: { file: jwks } },
        admission: { guard: { perSecond: 10, burst: 20 } },
        envoy: { heap: "1GiB", connections: 2_000, buffer: "128KiB" },
        limits: { body: "2MiB" },
        backends: { ...BACKENDS, two: { ...BACKENDS.two, tls: { sni: "two.example", ca: cert } } },
      }),
    ],
    [
      "keys from elsewhere",
      () => ({
        identity: {
          kind: "jwt",
          issuer: "https://issuer.example",
          audiences: ["mcp"],
          jwks: { uri: "https://issuer.example:8443/jwks?key=secret" },
        },
      }),
    ],
  ])("runs with what the file makes of it: %s settings", async (_, config) => {
    expect(await findings(await stackOf(live, config()))).toEqual([
      { kind: "line", text: "Envoy at ADMIN (envoy.admin): runs with what the file makes of it" },
    ]);
  });
});

test("an Envoy that was started with another file has its differences told", async () => {
  const stack = await stackOf(false, {});
  const { config } = await readConfig(stack.configFile);
  const [one, ...others] = config.backends;
  const moved = { ...one, endpoints: [{ host: "10.0.0.1", port: 3001 }] };
  const added = { ...one, name: "added" };
  const limits = { ...config.limits, body: 1024 };
  const said = await findings(stack, { backends: [moved, ...others, added], limits });
  const texts = said.map(({ kind, text }) => `${kind}: ${text}`);
  expect(texts).toContain(
    "error: Envoy at ADMIN (envoy.admin): cluster one has the endpoints 127.0.0.1:3001, 127.0.0.1:3002, and the file 10.0.0.1:3001",
  );
  expect(texts).toContainEqual(expect.stringMatching(/clusters lacks the backend added\..*\[backend-cluster\]$/));
  expect(texts).toContainEqual(expect.stringMatching(/\[body-limit\]$/));
  expect(texts.at(-1)).toBe(
    "error: Envoy at ADMIN (envoy.admin) does not run with what the file makes of it: print that with `mcp-router envoy`, and restart Envoy with it",
  );
});

test("why Envoy has refused a listener is told where it does not run with what the file makes of it", async () => {
  const stack = await stackOf(true, {});
  const file = parse(readFileSync(stack.configFile, "utf8")) as Readonly<Record<string, unknown>>;
  const gateway = { listen: `127.0.0.1:${stack.port}`, tls: { cert: "/nowhere/cert.pem", key: "/nowhere/key.pem" } };
  writeFileSync(stack.configFile, stringify({ ...file, gateway, limits: { body: "1MiB" } }));
  const last = async () => (await findings(stack)).at(-1)?.text;
  await expect
    .poll(last, { timeout: 30_000, interval: 100 })
    .toMatch(
      /does not run with what the file makes of it: it has refused listener gateway: Failed to load .*\/nowhere\/key\.pem; settings of its bootstrap/,
    );
});
