import { describe, expect, test } from "vitest";
import { classifyMessage } from "../../../src/core/classify-message.ts";
import { notificationMessage, requestMessage, resultMessage } from "../../support/messages.ts";
import { fields } from "./fields.ts";
import { POLICY } from "./policy.ts";

const limits = { ...POLICY.limits, body: 2_000, batch: 3, depth: 10, name: 20, initialize: 100 };
const none = { method: undefined, name: undefined };

function decideOn(body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return classifyMessage(Buffer.from(text), fields(headers), limits);
}

/** The messages that were read go on with the decision: what they hold is tested where they are read. */
const read = expect.objectContaining({ kind: expect.stringMatching(/^(?:single|batch)$/) });

const message = (method: string, params?: object, id: unknown = 7) => requestMessage(method, params, id);
const modernMeta = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

describe("a legacy message", () => {
  test("keeps its id as written and tells method and name for Envoy", () => {
    const intent = decideOn('{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"a b%"}}');
    expect(intent).toEqual({
      kind: "legacy",
      id: "9007199254740993",
      labels: { method: "tools/call", name: "a%20b%25" },
      body: read,
    });
  });

  test.each([
    [notificationMessage("notifications/x"), { method: "notifications/x", name: undefined }],
    [resultMessage(1), none],
    [[message("ping"), message("ping")], { method: "ping", name: undefined }],
  ])("%j carries no id of the client's to echo", (body, labels) => {
    expect(decideOn(body)).toEqual({ kind: "legacy", id: undefined, labels, body: read });
  });
});

describe("a batch", () => {
  const call = (name: string) => message("tools/call", { name });
  test.each([
    ["whose messages say the same tells it", [call("a"), call("a")], { method: "tools/call", name: "a" }],
    ["of two names tells of none of them", [call("a"), call("b")], { method: "batch", name: undefined }],
    ["of two methods tells of none of them", [call("a"), message("ping")], { method: "batch", name: undefined }],
    ["of a call and a response is told too", [call("a"), resultMessage(1)], { method: "batch", name: undefined }],
    ["of responses has nothing to tell", [resultMessage(1)], none],
  ])("%s", (_, batch, labels) => {
    expect(decideOn(batch)).toEqual({ kind: "legacy", id: undefined, labels, body: read });
  });

  test("with a name too long for a header is refused", () => {
    expect(decideOn([message("ping"), call("n".repeat(21))])).toMatchObject({ reject: { reason: "invalid-request" } });
  });
});

test("an empty name is not told", () => {
  expect(decideOn(message("tools/call", { name: "" }))).toMatchObject({
    labels: { method: "tools/call", name: undefined },
  });
});

describe("an initialize", () => {
  test("tells where its params stand and which version it asks for", () => {
    const text = '{"jsonrpc":"2.0","id":7,"method":"initialize","params": {"protocolVersion":"2025-11-25"} }';
    const intent = decideOn(text);
    expect(intent).toMatchObject({ kind: "initialize", id: "7", protocolVersion: "2025-11-25" });
    if (intent.kind !== "initialize") throw new Error("unreachable");
    expect(text.slice(intent.params.start, intent.params.end)).toBe('{"protocolVersion":"2025-11-25"}');
  });

  test.each([
    ["without params", undefined, "invalid-request"],
    ["with params that a session will not keep", { padding: "x".repeat(100) }, "body-too-large"],
  ])("%s is refused", (_, params, reason) => {
    expect(decideOn(message("initialize", params))).toMatchObject({ kind: "reject", reject: { reason, id: "7" } });
  });

  test("tells what its client calls itself, and no other message does", () => {
    const params = { clientInfo: { name: "é", version: "1" } };
    expect(decideOn(message("initialize", params))).toMatchObject({ labels: { client: "%C3%A9 1" } });
    for (const other of [message("initialize", {}), message("ping", params)])
      expect(decideOn(other)).not.toHaveProperty("labels.client");
  });

  test("in a batch is refused", () => {
    expect(decideOn([message("initialize", {})])).toMatchObject({
      kind: "reject",
      reject: { reason: "invalid-request", detail: "initialize must not be in a batch" },
    });
  });
});

