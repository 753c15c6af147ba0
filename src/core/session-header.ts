/** Reads `mcp-session-id` of requests and answers. Pure. */

/** What the field says. */
export type SessionHeader =
  /** The field is absent or empty: some programs write it from an empty variable. */
  | { readonly kind: "none" }
  | { readonly kind: "one"; readonly id: string }
  /** The field names different ids, and nothing says which one counts. */
  | { readonly kind: "several" };

const NONE: SessionHeader = { kind: "none" };

/**
 * Envoy joins fields of one name by ", " (RFC 9110 §5.3). The same id twice is one id: some frameworks set the header beside the
 * server's own code. An id is visible ASCII (MCP 2025-11-25, "Session Management"), so it may hold a comma but no space: different
 * texts around a comma without a space are one id.
 */
export function readSessionHeader(value: string | undefined): SessionHeader {
  const text = value?.trim() ?? "";
  const parts = text.split(",").map((part) => part.trim());
  const [first = "", ...others] = parts.filter((part) => part !== "");
  if (first === "") return NONE;
  if (others.every((part) => part === first)) return { kind: "one", id: first };
  return /,\s/.test(text) ? { kind: "several" } : { kind: "one", id: text };
}
