/** Asks a backend with a login of its own where its clients get a token (RFC 9728). */
import { REPLY_DETAILS } from "../core/codes.ts";
import { isSuccess, type Reply } from "../core/http.ts";
import { documentFor, type LoginAsked, metadataPathsOf } from "../core/login.ts";
import type { Answer, Egress } from "./client.ts";

/** How long (ms) a backend may take for all places where it may have the document: less than Envoy waits for a verdict. */
const METADATA_TIMEOUT_MS = 3_000;
/** Most bytes of a document. */
const LARGEST_DOCUMENT = 64 * 1024;

/** undefined: the backend has no such document, or does not say. Never rejects. */
export type LoginMetadata = (asked: LoginAsked) => Promise<Reply | undefined>;

export function createLoginMetadata(egress: Pick<Egress, "send">): LoginMetadata {
  return async ({ route, resource }) => {
    const signal = AbortSignal.timeout(METADATA_TIMEOUT_MS);
    for (const path of metadataPathsOf(route)) {
      const to = { backend: { ...route.backend, path }, query: "" };
      const headers = [["accept", "application/json"]] as const;
      const call = { purpose: "metadata", to, session: undefined, method: "GET", headers } as const;
      const text = await egress.send(call, signal).then(read, () => undefined);
      const body = text === undefined ? undefined : documentFor(resource, text);
      if (body !== undefined) return replyOf(body);
    }
    return undefined;
  };
}

async function read({ status, body, discard }: Answer): Promise<string | undefined> {
  if (!isSuccess(status)) {
    discard();
    return undefined;
  }
  const pieces: Uint8Array[] = [];
  let size = 0;
  // Safe: without an encoding a Readable of bytes yields bytes. Leaving the loop destroys the body.
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    size += piece.length;
    if (size > LARGEST_DOCUMENT) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function replyOf(body: string): Reply {
  const headers = [
    ["content-type", "application/json"],
    ["cache-control", "no-store"],
  ] as const;
  return { kind: "reply", status: 200, headers, body, details: REPLY_DETAILS.resourceMetadata };
}
