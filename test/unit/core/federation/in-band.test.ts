import { describe, expect, test } from "vitest";
import { errorInBand } from "../../../../src/core/federation/in-band.ts";

const OTHERWISE = '{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"Backend files failed"}}';

function passed(id: string, ...chunks: readonly string[]): string {
  const rewriter = errorInBand(id, OTHERWISE);
  const written = chunks.map((chunk) => rewriter.write(Buffer.from(chunk)));
  expect(written.every(({ length }) => length === 0)).toBe(true);
  return Buffer.from(rewriter.end()).toString();
}

describe("a backend's answer without success", () => {
  test("goes on as it came where it is a JSON-RPC error to the request", () => {
    const error = '{ "jsonrpc":"2.0", "id":7, "error":{"code":-32602,"message":"é","data":9007199254740993} }';
    expect(passed("7", error)).toBe(error);
    expect(passed("7", error.slice(0, 30), error.slice(30))).toBe(error);
    expect(passed('"a"', error.replace("7", '"\\u0061"'))).toBe(error.replace("7", '"\\u0061"'));
  });

  test.each([
    ["another id", '{"jsonrpc":"2.0","id":8,"error":{}}'],
    ["no id", '{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}'],
    ["a result", '{"jsonrpc":"2.0","id":7,"result":{}}'],
    ["no JSON-RPC", '{"id":7,"error":{"message":"x"}}'],
    ["a batch", '[{"jsonrpc":"2.0","id":7,"error":{}}]'],
    ["a page", "<html>bad gateway</html>"],
    ["nothing", ""],
    ["null", "null"],
    ["more than a client should get", `{"jsonrpc":"2.0","id":7,"error":{"x":"${"x".repeat(70_000)}"}}`],
  ])("is replaced where it is %s", (_, body) => {
    expect(passed("7", body)).toBe(OTHERWISE);
  });
});
