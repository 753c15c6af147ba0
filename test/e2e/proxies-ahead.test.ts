/** What stands ahead of Envoy: nginx as it comes, balancers that check health, clients in HTTP/1.0, and what they say of a client. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { generate } from "selfsigned";
import { Agent, request } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { directoryOfTests } from "../support/directory.ts";
import { callMessage, MCP_HEADERS, openResponse, post, send } from "../support/http.ts";
import { NGINX_MISSING, type RunningNginx, startNginx } from "../support/nginx.ts";
import { FIRST_EVENT, type PacedBackend, startPacedBackend } from "../support/paced.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/one/mcp";
const directory = directoryOfTests("proxies");
const tls = { cert: join(directory, "cert.pem"), key: join(directory, "key.pem") };

let backend: PacedBackend;
beforeAll(async () => {
  const made = await generate([{ name: "commonName", value: "localhost" }], { keyType: "ec", curve: "P-256" });
  writeFileSync(tls.key, made.private);
  writeFileSync(tls.cert, made.cert);
  backend = await startPacedBackend();
});
afterAll(async () => {
  await backend?.close();
});

const stackWith = (gateway: object) => startStack({ backends: { one: [backend.endpoint] }, config: { gateway } });

/** Sends bytes, gives what comes back until `enough`, or the end of the connection. */
async function raw(port: number, head: string, enough: (text: string) => boolean = () => false) {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  const seen = new Promise<void>((resolve) => {
    socket.on("data", (chunk) => {
      text += chunk;
      if (enough(text)) resolve();
    });
    socket.on("close", () => resolve());
  });
  socket.write(head);
  await seen;
  return { socket, text: () => text };
}

const http10 = (body: string) =>
  `POST ${PATH} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n` +
  `Accept: application/json, text/event-stream\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe("HTTP/1.0", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await stackWith({});
  });
  afterAll(() => stack?.stop());

  test("is answered, without chunks, and events come as they are sent", async () => {
    const { socket, text } = await raw(stack.port, http10(JSON.stringify(callMessage("echo"))), (answer) =>
      answer.includes(FIRST_EVENT),
    );
    expect(text()).toMatch(/^HTTP\/1\.[01] 200 OK\r\n/);
    expect(text().toLowerCase()).not.toContain("transfer-encoding");
    backend.finish();
    await once(socket, "close");
    expect(text().split("\r\n\r\n")[1]).toMatch(/^data: .*\n\ndata: .*\n\n$/);
  });

  test("without a Host is refused as any unknown Host is, where gateway.hosts is set", async () => {
    const before = backend.requests;
    const body = JSON.stringify(callMessage("echo"));
    const { text } = await raw(stack.port, http10(body).replace("Host: localhost\r\n", ""));
    expect(text()).toMatch(/^HTTP\/1\.[01] 403 /);
    expect(text()).toContain("Host not allowed");
    expect(backend.requests).toBe(before);
  });
});

describe.skipIf(NGINX_MISSING)("behind nginx", () => {
  let stack: Stack;
  let secure: Stack;
  let nginx: RunningNginx | undefined;
  beforeAll(async () => {
    [stack, secure] = await Promise.all([stackWith({}), stackWith({ tls })]);
  });
  afterEach(async () => {
    await nginx?.stop();
    nginx = undefined;
  });
  afterAll(() => Promise.all([stack?.stop(), secure?.stop()]));

  test.each<[string, string, () => string, boolean]>([
    ["as it comes", "http", () => `proxy_pass http://127.0.0.1:${stack.port};`, false],
    [
      "as the documentation has it",
      "http",
      () =>
        `proxy_pass http://127.0.0.1:${stack.port}; proxy_http_version 1.1; proxy_buffering off; proxy_set_header Host localhost;`,
      false,
    ],
    ["that ends TLS", "https", () => `proxy_pass http://127.0.0.1:${stack.port};`, true],
    ["that speaks TLS to Envoy", "http", () => `proxy_pass https://127.0.0.1:${secure.port};`, false],
    ["that ends TLS and speaks it to Envoy", "https", () => `proxy_pass https://127.0.0.1:${secure.port};`, true],
  ])("%s, a call is answered, and its progress comes before its end", async (_, scheme, location, endsTls) => {
    nginx = await startNginx(location(), endsTls ? tls : undefined);
    const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
    const { statusCode, body } = await request(`${scheme}://127.0.0.1:${nginx.port}${PATH}`, {
      method: "POST",
      headers: MCP_HEADERS,
      body: JSON.stringify(callMessage("echo")),
      dispatcher,
    });
    expect(statusCode).toBe(200);
    let text = "";
    for await (const chunk of body) {
      text += chunk;
      // The backend waits for it: were events held back, this would not end.
      if (text === FIRST_EVENT) backend.finish();
    }
    expect(text.startsWith(FIRST_EVENT)).toBe(true);
    expect(text).toContain('"result"');
    await dispatcher.close();
  });
});

