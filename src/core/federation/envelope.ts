/**
 * The envelope that each request of the modern era has in `params._meta` (MCP 2026-07-28, basic/index, "_meta"), for requests that
 * cross from one era to the other. Pure.
 */
import { Buffer } from "node:buffer";
import { OPEN_BRACE } from "../json/bytes.ts";
import { type MemberAt, membersAt, withoutMembers } from "../json/object.ts";
import { placesOf } from "../json/places.ts";
import { type Edit, jsonString, rewrite } from "../json/rewrite.ts";
import { type Span, textOf } from "../json/span.ts";
import { textAt } from "../json/text-at.ts";
import { agreedVersion, MODERN_VERSION } from "../mcp/versions.ts";
import {
  ENVELOPE_CAPABILITIES,
  ENVELOPE_CLIENT_INFO,
  ENVELOPE_LOG_LEVEL,
  ENVELOPE_PREFIX,
  ENVELOPE_VERSION,
} from "../rpc/message.ts";
import type { Question } from "./question.ts";

/** JSON texts of the envelope's members, by key. */
export type Envelope = ReadonlyMap<string, string>;

/** Client capabilities by which a server asks its client back: that crosses no eras, so no server shall count on it. */
const ASKED_BACK: readonly string[] = ["elicitation", "roots", "sampling", "tasks"];

/** What a client with a session has said of itself. JSON texts. */
export interface SaidInSession {
  /** Params of its initialize. */
  readonly initializeParams: string;
  /** Params of its last logging/setLevel; undefined: there was none. */
  readonly level: string | undefined;
}

/** @param deepest nesting of arrays and objects that is read; the outermost is 1 */
export function envelopeOfSession({ initializeParams, level }: SaidInSession, deepest: number): Envelope {
  const params = Buffer.from(initializeParams);
  const capabilities = objectAt(params, "capabilities", deepest);
  const clientInfo = objectAt(params, "clientInfo", deepest);
  const envelope = new Map([
    [ENVELOPE_VERSION, jsonString(MODERN_VERSION)],
    [ENVELOPE_CAPABILITIES, capabilities ? withoutAsking(params, capabilities, deepest) : "{}"],
  ]);
  if (clientInfo) envelope.set(ENVELOPE_CLIENT_INFO, textOf(params, clientInfo));
  const logs = level === undefined ? undefined : textAt(Buffer.from(level), ["level"], deepest);
  if (logs?.kind === "text") envelope.set(ENVELOPE_LOG_LEVEL, jsonString(logs.text.value));
  return envelope;
}

/**
 * Params of the initialize of a session that the gateway begins for a client which has none, as JSON text. It names no capabilities:
 * what a server would ask back has no way to the client.
 * @param bytes of the client's request
 * @param otherwise JSON text of `clientInfo` where the request has none, or a longer one than `longest` bytes
 */
export function initializeParamsOf(bytes: Uint8Array, otherwise: string, longest: number, deepest: number): string {
  const given = spanAt(bytes, ["params", "_meta", ENVELOPE_CLIENT_INFO], deepest);
  const isUsed = given && bytes[given.start] === OPEN_BRACE && given.end - given.start <= longest;
  const clientInfo = isUsed ? textOf(bytes, given) : otherwise;
  return `{"protocolVersion":${jsonString(agreedVersion(undefined))},"capabilities":{},"clientInfo":${clientInfo}}`;
}

/** Takes the envelope out of a request. What else is in its `_meta` stays. */
export function withoutEnvelope(bytes: Uint8Array, deepest: number): readonly Edit[] {
  const meta = spanAt(bytes, ["params", "_meta"], deepest);
  if (!meta || bytes[meta.start] !== OPEN_BRACE) return [];
  return withoutMembers(bytes, meta, deepest, (key) => key.startsWith(ENVELOPE_PREFIX));
}

/** Puts another id in place of a request's own. */
export function withId(bytes: Uint8Array, id: string, deepest: number): readonly Edit[] {
  const own = spanAt(bytes, ["id"], deepest);
  return own ? [{ ...own, text: id }] : [];
}

