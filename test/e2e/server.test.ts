import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../harness/ports.ts";
import { createExtProcServer, type ExtProcServer } from "../../src/ext-proc/server.ts";
import type { Exchange } from "../../src/gateway.ts";
import { callTool, openSession } from "../support/http.ts";
import { startMcpServer } from "../support/mcp-server.ts";
import { startStack } from "../support/stack.ts";

const PROTO_ROOT = join(import.meta.dirname, "../../proto");
const definition = loadSync(["envoy/service/ext_proc/v3/external_processor.proto", "grpc/health/v1/health.proto"], {
  includeDirs: [PROTO_ROOT],
  keepCase: true,
  defaults: false,
  enums: String,
});
// The generated clients have no static types; what is called on them is asserted by the tests themselves.
// biome-ignore lint/suspicious/noExplicitAny: see above
const services = grpc.loadPackageDefinition(definition) as any;
const BODY_LIMIT = 64 * 1024;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "mcp-router-test-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const idle: Exchange = {
  requestHeaders: () => ({ kind: "continue" }),
  requestBody: () => ({ kind: "continue" }),
  responseHeaders: () => ({ kind: "continue" }),
  answersWithEvents: false,
  fault: () => ({ kind: "reply", status: 500, headers: [], body: "", details: "mcp_internal" }),
};

function makeServer(exchange: Exchange = idle): ExtProcServer {
  return createExtProcServer({
    gateway: { open: () => exchange },
    bodyLimit: BODY_LIMIT,
    reportFault: () => undefined,
  });
}

const insecure = grpc.credentials.createInsecure();

describe("the health service", () => {
  test("says SERVING, and NOT_SERVING to who watches once the server drains", async () => {
    const server = makeServer();
    const port = await freePort();
    await server.listen({ kind: "tcp", host: "127.0.0.1", port });
    const client = new services.grpc.health.v1.Health(`127.0.0.1:${port}`, insecure);
    const check = await new Promise((resolve, reject) =>
      client.Check({}, (error: Error | null, answer: unknown) => (error ? reject(error) : resolve(answer))),
    );
    expect(check).toEqual({ status: "SERVING" });

    const watched: unknown[] = [];
    const watch = client.Watch({});
    const ended = new Promise((resolve) => watch.on("end", resolve));
    await new Promise<void>((resolve) =>
      watch.on("data", (answer: unknown) => {
        watched.push(answer);
        resolve();
      }),
    );
    expect(await server.drain(5_000)).toBe(true);
    await ended;
    expect(watched).toEqual([{ status: "SERVING" }, { status: "NOT_SERVING" }]);
    client.close();
  });
});

describe("draining", () => {
  test("lets a request under way finish", async () => {
    const server = makeServer();
    const port = await freePort();
    await server.listen({ kind: "tcp", host: "127.0.0.1", port });
    const client = new services.envoy.service.ext_proc.v3.ExternalProcessor(`127.0.0.1:${port}`, insecure);
    const call = client.Process();
    const answers: unknown[] = [];
    const next = () => new Promise((resolve) => call.once("data", resolve));
    call.on("data", (answer: unknown) => answers.push(answer));
    let answered = next();
    call.write({ request_headers: {} });
    await answered;
    const drained = server.drain(10_000);
    answered = next();
    call.write({ request_body: {} });
    await answered;
    call.end();
    expect(await drained).toBe(true);
    expect(answers).toEqual([{ request_headers: {} }, { request_body: {} }]);
    client.close();
  });

  test("cuts what is left at its deadline, with an error and never with OK", async () => {
    let arrived: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const never = () => {
      arrived();
      return new Promise<never>(() => undefined);
    };
    const server = makeServer({ ...idle, requestHeaders: never });
    const port = await freePort();
    await server.listen({ kind: "tcp", host: "127.0.0.1", port });
    const client = new services.envoy.service.ext_proc.v3.ExternalProcessor(`127.0.0.1:${port}`, insecure);
    const call = client.Process();
    const failed = new Promise<grpc.ServiceError>((resolve) => call.on("error", resolve));
    call.write({ request_headers: {} });
    await waiting;
    expect(await server.drain(50)).toBe(false);
    expect((await failed).code).not.toBe(grpc.status.OK);
    client.close();
  });
});

test("a message that is larger than the body limit allows, or is none, ends its stream with an error", async () => {
  const server = makeServer();
  const port = await freePort();
  await server.listen({ kind: "tcp", host: "127.0.0.1", port });
  const client = new services.envoy.service.ext_proc.v3.ExternalProcessor(`127.0.0.1:${port}`, insecure);
  for (const [message, code] of [
    [{ request_body: { body: Buffer.alloc(BODY_LIMIT + 2 * 1024 * 1024) } }, grpc.status.RESOURCE_EXHAUSTED],
    [{}, grpc.status.INTERNAL],
  ]) {
    const call = client.Process();
    const failed = new Promise<grpc.ServiceError>((resolve) => call.on("error", resolve));
    call.write(message);
    expect((await failed).code).toBe(code);
  }
  client.close();
  await server.drain(1_000);
});

test("an address in use is said so", async () => {
  const blocker = createServer();
  const port = await freePort();
  await new Promise<void>((resolve) => blocker.listen(port, "127.0.0.1", resolve));
  const server = makeServer();
  await expect(server.listen({ kind: "tcp", host: "127.0.0.1", port })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port}`,
  );
  await new Promise((resolve) => blocker.close(resolve));
});

describe("a Unix socket", () => {
  test("serves Envoy, and is gone after the drain", async () => {
    const backend = await startMcpServer("server", { json: true });
    const path = join(directory, "router.sock");
    const stack = await startStack({
      backends: { server: [backend.endpoint] },
      config: { processor: { listen: `unix:${path}` } },
    });
    try {
      const session = await openSession(stack.port, "/server/mcp");
      expect(await callTool(stack.port, "/server/mcp", session, "echo", { text: "hi" })).toBe("hi");
    } finally {
      await stack.stop();
      await backend.close();
    }
  });

  test("that a killed process left behind is replaced; one that is served on is not", async () => {
    const path = join(directory, "stale.sock");
    const first = makeServer();
    await first.listen({ kind: "unix", path });
    const second = makeServer();
    await expect(second.listen({ kind: "unix", path })).rejects.toThrow(`cannot listen on unix:${path}`);
    await first.drain(1_000);
    const third = makeServer();
    await third.listen({ kind: "unix", path });
    expect(await third.drain(1_000)).toBe(true);
  });
});
