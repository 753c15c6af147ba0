/** Rules on the ext_proc filter itself (envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor). */
import type { Config } from "../../config/load.ts";
import { REPLACED_BODY } from "../../core/mode-override.ts";
import { maxMessageTimeout, WRITABLE_HEADERS, WRITTEN_HEADERS } from "../ext-proc.ts";
import { RESPONSE_ATTRIBUTES } from "../names.ts";
import { error, type Finding, warning } from "./finding.ts";
import { matchesRegex } from "./match.ts";
import type { ProtoView } from "./proto-view.ts";

/** envoy.extensions.filters.http.ext_proc.v3.ProcessingMode, by number. */
const HEADER_MODES = ["DEFAULT", "SEND", "SKIP"];
const BODY_MODES = ["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"];
const ROUTE_CACHE_ACTIONS = ["DEFAULT", "CLEAR", "RETAIN"];

/**
 * In ms. Envoy's default of 200 gives 504 under any load; 1 s did in a burst on two cores, 5 s never
 * (docs/internals/envoy-facts.md §12).
 */
const LEAST_MESSAGE_TIMEOUT = 1_000;
const GOOD_MESSAGE_TIMEOUT = 5_000;

/** The rules of the filter, given the ExternalProcessor message. */
export function filterFindings(filter: ProtoView, config: Config): Finding[] {
  return [
    ...processingModeFindings(filter.get("processing_mode")),
    ...modeOverride(filter),
    ...failOpen(filter),
    ...messageTimeouts(filter, neededMessageTimeout(config)),
    ...mutationRules(filter.get("mutation_rules")),
    ...responseAttributes(filter.get("response_attributes")),
    ...routeCache(filter),
  ];
}

/** Also for the processing_mode of an ExtProcOverrides. */
export function processingModeFindings(mode: ProtoView): Finding[] {
  const findings: Finding[] = [];
  const requestBody = mode.get("request_body_mode");
  if (requestBody.enumIn(BODY_MODES) !== "BUFFERED")
    findings.push(
      error(
        "request-body-mode",
        requestBody,
        `is ${shown(requestBody, "NONE")}: the processor decides by the whole JSON-RPC message; write BUFFERED`,
      ),
    );
  const responseBody = mode.get("response_body_mode");
  if ((responseBody.enumIn(BODY_MODES) ?? "NONE") !== "NONE")
    findings.push(
      error(
        "response-body-mode",
        responseBody,
        `is ${shown(responseBody, "NONE")}: event streams would be held or copied through the processor; write NONE`,
      ),
    );
  for (const field of ["request_header_mode", "response_header_mode"]) {
    const headers = mode.get(field);
    if (!["DEFAULT", "SEND"].includes(headers.enumIn(HEADER_MODES) ?? "DEFAULT"))
      findings.push(
        error("header-modes", headers, `is ${shown(headers, "DEFAULT")}: no session could be read or set; write SEND`),
      );
  }
  // A request's trailers may come either way: without them a POST that has no body but trailers gets 503 in place of 400.
  const trailers = mode.get("response_trailer_mode");
  if (trailers.enumIn(HEADER_MODES) === "SEND")
    findings.push(warning("header-modes", trailers, "is SEND: the processor has no use for trailers; write SKIP"));
  return findings;
}

function modeOverride(filter: ProtoView): Finding[] {
  const allow = filter.get("allow_mode_override");
  if (!allow.isTrue)
    return [
      error(
        "mode-override",
        allow,
        `is ${shown(allow, "false")}: an answer that the processor streams would get the old body; write true`,
      ),
    ];
  const allowed = filter.get("allowed_override_modes");
  const entries = allowed.items();
  if (entries.length === 0 || entries.some(allowsReplacedBody)) return [];
  const wanted = Object.entries(REPLACED_BODY).map(([field, value]) => `${field}: ${value}`);
  return [
    error(
      "mode-override",
      allowed,
      `has no entry for answers that the processor streams; add { ${wanted.join(", ")} }, every mode spelled out`,
    ),
  ];
}

