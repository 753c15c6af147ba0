/**
 * Headers that repeat arguments of a tool call, where the tool's schema asks for that (MCP 2026-07-28, basic/transports, "Custom Headers
 * from Tool Parameters"; SEP-2243). Pure.
 */
import { Buffer } from "node:buffer";
import { isJsonObject, parseJson } from "../json/parse.ts";
import { encodedName } from "./name-header.ts";

/** The member of a parameter's schema that names its header. */
const ANNOTATION = "x-mcp-header";

/** A token (RFC 9110 §5.6.2). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** How deep parameters are looked for. */
const DEEPEST = 20;

/**
 * By the ends of their names, each behind `mcp-param-`, in lower case.
 * @param tool JSON text of the tool, as its server lists it
 * @param body of the call
 */
export function paramHeaders(tool: Uint8Array, body: Uint8Array): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  // Few tools ask for it.
  if (!Buffer.from(tool.buffer, tool.byteOffset, tool.byteLength).includes(ANNOTATION)) return headers;
  const listed = parseJson(Buffer.from(tool).toString());
  const call = parseJson(Buffer.from(body).toString());
  const params = isJsonObject(call) ? call.params : undefined;
  const given = isJsonObject(params) ? params.arguments : undefined;
  collect(isJsonObject(listed) ? listed.inputSchema : undefined, given, headers, DEEPEST);
  return headers;
}

/** Of a parameter that is not there, or null, there is no header. */
function collect(schema: unknown, given: unknown, headers: Map<string, string>, left: number): void {
  const properties = isJsonObject(schema) ? schema.properties : undefined;
  if (!isJsonObject(properties) || !isJsonObject(given) || left === 0) return;
  for (const [name, property] of Object.entries(properties)) {
    if (!isJsonObject(property) || !Object.hasOwn(given, name)) continue;
    const header = property[ANNOTATION];
    const value = textOf(given[name]);
    if (typeof header === "string" && TOKEN.test(header) && value !== undefined)
      headers.set(header.toLowerCase(), encodedName(value));
    collect(property, given[name], headers, left - 1);
  }
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  // Others have no text that each parser reads alike.
  return typeof value === "boolean" || Number.isSafeInteger(value) ? String(value) : undefined;
}
