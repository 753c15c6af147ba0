import { promises as dns } from "node:dns";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:http2";
import { createServer } from "node:net";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { describe, expect, test, vi } from "vitest";
import { start, waitFor } from "../../harness/child.ts";
import { freePort } from "../../harness/ports.ts";
import { createExtProcServer, type ExtProcServer } from "../../src/ext-proc/server.ts";
import type { Exchange } from "../../src/gateway/exchange.ts";
import { directoryOfTests } from "../support/directory.ts";
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

const directory = directoryOfTests("server");

const idle: Exchange = {
  closed: () => undefined,
  requestHeaders: () => ({ kind: "continue" }),
  requestBody: () => ({ kind: "continue" }),
  responseHeaders: () => ({ kind: "continue" }),
  fault: () => ({ kind: "reply", status: 500, headers: [], body: "", details: "mcp_internal" }),
};

function makeServer(exchange: Exchange = idle, faults: unknown[] = []): ExtProcServer {
  return createExtProcServer({
    relayed: () => undefined,
    gateway: { open: () => exchange },
    bodyLimit: BODY_LIMIT,
    reportFault: (error) => void faults.push(error),
  });
}

const insecure = grpc.credentials.createInsecure();

test("a server that listens on a name asks DNS for its address and for nothing else", async () => {
  const txt = vi.spyOn(dns, "resolveTxt").mockResolvedValue([]);
  const lookup = vi.spyOn(dns, "lookup");
  const server = makeServer();
  try {
    await server.listen({ kind: "tcp", host: "localhost", port: await freePort() });
    expect(lookup).toHaveBeenCalled();
    expect(txt).not.toHaveBeenCalled();
  } finally {
    vi.restoreAllMocks();
    await server.drain(0);
  }
});

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

test("a message larger than the body limit allows ends its stream with an error; one that is none gets 500 and is reported", async () => {
  const faults: unknown[] = [];
  const server = makeServer(idle, faults);
  const port = await freePort();
  await server.listen({ kind: "tcp", host: "127.0.0.1", port });
  const client = new services.envoy.service.ext_proc.v3.ExternalProcessor(`127.0.0.1:${port}`, insecure);
  for (const [message, code] of [
    [{ request_body: { body: Buffer.alloc(BODY_LIMIT + 2 * 1024 * 1024) } }, grpc.status.RESOURCE_EXHAUSTED],
  ]) {
    const call = client.Process();
    const failed = new Promise<grpc.ServiceError>((resolve) => call.on("error", resolve));
    call.write(message);
    expect((await failed).code).toBe(code);
  }
  const call = client.Process();
  const answered = new Promise((resolve) => call.once("data", resolve));
  call.write({});
  expect(await answered).toMatchObject({ immediate_response: { status: { code: 500 } } });
  expect(faults).toEqual([expect.objectContaining({ message: "a ProcessingRequest without a phase" })]);
  client.close();
  await server.drain(1_000);
});

test("an address in use is said so", async () => {
  const blocker = createServer();
  const port = await freePort();
  await new Promise<void>((resolve) => blocker.listen(port, "127.0.0.1", resolve));
  const server = makeServer();
  await expect(server.listen({ kind: "tcp", host: "127.0.0.1", port })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port} (processor.listen): something listens there already; end it, or write another address (EADDRINUSE)`,
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
    expect(existsSync(path)).toBe(false);
  });

  test("that a killed process left behind is replaced", async () => {
    const path = join(directory, "stale.sock");
    const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
    const killed = start("listener", process.execPath, ["-e", script]);
    await waitFor(killed, async () => killed.output().includes("up"));
    killed.signal("SIGKILL");
    await killed.exited;
    expect(existsSync(path)).toBe(true);

    const server = makeServer();
    await server.listen({ kind: "unix", path });
    expect(await server.drain(1_000)).toBe(true);
  });

  test("that is served on is not taken over, and outlives the end of who served on it before", async () => {
    const path = join(directory, "busy.sock");
    const first = makeServer();
    await first.listen({ kind: "unix", path });
    await expect(makeServer().listen({ kind: "unix", path })).rejects.toThrow(`cannot listen on unix:${path}`);

    const client = new services.envoy.service.ext_proc.v3.ExternalProcessor(`unix:${path}`, insecure);
    const call = client.Process();
    const answered = new Promise((resolve) => call.once("data", resolve));
    call.write({ request_headers: {} });
    await answered;
    const drained = first.drain(10_000);
    await expect.poll(() => existsSync(path)).toBe(false);
    const second = makeServer();
    await second.listen({ kind: "unix", path });
    call.end();
    expect(await drained).toBe(true);
    expect(existsSync(path)).toBe(true);
    client.close();
    await second.drain(1_000);
  });

  test("is not made where a file of another kind is, and the file stays", async () => {
    const path = join(directory, "important.txt");
    writeFileSync(path, "important");
    await expect(makeServer().listen({ kind: "unix", path })).rejects.toThrow("it is no socket");
    expect(readFileSync(path, "utf8")).toBe("important");
  });
});

test("a connection takes more bytes than one stream may send, so that no stream holds up the others", async () => {
  const server = makeServer();
  const port = await freePort();
  await server.listen({ kind: "tcp", host: "127.0.0.1", port });
  const client = connect(`http://127.0.0.1:${port}`);
  await vi.waitFor(() => expect(client.state.remoteWindowSize).toBe(16 * 1024 * 1024));
  expect(client.remoteSettings.initialWindowSize).toBeLessThan(100_000);
  client.destroy();
  await server.drain(1_000);
});

test("3,000 streams that are reset, as Envoy resets them on timeouts, fail none of their neighbours", async () => {
  const server = makeServer();
  const port = await freePort();
  await server.listen({ kind: "tcp", host: "127.0.0.1", port });
  const client = new services.envoy.service.ext_proc.v3.ExternalProcessor(`127.0.0.1:${port}`, insecure);
  const failed: grpc.ServiceError[] = [];
  const answerThenReset = () =>
    new Promise<void>((resolve) => {
      const call = client.Process();
      let answered = false;
      call.on("data", () => {
        answered = true;
        call.cancel();
      });
      call.on("error", (error: grpc.ServiceError) => {
        if (!answered) failed.push(error);
        resolve();
      });
      call.write({ request_headers: {} });
    });
  for (let sent = 0; sent < 3_000; sent += 100) await Promise.all(Array.from({ length: 100 }, answerThenReset));
  expect(failed).toEqual([]);
  client.close();
  await server.drain(1_000);
});
