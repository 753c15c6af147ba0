/** How what backends offer differs from what was accepted, and what a file says once that is accepted. Pure. */
import { Buffer } from "node:buffer";
import { canonicalJson } from "../core/json/canonical.ts";
import { parseJson } from "../core/json/parse.ts";
import type { PinnedTool } from "./file.ts";
import type { OfferedOnRoutes, OfferedTool } from "./offered.ts";

export type Difference =
  | { readonly kind: "new"; readonly name: string; readonly now: OfferedTool }
  | { readonly kind: "changed"; readonly name: string; readonly now: OfferedTool; readonly pinned: PinnedTool }
  /** Its backend has told what it offers, and this is not there. */
  | { readonly kind: "gone"; readonly name: string; readonly pinned: PinnedTool };

type Offered = Pick<OfferedOnRoutes, "tools" | "silent" | "personal">;

/** By name. What a backend may offer that has not told is as it was. */
export function differences(pinned: readonly PinnedTool[], offered: Offered): readonly Difference[] {
  const byKey = new Map(pinned.map((tool) => [keyOf(tool), tool]));
  const now = new Map(offered.tools.map((tool) => [keyOf(tool), tool]));
  const found = [...now].flatMap(([key, tool]): Difference[] => {
    const before = byKey.get(key);
    if (!before) return [{ kind: "new", name: tool.name, now: tool }];
    return before.digests.includes(tool.digest)
      ? []
      : [{ kind: "changed", name: tool.name, now: tool, pinned: before }];
  });
  const gone = pinned.filter((tool) => !now.has(keyOf(tool)) && hasTold(offered, tool.backend));
  return [...found, ...gone.map((tool): Difference => ({ kind: "gone", name: tool.name, pinned: tool }))].toSorted(
    (one, other) => (one.name < other.name ? -1 : 1),
  );
}

function hasTold({ silent, personal }: Offered, backend: string): boolean {
  return !silent.has(backend) && !personal.has(backend);
}

function keyOf({ name, backend }: { readonly name: string; readonly backend: string }): string {
  return JSON.stringify([name, backend]);
}

/** What the file says when these are accepted. */
export function accepting(pinned: readonly PinnedTool[], accepted: readonly Difference[]): readonly PinnedTool[] {
  const tools = new Map(pinned.map((tool) => [keyOf(tool), tool]));
  for (const difference of accepted) {
    if (difference.kind === "gone") {
      tools.delete(keyOf(difference.pinned));
      continue;
    }
    const { name, backend, digest, definition } = difference.now;
    const read = parseJson(definition);
    const shown = printed(read) === undefined ? {} : { definition: read };
    tools.set(keyOf(difference.now), { name, backend, digests: [digest], ...shown });
  }
  return [...tools.values()];
}

/** What the file says when a definition is accepted that some principal is offered, beside those that others are. */
export function acceptingDigest(
  pinned: readonly PinnedTool[],
  { name, backend, digest }: { readonly name: string; readonly backend: string; readonly digest: string },
): readonly PinnedTool[] {
  const key = keyOf({ name, backend });
  const before = pinned.find((tool) => keyOf(tool) === key) ?? { name, backend, digests: [] };
  const digests = [...new Set([...before.digests, digest])];
  return [...pinned.filter((tool) => tool !== before), { ...before, digests }];
}

/** Lines for a person who is to accept it: all of a new definition, and of a changed one what has changed. */
export function describeDifference(difference: Difference): readonly string[] {
  const { kind, name } = difference;
  const backend = kind === "gone" ? difference.pinned.backend : difference.now.backend;
  const head = `${kind} ${JSON.stringify(name)} of ${backend}`;
  if (kind === "gone") return [head];
  const text = difference.now.definition;
  const now = parseJson(text);
  const doubts = isReadOneWay(text, now) ? [] : [`  ! ${DOUBTFUL}`];
  if (kind === "new") return [head, ...leaves(now).map(([path, value]) => `  + ${path}: ${value}`), ...doubts];
  const { definition } = difference.pinned;
  if (definition === undefined) return [head, `  ? ${UNKNOWN_BEFORE}`, ...leavesAsLines(now), ...doubts];
  const changes = changesBetween(definition, now);
  return [head, ...(changes.length > 0 ? changes : [`  ? ${UNSEEN_CHANGE}`]), ...doubts];
}

const DOUBTFUL =
  "parsers do not all read it as it is shown: a member is there twice, or a number is written in another way";
const UNKNOWN_BEFORE = "the file has no definition to compare it with; it is now:";
const UNSEEN_CHANGE =
  "nothing is changed but what parsers read in different ways, or the backend's own name of the tool";

function leavesAsLines(value: unknown): readonly string[] {
  return leaves(value).map(([path, text]) => `  + ${path}: ${text}`);
}

function isReadOneWay(text: string, read: unknown): boolean {
  const again = printed(read);
  return again !== undefined && canonicalJson(Buffer.from(text)) === canonicalJson(Buffer.from(again));
}

/** undefined where it is nested too deep for JSON.stringify. */
function printed(read: unknown): string | undefined {
  try {
    return JSON.stringify(read);
  } catch {
    return undefined;
  }
}

function changesBetween(before: unknown, now: unknown): readonly string[] {
  const was = new Map(leaves(before));
  const is = new Map(leaves(now));
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((path) => {
    const [old, fresh] = [was.get(path), is.get(path)];
    if (old === fresh) return [];
    return [
      ...(old === undefined ? [] : [`  - ${path}: ${old}`]),
      ...(fresh === undefined ? [] : [`  + ${path}: ${fresh}`]),
    ];
  });
}

/** Each value that holds no other, with its path, as JSON. Nesting costs no call stack. */
function leaves(value: unknown): readonly (readonly [path: string, json: string])[] {
  const found: (readonly [string, string])[] = [];
  const due: { readonly path: string; readonly value: unknown }[] = [{ path: "", value }];
  for (let next = due.pop(); next; next = due.pop()) {
    const { path, value: held } = next;
    const members = typeof held === "object" && held !== null ? Object.entries(held) : [];
    if (members.length === 0) found.push([path, JSON.stringify(held)]);
    for (const [key, of] of members.toReversed())
      due.push({ path: Array.isArray(held) ? `${path}[${key}]` : joined(path, key), value: of });
  }
  return found;
}

function joined(path: string, key: string): string {
  if (!/^[A-Za-z0-9_$-]+$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}
