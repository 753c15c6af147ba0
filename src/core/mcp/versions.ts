/** Revisions of MCP. Pure. */

/** Those that have sessions, the oldest first. */
export const SESSION_VERSIONS: readonly string[] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/** The latest of them. */
const LATEST_SESSION_VERSION = "2025-11-25";

/** The version that the gateway answers an initialize with (MCP 2025-11-25, "Version Negotiation"). */
export function agreedVersion(requested: string | undefined): string {
  return requested !== undefined && SESSION_VERSIONS.includes(requested) ? requested : LATEST_SESSION_VERSION;
}
