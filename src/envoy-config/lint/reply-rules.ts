/** Rules on Envoy's own errors: JSON-RPC for clients, and no change of the processor's answers (LocalReplyConfig). */
import { CALLS_METADATA } from "../../core/call-limits.ts";
import { REPLY_DETAILS_PREFIX } from "../../core/codes.ts";
import { type Finding, found, stated } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";

export function localReplyFindings(manager: ProtoView): Finding[] {
  const config = manager.get("local_reply_config");
  const mappers = config.get("mappers").items();
  if (mappers.length === 0 && !config.get("body_format").exists)
    return [found("local-replies", config, `${config.field} ${config.exists ? "has no mappers" : "is absent"}`)];
  return [...rewritesOurs(config, mappers), ...mappers.flatMap(jsonRpcBody), ...coverage(config, mappers)];
}

/**
 * To Envoy the processor's answers are local replies too. They are safe behind a first mapper that matches them by their details
 * and changes nothing; without it only filters by details leave them alone.
 */
function rewritesOurs(config: ProtoView, mappers: readonly ProtoView[]): Finding[] {
  const guard = mappers.findIndex((mapper) => !changes(mapper) && filterText(mapper).includes(REPLY_DETAILS_PREFIX));
  const unguarded = guard < 0 ? mappers : mappers.slice(0, guard);
  const findings = unguarded
    .filter((mapper) => changes(mapper) && !filterText(mapper).includes("code_details"))
    .map((mapper) =>
      found("local-replies/takes-ours", mapper.get("filter"), "The mapper's filter is not by code details"),
    );
  const format = config.get("body_format");
  if (format.exists) findings.push(found("local-replies/rewrites-all", format, `${format.field} is set`));
  return findings;
}

function changes(mapper: ProtoView): boolean {
  return ["status_code", "body", "body_format_override", "headers_to_add"].some((field) => mapper.get(field).exists);
}

function filterText(mapper: ProtoView): string {
  return JSON.stringify(mapper.get("filter").value) ?? "";
}

function jsonRpcBody(mapper: ProtoView): Finding[] {
  if (!changes(mapper)) return [];
  const format = mapper.get("body_format_override");
  const json = format.get("json_format");
  if (json.exists) return bodyFindings(json, json.value);
  const source = format.get("text_format_source.inline_string");
  const text = source.exists ? source : format.get("text_format");
  if (text.text !== undefined && text.text !== "%LOCAL_REPLY_BODY%")
    return [...contentType(format), ...bodyFindings(text, parsed(text.text))];
  const body = mapper.get("body.inline_string");
  if (body.text !== undefined) return [...contentType(format), ...bodyFindings(body, parsed(body.text))];
  if (format.get("text_format_source").exists || mapper.get("body").exists)
    return [found("not-visible", mapper, "The mapper has its body in a file")];
  return [found("local-replies/unchanged", mapper, "The mapper changes an error without making it JSON-RPC")];
}

function contentType(format: ProtoView): Finding[] {
  const type = format.get("content_type");
  if (type.text?.toLowerCase().startsWith("application/json")) return [];
  return [found("local-replies/content-type", type, stated(type, "text/plain"))];
}

/** Envoy knows an id where the processor has told it: of a call that has a limit. */
function bodyFindings(at: ProtoView, body: unknown): Finding[] {
  const message = Object(body) as { jsonrpc?: unknown; error?: { code?: unknown } | null };
  if (message.jsonrpc !== "2.0" || typeof message.error?.code !== "number")
    return [found("local-replies/body", at, "The body is no JSON-RPC error")];
  return Object.hasOwn(message, "id") && !JSON.stringify(at.value).includes(CALLS_METADATA.namespace)
    ? [found("local-replies/id", at, "The body has an id")]
    : [];
}

/** Formatters such as %RESPONSE_CODE% become numbers, so that the rest can be read. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text.replaceAll(/%[A-Z_]+(?:\([^)]*\))?%/g, "1"));
  } catch {
    return undefined;
  }
}

/** Envoy's own errors that clients meet, and how a mapper's filter would name them. */
const ERRORS: readonly [string, RegExp][] = [
  ["a body above the limit (details request_payload_too_large)", /request_payload_too_large|413/],
  ["a processor that is away (details ext_proc_error…)", /ext_proc/],
  ["a backend that is away (flags UF, UH)", /"U[FH]"|upstream_reset|no_healthy_upstream|503/],
];

function coverage(config: ProtoView, mappers: readonly ProtoView[]): Finding[] {
  const filters = mappers.filter(changes).map(filterText);
  const at = config.get("mappers");
  return ERRORS.filter(([, named]) => !filters.some((filter) => named.test(filter))).map(([what]) =>
    found("local-replies/uncovered", at, `${at.field} have none for ${what}`),
  );
}
