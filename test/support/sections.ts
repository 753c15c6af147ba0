/** Sections of mcp-router.yaml. */

/** Those of `over` go into those of `base` of the same name; other values in place of them. */
export function merge(base: Record<string, unknown>, over: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over))
    merged[key] = isSection(merged[key]) && isSection(value) ? merge(merged[key], value) : value;
  return merged;
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
