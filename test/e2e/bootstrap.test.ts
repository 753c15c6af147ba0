/** What the generated bootstrap does in a real Envoy. No processor runs here: what needs one is in the other files. */
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { join } from "node:path";
import { generate } from "selfsigned";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from "vitest";
import { type RunningEnvoy, startEnvoy, validateBootstrap } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import type { Config } from "../../src/config/load.ts";
import { readConfigText } from "../../src/config/read.ts";
import { bootstrapFor } from "../../src/envoy-config/bootstrap.ts";
import { HCM_TYPE, ROUTER_TYPE } from "../../src/envoy-config/names.ts";
import { directoryOfTests } from "../support/directory.ts";
import { type Answer, post, send } from "../support/http.ts";
import { ROUTE_MATCHES } from "../support/route-matches.ts";
import { ROUTE_TREES } from "../support/route-trees.ts";

const directory = directoryOfTests("bootstrap");
const cert = join(directory, "cert.pem");
const key = join(directory, "key.pem");

beforeAll(async () => {
  const made = await generate([{ name: "commonName", value: "localhost" }], { keyType: "ec", curve: "P-256" });
  writeFileSync(key, made.private);
  writeFileSync(cert, made.cert);
});

describe("Envoy accepts the bootstrap", () => {
  const one = (backend: object) => ({ backends: { one: { endpoints: ["127.0.0.1:3001"], ...backend } } });

  test.each<[string, () => Record<string, unknown>]>([
    ["of the smallest configuration", () => ({})],
    ["with an admin listener", () => ({ envoy: { admin: "127.0.0.1:9901" } })],
    ["with TLS for clients", () => ({ gateway: { tls: { cert, key } } })],
    ["with TLS to a backend, by a CA", () => one({ tls: { sni: "localhost", ca: cert } })],
    ["with TLS to a backend, by the system's CAs", () => one({ tls: { sni: "mcp.example.com" } })],
    ["with a backend by name and by address", () => one({ endpoints: ["localhost:3001", "127.0.0.1:3002"] })],
    ["with a Host and a path for a backend", () => one({ host: "mcp.example.com", path: "/api/mcp" })],
    ["with times for a backend", () => one({ timeouts: { call: "90s", listen: "29m", connect: "1500ms" } })],
    [
      "on IPv6",
      () => ({
        ...one({ endpoints: ["[::1]:3001"] }),
        gateway: { listen: "[::]:8080" },
        egress: { listen: "[::1]:8081" },
      }),
    ],
    ["with origins of browsers", () => ({ gateway: { origins: ["https://app.example", "http://localhost:5173"] } })],
    ["behind trusted proxies", () => ({ gateway: { trustedHops: 2 } })],
    ["with a path for health checks", () => ({ gateway: { health: "/health(z)" } })],
    [
      "with a backend by a name that YAML 1.1 takes for a boolean",
      () => ({ backends: { on: { endpoints: ["127.0.0.1:1"] } } }),
    ],
    ["with the smallest bounds of Envoy", () => ({ envoy: { heap: 1, connections: 1, streams: 1, requests: 1 } })],
    [
      "with the largest bounds of Envoy",
      () => ({ envoy: { heap: "1024GiB", connections: 10_000_000, requests: 10_000_000 } }),
    ],
    ["with a guard", () => ({ admission: { guard: { perSecond: 1, burst: 1_000_000 } } })],
    ["with the processor on a Unix socket", () => ({ processor: { listen: "unix:/run/mcp-router.sock" } })],
    ["with the processor by name", () => ({ processor: { endpoints: ["router.internal:50051"] } })],
    ["with several processors", () => ({ processor: { endpoints: ["127.0.0.1:50051", "127.0.0.1:50052"] } })],
    [
      "with several processors on Unix sockets",
      () => ({ processor: { endpoints: ["unix:/run/a.sock", "unix:/run/b.sock"] } }),
    ],
    [
      "with the smallest limits and times",
      () => ({ limits: { body: 1 }, timeouts: { call: "1ms", listen: "1ms", connect: "1ms" } }),
    ],
    ["with the largest body", () => ({ limits: { body: "1GiB" } })],
    [
      "with many backends",
      () => ({
        backends: Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`b-${n}`, { endpoints: ["127.0.0.1:1"] }])),
      }),
    ],
  ])("%s", (_, sections) => {
    const validation = validateBootstrap(bootstrapFor(configOf(sections())));
    expect(validation.ok, validation.output).toBe(true);
  });
});