function withoutAsking(params: Uint8Array, capabilities: Span, deepest: number): string {
  const object = params.subarray(capabilities.start, capabilities.end);
  const whole = { start: 0, end: object.length };
  const edits = withoutMembers(object, whole, deepest, (key) => ASKED_BACK.includes(key));
  return Buffer.from(rewrite(object, edits)).toString();
}

/** JSON text of params that hold the envelope. `members`: JSON texts of their other members. */
export function enveloped(envelope: Envelope, ...members: readonly string[]): string {
  return `{${[...members, `"_meta":${printed(envelope)}`].join(",")}}`;
}

/**
 * Params of a question that the gateway asks in a client's name, as JSON text. Only the envelope is the client's: what else its request
 * says is for the one server that has what it is about.
 * @param bytes of the client's request
 */
export function askedInNameOf(bytes: Uint8Array, question: Question, deepest: number): string {
  return askedWith(envelopeIn(bytes, deepest) ?? new Map(), question);
}

/** The same with an envelope of ours. */
export function askedWith(envelope: Envelope, { member, value }: Question): string {
  return enveloped(envelope, `"${member}":${jsonString(value)}`);
}

/** The envelope of a request: those members of its `_meta` that are the protocol's. undefined: it has no `_meta` that is an object. */
function envelopeIn(bytes: Uint8Array, deepest: number): Envelope | undefined {
  const meta = spanAt(bytes, ["params", "_meta"], deepest);
  if (!meta || bytes[meta.start] !== OPEN_BRACE) return undefined;
  const own = membersAt(bytes, meta, deepest).filter(({ key }) => key.startsWith(ENVELOPE_PREFIX));
  return new Map(own.map(({ key, value }) => [key, textOf(bytes, value)]));
}

/** The same as JSON text. */
export function envelopeTextIn(bytes: Uint8Array, deepest: number): string | undefined {
  const envelope = envelopeIn(bytes, deepest);
  return envelope && printed(envelope);
}

/**
 * Has a request carry an envelope. What else is in its `_meta` stays.
 * @param bytes of the body, which was read: `params` and `_meta` stand in it once
 */
export function withEnvelope(bytes: Uint8Array, envelope: Envelope, deepest: number): readonly Edit[] {
  const params = spanAt(bytes, ["params"], deepest);
  if (!params) return [inserted(bytes, spanAt(bytes, [], deepest), `"params":${enveloped(envelope)}`, deepest)];
  if (bytes[params.start] !== OPEN_BRACE) return [{ ...params, text: enveloped(envelope) }];
  const meta = spanAt(bytes, ["params", "_meta"], deepest);
  if (!meta) return [inserted(bytes, params, `"_meta":${printed(envelope)}`, deepest)];
  if (bytes[meta.start] !== OPEN_BRACE) return [{ ...meta, text: printed(envelope) }];
  const there = membersAt(bytes, meta, deepest).filter(({ key }) => envelope.has(key));
  const missing = new Map([...envelope].filter(([key]) => there.every((member) => member.key !== key)));
  const replaced = there.map(({ key, value }: MemberAt) => ({ ...value, text: envelope.get(key) ?? "" }));
  return [inserted(bytes, meta, printed(missing).slice(1, -1), deepest), ...replaced];
}

/** Puts members first into an object. */
function inserted(bytes: Uint8Array, object: Span | undefined, members: string, deepest: number): Edit {
  const { start } = object ?? NO_PLACE;
  const isEmpty = object === undefined || membersAt(bytes, object, deepest).length === 0;
  return { start: start + 1, end: start + 1, text: isEmpty ? members : `${members},` };
}

/** Only for the compiler: a body that was read is an object. */
const NO_PLACE: Span = { start: 0, end: 0 };

/** The envelope alone, as JSON text. */
export function printed(envelope: Envelope): string {
  return `{${Array.from(envelope, ([key, text]) => `"${key}":${text}`).join(",")}}`;
}

function spanAt(bytes: Uint8Array, path: readonly string[], deepest: number): Span | undefined {
  const places = placesOf(bytes, path, deepest);
  return places.kind === "found" ? places.at[0] : undefined;
}

function objectAt(bytes: Uint8Array, member: string, deepest: number): Span | undefined {
  const span = spanAt(bytes, [member], deepest);
  return span && bytes[span.start] === OPEN_BRACE ? span : undefined;
}
