import { describe, expect, test } from "vitest";
import { type AskedBack, declinedRequests } from "../../../../src/core/federation/declined.ts";

function through(...chunks: readonly string[]) {
  const asked: AskedBack[] = [];
  const rewriter = declinedRequests((request) => asked.push(request), 20);
  const written = chunks.map((chunk) => rewriter.write(Buffer.from(chunk)));
  return { asked, text: Buffer.concat([...written, rewriter.end()]).toString() };
}

const DECLINED = ": the server has asked its client\n\n";
const RESULT = 'data: {"jsonrpc":"2.0","id":1,"result":{"method":1}}\n\n';

describe("a server's own request", () => {
  test.each([
    ['{"id":9007199254740993,"method":"ping"}', { id: "9007199254740993", method: "ping" }],
    ['{"method":"elicitation\\/create","id":"é","params":{}}', { id: '"é"', method: "elicitation/create" }],
  ])("is taken out of its events, and told: %s", (request, told) => {
    const { asked, text } = through(`id: 1\ndata: ${request}\n`, `\n${RESULT}`);
    expect(asked).toEqual([told]);
    expect(text).toBe(DECLINED + RESULT);
  });

  test("is taken out of the last event, which nothing ends", () => {
    const { asked, text } = through('data: {"id":1,"method":"roots/list"}');
    expect(asked).toEqual([{ id: "1", method: "roots/list" }]);
    expect(text).toBe(DECLINED);
  });
});

test.each([
  RESULT,
  'data: {"method":"notifications/progress","params":{"progressToken":1,"progress":1}}\n\n',
  'data: {"method":7,"id":1}\n\n',
  'data: {"method"\n\n',
  'data: ["method"]\n\n',
  ": comment with method\n\n",
  "id: 1\ndata:\n\n",
])("everything else goes on as it came: %j", (event) => {
  expect(through(event)).toEqual({ asked: [], text: event });
});

test("what is longer than any request goes on as it came", () => {
  const event = `data: {"id":1,"result":{"text":"${"x".repeat(1024 * 1024)}"},"x":"method"}\n\n`;
  expect(through(event, RESULT)).toEqual({ asked: [], text: event + RESULT });
});