// Envoy tries for seconds to reach the processor.
describe.concurrent("without a processor", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());
  beforeEach(({ onTestFailed }) => {
    onTestFailed(() => void process.stderr.write(stack.envoy.output()));
  });

  test.for<[string, string, Record<string, string>]>([
    ["a POST", "POST", {}],
    ["a POST that names a backend itself", "POST", { "x-mcp-backend": "pair", "x-mcp-endpoint": "127.0.0.1:1" }],
    ["a GET", "GET", { accept: "text/event-stream", "x-mcp-backend": "pair" }],
    ["a DELETE", "DELETE", { "x-mcp-backend": "pair" }],
  ])(
    "%s is refused as JSON-RPC, to be tried again, and reaches no backend",
    async ([, method, headers], { expect }) => {
      const answer = await send({
        port: stack.gateway,
        method,
        path: "/mcp",
        headers,
        ...(method === "POST" && { body: "{}" }),
      });
      expect(answer.status).toBe(503);
      expect(answer.headers).toMatchObject({ "content-type": "application/json", "retry-after": "1" });
      expect(JSON.parse(answer.body)).toEqual({
        jsonrpc: "2.0",
        error: { code: -32603, message: "Gateway unavailable" },
      });
      expect(stack.received()).toEqual([]);
    },
  );
});

