/** Reads a backend's answer to a server/discover (MCP 2026-07-28). Pure. */
import { Buffer } from "node:buffer";
import { isJsonObject, parseJson } from "../json/parse.ts";
import { MODERN_VERSION } from "../mcp/versions.ts";
import { SERVER_INFO } from "./discover.ts";
import { type Offer, readOffer, serverInfoIn } from "./offer.ts";

export type DiscoverRead =
  /** It speaks the modern era, and says so much of itself. */
  | { readonly kind: "modern"; readonly offer: Offer }
  /** A result without that version: a lenient server's, to a method that it does not know. */
  | { readonly kind: "other-result" }
  | { readonly kind: "error"; readonly code: number | undefined }
  /** It is no JSON-RPC response. */
  | { readonly kind: "unreadable" };

const UNREADABLE: DiscoverRead = { kind: "unreadable" };

/** @param deepest nesting of arrays and objects that is read; the outermost is 1 */
export function readDiscover(response: Uint8Array, deepest: number): DiscoverRead {
  const read = readOffer(response, deepest);
  if (read.kind === "unreadable") return UNREADABLE;
  if (read.kind === "error") return { kind: "error", code: read.code };
  const value = parseJson(Buffer.from(response).toString());
  const result = isJsonObject(value) ? value.result : undefined;
  if (!isJsonObject(result)) return UNREADABLE;
  const { supportedVersions, _meta: meta } = result;
  if (!Array.isArray(supportedVersions) || !supportedVersions.includes(MODERN_VERSION)) return { kind: "other-result" };
  const serverInfo = isJsonObject(meta) ? meta[SERVER_INFO] : undefined;
  const offer = {
    ...read.offer,
    version: MODERN_VERSION,
    serverInfo: serverInfoIn(JSON.stringify(serverInfo)),
  };
  return { kind: "modern", offer };
}
