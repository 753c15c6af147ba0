/** What a client says in its initialize that it can do. Pure. */
import { isJsonObject, parseJson } from "../json/parse.ts";

/** Capabilities that let a server ask the client (MCP 2025-11-25, "Capability Negotiation"). */
const ASKED_BY: readonly string[] = ["roots", "sampling", "elicitation"];

/** @param initializeParams JSON text */
export function canBeAsked(initializeParams: string): boolean {
  const params = parseJson(initializeParams);
  const capabilities = isJsonObject(params) ? params.capabilities : undefined;
  return isJsonObject(capabilities) && ASKED_BY.some((name) => Object.hasOwn(capabilities, name));
}