describe("the egress listener", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());
  beforeEach(() => {
    stack.forget();
    onTestFailed(() => void process.stderr.write(stack.envoy.output()));
  });

  /** A call of the processor's own. */
  const call = (backend: string, headers: Record<string, string> = {}) =>
    post(stack.egress, "/mcp", "{}", { "x-mcp-backend": backend, ...headers });

  test("routes by x-mcp-backend and says which endpoint served, whatever the backend says", async () => {
    const answer = await call("named", { "x-test": "claim" });
    expect(answer.status).toBe(200);
    expect(answer.headers["x-mcp-endpoint"]).toBe(stack.endpoints.first);
  });

  test("pins by x-mcp-endpoint", async () => {
    for (const endpoint of [stack.endpoints.second, stack.endpoints.second, stack.endpoints.first]) {
      const answer = await call("pair", { "x-mcp-endpoint": endpoint });
      expect(answer.headers["x-mcp-endpoint"]).toBe(endpoint);
    }
  });

  test("spreads what is not pinned evenly", async () => {
    const served = [await call("pair"), await call("pair"), await call("pair"), await call("pair")];
    const first = served.filter(({ headers }) => headers["x-mcp-endpoint"] === stack.endpoints.first);
    expect(first).toHaveLength(2);
  });

  test("keeps a pin to a dead endpoint, while what is not pinned learns to avoid it", async () => {
    const pinned = { "x-mcp-endpoint": stack.endpoints.dead };
    for (let n = 0; n < 5; n++) expectUnavailable(await call("half", pinned));
    for (let n = 0; n < 6; n++) expect((await call("half")).status).toBe(200);
    expectUnavailable(await call("half", pinned));
    expect(await stack.envoy.stat("cluster.half.outlier_detection.ejections_active")).toBe(1);
  });

  test.each([
    ["no backend", {}],
    ["an unknown one", { "x-mcp-backend": "nobody" }],
  ])("sends a request that names %s nowhere", async (_, headers) => {
    expectUnavailable(await post(stack.egress, "/mcp", "{}", headers));
    expect(stack.received()).toEqual([]);
  });

  test("gives a backend its own address as Host: an IP's, a name's, or the configured one", async () => {
    const hosts: [string, string][] = [
      ["address", stack.endpoints.first],
      ["named", stack.endpoints.first.replace("127.0.0.1", "localhost")],
      ["hosted", "mcp.example.com"],
    ];
    for (const [backend, host] of hosts) expect(JSON.parse((await call(backend)).body).host).toBe(host);
  });

  test("speaks TLS to a backend whose certificate is for its server name, and to no other", async () => {
    expect((await call("secure")).status).toBe(200);
    expectUnavailable(await call("impostor"));
  });

  test("leaves a backend's own errors alone", async () => {
    for (const status of [404, 413, 503, 504]) {
      const answer = await call("address", { "x-test": String(status) });
      expect(answer).toMatchObject({ status, body: `its own ${status}` });
      expect(answer.headers["retry-after"]).toBeUndefined();
    }
  });

  test("reports a call that was cut, and neither repeats it nor asks to", async () => {
    const answer = await call("pair", {
      "x-test": "reset",
      "x-envoy-retry-on": "5xx,reset",
      "x-envoy-max-retries": "3",
    });
    expect(answer.status).toBe(503);
    expect(answer.headers["retry-after"]).toBeUndefined();
    expect(JSON.parse(answer.body)).toEqual({
      jsonrpc: "2.0",
      error: { code: -32603, message: "Backend connection lost" },
    });
    expect(stack.received()).toHaveLength(1);
  });

  test.each([
    ["a POST", "POST", "quick", {}],
    ["a stream", "GET", "quick-stream", { accept: "application/json, text/event-stream" }],
    ["a stream of any type", "GET", "quick-stream", { accept: "*/*" }],
    ["a subscription", "POST", "quick-stream", { "x-mcp-method": "subscriptions/listen" }],
  ])("ends %s to a silent backend after its time, with 504", async (_, method, backend, headers) => {
    const started = performance.now();
    const answer = await send({
      port: stack.egress,
      method,
      path: "/mcp",
      headers: { ...headers, "x-mcp-backend": backend, "x-test": "silence" },
    });
    expect(answer.status).toBe(504);
    expect(JSON.parse(answer.body)).toEqual({ jsonrpc: "2.0", error: { code: -32603, message: "Backend timed out" } });
    // The other kind of request has a time of a minute.
    expect(performance.now() - started).toBeLessThan(40_000);
  });
});

describe("the access log", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());

  test("has a JSON line for each request, with - for what is absent, and no secrets", async () => {
    onTestFailed(() => void process.stderr.write(stack.envoy.output()));
    const secrets = { "mcp-session-id": "secret-1", authorization: "Bearer secret-2" };
    await post(stack.gateway, "/public/mcp?token=secret-3", "{}", {
      ...secrets,
      "x-mcp-name": "forged",
      "x-mcp-tool": "forged",
      "x-mcp-client": "forged",
      "x-client-id": "me",
    });
    await post(stack.egress, "/mcp?token=secret-3", "{}", {
      ...secrets,
      "x-mcp-backend": "named",
      "x-mcp-method": "tools/call",
      "x-mcp-name": 'say "hi"\\',
      "x-mcp-tool": "say",
    });
    const [gateway, egress] = await stack.logged(2);
    expect(gateway).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      listener: "gateway",
      client: "127.0.0.1",
      principal: "-",
      request_id: expect.stringMatching(/^[\da-f-]{36}$/),
      method: "POST",
      path: "/public/mcp",
      authority: `127.0.0.1:${stack.gateway}`,
      status: 503,
      flags: "-",
      details: expect.stringContaining("ext_proc_error"),
      duration_ms: expect.any(Number),
      bytes_in: 2,
      bytes_out: expect.any(Number),
      upstream: "-",
      mcp_method: "-",
      mcp_name: "-",
      mcp_tool: "-",
      mcp_client: "-",
      backend: "-",
      endpoint: "-",
      session: "-",
      client_id: "me",
      user_agent: "-",
    });
    expect(egress).toMatchObject({
      listener: "egress",
      path: "/mcp",
      authority: `127.0.0.1:${stack.egress}`,
      status: 200,
      details: "via_upstream",
      upstream: stack.endpoints.first,
      mcp_method: "tools/call",
      mcp_name: 'say "hi"\\',
      mcp_tool: "say",
      backend: "named",
      endpoint: "-",
    });
    expect(JSON.stringify([gateway, egress])).not.toContain("secret");
  });
});

