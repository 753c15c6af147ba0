import { expect, test } from "vitest";
import { restoredId } from "../../../../src/core/federation/restored-id.ts";

const OURS = '"mcpr-abc_-9"';

/** What comes of a text that comes in parts of so many bytes. */
function through(text: string, theirs: string, length: number): string {
  const rewriter = restoredId(OURS, theirs);
  const bytes = Buffer.from(text);
  const written: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += length) written.push(rewriter.write(bytes.subarray(at, at + length)));
  return Buffer.concat([...written, rewriter.end()]).toString();
}

test.each([
  ['{"id":"mcpr-abc_-9","result":{}}', '{"id":7.0,"result":{}}'],
  ['{"result":{"é":"\\"mcpr-abc_-9\\""},"id": "mcpr-abc_-9"}', '{"result":{"é":"\\"mcpr-abc_-9\\""},"id": 7.0}'],
  ['"mcpr-abc_-9""mcpr-abc_-9"', "7.07.0"],
  ['"mcpr-abc_"mcpr-abc_-9"', '"mcpr-abc_7.0'],
  ['"mcpr-abc_-', '"mcpr-abc_-'],
  ["", ""],
])("the client's id stands where the other one did, however %s comes", (text, expected) => {
  for (let length = 1; length <= text.length + 1; length++) expect(through(text, "7.0", length)).toBe(expected);
});

test("nothing is held back of an event that has ended", () => {
  const event = 'data: {"id":"mcpr-abc_-9"}\n\n';
  expect(Buffer.from(restoredId(OURS, "7").write(Buffer.from(event))).toString()).toBe('data: {"id":7}\n\n');
});
