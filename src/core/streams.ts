/** The gateway's own streams: how the processor sends a client's GET there, and what is written to one. Pure. */
import type { PublicPath } from "./routes.ts";

/**
 * What `x-mcp-backend` says of such a request, and the name of the cluster of these streams. No backend's name has an underscore.
 */
export const STREAMS = "mcp_streams";

/** The session whose stream it is. */
export interface StreamOf {
  /** Key of the client's session, in base64url. */
  readonly key: string;
  /** Digest of the session's owner, in base64url; empty for nobody. */
  readonly owner: string;
  /** Public path of its route. */
  readonly path: PublicPath["path"];
}

/** Where the bytes of such a stream go. */
export interface StreamSink {
  /** Bytes that were written and are not taken yet. */
  readonly unread: number;
  /** Resolves when all of it is taken, or the client has left. */
  drained(): Promise<void>;
  /** What comes after the end is not written. */
  write(bytes: Uint8Array): void;
  /** Ends the stream as a server that is done does. */
  end(): void;
  /** Cuts the stream off. */
  cut(): void;
}

const WRITTEN = /^([\w-]{1,128})\.([\w-]{0,128})\.(\S{1,8192})$/;

/** Value of `x-mcp-stream`. */
export function writeStreamOf({ key, owner, path }: StreamOf): string {
  return `${key}.${owner}.${encodeURI(path)}`;
}

/** undefined where the value was not written by a processor. */
export function readStreamOf(text: string | undefined): StreamOf | undefined {
  const [, key, owner, encoded] = WRITTEN.exec(text ?? "") ?? [];
  if (key === undefined || owner === undefined || encoded === undefined) return undefined;
  try {
    return { key, owner, path: decodeURI(encoded) };
  } catch {
    return undefined;
  }
}
