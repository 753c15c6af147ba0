import { describe, expect, test } from "vitest";
import type { Said } from "../../../src/backends/said.ts";
import { isLost, suspect } from "../../../src/recovery/lost.ts";

/** Envoy's response flags (envoy.data.accesslog.v3.ResponseFlags, in the order of their bits). */
const FLAG = {
  none: 0,
  LH: 0x1,
  UH: 0x2,
  UT: 0x4,
  LR: 0x8,
  UR: 0x10,
  UF: 0x20,
  UC: 0x40,
  UO: 0x80,
  NR: 0x100,
  DI: 0x200,
  FI: 0x400,
  RL: 0x800,
  UAEX: 0x1000,
  DC: 0x4000,
  URX: 0x8000,
  SI: 0x10000,
  DPE: 0x40000,
  UMSDR: 0x80000,
} as const;
const BY = "10.0.0.1:80";

describe("an answer raises the suspicion that the session is lost", () => {
  test.each([
    ["404", FLAG.none, "probe"],
    ["410", FLAG.none, "probe"],
    ["400", FLAG.none, "probe"],
    ["503", FLAG.none, "probe"],
    ["401", FLAG.none, "probe-and-log-in"],
    ["403", FLAG.none, "probe-and-log-in"],
    ["503", FLAG.UF, "unreachable"],
    ["503", FLAG.UH, "unreachable"],
    ["503", FLAG.UF | FLAG.URX, "unreachable"],
    // As 2 ** 53 − 1 flags would come: those above 32 bits are none that we look at.
    ["503", FLAG.UF + 2 ** 40, "unreachable"],
    [undefined, FLAG.UH, "unreachable"],
  ])("%s with flags %i: %s", (status, flags, suspicion) => {
    expect(suspect(status, flags, BY)).toBe(suspicion);
  });

  test("by Envoy that nobody took the request, whoever was to answer", () => {
    expect(suspect("503", FLAG.UH, undefined)).toBe("unreachable");
  });
});

describe("an answer raises none", () => {
  test.each(["200", "202", "204", "302", "405", "406", "409", "413", "415", "422", "429", "500", "502", "504"])(
    "where the backend says %s",
    (status) => {
      expect(suspect(status, FLAG.none, BY)).toBeUndefined();
    },
  );

  test.each(["404", "410", "400", "401", "403", "503"])("where Envoy or one of its filters says %s", (status) => {
    expect(suspect(status, FLAG.none, undefined)).toBeUndefined();
  });

  test.each([
    "LH",
    "UT",
    "LR",
    "UR",
    "UC",
    "UO",
    "NR",
    "DI",
    "FI",
    "RL",
    "UAEX",
    "DC",
    "URX",
    "SI",
    "DPE",
    "UMSDR",
  ] as const)(
    "where Envoy says 503 with the flag %s: it may have run, or has nothing to do with the session",
    (flag) => {
      expect(suspect("503", FLAG[flag], BY)).toBeUndefined();
    },
  );

  test("without a status", () => {
    expect(suspect(undefined, FLAG.none, BY)).toBeUndefined();
  });

  test("by flags that are no number", () => {
    expect(suspect("200", Number.NaN, BY)).toBeUndefined();
  });
});

describe("a session is lost", () => {
  test.each<[number, number, Said, boolean]>([
    [404, 404, "lost", true],
    [401, 404, "lost", true],
    [503, 503, "lost", true],
    [404, 200, "alive", false],
    [401, 401, "refused", true],
    [403, 403, "refused", true],
    [401, 403, "refused", false],
    [404, 401, "refused", false],
    [404, 503, "away", true],
    [400, 503, "away", true],
    [503, 503, "away", false],
    [401, 503, "away", false],
    [503, 503, "unclear", false],
    [404, 500, "unclear", false],
  ])(
    "or not, where a request is answered %i, and a ping %i which says that it is %s: %s",
    (status, ping, said, lost) => {
      expect(isLost(status, ping, said)).toBe(lost);
    },
  );
});
