import { describe, expect, test } from "vitest";
import { completedResult } from "../../../../src/core/federation/completed.ts";

interface Kind {
  readonly isEvents: boolean;
  readonly isKept?: boolean;
}

/** What comes of a text that comes in parts of so many bytes. */
function through(text: string, { isEvents, isKept = false }: Kind, length: number): string {
  const rewriter = completedResult(isEvents, isKept);
  const bytes = Buffer.from(text);
  const written: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += length) written.push(rewriter.write(bytes.subarray(at, at + length)));
  return Buffer.concat([...written, rewriter.end()]).toString();
}

const KIND = '"resultType":"complete"';

describe("a result says that it is complete", () => {
  test.each([
    ['{"id":1,"result":{}}', `{"id":1,"result":{${KIND}}}`],
    ['{"id":1,"result":{ \n"a":1.0}}', `{"id":1,"result":{ \n${KIND},"a":1.0}}`],
    ['{"result" : {"result":{"a":"}"}},"id":1}', `{"result" : {${KIND},"result":{"a":"}"}},"id":1}`],
    ['{"x":"\\"result","\\\\":{"result":{}},"result":{}}', `{"x":"\\"result","\\\\":{"result":{}},"result":{${KIND}}}`],
    ['{"id":1,"result":null}', '{"id":1,"result":null}'],
    ['{"id":1,"result":[{"result":1}]}', '{"id":1,"result":[{"result":1}]}'],
    ['{"id":1,"error":{"data":{"result":{}}}}', '{"id":1,"error":{"data":{"result":{}}}}'],
    ['["result",{"a":1}]', '["result",{"a":1}]'],
    ["", ""],
  ])("as JSON: %s", (text, expected) => {
    for (let length = 1; length <= text.length + 1; length++)
      expect(through(text, { isEvents: false }, length)).toBe(expected);
  });

  test.each(["\n", "\r\n", "\r"])("as an event, whose lines end in %j", (end) => {
    const note = `data: {"method":"result","params":{"result":{}}}`;
    const event = (members: string) =>
      [`id: {"result":{`, note, "", ": {", "event: message", `data:{"id":1,"result":{${members}"a":1}}`, "", ""].join(
        end,
      );
    const text = event("");
    for (let length = 1; length <= text.length + 1; length++)
      expect(through(text, { isEvents: true }, length)).toBe(event(`${KIND},`));
  });

  test.each(["\n", "\r\n", "\r"])("over several lines of one event, which end in %j", (end) => {
    const text = (members: string) =>
      ['data: {"id":1,', 'data: "result":', `data: {${members}"a":1}}`, "", ""].join(end);
    expect(through(text(""), { isEvents: true }, 3)).toBe(text(`${KIND},`));
  });
});

test("what clients may keep says that it holds for nobody else, and no longer", () => {
  expect(through('{"result":{}}', { isEvents: false, isKept: true }, 99)).toBe(
    `{"result":{${KIND},"ttlMs":0,"cacheScope":"private"}}`,
  );
});