describe("what a server may take for an initialize has a slot or is refused:", () => {
  const params = { protocolVersion: "2025-11-25" };
  const noId = notificationMessage("initialize", params);
  const modernHeaders = { "mcp-protocol-version": "2026-07-28", "mcp-method": "initialize" };

  test.each([
    ["without an id", noId],
    ["with the id null", message("initialize", params, null)],
    ["in a batch, without an id", [noId]],
    ["in a batch behind others, without an id", [message("ping"), noId]],
    ["in other case", message("Initialize", params)],
    ["in upper case, as a notification", notificationMessage("INITIALIZE")],
    ["with space behind it", message("initialize ", params)],
    ["with a line break before it", message("\ninitialize", params)],
    ["with a space beyond ASCII", message("initialize\u00a0", params)],
    ["with U+0000 and more behind it", message("initialize\0x", params)],
    ["in other case in a batch", [message("ping"), message("INITIALIZE")]],
    ["in a modern envelope without an id", { ...noId, params: { ...params, _meta: modernMeta } }],
  ])("%s it is no valid request", (_, body) => {
    expect(decideOn(body)).toMatchObject({ kind: "reject", reject: { reason: "invalid-request" } });
  });

  test("in a modern envelope there is no such method", () => {
    const body = message("initialize", { _meta: modernMeta });
    const roomy = { ...limits, initialize: 1_000 };
    const intent = classifyMessage(Buffer.from(JSON.stringify(body)), fields(modernHeaders), roomy);
    expect(intent).toEqual({ kind: "reject", id: "7", reject: { reason: "method-unknown", id: "7" } });
  });

  test("in an envelope of an older version, or a broken one, it is what it says", () => {
    const older = { ...modernMeta, "io.modelcontextprotocol/protocolVersion": "2025-11-25" };
    const roomy = { ...limits, initialize: 1_000 };
    for (const _meta of [older, { "io.modelcontextprotocol/protocolVersion": 1 }, null]) {
      const body = Buffer.from(JSON.stringify(message("initialize", { _meta })));
      expect(classifyMessage(body, fields({}), roomy)).toMatchObject({ kind: "initialize" });
    }
  });

  test("by an escape it is an initialize", () => {
    expect(decideOn('{"jsonrpc":"2.0","id":1,"m\\u0065thod":"in\\u0069tialize","params":{}}')).toMatchObject({
      kind: "initialize",
    });
  });
});

describe.each(["logging/setLevel", "resources/subscribe", "resources/unsubscribe"])("%s", (method) => {
  const roomy = { ...limits, name: 100, initialize: 1_000 };
  const decideRoomy = (body: unknown, headers: Record<string, string> = {}) =>
    classifyMessage(Buffer.from(JSON.stringify(body)), fields(headers), roomy);
  const params = { level: "info", uri: "a:b" };

  test("is remembered for a recovery, in a batch too", () => {
    expect(decideRoomy(message(method, params))).toMatchObject({ kind: "legacy", stateChanges: [{}] });
    expect(decideRoomy([message("ping"), message(method, params)])).toMatchObject({
      kind: "legacy",
      stateChanges: [{}],
    });
  });

  test.each([
    ["without an id", notificationMessage(method, params)],
    ["in a batch without an id", [message("ping"), notificationMessage(method, params)]],
    ["in other case", message(method.toUpperCase(), params)],
    ["in a letter that folds into one of its own", message(method.replace(/[sS]/, "\u017f"), params)],
    ["in an i without its dot", message(method.replace("i", "\u0131"), params)],
    ["in a capital i with its dot", message(method.replace("i", "\u0130"), params)],
    ["with space around it", message(` ${method}\t`, params)],
  ])("%s it would be obeyed and not remembered, and is refused", (_, body) => {
    expect(decideRoomy(body)).toMatchObject({ kind: "reject", reject: { reason: "invalid-request" } });
  });

  test("is no method of the modern era", () => {
    const headers = { "mcp-protocol-version": "2026-07-28", "mcp-method": method };
    expect(decideRoomy(message(method, { ...params, _meta: modernMeta }), headers)).toMatchObject({
      kind: "reject",
      reject: { reason: "method-unknown" },
    });
  });
});

test.each(["Tools/Call", "tools/call ", "RESOURCES/READ", "tools/call\0"])(
  "%j is refused: a server may run what no label names",
  (method) => {
    expect(decideOn(message(method, { name: "x" }))).toMatchObject({ reject: { reason: "invalid-request", id: "7" } });
  },
);

test("a name with U+0000 in it is refused", () => {
  expect(decideOn(message("tools/call", { name: "a\0b" }))).toMatchObject({ reject: { reason: "invalid-request" } });
});

test("methods that only resemble those that matter go on", () => {
  for (const method of ["tools/calls", "initialized", "Ping", "x/initialize", "in it"])
    expect(decideOn(message(method, {}))).toMatchObject({ kind: "legacy" });
});

describe("a modern message", () => {
  const headers = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" };

  test("is told by its envelope", () => {
    expect(decideOn(message("tools/list", { _meta: modernMeta }), headers)).toEqual({
      kind: "modern",
      id: "7",
      labels: { method: "tools/list", name: undefined },
      body: read,
    });
  });

  test.each([
    ["header-mismatch", { _meta: modernMeta }, { ...headers, "mcp-method": "tools/call" }],
    ["invalid-envelope", {}, headers],
  ])("is refused as %s", (reason, params, sent) => {
    const intent = decideOn(message("tools/list", params), sent);
    expect(intent).toMatchObject({ kind: "reject", reject: { reason, id: "7" } });
  });

  test("in a batch is refused", () => {
    const batch = [message("ping"), message("tools/list", { _meta: modernMeta })];
    expect(decideOn(batch)).toMatchObject({ kind: "reject", reject: { reason: "invalid-request" } });
  });
});

describe("a body is refused", () => {
  test.each([
    ["not JSON", "{", { reason: "not-json" }],
    ["not JSON-RPC", "{}", { reason: "invalid-request" }],
    ["over the limit", " ".repeat(2_001), { reason: "body-too-large" }],
    ["a method too long for a header", message("m".repeat(21)), { reason: "invalid-request", id: "7" }],
    [
      "a name too long for a header",
      message("tools/call", { name: "é".repeat(4) }),
      { reason: "invalid-request", id: "7" },
    ],
  ])("%s", (_, body, reject) => {
    expect(decideOn(body)).toMatchObject({ kind: "reject", reject });
  });
});
