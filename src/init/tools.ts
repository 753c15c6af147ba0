/** Counts the tools that a server lists (MCP 2025-11-25, "Tools", and "Pagination"). */
import { isJsonObject, parseJson } from "../core/json/parse.ts";

/** Most pages that are asked for. */
const MOST_PAGES = 100;

/** `isWhole`: whether the list has come to its end. */
export type Tools =
  | { readonly kind: "counted"; readonly count: number; readonly isWhole: boolean }
  | { readonly kind: "failed"; readonly why: string };

export const NO_TOOLS: Tools = { kind: "counted", count: 0, isWhole: true };

/** The JSON text of an answer, or why there is none. */
export type Page = { readonly bytes: Uint8Array } | { readonly why: string };

/** @param ask for the page at a cursor; undefined: the first one */
export async function countTools(ask: (cursor: string | undefined) => Promise<Page>): Promise<Tools> {
  let count = 0;
  let cursor: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const answer = await ask(cursor);
    if ("why" in answer) return { kind: "failed", why: answer.why };
    const message = parseJson(Buffer.from(answer.bytes).toString());
    const result = isJsonObject(message) ? message.result : undefined;
    if (!isJsonObject(result) || !Array.isArray(result.tools)) return { kind: "failed", why: "no list of tools" };
    count += result.tools.length;
    if (typeof result.nextCursor !== "string") return { kind: "counted", count, isWhole: true };
    cursor = result.nextCursor;
  }
  return { kind: "counted", count, isWhole: false };
}
