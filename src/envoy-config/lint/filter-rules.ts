/** Rules on the ext_proc filter itself (envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor). */
import type { Config } from "../../config/load.ts";
import { withheldBy } from "../../core/credentials.ts";
import { BODY_SEND_MODES, HEADER_SEND_MODES, REPLACED_BODY, REWRITTEN_BODY } from "../../core/mode-override.ts";
import { federationOf } from "../../core/routes.ts";
import { maxMessageTimeout, WRITTEN_HEADERS } from "../ext-proc.ts";
import { RESPONSE_ATTRIBUTES } from "../names.ts";
import { type Finding, found, seconds, stated } from "./finding.ts";
import { matchesRegex } from "./match.ts";
import type { ProtoView } from "./proto-view.ts";

/** ExternalProcessor.RouteCacheAction, by number. */
const ROUTE_CACHE_ACTIONS = ["DEFAULT", "CLEAR", "RETAIN"];

/** Envoy's own message_timeout, in ms. */
const DEFAULT_MESSAGE_TIMEOUT = 200;
/** In ms. A burst on two cores got 504 at 1 s, and never at 5 s (docs/internals/envoy-facts.md §12). */
const LEAST_MESSAGE_TIMEOUT = 1_000;
const GOOD_MESSAGE_TIMEOUT = 5_000;

/** The rules of the filter, given the ExternalProcessor message. */
export function filterFindings(filter: ProtoView, config: Config): Finding[] {
  return [
    ...processingModeFindings(filter.get("processing_mode")),
    ...modeOverride(filter, config),
    ...failOpen(filter),
    ...messageTimeouts(filter, neededMessageTimeout(config)),
    ...mutationRules(filter.get("mutation_rules"), config),
    ...responseAttributes(filter.get("response_attributes")),
    ...routeCache(filter),
  ];
}

/** Also for the processing_mode of an ExtProcOverrides. */
export function processingModeFindings(mode: ProtoView): Finding[] {
  const findings: Finding[] = [];
  const requestBody = mode.get("request_body_mode");
  if (requestBody.enumIn(BODY_SEND_MODES) !== "BUFFERED")
    findings.push(found("request-body-mode", requestBody, stated(requestBody, "NONE")));
  const responseBody = mode.get("response_body_mode");
  if ((responseBody.enumIn(BODY_SEND_MODES) ?? "NONE") !== "NONE")
    findings.push(found("response-body-mode", responseBody, stated(responseBody, "NONE")));
  for (const field of ["request_header_mode", "response_header_mode"]) {
    const headers = mode.get(field);
    if (!["DEFAULT", "SEND"].includes(headers.enumIn(HEADER_SEND_MODES) ?? "DEFAULT"))
      findings.push(found("header-modes", headers, stated(headers, "DEFAULT")));
  }
  // request_trailer_mode may be either: without it a POST that has trailers and no body gets 503 in place of 400.
  const trailers = mode.get("response_trailer_mode");
  if (trailers.enumIn(HEADER_SEND_MODES) === "SEND")
    findings.push(found("header-modes/trailers", trailers, `${trailers.field} is SEND`));
  return findings;
}

function modeOverride(filter: ProtoView, { routes, policy }: Config): Finding[] {
  const allow = filter.get("allow_mode_override");
  if (!allow.isTrue) return [found("mode-override", allow, stated(allow, "false"))];
  const allowed = filter.get("allowed_override_modes");
  const entries = allowed.items();
  if (entries.length === 0) return [];
  const findings: Finding[] = [];
  const isAllowed = (wanted: OverrideMode) => entries.some((mode) => equals(mode, wanted));
  if (!isAllowed(REPLACED_BODY))
    findings.push(
      found("mode-override/allowed", allowed, `${allowed.field} has no entry for answers that the processor streams`),
    );
  // Without it the lists of a route under `policy` would go on as they are.
  const rewrites = policy !== undefined || routes.some((route) => federationOf(route));
  if (rewrites && !isAllowed(REWRITTEN_BODY))
    findings.push(
      found(
        "mode-override/rewritten",
        allowed,
        `${allowed.field} has no entry for answers that the processor rewrites`,
      ),
    );
  return findings;
}

type OverrideMode = typeof REPLACED_BODY | typeof REWRITTEN_BODY;