describe("gateway.health", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      backends: { one: { endpoints: [backend.endpoint], path: "/healthz" } },
      config: {
        gateway: { health: "/healthz", origins: ["http://localhost"] },
        admission: { guard: { perSecond: 100, burst: 100 } },
      },
    });
  });
  afterAll(() => stack?.stop());

  test("is a path of Envoy's alone: another Host, HTTP/1.0, no router, and it is not logged", async () => {
    const asked = backend.requests;
    expect((await send({ port: stack.port, path: "/healthz", headers: { host: "10.1.2.3" } })).status).toBe(200);
    expect((await send({ port: stack.port, path: "/healthz?from=balancer" })).status).toBe(200);
    expect((await raw(stack.port, "OPTIONS /healthz HTTP/1.0\r\n\r\n")).text()).toMatch(/^HTTP\/1\.[01] 200 /);
    await stack.envoy.stat("server.live");
    expect(await stack.envoy.stat("cluster.mcp_router.upstream_rq_total")).toBe(0);
    // The next one is, as soon as it has ended.
    await send({ port: stack.port, path: "/healthzz" });
    await expect.poll(() => stack.accessLog.map(({ path }) => path), { timeout: 20_000 }).toEqual(["/healthzz"]);
    expect(backend.requests).toBe(asked);
  });

  test("shadows no backend whose own path it is", async () => {
    const response = await openResponse({
      port: stack.port,
      method: "POST",
      path: PATH,
      headers: MCP_HEADERS,
      body: JSON.stringify(callMessage("echo")),
    });
    await once(response, "data");
    expect(backend.last()?.url).toBe("/healthz");
    backend.finish();
    response.resume();
    await once(response, "end");
  });

  test("is 503 where Envoy is told to leave", async () => {
    const admin = (path: string) => stack.envoy.admin(path, "POST");
    await admin("/healthcheck/fail");
    expect((await send({ port: stack.port, path: "/healthz" })).status).toBe(503);
    await admin("/healthcheck/ok");
    expect((await send({ port: stack.port, path: "/healthz" })).status).toBe(200);
  });
});

describe("what proxies ahead say of a client", () => {
  const FORGED = {
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "forged.example",
    "x-forwarded-port": "8443",
    "x-real-ip": "203.0.113.9",
    forwarded: "for=203.0.113.9",
    "user-agent": "told",
  };
  /** Of a client on loopback Envoy says the machine's own address. */
  const OWN_ADDRESS = expect.stringMatching(/^(?!203\.)[\d.]+$/);
  const told = async (stack: Stack) => {
    const before = backend.requests;
    const answer = post(stack.port, PATH, callMessage("echo"), FORGED);
    await expect.poll(() => backend.requests, { timeout: 20_000 }).toBeGreaterThan(before);
    const seen = Object.entries(backend.last()?.headers ?? {}).filter(([name]) =>
      /^x-forwarded-|^forwarded$|^x-real-ip$/.test(name),
    );
    backend.finish();
    await answer;
    await expect.poll(() => stack.accessLog.length, { timeout: 20_000 }).toBe(1);
    return { seen: Object.fromEntries(seen), client: stack.accessLog[0]?.client };
  };

  test("reaches neither backend nor log by default, when a client says it", async () => {
    const stack = await stackWith({});
    try {
      const { seen, client } = await told(stack);
      expect(seen).toEqual({ "x-forwarded-for": OWN_ADDRESS, "x-forwarded-proto": "http" });
      expect(client).toBe("127.0.0.1");
    } finally {
      await stack.stop();
    }
  });

  test("is believed of as many as gateway.trustedHops says", async () => {
    const stack = await stackWith({ trustedHops: 1 });
    try {
      const { seen, client } = await told(stack);
      expect(seen).toMatchObject({
        "x-forwarded-for": expect.stringMatching(/^203\.0\.113\.9,[\d.]+$/),
        "x-forwarded-proto": "https",
        "x-forwarded-host": "forged.example",
      });
      expect(client).toBe("203.0.113.9");
    } finally {
      await stack.stop();
    }
  });
});
