import fc from "fast-check";
import { expect, test } from "vitest";
import { DataLines } from "../../../../src/core/sse/data-lines.ts";

test("the data of an event comes to the same wherever its bytes are cut", () => {
  const line = fc.constantFrom(
    "data: a",
    "data:b",
    "data:",
    "data",
    "datax: c",
    ": data: d",
    "id: 1",
    "xdata: e",
    "data: data:",
  );
  const end = fc.constantFrom("\n", "\r", "\r\n");
  fc.assert(
    fc.property(fc.array(line), end, fc.boolean(), (lines, lineEnd, isEnded) => {
      const event = lines.join(lineEnd) + (isEnded ? lineEnd : "");
      const values = lines.filter((each) => each.startsWith("data:")).map((each) => each.slice("data:".length));
      for (let cut = 0; cut <= event.length; cut++) {
        const reader = new DataLines();
        const read = [event.slice(0, cut), event.slice(cut)].flatMap((piece) => reader.read(Buffer.from(piece)));
        const data = Buffer.concat(read).toString();
        expect(data.replaceAll(/[\r\n]/g, "")).toBe(values.join(""));
      }
    }),
  );
});
