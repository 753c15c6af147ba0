import { expect, test } from "vitest";
import { paramHeaders } from "../../../../src/core/mcp/param-headers.ts";

function headersOf(properties: object, args: string) {
  const tool = Buffer.from(JSON.stringify({ name: "t", inputSchema: { type: "object", properties } }));
  return Object.fromEntries(paramHeaders(tool, Buffer.from(`{"params":{"name":"t","arguments":${args}}}`)));
}

const REGION = { region: { type: "string", "x-mcp-header": "Region" } };

test.each([
  ['{"region":"eu west"}', { region: "eu west" }],
  ['{"region":"é"}', { region: "=?base64?w6k=?=" }],
  ['{"region":""}', { region: "=?base64??=" }],
  ['{"region":42.0}', { region: "42" }],
  ['{"region":false}', { region: "false" }],
  ['{"region":null}', {}],
  ['{"region":9007199254740993}', {}],
  ['{"region":1.5}', {}],
  ['{"region":{"x":1}}', {}],
  ["{}", {}],
  ["7", {}],
])("of the arguments %s a tool that asks for it gets the headers %j", (args, headers) => {
  expect(headersOf(REGION, args)).toEqual(headers);
});

test("parameters within others have headers too", () => {
  const properties = { at: { type: "object", properties: { ...REGION, zone: { "x-mcp-header": "Zone" } } } };
  expect(headersOf(properties, '{"at":{"region":"a","zone":1},"region":"b"}')).toEqual({ region: "a", zone: "1" });
});

test("what is no name of a header is none", () => {
  expect(headersOf({ region: { "x-mcp-header": "a b" } }, '{"region":"a"}')).toEqual({});
  expect(headersOf({ region: { "x-mcp-header": 7 } }, '{"region":"a"}')).toEqual({});
});

test("a tool that asks for none has none, also where it cannot be read", () => {
  expect(headersOf({ region: {} }, '{"region":"a"}')).toEqual({});
  expect(paramHeaders(Buffer.from('"x-mcp-header'), Buffer.from("{}")).size).toBe(0);
});
