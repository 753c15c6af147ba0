import { ENVELOPE_CAPABILITIES, ENVELOPE_VERSION, type Envelope, type Message } from "../rpc/message.ts";
import { INITIALIZE } from "./methods.ts";
import { decodedName, longestEncoded } from "./name-header.ts";
import { SUBJECTS, subjectOf } from "./subjects.ts";
import { MODERN_VERSION } from "./versions.ts";

/** The standard request headers as they came (MCP 2026-07-28, basic/transports, "Standard Request Headers"; SEP-2243). */
export interface StandardHeaders {
  /** MCP-Protocol-Version */
  readonly protocolVersion?: string | undefined;
  /** Mcp-Method */
  readonly mcpMethod?: string | undefined;
  /** Mcp-Name */
  readonly mcpName?: string | undefined;
}

/** With the most bytes that a name may have: a longer Mcp-Name is not decoded. */
type Given = StandardHeaders & { readonly longestName: number };

export type Era =
  | { readonly era: "legacy" }
  | { readonly era: "modern" }
  /** A header is missing, or says something else than the body: 400, -32020. */
  | { readonly era: "mismatch"; readonly detail: string }
  /** The envelope in `params._meta` is missing or no envelope: 400, -32602. */
  | { readonly era: "invalid-envelope"; readonly detail: string };

export type BatchEra =
  | { readonly era: "legacy" }
  /** 400, -32600. */
  | { readonly era: "mixed-batch"; readonly detail: string };

type Request = Extract<Message, { kind: "request" }>;
type Notification = Extract<Message, { kind: "notification" }>;

const LEGACY = { era: "legacy" } as const;
const MODERN = { era: "modern" } as const;

/**
 * The era of one message. The body decides; the headers are checked against it. Legacy traffic is never held to the Mcp-*
 * headers: some clients send them, unencoded, to legacy servers too.
 *
 * The decisions are those of `classifyInboundRequest` and then `validateStandardRequestHeaders` of
 * @modelcontextprotocol/server 2.4.0, with these differences:
 * - of the envelope only the two required members' kinds are checked, the rest of its schema is left to the backend;
 * - a claim of a legacy version is "modern": the backend refuses it, naming the versions that it supports;
 * - base64 in Mcp-Name must be the one that an encoder writes, down to the unused bits of its last character;
 * - an Mcp-Name in base64 keeps a leading byte order mark, which is part of the name in the body too.
 */
export function classify(message: Message, headers: Given): Era {
  // No modern client posts responses.
  if (message.kind === "response") return LEGACY;
  const trimmed: Given = {
    longestName: headers.longestName,
    protocolVersion: withoutSpace(headers.protocolVersion),
    mcpMethod: withoutSpace(headers.mcpMethod),
    mcpName: withoutSpace(headers.mcpName),
  };
  return message.kind === "request" ? eraOfRequest(message, trimmed) : eraOfNotification(message, trimmed);
}

/** The era of a batch: batches ended with the modern era, so each of its messages must be legacy. */
export function classifyBatch(messages: readonly Message[]): BatchEra {
  for (const message of messages) {
    if (message.kind !== "response" && message.params?.meta?.protocolVersion !== undefined) {
      return { era: "mixed-batch", detail: `a batch may not hold a message with ${ENVELOPE_VERSION}` };
    }
  }
  return LEGACY;
}

function eraOfRequest(request: Request, headers: Given): Era {
  const meta = request.params?.meta;
  const flaw = flawOf(meta);
  const isHandshake =
    request.method === INITIALIZE && (flaw !== undefined || !isModern(meta?.protocolVersion ?? undefined));
  if (isHandshake) {
    return isModern(headers.protocolVersion)
      ? mismatch("initialize belongs to older versions than MCP-Protocol-Version names")
      : LEGACY;
  }
  // Without the claim the rest of an envelope says nothing: only the header tells a modern client that forgot it.
  if (meta?.protocolVersion === undefined && !isModern(headers.protocolVersion)) return LEGACY;
  if (flaw !== undefined) return { era: "invalid-envelope", detail: flaw };

  if (headers.protocolVersion !== undefined && headers.protocolVersion !== meta?.protocolVersion) return OTHER_VERSION;
  if (headers.mcpMethod !== undefined && headers.mcpMethod !== request.method) return OTHER_METHOD;
  if (headers.protocolVersion === undefined) return mismatch("MCP-Protocol-Version is missing");
  if (headers.mcpMethod === undefined) return mismatch("Mcp-Method is missing");
  return eraByName(request, headers);
}

function eraByName(request: Request, { mcpName, longestName }: Given): Era {
  const subject = SUBJECTS.get(request.method);
  if (!subject?.mirrored) return MODERN;
  const inBody = subjectOf(request)?.value;
  // Where the body has no name, its params are wrong, and the backend says how.
  if (mcpName === undefined) return inBody === undefined ? MODERN : mismatch("Mcp-Name is missing");
  if (mcpName.length > longestEncoded(longestName)) return mismatch("Mcp-Name is longer than a name may be");
  const inHeader = decodedName(mcpName);
  if (inHeader === undefined) return mismatch("Mcp-Name is no valid base64");
  if (inBody === undefined || inBody === inHeader) return MODERN;
  return mismatch(`Mcp-Name does not match params.${subject.member}`);
}

/** A notification needs no envelope, so without a claim the header decides. It needs no headers either. */
function eraOfNotification(notification: Notification, headers: StandardHeaders): Era {
  const claim = notification.params?.meta?.protocolVersion;
  if (claim === null) return { era: "invalid-envelope", detail: NO_STRING };
  const version = claim ?? headers.protocolVersion;
  if (headers.protocolVersion !== undefined && headers.protocolVersion !== version) return OTHER_VERSION;
  if (!isModern(version)) return claim === undefined ? LEGACY : MODERN;
  if (headers.mcpMethod !== undefined && headers.mcpMethod !== notification.method) return OTHER_METHOD;
  return MODERN;
}

const NO_STRING = `params._meta["${ENVELOPE_VERSION}"] must be a string`;
const OTHER_VERSION = mismatch(`MCP-Protocol-Version does not match params._meta["${ENVELOPE_VERSION}"]`);
const OTHER_METHOD = mismatch("Mcp-Method does not match method");

/** What makes `params._meta` no envelope of a modern request; what is missing goes first. */
function flawOf(meta: Envelope | undefined): string | undefined {
  if (meta === undefined) return "params._meta is missing";
  if (meta.protocolVersion === undefined) return `params._meta["${ENVELOPE_VERSION}"] is missing`;
  if (meta.clientCapabilities === undefined) return `params._meta["${ENVELOPE_CAPABILITIES}"] is missing`;
  if (meta.protocolVersion === null) return NO_STRING;
  if (meta.clientCapabilities === "malformed") return `params._meta["${ENVELOPE_CAPABILITIES}"] must be an object`;
  return undefined;
}

function mismatch(detail: string): Era {
  return { era: "mismatch", detail };
}

function isModern(version: string | undefined): boolean {
  return version !== undefined && version >= MODERN_VERSION;
}

/** Without the optional whitespace around a field value (RFC 9110, 5.6.3). */
function withoutSpace(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  let start = 0;
  let end = value.length;
  while (start < end && isSpace(value.charCodeAt(start))) start++;
  while (end > start && isSpace(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

function isSpace(unit: number): boolean {
  return unit === 0x20 || unit === 0x09;
}
