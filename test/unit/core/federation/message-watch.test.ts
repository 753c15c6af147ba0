import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Answers } from "../../../../src/core/federation/answers.ts";
import { MessageWatch } from "../../../../src/core/federation/message-watch.ts";

const OWN = new Answers(["7", '"é"', '"a\\"b"']);

/** Whether the watch sees something in the data, which comes in two pieces. */
function sees(data: string | Uint8Array, cut = 0, answers: Answers | "any" = OWN): boolean {
  const bytes = Buffer.from(data);
  const watch = new MessageWatch(answers === "any" ? undefined : answers);
  return [bytes.subarray(0, cut), bytes.subarray(cut)].some((piece) => watch.sees(piece));
}

/** The same of data that is cut nowhere, after a look that it is the same with a cut anywhere. */
function seesIn(data: string, answers: Answers | "any" = OWN): boolean {
  const whole = sees(data, 0, answers);
  for (let cut = 1; cut <= Buffer.byteLength(data); cut++)
    if (sees(data, cut, answers) !== whole) throw new Error(`${data} differs where it is cut at ${cut}`);
  return whole;
}

/** A text, written with some of its characters escaped. */
const spelled = (text: string, escaped: readonly boolean[]) =>
  `"${[...text].map((letter, n) => (escaped[n % escaped.length] ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}` : letter)).join("")}"`;

describe("the watch of an event's messages", () => {
  const id = fc.oneof(
    fc.constantFrom(
      "7",
      '"7"',
      '"\\u0037"',
      "7.0",
      "null",
      "8",
      '"8"',
      "-7",
      '"a\\"b"',
      '"é"',
      '"\\u00e9"',
      '"Ã©"',
      '""',
    ),
    fc.string({ unit: "grapheme" }).map((text) => JSON.stringify(text)),
  );
  const space = fc.constantFrom("", " ", "\t ");

  test("tells of ids what a parser of JSON tells, wherever the bytes are cut", () => {
    fc.assert(
      fc.property(fc.json(), id, fc.json(), space, fc.boolean(), (before, own, after, gap, isBatch) => {
        const message = `{"result":${before}${gap},"id"${gap}:${gap}${own}${gap},"x":${after}${gap}}`;
        const data = isBatch ? `[{"id":7},${message}]` : message;
        const value: unknown = JSON.parse(own);
        expect(seesIn(data)).toBe(value !== null && !["7", "é", 'a"b'].includes(String(value)));
      }),
    );
  });

  test("tells of methods what a parser of JSON tells, in any spelling and wherever the bytes are cut", () => {
    const key = fc.constantFrom("method", "METHOD", "Method", "method\0x", "methods", "metho", "id", "x");
    const escaped = fc.array(fc.boolean(), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.json(), key, escaped, fc.json(), space, fc.boolean(), (before, name, as, value, gap, isBatch) => {
        const message = `{"params":${before}${gap},${spelled(name, as)}${gap}:${value},"x":{"method":"y"}}`;
        const written = name.includes("\0") ? message.replace("\0", "\\u0000") : message;
        const data = isBatch ? `[{"id":7},${written}]` : written;
        expect(seesIn(data, "any")).toBe(/^method(?:\0|$)/i.test(name));
      }),
    );
  });

  test("looks for neither in inner values, however they are written", () => {
    const text = fc.string({ unit: fc.constantFrom("\\", '"', "{", "}", "é", "a", "\n") });
    fc.assert(
      fc.property(fc.array(text), fc.json(), (texts, inner) => {
        const params = JSON.stringify({ texts, method: "x", id: 8, [texts[0] ?? ""]: { id: 8 } });
        expect(seesIn(`{"id":7,"result":[${params},{"x":${inner}}]}`)).toBe(false);
        expect(seesIn(`{"result":[${params},{"x":${inner}}],"id":8}`)).toBe(true);
        expect(seesIn(`{"result":${JSON.stringify(params)},"method":8}`)).toBe(true);
      }),
    );
  });

  test("takes no object and no array for an id", () => {
    for (const own of ['{"id":8}', "[8]", "[]", "[{}]"]) expect(seesIn(`{"id":${own},"x":8}`)).toBe(false);
  });

  test("sees a second id, and one that never ends", () => {
    expect(seesIn('{"id":7,"x":1,"id":8}')).toBe(true);
    expect(seesIn(`{"id":${"7".repeat(1_000)}`)).toBe(true);
    expect(seesIn(`{"id":"${"7".repeat(1_000)}`)).toBe(true);
  });

  test("finds the end of long strings with escapes anywhere in them", () => {
    for (let plain = 0; plain < 200; plain++) {
      const text = `${"x".repeat(plain)}\\"${"y".repeat(200 - plain)}\\\\`;
      expect(sees(`{"result":{"a":"${text}"},"id":7}`)).toBe(false);
      expect(sees(`{"result":{"a":"${text}"},"id":8}`)).toBe(true);
      expect(sees(`{"result":"${text}","id":8}`)).toBe(true);
    }
  });
});
