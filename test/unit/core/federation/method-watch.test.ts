import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Answers } from "../../../../src/core/federation/answers.ts";
import { AnswerWatch } from "../../../../src/core/federation/method-watch.ts";

describe("the watch of a response's ids", () => {
  const id = fc.oneof(
    fc.constantFrom("7", '"7"', '"\\u0037"', "7.0", "null", "8", '"8"', "-7", '"a\\"b"', '""'),
    fc.string({ unit: "grapheme" }).map((text) => JSON.stringify(text)),
  );
  const space = fc.constantFrom("", " ", "\t ");

  test("tells what a parser of JSON tells, wherever the bytes are cut", () => {
    const answers = new Answers(["7"]);
    fc.assert(
      fc.property(fc.json(), id, fc.json(), space, fc.boolean(), (before, own, after, gap, isBatch) => {
        const message = `{"result":${before}${gap},"id"${gap}:${gap}${own}${gap},"x":${after}${gap}}`;
        const data = isBatch ? `[{"id":7},${message}]` : message;
        const bytes = Buffer.from(`id: 8\n: "id":8,\ndata: ${data}\n\n`);
        const value: unknown = JSON.parse(own);
        const isOther = value !== null && String(value) !== "7";
        expect(new AnswerWatch(answers).seesIn(Buffer.from(data))).toBe(isOther);
        for (let cut = 0; cut <= bytes.length; cut += 5) {
          const watch = new AnswerWatch(answers);
          const seen = [bytes.subarray(0, cut), bytes.subarray(cut)].some((piece) => watch.sees(piece));
          expect(seen).toBe(isOther);
        }
      }),
    );
  });

  test("takes no object and no array for an id", () => {
    for (const own of ['{"id":8}', "[8]", "[]"])
      expect(new AnswerWatch(new Answers([])).seesIn(Buffer.from(`{"id":${own},"x":8}`))).toBe(false);
  });
});
