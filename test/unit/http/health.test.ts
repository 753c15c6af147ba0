import { request } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { freePort } from "../../../harness/ports.ts";
import { type HealthSource, serveHealth } from "../../../src/http/health.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

async function open(over: Partial<HealthSource> = {}) {
  const port = await freePort();
  const faults: unknown[] = [];
  const source: HealthSource = {
    readiness: () => ({ ready: true, troubles: [] }),
    render: async () => "metrics\n",
    contentType: "text/plain; version=0.0.4",
    catalogue: async () => "{}",
    configuration: () => '{"sections":{}}',
    discovery: () => ({ kind: "unknown" }),
    fault: (error) => faults.push(error),
    ...over,
  };
  const server = await serveHealth({ host: "127.0.0.1", port }, source);
  owner.defer(() => server.close());
  /** Not by fetch, which knows no TRACE. */
  const ask = (path: string, method = "GET") =>
    new Promise<{ status: number | undefined; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
      const sent = request({ host: "127.0.0.1", port, path, method, agent: false }, async (answer) => {
        let body = "";
        for await (const chunk of answer.setEncoding("utf8")) body += String(chunk);
        resolve({ status: answer.statusCode, headers: answer.headers, body });
      });
      sent.on("error", reject).end();
    });
  return { ask, faults };
}

describe.each(["/healthz", "/readyz", "/metrics", "/catalogue", "/configuration", "/other"])("%s", (path) => {
  test.each(["PUT", "POST", "DELETE", "TRACE", "OPTIONS", "PATCH"])("takes no %s", async (method) => {
    const { ask } = await open();
    const answer = await ask(path, method);
    expect(answer).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
  });

  test("answers HEAD as GET, without the body", async () => {
    const { ask } = await open();
    const [get, head] = [await ask(path), await ask(path, "HEAD")];
    expect(head).toMatchObject({ status: get.status, body: "" });
    expect(head.headers["content-type"]).toBe(get.headers["content-type"]);
  });
});

test.each([
  [{ ready: true, troubles: [] }, 200, "ready\n"],
  [{ ready: true, troubles: ["the store refuses: OOM"] }, 200, "ready\nthe store refuses: OOM\n"],
  [{ ready: false, troubles: ["the store is away"] }, 503, "not ready\nthe store is away\n"],
])("readiness of %j", async (readiness, status, body) => {
  const { ask } = await open({ readiness: async () => readiness });
  expect(await ask("/readyz")).toMatchObject({ status, body });
});

test.each([
  ['{"backends":[]}', 200, "application/json", '{"backends":[]}'],
  [undefined, 503, "text/plain; charset=utf-8", "no worker answers\n"],
])("the catalogue is told as JSON: %j", async (text, status, type, body) => {
  const { ask } = await open({ catalogue: async () => text });
  expect(await ask("/catalogue?x")).toMatchObject({ status, headers: { "content-type": type }, body });
});

test("metrics are rendered once for all who ask meanwhile", async () => {
  let rendered = 0;
  const slow = Promise.withResolvers<void>();
  const { ask } = await open({
    render: async () => {
      if (++rendered === 1) await slow.promise;
      return `rendering ${rendered}\n`;
    },
  });
  const first = ask("/metrics");
  await expect.poll(() => rendered).toBe(1);
  const others = Array.from({ length: 40 }, () => ask("/metrics"));
  // As many as have come are waiting by then; those of the next rendering are all the same.
  await ask("/healthz");
  slow.resolve();
  expect((await first).status).toBe(200);
  for (const { status } of await Promise.all(others)) expect(status).toBe(200);
  // Each alone would be 41.
  expect(rendered).toBeLessThan(41);
});

test("what fails is told, and answered with 500", async () => {
  const error = new Error("broken");
  const { ask, faults } = await open({ render: () => Promise.reject(error) });
  expect(await ask("/metrics")).toMatchObject({ status: 500, body: "" });
  expect(faults).toEqual([error]);
  expect(await ask("/healthz")).toMatchObject({ status: 200 });
});
