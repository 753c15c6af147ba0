import { describe, expect, test } from "vitest";
import { ProtoView } from "../../../src/envoy-config/lint/proto-view.ts";
import { chooseRoute } from "../../../src/envoy-config/lint/virtual-host.ts";
import { type MatchedRequest, ROUTE_MATCHES } from "../../support/route-matches.ts";

/** The path of the route that is chosen of these. */
function chosenOf(routes: readonly unknown[], { path, header }: Pick<MatchedRequest, "path" | "header">) {
  const headers = { ":method": "GET", ...(header !== undefined && { "x-t": header }) };
  return chooseRoute(new ProtoView({ routes }, "host"), { path, headers })?.path;
}

test("the first route that takes a request is chosen", () => {
  const routes = [{ match: { path: "/p" } }, { match: { prefix: "/" } }, { match: { prefix: "/" } }];
  expect(chosenOf(routes, { path: "/p", header: undefined })).toBe("host.routes[0]");
  expect(chosenOf(routes, { path: "/q", header: undefined })).toBe("host.routes[1]");
  expect(chosenOf(routes.slice(0, 1), { path: "/q", header: undefined })).toBeUndefined();
});

describe("a match takes what it takes in Envoy", () => {
  test.each(ROUTE_MATCHES.map(({ match, requests }) => [JSON.stringify(match), match, requests] as const))(
    "%s",
    (_, match, requests) => {
      const taken = requests.filter((request) => chosenOf([{ match }], request) !== undefined);
      expect(taken).toEqual(requests.filter((request) => request.taken));
    },
  );

  test.each([
    [{ exact_match: "abc" }, { exact: "abc" }],
    [{ prefix_match: "ab" }, { prefix: "ab" }],
    [{ suffix_match: "bc" }, { suffix: "bc" }],
    [{ contains_match: "b" }, { contains: "b" }],
    [{ safe_regex_match: { regex: "a.c" } }, { safe_regex: { regex: "a.c" } }],
  ])("%j, which is deprecated, means string_match %j", (deprecated, string_match) => {
    for (const header of [undefined, "abc", "xbc", "ac"]) {
      const chosen = (matcher: object) =>
        chosenOf([{ match: { prefix: "/", headers: [{ name: "x-t", ...matcher }] } }], { path: "/", header });
      expect(chosen(deprecated)).toBe(chosen({ string_match }));
    }
  });
});

describe("what cannot be judged counts as not met, inverted or not", () => {
  test.each<[string, Record<string, unknown>]>([
    ["a query parameter", { prefix: "/", query_parameters: [{ name: "q" }] }],
    ["a fraction of requests", { prefix: "/", runtime_fraction: {} }],
    ["no path at all", {}],
    ["a regex that only RE2 reads", { safe_regex: { regex: "\\pN*[[:alpha:]/](?P<x>.*" } }],
    ["a custom matcher", { prefix: "/", headers: [{ name: "x-t", string_match: { custom: {} } }] }],
    [
      "a custom matcher, inverted",
      { prefix: "/", headers: [{ name: "x-t", string_match: { custom: {} }, invert_match: true }] },
    ],
    [
      "a header's regex that only RE2 reads, inverted",
      { prefix: "/", headers: [{ name: "x-t", string_match: { safe_regex: { regex: "(?U)a" } }, invert_match: true }] },
    ],
    ["a range of something else", { prefix: "/", headers: [{ name: "x-t", range_match: { start: "x" } }] }],
  ])("%s", (_, match) => {
    expect(chosenOf([{ match }], { path: "/", header: "5" })).toBeUndefined();
  });
});
