import { classifyInboundRequest } from "@modelcontextprotocol/server";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { classify, classifyBatch, type StandardHeaders } from "../../../../src/core/mcp/era.ts";
import type { Message } from "../../../../src/core/rpc/message.ts";
import { readBody } from "../../../../src/core/rpc/read.ts";
import { notificationMessage, requestMessage, resultMessage } from "../../../support/messages.ts";

const VERSION = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
const MODERN = "2026-07-28";
const LEGACY = "2025-11-25";
const ENVELOPE = { [VERSION]: MODERN, [CAPABILITIES]: {} };

function messageOf(json: unknown): Message {
  const body = readBody(Buffer.from(JSON.stringify(json)), { depth: 64, batch: 10, name: 10_000 });
  if (body.kind !== "single") throw new Error(`not one message: ${JSON.stringify(body)}`);
  return body.message;
}

const LONGEST_NAME = 300;

function request(method: string, params?: object): Message {
  return messageOf(requestMessage(method, params));
}

function notification(method: string, params?: object): Message {
  return messageOf(notificationMessage(method, params));
}

function modern(method: string, params: object = {}): Message {
  return request(method, { ...params, _meta: ENVELOPE });
}

function eraOf(message: Message, headers: StandardHeaders = {}): string {
  return classify(message, { ...headers, longestName: LONGEST_NAME }).era;
}

/** What a refusal says. */
function detailOf(message: Message, headers: StandardHeaders = {}): string | undefined {
  const era = classify(message, { ...headers, longestName: LONGEST_NAME });
  return "detail" in era ? `${era.era}: ${era.detail}` : era.era;
}

describe("legacy", () => {
  test.each<[string, Message, StandardHeaders]>([
    ["a request without an envelope", request("tools/call", { name: "a" }), {}],
    ["one with a legacy version header", request("tools/list"), { protocolVersion: LEGACY }],
    ["one with an envelope that lacks the version", request("m", { _meta: { [CAPABILITIES]: {} } }), {}],
    [
      "one whose Mcp headers say something else",
      request("tools/call", { name: "a" }),
      { mcpMethod: "x", mcpName: "y" },
    ],
    ["an initialize", request("initialize", { protocolVersion: LEGACY }), {}],
    ["an initialize that asks for a modern version", request("initialize", { protocolVersion: MODERN }), {}],
    [
      "an initialize with a claim of a legacy version",
      request("initialize", { _meta: { ...ENVELOPE, [VERSION]: LEGACY } }),
      {},
    ],
    ["an initialize with a malformed envelope", request("initialize", { _meta: { [VERSION]: MODERN } }), {}],
    ["an initialize whose claim is no string", request("initialize", { _meta: { ...ENVELOPE, [VERSION]: 5 } }), {}],
    ["a notification", notification("notifications/initialized"), {}],
    ["a notification with a legacy header", notification("n"), { protocolVersion: LEGACY, mcpMethod: "other" }],
    ["a response", messageOf(resultMessage(1)), { protocolVersion: MODERN }],
  ])("%s", (_, message, headers) => {
    expect(eraOf(message, headers)).toBe("legacy");
  });
});

describe("modern", () => {
  const headers = { protocolVersion: MODERN, mcpMethod: "tools/call", mcpName: "echo" };
  test.each<[string, Message, StandardHeaders]>([
    ["a request whose headers match its envelope", modern("tools/call", { name: "echo" }), headers],
    ["one of a method without a name", modern("tools/list"), { protocolVersion: MODERN, mcpMethod: "tools/list" }],
    [
      "one of a later version",
      request("m", { _meta: { ...ENVELOPE, [VERSION]: "2027-01-01" } }),
      { protocolVersion: "2027-01-01", mcpMethod: "m" },
    ],
    [
      "one that claims a legacy version, for the backend to refuse",
      request("m", { _meta: { ...ENVELOPE, [VERSION]: LEGACY } }),
      { protocolVersion: LEGACY, mcpMethod: "m" },
    ],
    ["an initialize with an envelope", modern("initialize"), { protocolVersion: MODERN, mcpMethod: "initialize" }],
    ["headers with space around them", modern("tools/call", { name: "echo" }), { ...headers, mcpName: " \techo\t " }],
    ["a notification with a claim", notification("n", { _meta: { [VERSION]: MODERN } }), {}],
    ["a notification with a modern header", notification("n"), { protocolVersion: MODERN }],
    ["a notification with a matching method", notification("n"), { protocolVersion: MODERN, mcpMethod: "n" }],
    [
      "a notification that claims a legacy version",
      notification("n", { _meta: { [VERSION]: LEGACY } }),
      { protocolVersion: LEGACY, mcpMethod: "other" },
    ],
  ])("%s", (_, message, given) => {
    expect(eraOf(message, given)).toBe("modern");
  });
});

