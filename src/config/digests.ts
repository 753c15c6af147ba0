/** Digests of a configuration file, by which two of them are compared where one is elsewhere. Pure. */
import { createHash } from "node:crypto";
import { isJsonObject } from "../core/json/parse.ts";
import { parseYaml } from "./yaml.ts";

/** By section of the file, as it is written there: comments and spelling make no difference. */
export type Digests = Readonly<Record<string, string>>;

/**
 * Left out, so that nobody can try passwords on a digest. A router reads it at its start alone.
 */
const SECRET = "store";

/** Of what is no configuration there are none. */
export function digestsOf(text: string): Digests {
  const parsed = parseYaml(text);
  if (!parsed.ok || !isJsonObject(parsed.value)) return {};
  const sections = Object.entries(parsed.value).filter(([name]) => name !== SECRET);
  return Object.fromEntries(sections.map(([name, value]) => [name, digestOf(value)]));
}

/** The sections that differ, also by being in one of the two alone. */
export function differing(one: Digests, other: Digests): readonly string[] {
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].filter((name) => one[name] !== other[name]).sort();
}

function digestOf(value: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(value) ?? "")
    .digest("base64url")
    .slice(0, 16);
}
