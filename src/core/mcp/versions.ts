/** Revisions of MCP. Pure. */

/** Those that have sessions, the oldest first. */
export const SESSION_VERSIONS: readonly string[] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/** The first without sessions, and the only one so far. Revisions are ISO dates, so they compare as text. */
export const MODERN_VERSION = "2026-07-28";

/** The latest of those that have sessions. */
export const LATEST_SESSION_VERSION = "2025-11-25";

/** The version that the gateway answers an initialize with (MCP 2025-11-25, "Version Negotiation"). */
export function agreedVersion(requested: string | undefined): string {
  return requested !== undefined && SESSION_VERSIONS.includes(requested) ? requested : LATEST_SESSION_VERSION;
}