describe("an invalid envelope", () => {
  test.each<[string, Message, StandardHeaders, string]>([
    ["no _meta", request("m"), { protocolVersion: MODERN }, "params._meta is missing"],
    [
      "_meta without a claim",
      request("m", { _meta: {} }),
      { protocolVersion: MODERN },
      `params._meta["${VERSION}"] is missing`,
    ],
    [
      "no capabilities",
      request("m", { _meta: { [VERSION]: MODERN } }),
      {},
      `params._meta["${CAPABILITIES}"] is missing`,
    ],
    [
      "capabilities that are no object",
      request("m", { _meta: { ...ENVELOPE, [CAPABILITIES]: [] } }),
      {},
      `params._meta["${CAPABILITIES}"] must be an object`,
    ],
    [
      "a version that is no string",
      request("m", { _meta: { ...ENVELOPE, [VERSION]: 5 } }),
      { protocolVersion: LEGACY },
      `params._meta["${VERSION}"] must be a string`,
    ],
    [
      "a notification's version that is no string",
      notification("n", { _meta: { [VERSION]: null } }),
      { protocolVersion: MODERN },
      `params._meta["${VERSION}"] must be a string`,
    ],
  ])("%s", (_, message, headers, detail) => {
    expect(detailOf(message, headers)).toBe(`invalid-envelope: ${detail}`);
  });
});

describe("headers that do not match the body", () => {
  const call = modern("tools/call", { name: "echo" });
  const claim = { _meta: { [VERSION]: MODERN } };
  const OTHER_VERSION = `MCP-Protocol-Version does not match params._meta["${VERSION}"]`;
  test.each<[string, Message, StandardHeaders, string]>([
    ["another version", call, { protocolVersion: LEGACY, mcpMethod: "x" }, OTHER_VERSION],
    ["an empty version", call, { protocolVersion: "" }, OTHER_VERSION],
    ["another method", call, { mcpMethod: "tools/list" }, "Mcp-Method does not match method"],
    ["a method in other case", call, { mcpMethod: "Tools/Call" }, "Mcp-Method does not match method"],
    ["no version, which goes before the method", call, {}, "MCP-Protocol-Version is missing"],
    ["no method, which goes before the name", call, { protocolVersion: MODERN }, "Mcp-Method is missing"],
    ["no name", call, { protocolVersion: MODERN, mcpMethod: "tools/call" }, "Mcp-Name is missing"],
    [
      "a modern version on an initialize",
      request("initialize", { protocolVersion: LEGACY }),
      { protocolVersion: MODERN },
      "initialize belongs to older versions than MCP-Protocol-Version names",
    ],
    ["another version on a notification", notification("n", claim), { protocolVersion: LEGACY }, OTHER_VERSION],
    [
      "another method on a claiming notification",
      notification("n", claim),
      { mcpMethod: "x" },
      "Mcp-Method does not match method",
    ],
    [
      "another method on a notification that is modern by its header",
      notification("n"),
      { protocolVersion: MODERN, mcpMethod: "x" },
      "Mcp-Method does not match method",
    ],
  ])("%s", (_, message, headers, detail) => {
    expect(detailOf(message, headers)).toBe(`mismatch: ${detail}`);
  });
});

describe("Mcp-Name", () => {
  const base64 = (text: string) => `=?base64?${Buffer.from(text).toString("base64")}?=`;
  const eraByName = (method: string, params: object, mcpName: string | undefined) =>
    detailOf(modern(method, params), { protocolVersion: MODERN, mcpMethod: method, mcpName });

  test.each([
    ["tools/call", "name"],
    ["prompts/get", "name"],
    ["resources/read", "uri"],
    ["tasks/get", "taskId"],
    ["tasks/update", "taskId"],
    ["tasks/cancel", "taskId"],
  ])("of %s repeats params.%s", (method, member) => {
    const params = { name: "N", uri: "U", taskId: "T", [member]: "it" };
    expect(eraByName(method, params, "it")).toBe("modern");
    expect(eraByName(method, params, "IT")).toBe(`mismatch: Mcp-Name does not match params.${member}`);
  });

  test.each(["tools/list", "resources/subscribe", "tasks/result", "constructor"])(
    "of %s is not looked at",
    (method) => {
      expect(eraByName(method, { name: "a", uri: "a", taskId: "a" }, "=?base64?!?=")).toBe("modern");
    },
  );

  test.each([
    ["", ""],
    ["a b", "a b"],
    ["é", base64("é")],
    ["plain", base64("plain")],
    ["", base64("")],
    ["", "=?base64?="],
    ["\ufeffx", base64("\ufeffx")],
    ["=?base64?YQ==?=", base64("=?base64?YQ==?=")],
    ["=?BASE64?YQ==?=", "=?BASE64?YQ==?="],
    ["=?base64?YQ==", "=?base64?YQ=="],
    ["YQ==?=", "YQ==?="],
  ])("the name %j may be written %s", (name, header) => {
    expect(eraByName("tools/call", { name }, header)).toBe("modern");
  });

  test.each([
    ["no padding", "=?base64?YQ?="],
    ["too much padding", "=?base64?YQ===?="],
    ["the alphabet of URLs", "=?base64?_-8=?="],
    ["a space inside", "=?base64?Y Q==?="],
    ["unused bits that are set", "=?base64?YR==?="],
    ["bytes that are no UTF-8", "=?base64?/w==?="],
  ])("base64 with %s is a mismatch", (_, header) => {
    expect(eraByName("tools/call", { name: "a" }, header)).toBe("mismatch: Mcp-Name is no valid base64");
  });

  test("where the body has no name, the header is not missed, but must be well-formed", () => {
    expect(eraByName("tools/call", {}, undefined)).toBe("modern");
    expect(eraByName("tools/call", { name: 5 }, "anything")).toBe("modern");
    expect(eraByName("tools/call", {}, "=?base64?!?=")).toBe("mismatch: Mcp-Name is no valid base64");
  });
});

