/** Verdicts that no route gives yet, against the real Envoy: bodies replaced, answers rewritten, every phase deferred. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { stringify } from "yaml";
import { type RunningEnvoy, startEnvoy } from "../../harness/envoy.ts";
import { freePort } from "../../harness/ports.ts";
import { readConfigText } from "../../src/config/read.ts";
import { forward } from "../../src/core/forward.ts";
import { type BodyRewriter, CONTINUE, type Decision, type Verdict } from "../../src/core/http.ts";
import { bootstrapFor } from "../../src/envoy-config/bootstrap.ts";
import { createExtProcServer } from "../../src/ext-proc/server.ts";
import type { Exchange } from "../../src/gateway/exchange.ts";
import { openResponse, post, send } from "../support/http.ts";
import { startHttpServer } from "../support/scripted-server.ts";

type Mutation = Extract<Verdict, { kind: "mutate" }>;

const PATH = "/one/mcp";
/** processor.messageTimeout of these tests, in ms. */
const MESSAGE_TIMEOUT = 500;

let started = new AsyncDisposableStack();
afterEach(async () => {
  await started.disposeAsync();
  started = new AsyncDisposableStack();
});

/** Envoy with an exchange of the test's own, in front of a backend that answers as the test says. */
async function open(
  over: (toBackend: Mutation) => Partial<Exchange>,
  answer: (body: string, response: ServerResponse) => void,
) {
  const [port, egress, grpc, admin] = await Promise.all(Array.from({ length: 4 }, freePort));
  const lengths: (string | undefined)[] = [];
  const backend = await startHttpServer(async (request, response) => {
    lengths.push(request.headers["content-length"]);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    answer(Buffer.concat(chunks).toString(), response);
  });
  started.defer(() => backend.close());
  const { config } = readConfigText(
    "mcp-router.yaml",
    stringify({
      gateway: { listen: `127.0.0.1:${port}`, hosts: ["127.0.0.1"] },
      egress: { listen: `127.0.0.1:${egress}` },
      processor: { listen: `127.0.0.1:${grpc}`, messageTimeout: `${MESSAGE_TIMEOUT}ms` },
      envoy: { admin: `127.0.0.1:${admin}` },
      backends: { one: { endpoints: [backend.endpoint], path: "/mcp" } },
      routes: [{ path: PATH, backends: ["one"] }],
    }),
  );
  const faults: unknown[] = [];
  const [{ name, path, onSessionLost, origin, credentials, timeouts } = missing()] = config.backends;
  const toBackend = forward(
    {
      backend: { name, path, onSessionLost, origin, credentials, timeouts },
      query: "",
      labels: undefined,
      sessionTag: undefined,
      principalTag: undefined,
      pin: undefined,
      version: undefined,
    },
    [],
  );
  if (toBackend.kind !== "mutate") throw new Error("a request is forwarded by a mutation");
  const exchange: Exchange = {
    requestHeaders: () => CONTINUE,
    requestBody: () => toBackend,
    responseHeaders: () => CONTINUE,
    closed: () => undefined,
    fault: () => ({ kind: "reply", status: 500, headers: [], body: "", details: "mcp_internal" }),
    ...over(toBackend),
  };
  const server = createExtProcServer({
    relayed: () => undefined,
    gateway: { open: () => exchange },
    bodyLimit: config.limits.body,
    reportFault: (error) => void faults.push(error),
  });
  started.defer(async () => void (await server.drain(0)));
  await server.listen({ kind: "tcp", host: "127.0.0.1", port: grpc ?? 0 });
  const envoy: RunningEnvoy = await startEnvoy(bootstrapFor(config), `127.0.0.1:${admin}`);
  started.defer(async () => void (await envoy.stop()));
  return { port: port ?? 0, faults, lengths };
}

function missing(): never {
  throw new Error("no backend");
}

