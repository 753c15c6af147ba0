import { describe, expect, test } from "vitest";
import { requestPolicy } from "../../../src/config/policy.ts";
import { errorsOf, load, type Sections } from "./sections.ts";

describe("admission", () => {
  const capsOf = (admission: object) => requestPolicy(load({ admission })).admission;

  test("uses the written numbers, the defaults for zero and for absent ones, and no cap for off", () => {
    expect(capsOf({ sessions: 5, perPrincipal: 2, waiting: 3, retryAfter: "1500ms" })).toMatchObject({
      sessions: 5,
      perPrincipal: 2,
      waiting: 3,
      retryAfter: 2,
    });
    expect(capsOf({ sessions: 0, perPrincipal: 0, waiting: 0 })).toEqual(requestPolicy(load()).admission);
    expect(capsOf({ sessions: false, perPrincipal: false, waiting: false })).toEqual(
      capsOf({ sessions: "off", perPrincipal: "off", waiting: "off" }),
    );
    expect(capsOf({ sessions: "off", perPrincipal: "off", waiting: "off" })).toMatchObject({
      sessions: undefined,
      perPrincipal: undefined,
      waiting: undefined,
    });
  });

  test.each([
    ["half of all sessions", {}, 50],
    ["half of all sessions, and one at least", { sessions: 1 }, 1],
    ["half of all sessions where it is zero", { sessions: 8, anonymous: 0 }, 4],
    ["what is written", { anonymous: 7 }, 7],
    ["none where it is off", { anonymous: "off" }, undefined],
    ["none where it is false, as YAML 1.1 has off", { anonymous: false }, undefined],
    ["none by default where there is none on all", { sessions: "off" }, undefined],
    ["what is written where there is none on all", { sessions: "off", anonymous: 7 }, 7],
  ])("limits anonymous callers beside authenticated ones: %s", (_, admission, cap) => {
    const identity = { kind: "header", name: "x-user", required: false };
    expect(requestPolicy(load({ admission, identity })).admission.anonymous).toBe(cap);
    expect(requestPolicy(load({ admission })).admission.anonymous).toBeUndefined();
  });

  test.each([
    ["2m", { idle: 123_000, unnamed: 5_000 }],
    ["off", undefined],
    [false, undefined],
  ])("parks sessions after %j", (park, parking) => {
    expect(capsOf({ park }).parking).toEqual(parking);
  });

  test.each<[Sections, string]>([
    [
      { park: "soon" },
      'admission.park: got "soon", expected a duration such as "500ms", "10s", "30m" or "24h", or off',
    ],
    [{ park: 60 }, "admission.park: got 60, expected a duration such as"],
    [{ wait: "41s" }, "admission.wait: got 41s, expected at most 40s: Envoy ends a request"],
    [{ sessions: -1 }, "admission.sessions: got -1, expected a whole number from 1 to 10000000, or off"],
    [{ perPrincipal: 1.5 }, "admission.perPrincipal: got 1.5, expected a whole number"],
    [{ anonymous: -1 }, "admission.anonymous: got -1, expected a whole number from 1 to 10000000, or off"],
    [{ waiting: "none" }, 'admission.waiting: got "none", expected a whole number'],
    [{ guard: { perSecond: 10 } }, "admission.guard.burst: missing"],
    [{ session: 1 }, 'admission: unknown setting "session"'],
  ])("that is wrong: %j", (admission, error) => {
    expect(errorsOf({ admission })).toEqual([expect.stringContaining(error)]);
  });
});