/** Envoy compares every mode but request_header_mode. An absent one is the first of its kind, as proto3 has it. */
function allowsReplacedBody(mode: ProtoView): boolean {
  return Object.entries(REPLACED_BODY).every(([field, wanted]) => {
    const names = field.endsWith("body_mode") ? BODY_MODES : HEADER_MODES;
    return field === "request_header_mode" || (mode.get(field).enumIn(names) ?? names[0]) === wanted;
  });
}

function failOpen(filter: ProtoView): Finding[] {
  const wrong: [string, string][] = [
    ["failure_mode_allow", "requests pass unchecked while the processor is away"],
    ["observability_mode", "Envoy does not wait for the processor, so nothing it says counts"],
    ["disable_immediate_response", "Envoy turns every refusal of the processor into an error of its own"],
  ];
  return wrong
    .map(([field, why]) => [filter.get(field), why] as const)
    .filter(([view]) => view.isTrue)
    .map(([view, why]) => error("fail-open", view, `is true: ${why}; write false`));
}

/** Where a session is not recovered, no verdict is deferred for long: max_message_timeout need not be what we generate. */
function neededMessageTimeout(config: Config): number {
  const backends = config.backends.filter(({ onSessionLost }) => onSessionLost === "recover");
  return maxMessageTimeout({ ...config, backends });
}

/** @param longest ms that the processor may ask for */
function messageTimeouts(filter: ProtoView, longest: number): Finding[] {
  const findings: Finding[] = [];
  const timeout = filter.get("message_timeout");
  const ms = timeout.duration ?? 200;
  if (ms < LEAST_MESSAGE_TIMEOUT)
    findings.push(
      error("message-timeout", timeout, `is ${shown(timeout, "0.2s")}: a burst of requests gets 504; write 5s`),
    );
  else if (ms < GOOD_MESSAGE_TIMEOUT)
    findings.push(
      warning("message-timeout", timeout, `is ${shown(timeout, "0.2s")}: a burst on few cores may get 504; write 5s`),
    );
  const most = filter.get("max_message_timeout");
  // Where it is below message_timeout, Envoy takes no longer one at all.
  if ((most.duration ?? 0) < longest && longest > ms)
    findings.push(
      error(
        "message-timeout",
        most,
        `is ${shown(most, "0s")}: a lost session's recovery and its call may take longer; write ${longest / 1000}s`,
      ),
    );
  return findings;
}

/** envoy.config.common.mutation_rules.v3.HeaderMutationRules. */
function mutationRules(rules: ProtoView): Finding[] {
  const refused = WRITTEN_HEADERS.filter((name) => !mayWrite(rules, name));
  if (refused.length === 0) return [];
  return [
    error(
      "mutation-rules",
      rules,
      `refuse ${refused.join(", ")}, which the processor writes; allow them: allow_expression: { regex: "${WRITABLE_HEADERS}" }`,
    ),
  ];
}

/**
 * disallow_expression outranks allow_expression, which outranks the rest. A header that Envoy keeps from the processor in
 * silence costs nothing but that it stays: those are x-envoy-…, of answers.
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
  const message = `lacks ${absent.join(", ")}; write [${RESPONSE_ATTRIBUTES.join(", ")}]`;
  return absent.includes("upstream.address")
    ? [
        error(
          "response-attributes",
          attributes,
          `${message}: without upstream.address no session is pinned to its endpoint`,
        ),
      ]
    : [warning("response-attributes", attributes, message)];
}

function routeCache(filter: ProtoView): Finding[] {
  const why = "the backend that the processor names would not change the route";
  const disable = filter.get("disable_clear_route_cache");
  const action = filter.get("route_cache_action");
  return [
    ...(disable.isTrue ? [error("route-cache", disable, `is true: ${why}; write false`)] : []),
    ...(action.enumIn(ROUTE_CACHE_ACTIONS) === "RETAIN"
      ? [error("route-cache", action, `is RETAIN: ${why}; write DEFAULT`)]
      : []),
  ];
}

/** What the file says, or the default that holds where it says nothing. */
function shown(view: ProtoView, fallback: string): string {
  return view.exists ? String(view.value) : `absent, so ${fallback}`;
}
