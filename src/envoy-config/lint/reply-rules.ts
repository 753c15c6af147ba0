/** Rules on Envoy's own errors: JSON-RPC for clients, and hands off the processor's (LocalReplyConfig). */
import { INTERNAL_ERROR, REPLY_DETAILS_PREFIX } from "../../core/codes.ts";
import { error, type Finding, warning } from "./finding.ts";
import type { ProtoView } from "./proto-view.ts";

export function localReplyFindings(manager: ProtoView): Finding[] {
  const config = manager.get("local_reply_config");
  const mappers = config.get("mappers").items();
  if (mappers.length === 0 && !config.get("body_format").exists)
    return [
      error(
        "local-replies",
        config,
        'is absent: Envoy\'s own errors are plain text; write it as "mcp-router envoy" prints it',
      ),
    ];
  return [...rewritesOurs(config, mappers), ...mappers.flatMap(jsonRpcBody), ...coverage(config, mappers)];
}

/**
 * The processor's answers are local replies too. They are safe behind a first mapper that takes them by their details and
 * changes nothing; without it only filters by details leave them alone.
 */
function rewritesOurs(config: ProtoView, mappers: readonly ProtoView[]): Finding[] {
  const guard = mappers.findIndex((mapper) => !changes(mapper) && filterText(mapper).includes(REPLY_DETAILS_PREFIX));
  const unguarded = guard < 0 ? mappers : mappers.slice(0, guard);
  const findings = unguarded
    .filter((mapper) => changes(mapper) && !filterText(mapper).includes("code_details"))
    .map((mapper) =>
      error(
        "local-replies",
        mapper.get("filter"),
        `takes the processor's own answers as well; put first a mapper that changes nothing, with the CEL filter ` +
          `response.code_details.startsWith('${REPLY_DETAILS_PREFIX}')`,
      ),
    );
  const format = config.get("body_format");
  if (format.exists)
    findings.push(
      error(
        "local-replies",
        format,
        "rewrites every local reply, the processor's own too; use body_format_override of mappers",
      ),
    );
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
  const text = format.get("text_format_source.inline_string").text ?? format.get("text_format").text;
  const body = mapper.get("body.inline_string");
  const advice = `write {"jsonrpc":"2.0","error":{"code":${INTERNAL_ERROR},"message":"…"}}`;
  if (format.get("json_format").exists)
    return problems(format.get("json_format"), format.get("json_format").value, advice);
  if (text !== undefined && text !== "%LOCAL_REPLY_BODY%") {
    const at = format.get("text_format_source.inline_string").exists
      ? format.get("text_format_source.inline_string")
      : format.get("text_format");
    return [...contentType(format), ...problems(at, parsed(text), advice)];
  }
  if (body.text !== undefined) return [...contentType(format), ...problems(body, parsed(body.text), advice)];
  if (format.get("text_format_source").exists || mapper.get("body").exists)
    return [warning("not-visible", mapper, "has its body in a file: it was not checked")];
  return [
    error(
      "local-replies",
      mapper,
      `changes an error without making it JSON-RPC; add a body_format_override and ${advice}`,
    ),
  ];
}

function contentType(format: ProtoView): Finding[] {
  const type = format.get("content_type");
  if (type.text?.toLowerCase().startsWith("application/json")) return [];
  return [
    error("local-replies", type, "is not application/json, so clients do not read the error; write application/json"),
  ];
}

function problems(at: ProtoView, body: unknown, advice: string): Finding[] {
  const message = Object(body) as { jsonrpc?: unknown; error?: { code?: unknown } | null };
  if (message.jsonrpc !== "2.0" || typeof message.error?.code !== "number")
    return [error("local-replies", at, `is no JSON-RPC error; ${advice}`)];
  if (Object.hasOwn(message, "id"))
    return [error("local-replies", at, `has an id, which Envoy cannot know, and strict SDKs refuse null; ${advice}`)];
  return [];
}

/** Formatters such as %RESPONSE_CODE% become numbers, so that the rest can be read. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text.replaceAll(/%[A-Z_]+(?:\([^)]*\))?%/g, "0"));
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
  return ERRORS.filter(([, named]) => !filters.some((filter) => named.test(filter))).map(([what]) =>
    warning("local-replies", config.get("mappers"), `leave out ${what}; add it as "mcp-router envoy" prints it`),
  );
}
