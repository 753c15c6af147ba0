/** Session ids: the bearer secret that a client holds, and the digests that identify it and its owner everywhere else. */
import { hash, randomBytes } from "node:crypto";

/** The client's id: 32 random bytes in base64url, 43 characters. A bearer secret: never stored, never logged. */
export type SessionId = string & { readonly __brand: "SessionId" };

/** SHA-256 of a session id in base64url: the key in stores. */
export type SessionKey = string & { readonly __brand: "SessionKey" };

const ID_BYTES = 32;
const WELL_FORMED = /^[A-Za-z0-9_-]{43}$/;
/** Characters (96 bits) of a digest: enough to tell sessions or principals apart in logs and on a hash ring, too few for a look-up. */
const TAG_LENGTH = 16;

export function mintSessionId(): SessionId {
  // Safe: the brand means that it was minted here or passed `parseSessionId`.
  return randomBytes(ID_BYTES).toString("base64url") as SessionId;
}

/** A client's header value as a session id; undefined if the router cannot have minted it. */
export function parseSessionId(text: string): SessionId | undefined {
  return WELL_FORMED.test(text) ? (text as SessionId) : undefined;
}

export function sessionKey(id: SessionId): SessionKey {
  return hash("sha256", id, "base64url") as SessionKey;
}

/**
 * The key of the session that the gateway holds for a principal on a route, for requests that name none. Derived, so that each router
 * finds it; and no client can name it, since the hash of an id is never this one.
 * @param principal its digest
 */
export function heldSessionKey(principal: string, path: string): SessionKey {
  return hash("sha256", `held session of ${principal} on ${path}`, "base64url") as SessionKey;
}

/** SHA-256 in base64url of a principal's names, each with its length in front, so that different lists hash different texts. */
export function principalDigest(names: readonly string[]): string {
  return hash("sha256", names.map((name) => `${name.length}:${name}`).join(""), "base64url");
}

/** Identifies a session in `x-mcp-session` and in logs. */
export function sessionTag(key: SessionKey): string {
  return key.slice(0, TAG_LENGTH);
}

/**
 * A number of so many bits (32 at most) for a backend in a session. It is the same in each router, and no backend can know one: they
 * see no more of a session's key than its tag.
 */
export function backendTag(key: SessionKey, backend: string, bits: number): number {
  return hash("sha256", `${key}/${backend}`, "buffer").readUInt32BE(0) >>> (32 - bits);
}

/** Identifies a principal, given its digest, in `x-mcp-principal` and in logs. */
export function principalTag(digest: string): string {
  return digest.slice(0, TAG_LENGTH);
}
