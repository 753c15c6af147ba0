/** The file that holds what an operator has accepted. Pure, but for the hash. */
import { createHash } from "node:crypto";
import * as z from "zod";
import { describeIssues } from "../config/describe.ts";
import { compareKeys } from "../core/federation/listing.ts";
import type { Accepted } from "../core/federation/pins.ts";
import { isJsonObject, parseJson } from "../core/json/parse.ts";
import { DIGEST } from "../federation/tool-digest.ts";

/** Largest file in bytes: parsing a larger one takes long enough to delay requests. */
export const LARGEST_FILE = 16 * 1024 * 1024;

const DIGEST_WANTED = "expected a digest: sha256: and 64 digits of 0-9a-f";

const tool = z.strictObject({
  /** As clients see it. */
  name: z.string("expected a name"),
  backend: z.string("expected the name of a backend"),
  digests: z.array(z.string(DIGEST_WANTED).regex(DIGEST, DIGEST_WANTED), "expected a list of digests"),
  /** For people, and to show what has changed; the digests decide. */
  definition: z.unknown().optional(),
});

const pinFile = z.strictObject({
  version: z.literal(1, "expected 1"),
  tools: z.array(tool, "expected a list of tools"),
});

export type PinnedTool = Readonly<z.output<typeof tool>>;

export type PinsRead =
  | { readonly ok: true; readonly tools: readonly PinnedTool[] }
  | { readonly ok: false; readonly errors: readonly string[] };

export function readPins(text: string): PinsRead {
  const written = parseJson(text);
  if (!isJsonObject(written)) return { ok: false, errors: ["it is no JSON object"] };
  const shape = pinFile.safeParse(written);
  if (!shape.success) return { ok: false, errors: describeIssues(shape.error.issues, written) };
  const { tools } = shape.data;
  const seen = new Set<string>();
  for (const [n, { name, backend }] of tools.entries()) {
    const key = JSON.stringify([name, backend]);
    if (seen.has(key))
      return { ok: false, errors: [`tools[${n}]: has a name and backend that stand before it already`] };
    seen.add(key);
  }
  return { ok: true, tools };
}

/** What the routes of a file accept. */
export function acceptedIn(text: string, tools: readonly PinnedTool[]): Accepted {
  const accepted = new Map<string, Map<string, ReadonlySet<string>>>();
  for (const { name, backend, digests } of tools) {
    const byBackend = accepted.get(name) ?? new Map<string, ReadonlySet<string>>();
    byBackend.set(backend, new Set(digests));
    accepted.set(name, byBackend);
  }
  return { accepted, version: createHash("sha256").update(text).digest("base64url") };
}

/** Characters that nobody sees, or that make a text look like another: they are written as escapes. */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]|\p{Variation_Selector}/gu;

/** JSON with a member on each line, so that a review shows what has changed. Definitions are left out where they would not fit. */
export function pinsText(tools: readonly PinnedTool[]): string {
  const sorted = tools.toSorted(
    (one, other) => compareKeys(one.name, other.name) || compareKeys(one.backend, other.backend),
  );
  const text = printed(sorted);
  return Buffer.byteLength(text) <= LARGEST_FILE ? text : printed(sorted.map(({ definition: _, ...rest }) => rest));
}

function printed(tools: readonly PinnedTool[]): string {
  return `${visible(JSON.stringify({ version: 1, tools }, undefined, 2))}\n`;
}

/** Line ends stay. Of JSON, all others stand in strings, where an escape means the same. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (character) => (character === "\n" ? character : escapes(character)));
}

/** By UTF-16 units, as JSON has it. */
function escapes(text: string): string {
  return text.split("").reduce((all, unit) => `${all}\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`, "");
}
