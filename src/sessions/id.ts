/** Session ids: the bearer secret that a client holds, and the digests by which the rest of us speak of it and of its owner. */
import { hash, randomBytes } from "node:crypto";

/** What a client holds: 32 random bytes in base64url, 43 characters. A bearer secret: never stored, never logged. */
export type SessionId = string & { readonly __brand: "SessionId" };

/** SHA-256 of a session id in base64url: what stores know it by. */
export type SessionKey = string & { readonly __brand: "SessionKey" };

const ID_BYTES = 32;
const WELL_FORMED = /^[A-Za-z0-9_-]{43}$/;
/** 96 bits of a digest: enough to tell sessions, or principals, apart in logs and on a hash ring, too few to look one up. */
const TAG_LENGTH = 16;

export function mintSessionId(): SessionId {
  // Safe: the brand says that it came from here or passed `parseSessionId`.
  return randomBytes(ID_BYTES).toString("base64url") as SessionId;
}

/** A client's header value as a session id, or undefined where it cannot be one of ours. */
export function parseSessionId(text: string): SessionId | undefined {
  return WELL_FORMED.test(text) ? (text as SessionId) : undefined;
}

export function sessionKey(id: SessionId): SessionKey {
  return hash("sha256", id, "base64url") as SessionKey;
}

/** SHA-256 in base64url of what names a principal, each part with its length ahead: no two lists give one text. */
export function principalDigest(names: readonly string[]): string {
  return hash("sha256", names.map((name) => `${name.length}:${name}`).join(""), "base64url");
}

/** What `x-mcp-session` and the logs say of a session. */
export function sessionTag(key: SessionKey): string {
  return key.slice(0, TAG_LENGTH);
}

/** What `x-mcp-principal` and the logs say of a principal, of its digest. */
export function principalTag(digest: string): string {
  return digest.slice(0, TAG_LENGTH);
}