/** Envoy compares every mode but request_header_mode. An absent mode is the first of its enum, as proto3 has it. */
function equals(mode: ProtoView, wanted: OverrideMode): boolean {
  return Object.entries(wanted).every(([field, value]) => {
    const names = field.endsWith("body_mode") ? BODY_SEND_MODES : HEADER_SEND_MODES;
    return field === "request_header_mode" || (mode.get(field).enumIn(names) ?? names[0]) === value;
  });
}

function failOpen(filter: ProtoView): Finding[] {
  const switches = {
    failure_mode_allow: "fail-open/processor-away",
    observability_mode: "fail-open/not-waiting",
    disable_immediate_response: "fail-open/no-replies",
  } as const;
  return Object.entries(switches).flatMap(([field, mistake]) => {
    const view = filter.get(field);
    return view.isTrue ? [found(mistake, view, `${view.field} is true`)] : [];
  });
}

/** Where sessions are not recovered, and no tokens exchanged, no verdict is deferred for long: max_message_timeout need not be what we generate. */
function neededMessageTimeout(config: Config): number {
  const backends = config.backends.filter(
    ({ onSessionLost, credentials }) => onSessionLost === "recover" || credentials.kind === "exchange",
  );
  return maxMessageTimeout({ ...config, backends });
}

/** @param longest ms that the processor may ask for */
function messageTimeouts(filter: ProtoView, longest: number): Finding[] {
  const findings: Finding[] = [];
  const timeout = filter.get("message_timeout");
  const ms = timeout.duration ?? DEFAULT_MESSAGE_TIMEOUT;
  if (ms < GOOD_MESSAGE_TIMEOUT) {
    const mistake = ms < LEAST_MESSAGE_TIMEOUT ? "message-timeout" : "message-timeout/short";
    findings.push(found(mistake, timeout, stated(timeout, seconds(DEFAULT_MESSAGE_TIMEOUT))));
  }
  const most = filter.get("max_message_timeout");
  // Below message_timeout, Envoy lets the processor ask for no longer time at all.
  if ((most.duration ?? 0) < longest && longest > ms)
    findings.push(found("message-timeout/longest", most, stated(most, "0s"), { longest: seconds(longest) }));
  return findings;
}

/** envoy.config.common.mutation_rules.v3.HeaderMutationRules. */
function mutationRules(rules: ProtoView, { backends }: Config): Finding[] {
  const ofCredentials = backends.flatMap(({ credentials }) => withheldBy(credentials));
  const written = new Set([...WRITTEN_HEADERS, ...ofCredentials]);
  const refused = [...written].filter((name) => !mayWrite(rules, name));
  if (refused.length === 0) return [];
  return [found("mutation-rules", rules, `${rules.field} refuse ${refused.join(", ")}`)];
}

/**
 * disallow_expression outranks allow_expression, which outranks the rest. Envoy drops what it refuses without a word where
 * disallow_is_error is not set. That does no harm to x-envoy-… of answers: the header only stays.
 */
function mayWrite(rules: ProtoView, name: string): boolean {
  const disallowed = rules.get("disallow_expression.regex").text;
  if (disallowed !== undefined && matchesRegex(disallowed, name)) return false;
  const allowed = rules.get("allow_expression.regex").text;
  if (allowed !== undefined && matchesRegex(allowed, name)) return true;
  if (rules.get("disallow_all").isTrue) return false;
  if (name.startsWith("x-envoy-")) return rules.get("allow_envoy").isTrue || !rules.get("disallow_is_error").isTrue;
  return !(rules.get("disallow_system").isTrue && name.startsWith(":"));
}

function responseAttributes(attributes: ProtoView): Finding[] {
  const named = new Set(attributes.items().map((item) => item.text));
  const absent = RESPONSE_ATTRIBUTES.filter((name) => !named.has(name));
  if (absent.length === 0) return [];
  const mistake = absent.includes("upstream.address") ? "response-attributes" : "response-attributes/reason";
  return [found(mistake, attributes, `${attributes.field} lacks ${absent.join(", ")}`)];
}

function routeCache(filter: ProtoView): Finding[] {
  const disable = filter.get("disable_clear_route_cache");
  const action = filter.get("route_cache_action");
  const findings: Finding[] = [];
  if (disable.isTrue) findings.push(found("route-cache/disabled", disable, `${disable.field} is true`));
  if (action.enumIn(ROUTE_CACHE_ACTIONS) === "RETAIN")
    findings.push(found("route-cache/retained", action, `${action.field} is RETAIN`));
  return findings;
}
