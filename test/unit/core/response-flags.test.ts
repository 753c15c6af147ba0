import { describe, expect, test } from "vitest";
import { isUnanswered } from "../../../src/core/response-flags.ts";

/** Bits of `response.flags` as Envoy documents them, by their short names. */
const FLAG = { UH: 0x2, UT: 0x4, LR: 0x8, UR: 0x10, UF: 0x20, UC: 0x40, UO: 0x80, URX: 0x8000, SI: 0x10000 };
const MORE = { UMSDR: 0x80000, DT: 0x400000, UPE: 0x800000, NC: 0x1000000 };

describe("an answer stands in place of one that an endpoint may have given", () => {
  test.each([
    ["UT", FLAG.UT],
    ["LR", FLAG.LR],
    ["UR", FLAG.UR],
    ["UC", FLAG.UC],
    ["SI", FLAG.SI],
    ["UMSDR", MORE.UMSDR],
    ["DT", MORE.DT],
    ["UPE", MORE.UPE],
    ["UC, after retries", FLAG.UC | FLAG.URX],
  ])("with %s", (_, flags) => expect(isUnanswered("503", flags)).toBe(true));

  test("with 504, whoever gave it", () => expect(isUnanswered("504", 0)).toBe(true));
});

describe("an answer stands for itself", () => {
  test.each(["200", "202", "307", "400", "404", "500", "503"])("where the backend gave it: %s", (status) =>
    expect(isUnanswered(status, 0)).toBe(false),
  );

  test.each([
    ["UH", FLAG.UH],
    ["UF", FLAG.UF],
    ["UF, after retries", FLAG.UF | FLAG.URX],
    ["UO", FLAG.UO],
    ["NC", MORE.NC],
  ])("where nobody was asked: %s", (_, flags) => expect(isUnanswered("503", flags)).toBe(false));
});
