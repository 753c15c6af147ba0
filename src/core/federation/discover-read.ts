/** Reads a backend's answer to a server/discover (MCP 2026-07-28). Pure. */
import { Buffer } from "node:buffer";
import { isJsonObject, parseJson } from "../json/parse.ts";
import { placesOf } from "../json/places.ts";

export type DiscoverRead =
  | { readonly kind: "versions"; readonly versions: readonly string[] }
  /** A result without versions: a lenient server's, to a method that it does not know. */
  | { readonly kind: "other-result" }
  | { readonly kind: "error"; readonly code: number | undefined }
  /** It is no JSON-RPC response. */
  | { readonly kind: "unreadable" };

const UNREADABLE: DiscoverRead = { kind: "unreadable" };

/** @param deepest nesting of arrays and objects that is read; the outermost is 1 */
export function readDiscover(response: Uint8Array, deepest: number): DiscoverRead {
  if (placesOf(response, [], deepest).kind !== "found") return UNREADABLE;
  const value = parseJson(Buffer.from(response).toString());
  if (!isJsonObject(value)) return UNREADABLE;
  const { result, error } = value;
  if (isJsonObject(error)) return { kind: "error", code: typeof error.code === "number" ? error.code : undefined };
  if (!isJsonObject(result)) return UNREADABLE;
  const { supportedVersions } = result;
  if (!Array.isArray(supportedVersions)) return { kind: "other-result" };
  return { kind: "versions", versions: supportedVersions.filter((version) => typeof version === "string") };
}
