/** Whether a route takes a request (envoy.config.route.v3.RouteMatch), from the conditions that can be judged here. */
import type { ProtoView } from "./proto-view.ts";

export interface SampleRequest {
  readonly path: string;
  /** Names in lower case, with `:method`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** All headers of a request: to Envoy the path is one too. */
export function headersOf({ path, headers }: SampleRequest): SampleRequest["headers"] {
  return { ":path": path, ...headers };
}

/** Fields of a RouteMatch that depend on more than a sample request has. */
const OTHER_CONDITIONS = [
  "query_parameters",
  "grpc",
  "tls_context",
  "dynamic_metadata",
  "filter_state",
  "cookies",
  "runtime_fraction",
  "connect_matcher",
  "path_match_policy",
];

/** Whether a RouteMatch matches the request. Conditions that cannot be judged here count as not met. */
export function matches(match: ProtoView, request: SampleRequest): boolean {
  if (OTHER_CONDITIONS.some((field) => match.get(field).exists)) return false;
  return (
    matchesPath(match, request.path) &&
    match
      .get("headers")
      .items()
      .every((matcher) => matchesHeader(matcher, headersOf(request)))
  );
}

function matchesPath(match: ProtoView, path: string): boolean {
  const fold =
    match.get("case_sensitive").value === false ? (text: string) => text.toLowerCase() : (text: string) => text;
  const prefix = match.get("prefix").text;
  if (prefix !== undefined) return fold(path).startsWith(fold(prefix));
  const exact = match.get("path").text;
  if (exact !== undefined) return fold(path) === fold(exact);
  const parent = match.get("path_separated_prefix").text;
  if (parent !== undefined) return fold(path) === fold(parent) || fold(path).startsWith(`${fold(parent)}/`);
  const regex = match.get("safe_regex.regex").text;
  return regex !== undefined && matchesRegex(regex, path) === true;
}

/** The conditions of a HeaderMatcher on a value. A matcher without any means present_match: true. */
const VALUE_CONDITIONS = [
  "string_match",
  "range_match",
  "exact_match",
  "prefix_match",
  "suffix_match",
  "contains_match",
  "safe_regex_match",
];

/** envoy.config.route.v3.HeaderMatcher. An absent header matches no inverted matcher either, unless it counts as empty. */
export function matchesHeader(matcher: ProtoView, headers: SampleRequest["headers"]): boolean {
  const value = headers[matcher.get("name").text?.toLowerCase() ?? ""];
  const invert = matcher.get("invert_match").isTrue;
  const present = matcher.get("present_match");
  const treated = value ?? (matcher.get("treat_missing_header_as_empty").isTrue ? "" : undefined);
  const isOfPresence = present.exists || !VALUE_CONDITIONS.some((field) => matcher.get(field).exists);
  if (isOfPresence) return ((treated !== undefined) === (present.value !== false)) !== invert;
  if (treated === undefined) return false;
  const taken = matchesValue(matcher, treated);
  return taken !== undefined && taken !== invert;
}

/** Whether the value meets the condition; undefined: it cannot be judged here. */
function matchesValue(matcher: ProtoView, value: string): boolean | undefined {
  const string = matcher.get("string_match");
  const fold = string.get("ignore_case").isTrue ? (text: string) => text.toLowerCase() : (text: string) => text;
  /** string_match, or the deprecated field of the same meaning. */
  const wanted = (field: string, old: string) => string.get(field).text ?? matcher.get(old).text;
  const exact = wanted("exact", "exact_match");
  if (exact !== undefined) return fold(value) === fold(exact);
  const prefix = wanted("prefix", "prefix_match");
  if (prefix !== undefined) return fold(value).startsWith(fold(prefix));
  const suffix = wanted("suffix", "suffix_match");
  if (suffix !== undefined) return fold(value).endsWith(fold(suffix));
  const contains = wanted("contains", "contains_match");
  if (contains !== undefined) return fold(value).includes(fold(contains));
  const regex = string.get("safe_regex.regex").text ?? matcher.get("safe_regex_match.regex").text;
  if (regex !== undefined) return matchesRegex(regex, value);
  const range = matcher.get("range_match");
  return range.exists ? inRange(range, value) : undefined;
}

/** envoy.type.v3.Int64Range, whose end is not in it; both ends are 0 where they are absent. */
function inRange(range: ProtoView, value: string): boolean {
  const end = (field: string) => Number(range.get(field).value ?? 0);
  return /^[+-]?\d+$/.test(value) && Number(value) >= end("start") && Number(value) < end("end");
}

/**
 * Whether the whole text matches; undefined where JavaScript cannot read the regex. RE2's syntax differs in the flags at its start,
 * and hardly elsewhere.
 */
export function matchesRegex(regex: string, text: string): boolean | undefined {
  const [opening = "", flags] = /^\(\?([is]+)\)/.exec(regex) ?? [];
  try {
    return new RegExp(`^(?:${regex.slice(opening.length)})$`, flags).test(text);
  } catch {
    return undefined;
  }
}
