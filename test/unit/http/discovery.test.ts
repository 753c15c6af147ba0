import { afterEach, expect, test } from "vitest";
import { freePort } from "../../../harness/ports.ts";
import type { DiscoveryAnswer, DiscoveryPoll } from "../../../src/http/discovery.ts";
import { serveHealth } from "../../../src/http/health.ts";

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

async function open(answer: DiscoveryAnswer) {
  const polls: DiscoveryPoll[] = [];
  const address = { host: "127.0.0.1", port: await freePort() };
  const source = {
    readiness: () => ({ ready: true, troubles: [] }),
    render: async () => "",
    contentType: "text/plain",
    catalogue: async () => "{}",
    configuration: () => "{}",
    discovery: (poll: DiscoveryPoll) => {
      polls.push(poll);
      return answer;
    },
    fault: () => undefined,
  };
  owner.adopt(await serveHealth(address, source), (it) => it.close());
  const ask = async (path: string, body: string, method = "POST") => {
    const answered = await fetch(`http://127.0.0.1:${address.port}${path}`, { method, body });
    return [answered.status, await answered.text()];
  };
  return { ask, polls };
}

test.each([
  [
    { version_info: "v1", resource_names: ["gateway"], node: { id: "e" } },
    { envoy: "e", table: "gateway", version: "v1" },
  ],
  [
    { versionInfo: "v1", resourceNames: ["gateway"], node: { id: "e" } },
    { envoy: "e", table: "gateway", version: "v1" },
  ],
  [
    { version_info: "", node: {} },
    { envoy: "", table: undefined, version: undefined },
  ],
  [{ node: { id: "e".repeat(1_000) } }, { envoy: "e".repeat(128), table: undefined, version: undefined }],
  [
    { node: { id: "e at 10.0.0.1\nnot \u001b[2Jready\u2028\\\u{1f600}" } },
    {
      envoy: "e\\u{20}at\\u{20}10.0.0.1\\u{a}not\\u{20}\\u{1b}[2Jready\\u{2028}\\u{5c}\\u{1f600}",
      table: undefined,
      version: undefined,
    },
  ],
])("Envoy's request is read in either spelling of proto3 JSON: %j", async (request, { envoy, table, version }) => {
  const { ask, polls } = await open({ kind: "given", body: '{"version_info":"v2"}' });
  expect(await ask("/v3/discovery:routes", JSON.stringify(request))).toEqual([200, '{"version_info":"v2"}']);
  expect(polls).toEqual([{ envoy: `${envoy} at 127.0.0.1`, kind: "routes", table, version }]);
});

test("an Envoy that has all is told so; of what is not there it gets 404", async () => {
  const current = await open({ kind: "current" });
  expect(await current.ask("/v3/discovery:clusters", "{}")).toEqual([304, ""]);
  const unknown = await open({ kind: "unknown" });
  expect(await unknown.ask("/v3/discovery:secrets", "{}")).toEqual([
    404,
    expect.stringContaining("clusters, listeners"),
  ]);
});

test.each(["", "no JSON", "[]", '{"node":1}', `{"version_info":"${"v".repeat(65)}"}`, "x".repeat(256 * 1024 + 1)])(
  "what is no DiscoveryRequest gets 400, and nobody is asked (%#)",
  async (body) => {
    const { ask, polls } = await open({ kind: "current" });
    expect(await ask("/v3/discovery:clusters", body)).toEqual([400, "the body is no DiscoveryRequest\n"]);
    expect(polls).toEqual([]);
  },
);
