/** The gateway's own streams: how the processor sends a client's request there, and what is written to one. Pure. */
import { Buffer } from "node:buffer";
import type { Reply } from "./http.ts";
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
  /** What `policy` lets its client hear of, as `Standing.outcome` has it. undefined: there is no policy. */
  readonly outcome?: string | undefined;
}

/** Who asks for lists that depend on it: the digest of the principal, and of a client without one its session's key. */
export function askerOfStream({ owner, key }: StreamOf): string {
  return owner || key;
}

/** Whose stream it is outside sessions: that of a subscriptions/listen (MCP 2026-07-28). */
export type Subscriber = Pick<StreamOf, "owner" | "path" | "outcome">;

/** What came of the attempt to begin such a stream. */
export type Subscribed =
  /** `left`: to be called when the client has left. */
  | { readonly kind: "open"; readonly left: () => void }
  /** It was refused, and nothing was written. */
  | Reply;

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

/** A path begins with a slash, which no outcome has. */
const WRITTEN = /^([\w-]{1,128})\.([\w-]{0,128})\.(?:([\w-]{1,8192})\.)?(\S{1,8192})$/;

/** No key of a session begins so. */
const WRITTEN_SUBSCRIBER = /^\*\.([\w-]{0,128})\.(?:([\w-]{1,8192})\.)?(\S{1,8192})$/;

/** Value of `x-mcp-stream` of a GET. */
export function writeStreamOf({ key, owner, path, outcome }: StreamOf): string {
  return `${key}.${owner}.${written(outcome)}${encodeURI(path)}`;
}

/** undefined where the value was not written by a processor. */
export function readStreamOf(text: string | undefined): StreamOf | undefined {
  const [, key, owner, outcome, encoded] = WRITTEN.exec(text ?? "") ?? [];
  const path = decoded(encoded);
  if (key === undefined || owner === undefined || path === undefined) return undefined;
  return { key: ofItsOwn(key), owner: ofItsOwn(owner), path, ...read(outcome) };
}

/** Value of `x-mcp-stream` of a subscriptions/listen. */
export function writeSubscriber({ owner, path, outcome }: Subscriber): string {
  return `*.${owner}.${written(outcome)}${encodeURI(path)}`;
}

/** undefined where the value was not written by a processor for a subscriptions/listen. */
export function readSubscriber(text: string | undefined): Subscriber | undefined {
  const [, owner, outcome, encoded] = WRITTEN_SUBSCRIBER.exec(text ?? "") ?? [];
  const path = decoded(encoded);
  return owner === undefined || path === undefined ? undefined : { owner, path, ...read(outcome) };
}

function written(outcome: string | undefined): string {
  return outcome === undefined ? "" : `${outcome}.`;
}

function read(outcome: string | undefined): Pick<StreamOf, "outcome"> {
  return outcome === undefined ? {} : { outcome: ofItsOwn(outcome) };
}

/** V8 makes a part of a text refer to all of it, which would be kept as long as the stream. */
function ofItsOwn(ascii: string): string {
  return Buffer.from(ascii, "latin1").toString("latin1");
}

function decoded(path: string | undefined): string | undefined {
  try {
    return path && decodeURI(path);
  } catch {
    return undefined;
  }
}