/** Changes each letter to upper case twice, event by event: the length changes, and an event waits until it is whole. */
function doubling(): BodyRewriter {
  let held = "";
  const twice = (text: string) => Buffer.from(text.replace(/[a-z]/g, (letter) => letter.toUpperCase().repeat(2)));
  return {
    write(chunk) {
      const text = held + Buffer.from(chunk).toString();
      const end = text.lastIndexOf("\n\n") + 2;
      if (end === 1) {
        held = text;
        return new Uint8Array();
      }
      held = text.slice(end);
      return twice(text.slice(0, end));
    },
    end: () => twice(held),
  };
}

const rewrite = (rewriter: BodyRewriter): Verdict => ({
  kind: "rewrite",
  set: [["x-rewritten", "1"]],
  remove: [],
  rewriter,
});

test.each([false, true])(
  "a request's body is replaced by a longer one, with its length (sent in chunks: %s)",
  async (chunked) => {
    const long = `{"text":"${"é".repeat(100_000)}"}`;
    const { port, lengths } = await open(
      (toBackend) => ({ requestBody: () => ({ ...toBackend, body: Buffer.from(long) }) }),
      (body, response) => void response.end(JSON.stringify({ same: body === long })),
    );
    const answer = await send({
      port,
      method: "POST",
      path: PATH,
      headers: { "content-type": "application/json" },
      body: "{}",
      chunked,
    });
    expect(answer).toMatchObject({ status: 200, body: '{"same":true}' });
    expect(lengths).toEqual([String(Buffer.byteLength(long))]);
  },
);

test("an event stream is rewritten event by event, each as soon as it is whole", async () => {
  let go: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => (go = resolve));
  const { port, faults } = await open(
    () => ({ responseHeaders: () => rewrite(doubling()) }),
    async (_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(": a\n\n: b");
      await asked;
      response.end("c\n\n: d");
    },
  );
  const response = await openResponse({
    port,
    method: "POST",
    path: PATH,
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  expect(response.headers["x-rewritten"]).toBe("1");
  let text = "";
  response.on("data", (chunk) => (text += String(chunk)));
  await once(response, "data");
  expect(text).toBe(": AA\n\n");
  go();
  await once(response, "end");
  expect(text).toBe(": AA\n\n: BBCC\n\n: DD");
  expect(faults).toEqual([]);
});

test("an answer of a known length is rewritten to another one", async () => {
  const { port } = await open(
    () => ({ responseHeaders: () => rewrite(doubling()) }),
    (_, response) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": "4" }).end('"ab"');
    },
  );
  const answer = await post(port, PATH, "{}");
  expect(answer).toMatchObject({ status: 200, body: '"AABB"' });
  expect(answer.headers["content-length"]).toBeUndefined();
});

test("an answer whose rewriter fails is cut off, and nothing of it passes as it was", async () => {
  const broken = new Error("broken");
  let pieces = 0;
  const { port, faults } = await open(
    () => ({
      responseHeaders: () =>
        rewrite({
          write: (chunk) => {
            if (++pieces > 1) throw broken;
            return Buffer.from(String(chunk.length));
          },
          end: () => new Uint8Array(),
        }),
    }),
    async (_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("secret");
      await pause(50);
      response.end("secret");
    },
  );
  const response = await openResponse({
    port,
    method: "POST",
    path: PATH,
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  let text = "";
  response.on("data", (chunk) => (text += String(chunk)));
  await expect(once(response, "end")).rejects.toThrow("aborted");
  expect(text).toBe("6");
  expect(faults).toEqual([broken]);
});

test.each(["requestHeaders", "requestBody", "responseHeaders"] as const)(
  "%s may be deferred for longer than Envoy waits by itself",
  async (phase) => {
    const deferred = (verdict: Verdict): Decision => ({
      kind: "deferred",
      messageTimeout: MESSAGE_TIMEOUT * 20,
      verdict: pause(MESSAGE_TIMEOUT * 3, verdict),
    });
    const { port } = await open(
      (toBackend) => ({ [phase]: () => deferred(phase === "requestBody" ? toBackend : CONTINUE) }),
      (_, response) => void response.end("{}"),
    );
    expect(await post(port, PATH, "{}")).toMatchObject({ status: 200, body: "{}" });
  },
);
