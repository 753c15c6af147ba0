/**
 * The JSON-RPC messages of a POST body, with the members that routing needs.
 * The types are here; `read.ts` makes them from bytes. Nothing keeps the parsed values: bytes are forwarded as they came.
 */
import type { Span, StringAt } from "../json/span.ts";

/** The keys in `params._meta` that make up the envelope of a modern request. MCP 2026-07-28, basic/index, "_meta". */
export const ENVELOPE_PREFIX = "io.modelcontextprotocol/";
export const ENVELOPE_VERSION = "io.modelcontextprotocol/protocolVersion";
export const ENVELOPE_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
export const ENVELOPE_CLIENT_INFO = "io.modelcontextprotocol/clientInfo";
export const ENVELOPE_LOG_LEVEL = "io.modelcontextprotocol/logLevel";

/** The per-request envelope of the modern era, `params._meta`. Keys: MCP 2026-07-28, basic/index, "_meta". */
export interface Envelope {
  /** `io.modelcontextprotocol/protocolVersion`: undefined = absent, null = there but no string. */
  readonly protocolVersion: string | null | undefined;
  /** `io.modelcontextprotocol/clientCapabilities`. */
  readonly clientCapabilities: "object" | "malformed" | undefined;
}

export interface Params extends Span {
  /** The members that name what a message is about, where they are strings. */
  readonly name: StringAt | undefined;
  readonly uri: StringAt | undefined;
  readonly taskId: StringAt | undefined;
  /** `params.protocolVersion` of an initialize, where it is a string. */
  readonly protocolVersion: string | undefined;
  /** `params._meta`, where it is an object. */
  readonly meta: Envelope | undefined;
}

/** One JSON-RPC 2.0 message. `id` is the id's JSON text as it was written, so that it can be echoed exactly. */
export type Message =
  | { readonly kind: "request"; readonly id: string; readonly method: string; readonly params: Params | undefined }
  | { readonly kind: "notification"; readonly method: string; readonly params: Params | undefined }
  | { readonly kind: "response"; readonly id: string | undefined };

/** A body that was read: one message, or a legacy batch of at least one. */
export type Body =
  | { readonly kind: "single"; readonly message: Message }
  | { readonly kind: "batch"; readonly messages: readonly Message[] };

export function messagesIn(body: Body): readonly Message[] {
  return body.kind === "batch" ? body.messages : [body.message];
}

/** Why a body was not read. `id` is the request's id as written, where it could be read. */
export type Unreadable =
  /** No JSON text (RFC 8259), or not UTF-8. */
  | { readonly kind: "unreadable"; readonly reason: "not-json" }
  /** `duplicate-key` is also for a key that another parser may take for one that we read. */
  | {
      readonly kind: "unreadable";
      readonly reason: "not-json-rpc" | "duplicate-key" | "too-deep" | "empty-batch" | "batch-too-long";
      /** The fault, for the client. The only text of the body that it may hold is a known key, in any case. */
      readonly detail: string;
      readonly id: string | undefined;
    };

export interface ReadLimits {
  /** Deepest nesting of arrays and objects; the outermost is 1. */
  readonly depth: number;
  /** Most messages in a batch. */
  readonly batch: number;
  /** Characters of the longest text that is used. A longer one is decoded only so far that its length shows. */
  readonly name: number;
}
