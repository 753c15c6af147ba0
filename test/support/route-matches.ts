/** Matches of routes with what takes them and what does not: what Envoy does (test/e2e/bootstrap) and the lint thinks it does. */

export interface RouteMatch {
  /** envoy.config.route.v3.RouteMatch. */
  readonly match: Readonly<Record<string, unknown>>;
  readonly requests: readonly MatchedRequest[];
}

export interface MatchedRequest {
  readonly path: string;
  /** What x-t says; undefined = it is absent. */
  readonly header: string | undefined;
  readonly taken: boolean;
}

/** The paths of which a match takes those given. */
const PATHS = ["/", "/p", "/p/", "/p/x", "/P/X", "/px", "/q"];

function ofPaths(match: RouteMatch["match"], taken: readonly string[]): RouteMatch {
  return { match, requests: PATHS.map((path) => ({ path, header: undefined, taken: taken.includes(path) })) };
}

/** The values of x-t of which a matcher takes those given. */
const VALUES = [undefined, "", "abc", "ABC", "xbc", "5", "-3"];

function ofValues(matcher: RouteMatch["match"], taken: readonly (string | undefined)[]): RouteMatch {
  return {
    match: { prefix: "/", headers: [{ name: "X-T", ...matcher }] },
    requests: VALUES.map((header) => ({ path: "/", header, taken: taken.includes(header) })),
  };
}

/** A matcher, what it takes, and so what it takes inverted, or with a header that is absent counting as empty. */
function inAllWays(matcher: RouteMatch["match"], taken: readonly string[]): RouteMatch[] {
  const others = VALUES.filter((value) => value !== undefined && !taken.includes(value));
  const orEmpty = (values: readonly (string | undefined)[]) => (values.includes("") ? [...values, undefined] : values);
  return [
    ofValues(matcher, taken),
    ofValues({ ...matcher, invert_match: true }, others),
    ofValues({ ...matcher, treat_missing_header_as_empty: true }, orEmpty(taken)),
    ofValues({ ...matcher, invert_match: true, treat_missing_header_as_empty: true }, orEmpty(others)),
  ];
}

const PRESENT = VALUES.filter((value) => value !== undefined);

export const ROUTE_MATCHES: readonly RouteMatch[] = [
  ofPaths({ prefix: "/p" }, ["/p", "/p/", "/p/x", "/px"]),
  ofPaths({ prefix: "/P", case_sensitive: false }, ["/p", "/p/", "/p/x", "/P/X", "/px"]),
  ofPaths({ path: "/p/x" }, ["/p/x"]),
  ofPaths({ path: "/p/X", case_sensitive: false }, ["/p/x", "/P/X"]),
  ofPaths({ path_separated_prefix: "/p" }, ["/p", "/p/", "/p/x"]),
  ofPaths({ path_separated_prefix: "/P", case_sensitive: false }, ["/p", "/p/", "/p/x", "/P/X"]),
  ofPaths({ safe_regex: { regex: "/p.*" } }, ["/p", "/p/", "/p/x", "/px"]),
  ofPaths({ safe_regex: { regex: "/p|/q" } }, ["/p", "/q"]),

  ofValues({}, PRESENT),
  ofValues({ invert_match: true }, [undefined]),
  ofValues({ present_match: true }, PRESENT),
  ofValues({ present_match: true, invert_match: true }, [undefined]),
  ofValues({ present_match: false }, [undefined]),
  ofValues({ present_match: false, invert_match: true }, PRESENT),
  ofValues({ present_match: true, treat_missing_header_as_empty: true }, VALUES),
  ofValues({ present_match: false, treat_missing_header_as_empty: true }, []),

  ...inAllWays({ string_match: { exact: "abc" } }, ["abc"]),
  ...inAllWays({ string_match: { exact: "" } }, [""]),
  ...inAllWays({ string_match: { exact: "aBC", ignore_case: true } }, ["abc", "ABC"]),
  ...inAllWays({ string_match: { prefix: "ab" } }, ["abc"]),
  ...inAllWays({ string_match: { prefix: "AB", ignore_case: true } }, ["abc", "ABC"]),
  ...inAllWays({ string_match: { suffix: "bc" } }, ["abc", "xbc"]),
  ...inAllWays({ string_match: { suffix: "bC", ignore_case: true } }, ["abc", "ABC", "xbc"]),
  ...inAllWays({ string_match: { contains: "b" } }, ["abc", "xbc"]),
  ...inAllWays({ string_match: { contains: "B", ignore_case: true } }, ["abc", "ABC", "xbc"]),
  ...inAllWays({ string_match: { safe_regex: { regex: ".b." } } }, ["abc", "xbc"]),
  ...inAllWays({ string_match: { safe_regex: { regex: "b" } } }, []),
  ...inAllWays({ string_match: { safe_regex: { regex: "|5|abc" } } }, ["", "5", "abc"]),
  ...inAllWays({ string_match: { safe_regex: { regex: "(?i)ABC" } } }, ["abc", "ABC"]),
  ...inAllWays({ range_match: { start: -3, end: 6 } }, ["5", "-3"]),
  ...inAllWays({ range_match: { end: "5" } }, []),
];
