import { describe, expect, test } from "vitest";
import { refusedIn } from "../../../../src/core/policy/refusal.ts";
import { readBody } from "../../../../src/core/rpc/read.ts";
import { allow, caller, rulesOn } from "./rules.ts";

const LIMITS = { depth: 20, batch: 10, name: 100 };
const RULES = rulesOn(
  "/mcp",
  allow({ tools: ["open"], prompts: ["open"], resources: ["file:///open*"] }),
  allow({ tools: ["scoped"] }, { scopes: ["a"] }),
  allow({ resources: ["scoped:*"] }, { scopes: ["b"] }),
);

function judged(text: string) {
  const bytes = Buffer.from(text);
  const body = readBody(bytes, LIMITS);
  if (body.kind === "unreadable") throw new Error(body.reason);
  return refusedIn(body, bytes, RULES.of(caller()), LIMITS.depth);
}

const request = (method: string, params: object) => JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });

describe("a message passes", () => {
  test.each([
    request("tools/call", { name: "open" }),
    request("prompts/get", { name: "open" }),
    request("resources/read", { uri: "file:///open/x" }),
    request("completion/complete", { ref: { type: "ref/prompt", name: "open" } }),
    request("completion/complete", { ref: { type: "ref/resource", uri: "file:///open/{x}" } }),
    request("subscriptions/listen", { notifications: { resourceSubscriptions: ["file:///open"] } }),
    request("tools/list", {}),
    request("tasks/result", { taskId: "x" }),
    request("ping", {}),
    request("server/discover", {}),
    '{"jsonrpc":"2.0","method":"notifications/anything","params":{"name":"hidden"}}',
    '{"jsonrpc":"2.0","id":7,"result":{}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools\\/call","params":{"n\\u0061me":"op\\u0065n"}}',
  ])("%s", (text) => {
    expect(judged(text)).toBeUndefined();
  });
});

describe("a message is refused", () => {
  test.each([
    [request("tools/call", { name: "hidden" }), { reason: "not-offered", what: "tool", name: "hidden" }],
    [request("tools/call", { name: "Open" }), { reason: "not-offered", what: "tool", name: "Open" }],
    [request("tools/call", { name: "open " }), { reason: "not-offered", what: "tool", name: "open " }],
    [request("prompts/get", { name: "hidden" }), { reason: "not-offered", what: "prompt", name: "hidden" }],
    [request("resources/read", { uri: "file:///OPEN" }), { reason: "not-offered", what: "resource" }],
    [request("resources/read", { uri: "file:///./open" }), { reason: "not-offered", what: "resource" }],
    [request("resources/subscribe", { uri: "file:///x" }), { reason: "not-offered", what: "resource" }],
    [request("resources/unsubscribe", { uri: "file:///x" }), { reason: "not-offered", what: "resource" }],
    [
      request("completion/complete", { ref: { name: "open", uri: "file:///x" } }),
      { reason: "not-offered", what: "resource", name: "file:///x" },
    ],
    [
      request("subscriptions/listen", { notifications: { resourceSubscriptions: ["file:///open", "file:///x"] } }),
      { reason: "not-offered", what: "resource", name: "file:///x" },
    ],
    ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"n\\u0061me":"hidd\\u0065n"}}', { name: "hidden" }],
    [request("tools/call", {}), { reason: "invalid-params" }],
    [request("tools/call", { name: 1 }), { reason: "invalid-params" }],
    ['{"jsonrpc":"2.0","id":1,"method":"tools/call"}', { reason: "invalid-params" }],
    [request("resources/read", { uri: ["file:///open"] }), { reason: "invalid-params" }],
    [request("completion/complete", { ref: {} }), { reason: "invalid-params" }],
    [request("completion/complete", { ref: { name: "open", Name: "hidden" } }), { reason: "invalid-params" }],
    ['{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"name":"open","name":"x"}}}', {}],
    [request("subscriptions/listen", { notifications: { resourceSubscriptions: "x" } }), { reason: "invalid-params" }],
    [request("tools/search", { query: "x" }), { reason: "method-not-offered" }],
  ])("%s", (text, reject) => {
    expect(judged(text)).toMatchObject([{ id: "1", denial: { kind: "reject", reject } }]);
  });

  test("also where nobody waits for its answer", () => {
    const text = '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"hidden"}}';
    expect(judged(text)).toMatchObject([{ id: undefined, denial: { kind: "reject" } }]);
  });

  test.each(["tools/list", "tools/call", "ping", "vendor/run", "Notifications/x"])(
    "as a request that has no id, which a server may answer: %s",
    (method) => {
      const text = JSON.stringify({ jsonrpc: "2.0", method, params: { name: "open" } });
      const denial = { kind: "reject", reject: { reason: "invalid-request" } };
      expect(judged(text)).toMatchObject([{ id: undefined, denial }]);
      expect(judged(`[${text},${request("ping", {})}]`)).toMatchObject([{ denial }, { id: "1", denial: undefined }]);
    },
  );

  test("by the scopes of all that it names, unless no scope helps", () => {
    const both = request("completion/complete", { ref: { name: "open", uri: "scoped:x" } });
    expect(judged(both)).toMatchObject([{ denial: { kind: "scopes", scopes: ["b"] } }]);
    const neither = request("completion/complete", { ref: { name: "hidden", uri: "scoped:x" } });
    expect(judged(neither)).toMatchObject([{ denial: { kind: "reject", reject: { reason: "not-offered" } } }]);
  });

  test("in a batch by itself, by its own params", () => {
    const batch = [
      request("completion/complete", { ref: { name: "open" } }),
      '{"jsonrpc":"2.0","method":"notifications/cancelled"}',
      request("completion/complete", { ref: { name: "hidden" } }).replace('"id":1', '"id":"2"'),
      request("tools/call", { name: "scoped" }).replace('"id":1', '"id":3'),
    ];
    const refused = judged(`[${batch.join(",")}]`);
    expect(refused?.map(({ id, denial }) => [id, denial?.kind])).toEqual([
      ["1", undefined],
      [undefined, undefined],
      ['"2"', "reject"],
      ["3", "scopes"],
    ]);
  });
});