describe("routes take in Envoy what the lint thinks they take", () => {
  const ports = { gateway: 0, admin: 0 };
  let envoy: RunningEnvoy;
  beforeAll(async () => {
    Object.assign(ports, { gateway: await freePort(), admin: await freePort() });
    envoy = await startEnvoy(bootstrapOfRoutes(ports.gateway, ports.admin), `127.0.0.1:${ports.admin}`);
  });
  afterAll(async () => void (await envoy?.stop()));

  test.each(ROUTE_MATCHES.map(({ match, requests }, n) => [JSON.stringify(match), n, requests] as const))(
    "%s",
    async (_, n, requests) => {
      const answers = await Promise.all(
        requests.map(({ path, header }) =>
          send({
            port: ports.gateway,
            path,
            headers: { host: `match-${n}`, ...(header !== undefined && { "x-t": header }) },
          }),
        ),
      );
      const taken = requests.filter((_, i) => answers[i]?.status === 200);
      expect(taken).toEqual(requests.filter((request) => request.taken));
    },
  );

  test.each(ROUTE_TREES.map(({ what, requests }, n) => [what, n, requests] as const))(
    "in a tree %s",
    async (_, n, requests) => {
      const chosen = requests.map(async ({ path, a, b }) => {
        const headers = {
          host: `tree-${n}`,
          ...(a !== undefined && { "x-a": a }),
          ...(b !== undefined && { "x-b": b }),
        };
        const { status, body } = await send({ port: ports.gateway, path, headers });
        return status === 200 ? body : undefined;
      });
      expect(await Promise.all(chosen)).toEqual(requests.map((request) => request.chosen));
    },
  );
});

/** A virtual host for each of ROUTE_MATCHES, which answers 200 to what it takes, and for each of ROUTE_TREES. */
function bootstrapOfRoutes(port: number, admin: number): string {
  const treeHost = ({ matcher }: (typeof ROUTE_TREES)[number], n: number) => ({
    name: `tree-${n}`,
    domains: [`tree-${n}`],
    matcher,
  });
  const host = ({ match }: (typeof ROUTE_MATCHES)[number], n: number) => ({
    name: `match-${n}`,
    domains: [`match-${n}`],
    routes: [{ match, direct_response: { status: 200 } }],
  });
  const address = (port_value: number) => ({ socket_address: { address: "127.0.0.1", port_value } });
  const typed = (type: string, message: object) => ({
    name: type,
    typed_config: { "@type": `type.googleapis.com/${type}`, ...message },
  });
  const manager = typed(HCM_TYPE, {
    stat_prefix: "matches",
    route_config: { virtual_hosts: [...ROUTE_MATCHES.map(host), ...ROUTE_TREES.map(treeHost)] },
    http_filters: [typed(ROUTER_TYPE, {})],
  });
  const listener = { name: "matches", address: address(port), filter_chains: [{ filters: [manager] }] };
  return JSON.stringify({ admin: { address: address(admin) }, static_resources: { listeners: [listener] } });
}

function expectUnavailable(answer: Answer): void {
  expect(answer.status).toBe(503);
  expect(answer.headers).toMatchObject({ "content-type": "application/json", "retry-after": "1" });
  expect(JSON.parse(answer.body)).toEqual({ jsonrpc: "2.0", error: { code: -32603, message: "Backend unavailable" } });
}