describe("a batch", () => {
  const ping = request("ping");
  const response = messageOf(resultMessage(1));

  test("of legacy messages is legacy", () => {
    expect(classifyBatch([ping, notification("n"), response, request("m", { _meta: {} })])).toEqual({ era: "legacy" });
  });

  test.each([
    ["a modern request", modern("ping")],
    ["a modern notification", notification("n", { _meta: { [VERSION]: MODERN } })],
    ["a malformed claim", request("ping", { _meta: { [VERSION]: 5 } })],
  ])("with %s is refused", (_, message) => {
    expect(classifyBatch([ping, message])).toEqual({
      era: "mixed-batch",
      detail: `a batch may not hold a message with ${VERSION}`,
    });
  });
});

describe("against the SDK's classifyInboundRequest", () => {
  const version = fc.constantFrom(MODERN, LEGACY, "2027-01-01", "2024-11-05", "draft", "");
  const method = fc.constantFrom(
    "initialize",
    "tools/call",
    "tools/list",
    "resources/read",
    "notifications/x",
    "toString",
  );
  const headerVersion = fc.option(
    fc.oneof(
      version,
      version.map((text) => ` ${text}\t`),
    ),
    { nil: undefined },
  );
  const meta = fc.record(
    {
      [VERSION]: fc.oneof({ weight: 4, arbitrary: version }, fc.constantFrom(5, null, [MODERN])),
      [CAPABILITIES]: fc.constantFrom<unknown>({}, { sampling: {} }, {}, [], "x", null),
      progressToken: fc.constant(1),
    },
    { requiredKeys: [] },
  );
  const params = fc.record(
    {
      name: fc.constantFrom<unknown>("a", "b", 5),
      uri: fc.constantFrom("a", "b"),
      _meta: meta,
      protocolVersion: version,
    },
    { requiredKeys: [] },
  );
  const shape = fc.record(
    { jsonrpc: fc.constant("2.0"), id: fc.constant(1), method, params },
    { requiredKeys: ["jsonrpc", "method"] },
  );
  const headers = fc.record({
    protocolVersion: headerVersion,
    mcpMethod: fc.option(method, { nil: undefined }),
    mcpName: fc.constantFrom("a", "b", undefined),
  });

  /** The SDK's outcome, in our words. Its check for absent headers is another function, which it does not export. */
  function sdkEra(json: object, given: StandardHeaders): string {
    const outcome = classifyInboundRequest({
      httpMethod: "POST",
      body: json,
      ...(given.protocolVersion !== undefined && { protocolVersionHeader: given.protocolVersion }),
      ...(given.mcpMethod !== undefined && { mcpMethodHeader: given.mcpMethod }),
    });
    if (outcome.kind !== "reject") return outcome.kind;
    return outcome.code === -32020 ? "mismatch" : outcome.code === -32602 ? "invalid-envelope" : `code ${outcome.code}`;
  }

  test("with any headers it decides alike, but that headers must also be there", () => {
    fc.assert(
      fc.property(shape, headers, (json, given) => {
        const era = classify(messageOf(json), { ...given, longestName: LONGEST_NAME });
        const theirs = sdkEra(json, given);
        const isPresenceCheck =
          theirs === "modern" && "id" in json && era.era === "mismatch" && /missing|Mcp-Name/.test(era.detail);
        if (!isPresenceCheck) expect(era.era).toBe(theirs);
      }),
      { numRuns: 3000 },
    );
  });

  test("with all headers taken from the body it decides alike", () => {
    fc.assert(
      fc.property(shape, headerVersion, (json, otherVersion) => {
        const claim = json.params?._meta?.[VERSION];
        const named = json.method === "resources/read" ? json.params?.uri : json.params?.name;
        const given = {
          protocolVersion: typeof claim === "string" ? claim : otherVersion,
          mcpMethod: json.method,
          mcpName: typeof named === "string" ? named : undefined,
        };
        fc.pre(given.protocolVersion !== undefined || claim === undefined || !("id" in json));
        expect(eraOf(messageOf(json), given)).toBe(sdkEra(json, given));
      }),
      { numRuns: 3000 },
    );
  });

  test("a batch is refused for the same messages", () => {
    fc.assert(
      fc.property(fc.array(shape, { minLength: 1, maxLength: 4 }), (batch) => {
        const outcome = classifyInboundRequest({ httpMethod: "POST", body: batch });
        expect(classifyBatch(batch.map(messageOf)).era).toBe(outcome.kind === "legacy" ? "legacy" : "mixed-batch");
      }),
    );
  });
});
