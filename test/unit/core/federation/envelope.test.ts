import { describe, expect, test } from "vitest";
import {
  askedInNameOf,
  enveloped,
  envelopeOfSession,
  initializeParamsOf,
  withEnvelope,
  withId,
  withoutEnvelope,
} from "../../../../src/core/federation/envelope.ts";
import { whoseResource } from "../../../../src/core/federation/question.ts";
import { rewrite } from "../../../../src/core/json/rewrite.ts";

const VERSION = '"io.modelcontextprotocol/protocolVersion":"2026-07-28"';
const CAPABILITIES = '"io.modelcontextprotocol/clientCapabilities"';
const CLIENT_INFO = '"io.modelcontextprotocol/clientInfo"';

function envelopeOf(initializeParams: string, level?: string): string {
  return enveloped(envelopeOfSession({ initializeParams, level }, 20));
}

describe("the envelope of a client with a session", () => {
  test("is what its initialize said of it, to the byte", () => {
    const params = '{"protocolVersion":"2025-06-18","clientInfo":{"name":"é\\u0061","n":1.0},"capabilities":{"x":{ }}}';
    expect(envelopeOf(params)).toBe(
      `{"_meta":{${VERSION},${CAPABILITIES}:{"x":{ }},${CLIENT_INFO}:{"name":"é\\u0061","n":1.0}}}`,
    );
  });

  test("names nothing by which a server would ask it back", () => {
    const capabilities =
      '{"roots":{},"experimental":{"a":1},"sampling":{},"elicitation":{},"extensions":{},"tasks":{}}';
    expect(envelopeOf(`{"capabilities":${capabilities}}`)).toContain(
      `${CAPABILITIES}:{"experimental":{"a":1},"extensions":{}}`,
    );
  });

  test.each(["{}", '{"capabilities":1,"clientInfo":null}', '{"capabilities":{},"capabilities":{"x":1}}'])(
    "is the least that a server needs where %s says nothing",
    (params) => {
      expect(envelopeOf(params)).toBe(`{"_meta":{${VERSION},${CAPABILITIES}:{}}}`);
    },
  );

  test("asks for the logs that it has asked for", () => {
    expect(envelopeOf("{}", '{"level":"info"}')).toContain(',"io.modelcontextprotocol/logLevel":"info"}');
    expect(envelopeOf("{}", '{"level":7}')).not.toContain("logLevel");
  });
});

describe("a request that carries it", () => {
  const envelope = envelopeOfSession({ initializeParams: '{"clientInfo":{"name":"a"}}', level: undefined }, 20);
  const OWN = `${VERSION},${CAPABILITIES}:{},${CLIENT_INFO}:{"name":"a"}`;
  const carrying = (text: string) => {
    const bytes = Buffer.from(text);
    return Buffer.from(rewrite(bytes, withEnvelope(bytes, envelope, 20))).toString();
  };

  test.each([
    ["without params", '{"id":1}', `{"params":{"_meta":{${OWN}}},"id":1}`],
    ["with params null", '{"params": null,"id":1}', `{"params": {"_meta":{${OWN}}},"id":1}`],
    ["with empty params", '{"params":{ }}', `{"params":{"_meta":{${OWN}} }}`],
    ["with params", '{"params":{ "n":1.0}}', `{"params":{"_meta":{${OWN}}, "n":1.0}}`],
    ["with an empty _meta", '{"params":{"_meta":{}}}', `{"params":{"_meta":{${OWN}}}}`],
    [
      "with a progress token",
      '{"params":{"_meta":{"progressToken":9007199254740993},"n":-0}}',
      `{"params":{"_meta":{${OWN},"progressToken":9007199254740993},"n":-0}}`,
    ],
    ["with a _meta that is none", '{"params":{"_meta":[]}}', `{"params":{"_meta":{${OWN}}}}`],
  ])("has the rest as it was: %s", (_, text, expected) => {
    expect(carrying(text)).toBe(expected);
  });

  test("says what its session says, and not something else beside it", () => {
    const meta = `{"a":1,${CLIENT_INFO}:{"name":"b"},"io.modelcontextprotocol\\/clientCapabilities":{"x":1}}`;
    expect(carrying(`{"params":{"_meta":${meta}}}`)).toBe(
      `{"params":{"_meta":{${VERSION},"a":1,${CLIENT_INFO}:{"name":"a"},"io.modelcontextprotocol\\/clientCapabilities":{}}}}`,
    );
  });
});

test.each([
  [`{"params":{"_meta":{${VERSION},"a":1.0,${CLIENT_INFO}:{}},"n":-0}}`, '{"params":{"_meta":{"a":1.0},"n":-0}}'],
  [`{"params":{"_meta": {"progressToken":1e400,${VERSION}} }}`, '{"params":{"_meta": {"progressToken":1e400} }}'],
  [`{"params":{"_meta":{"io.modelcontextprotocol\\/x":[{}]}}}`, '{"params":{"_meta":{}}}'],
  ['{"params":{"_meta":7}}', '{"params":{"_meta":7}}'],
  ['{"params":{}}', '{"params":{}}'],
  ['{"id":1}', '{"id":1}'],
])("a request is left without its envelope: %s", (text, left) => {
  const bytes = Buffer.from(text);
  expect(Buffer.from(rewrite(bytes, withoutEnvelope(bytes, 20))).toString()).toBe(left);
});

test("a request goes under another id", () => {
  const bytes = Buffer.from('{"params":{"id":1}, "id" : 9007199254740993}');
  expect(Buffer.from(rewrite(bytes, withId(bytes, '"x"', 20))).toString()).toBe('{"params":{"id":1}, "id" : "x"}');
});

describe("the initialize of a session that the gateway holds", () => {
  const params = (clientInfo: string) =>
    `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":${clientInfo}}`;
  const request = (clientInfo: string) => Buffer.from(`{"params":{"_meta":{${CLIENT_INFO}:${clientInfo}}}}`);

  test("names the client, to the byte, and nothing by which a server would ask it", () => {
    const clientInfo = '{"name":"é\\u0061","version":"1","n":1.0}';
    expect(initializeParamsOf(request(clientInfo), "{}", 100, 20)).toBe(params(clientInfo));
  });

  test.each([request('"me"'), request(`{"name":"${"x".repeat(100)}"}`), Buffer.from("{}")])(
    "names the gateway where the client has no name that can be used: %s",
    (bytes) => {
      expect(initializeParamsOf(bytes, '{"name":"all"}', 100, 20)).toBe(params('{"name":"all"}'));
    },
  );
});

describe("a read in a client's name", () => {
  test("has the client's envelope, and nothing else of its request", () => {
    const meta = `{"progressToken":1,${VERSION}, ${CAPABILITIES} : {"x": 1.0}}`;
    const bytes = Buffer.from(`{"params":{"uri":"a","requestState":"s","inputResponses":{},"_meta":${meta}}}`);
    expect(askedInNameOf(bytes, whoseResource("a"), 20)).toBe(
      `{"uri":"a","_meta":{${VERSION},${CAPABILITIES}:{"x": 1.0}}}`,
    );
  });

  test.each(['{"params":{"uri":"a"}}', '{"params":{"uri":"a","_meta":1}}'])(
    "without an envelope is bare: %s",
    (text) => {
      expect(askedInNameOf(Buffer.from(text), whoseResource("a"), 20)).toBe('{"uri":"a","_meta":{}}');
    },
  );
});
