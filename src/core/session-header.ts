/** Reads `mcp-session-id` of requests and answers. Pure. */

/** What the field says. */
export type SessionHeader =
  /** It is absent, or says nothing: clients and servers write it of an empty variable. */
  | { readonly kind: "none" }
  | { readonly kind: "one"; readonly id: string }
  /** It names different ids, of which none is more right than the other. */
  | { readonly kind: "several" };

const NONE: SessionHeader = { kind: "none" };

/**
 * Fields of one name come joined by a comma (RFC 9110 §5.3). One id that was written twice is one: frameworks that set the header
 * beside the server's own code do that. An id may hold a comma, and no white space (MCP 2025-11-25, "Session
 * Management": visible ASCII): what differs without a space after the comma is one id.
 */
export function readSessionHeader(value: string | undefined): SessionHeader {
  const text = value?.trim() ?? "";
  const parts = text.split(",").map((part) => part.trim());
  const [first = "", ...others] = parts.filter((part) => part !== "");
  if (first === "") return NONE;
  if (others.every((part) => part === first)) return { kind: "one", id: first };
  return /,\s/.test(text) ? { kind: "several" } : { kind: "one", id: text };
}