function configOf(sections: Readonly<Record<string, unknown>>): Config {
  const backends = (sections.backends ?? { one: { endpoints: ["127.0.0.1:3001"] } }) as Record<string, unknown>;
  const [backend = ""] = Object.keys(backends);
  const text = JSON.stringify({ backends, routes: [{ path: "/mcp", backends: [backend] }], ...sections });
  return readConfigText("mcp-router.yaml", text).config;
}

interface Stack {
  readonly gateway: number;
  readonly egress: number;
  readonly envoy: RunningEnvoy;
  readonly endpoints: { readonly first: string; readonly second: string; readonly dead: string };
  /** The paths of the requests that backends got since `forget`. */
  received(): readonly string[];
  forget(): void;
  /** The access log's first entries, once there are as many. */
  logged(count: number): Promise<unknown[]>;
  stop(): Promise<void>;
}

/** An Envoy, two backend servers and one with TLS, one port that nobody listens on, and no processor. */
async function startStack(): Promise<Stack> {
  const [gateway, egress, admin, grpc, unused] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const received: string[] = [];
  const answer: RequestListener = (request, response) => {
    received.push(request.url ?? "");
    behave(request, response);
  };
  const servers = [
    createServer(answer),
    createServer(answer),
    createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, answer),
  ];
  const [first = 0, second = 0, tls = 0] = await Promise.all(servers.map(listen));
  const endpoints = { first: `127.0.0.1:${first}`, second: `127.0.0.1:${second}`, dead: `127.0.0.1:${unused}` };
  const config = configOf({
    gateway: { listen: `127.0.0.1:${gateway}` },
    egress: { listen: `127.0.0.1:${egress}` },
    processor: { listen: `127.0.0.1:${grpc}` },
    envoy: { admin: `127.0.0.1:${admin}` },
    backends: {
      pair: { endpoints: [endpoints.first, endpoints.second] },
      half: { endpoints: [endpoints.first, endpoints.dead] },
      address: { endpoints: [endpoints.first] },
      named: { endpoints: [`localhost:${first}`] },
      hosted: { endpoints: [endpoints.first], host: "mcp.example.com" },
      secure: { endpoints: [`127.0.0.1:${tls}`], tls: { sni: "localhost", ca: cert } },
      impostor: { endpoints: [`127.0.0.1:${tls}`], tls: { sni: "mcp.example.com", ca: cert } },
      quick: { endpoints: [endpoints.first], timeouts: { call: "300ms", listen: "1m" } },
      "quick-stream": { endpoints: [endpoints.first], timeouts: { call: "1m", listen: "300ms" } },
    },
  });
  const envoy = await startEnvoy(bootstrapFor(config), `127.0.0.1:${admin}`, {
    // The access log is otherwise written every ten seconds.
    flags: ["--file-flush-interval-msec", "100"],
  });
  return {
    gateway,
    egress,
    envoy,
    endpoints,
    received: () => received,
    forget: () => void received.splice(0),
    logged: async (count) => {
      const entries = () =>
        envoy
          .output()
          .split("\n")
          .filter((line) => line.startsWith("{"));
      await expect.poll(() => entries().length).toBeGreaterThanOrEqual(count);
      return entries().map((line) => JSON.parse(line));
    },
    stop: async () => {
      await envoy.stop();
      await Promise.all(servers.map(close));
    },
  };
}

/** Answers with the Host that it was sent, or does what `x-test` says. */
function behave(request: IncomingMessage, response: ServerResponse): void {
  const wanted = request.headers["x-test"];
  request.resume();
  if (wanted === "silence") return;
  if (wanted === "reset") return void request.socket.destroy();
  if (wanted === "claim") response.setHeader("x-mcp-endpoint", "10.0.0.1:1");
  const status = Number(wanted) || 200;
  response.writeHead(status, { "content-type": status === 200 ? "application/json" : "text/plain" });
  response.end(status === 200 ? JSON.stringify({ host: request.headers.host }) : `its own ${status}`);
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : 0);
    }),
  );
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
