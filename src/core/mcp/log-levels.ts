/** Levels of logging/setLevel (MCP 2025-11-25, "Log Levels", after RFC 5424 §6.2.1). Pure. */
const LOG_LEVELS: ReadonlySet<string> = new Set([
  "debug",
  "info",
  "notice",
  "warning",
  "error",
  "critical",
  "alert",
  "emergency",
]);

export function isLogLevel(level: string): boolean {
  return LOG_LEVELS.has(level);
}
