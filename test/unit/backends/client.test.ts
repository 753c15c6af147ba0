import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createEgress } from "../../../src/backends/client.ts";

const target = { backend: "one", path: "/api/mcp" };
const pin = { sessionId: "backend-id", endpoint: "10.0.0.1:80" };
const credentials = [["authorization", "Bearer ada"]] as const;

let owner = new AsyncDisposableStack();
afterEach(async () => {
  vi.restoreAllMocks();
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

/** Our client, and what answers it in the place of Envoy. */
async function open(listener: RequestListener) {
  const received: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    received.push(request);
    listener(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // A TCP listener has one.
  const egress = createEgress(`http://127.0.0.1:${port}`);
  const close = async () => {
    if (!server.listening) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  owner.defer(async () => {
    await egress.close();
    await close();
  });
  return { egress, received, close };
}

const answering = (status: number) => open((_, response) => response.writeHead(status).end("a few words"));
const never = new AbortController().signal;

test("the end of a session is a DELETE to its path, with all that Envoy and the backend must know", async () => {
  const { egress, received } = await answering(204);
  await egress.endSession(target, pin, credentials, never);
  expect(received).toHaveLength(1);
  expect(received[0]).toMatchObject({
    method: "DELETE",
    url: "/api/mcp",
    headers: {
      "x-client-id": "mcp-router/sweep",
      "x-mcp-backend": "one",
      "x-mcp-endpoint": "10.0.0.1:80",
      "mcp-session-id": "backend-id",
      authorization: "Bearer ada",
    },
  });
  expect(received[0]?.headers).not.toHaveProperty("mcp-protocol-version");
});

describe("a backend was told", () => {
  test.each([200, 202, 204, 404, 405])("when it answers %i", async (status) => {
    const { egress } = await answering(status);
    await expect(egress.endSession(target, pin, credentials, never)).resolves.toBeUndefined();
  });

  test("also when its answer goes on and on", async () => {
    const { egress } = await open((_, response) => {
      const more = () => response.write("x".repeat(100_000), more);
      response.writeHead(200);
      more();
    });
    await expect(egress.endSession(target, pin, credentials, never)).resolves.toBeUndefined();
  });
});

describe("a backend was not told", () => {
  test.each([301, 400, 401, 403, 500, 503])("when it answers %i", async (status) => {
    const { egress } = await answering(status);
    await expect(egress.endSession(target, pin, credentials, never)).rejects.toThrow(`the backend answers ${status}`);
  });

  test("when nobody is there", async () => {
    const { egress, close } = await answering(200);
    await close();
    await expect(egress.endSession(target, pin, credentials, never)).rejects.toThrow();
  });

  test("when it does not answer in time", async () => {
    const time = new AbortController();
    const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(time.signal);
    const { egress } = await open(() => time.abort(new Error("too late")));
    await expect(egress.endSession(target, pin, credentials, never)).rejects.toThrow("too late");
    expect(timeout).toHaveBeenCalledOnce();
  });

  test("when we stop before it answers", async () => {
    const stopping = new AbortController();
    const { egress } = await open(() => stopping.abort());
    await expect(egress.endSession(target, pin, credentials, stopping.signal)).rejects.toMatchObject({
      name: "AbortError",
    });
  });

  test("when we have stopped already", async () => {
    const { egress, received } = await answering(200);
    await expect(egress.endSession(target, pin, credentials, AbortSignal.abort())).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(received).toEqual([]);
  });
});

test("close ends calls under way", async () => {
  const { egress } = await open(() => void egress.close());
  await expect(egress.endSession(target, pin, credentials, never)).rejects.toThrow();
});
