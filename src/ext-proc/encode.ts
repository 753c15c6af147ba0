/** Writes the processor's messages (ext_proc ProcessingResponse), field by field over wire.ts. */
import { assertNever } from "../core/assert-never.ts";
import { CALLS_METADATA, metadataOf } from "../core/call-limits.ts";
import {
  type Header,
  isFieldValue,
  type Reply,
  type RewrittenAnswer,
  type StreamedAnswer,
  type Verdict,
} from "../core/http.ts";
import { BODY_SEND_MODES, HEADER_SEND_MODES, REPLACED_BODY, REWRITTEN_BODY } from "../core/mode-override.ts";
import type { Phase } from "./decode.ts";
import { encodeMetadata, encodeRelayed } from "./relayed.ts";
import {
  BODY_MUTATION,
  BOOL_VALUE,
  COMMON_RESPONSE,
  DURATION,
  HEADER_MUTATION,
  HEADER_VALUE,
  HEADER_VALUE_OPTION,
  HTTP_STATUS,
  IMMEDIATE_RESPONSE,
  PHASE_RESPONSE,
  PROCESSING_MODE,
  PROCESSING_RESPONSE,
  STREAMED_BODY_RESPONSE,
} from "./tags.ts";
import { messageOfNumbers, sizeOfField, sizeOfNumber, Writer } from "./wire.ts";

/** Phases that take more than a reply. */
type AnsweredPhase = Exclude<Phase, "unreadable">;

const RESPONSE_TAGS: Readonly<Record<AnsweredPhase, number>> = {
  request_headers: PROCESSING_RESPONSE.requestHeaders,
  response_headers: PROCESSING_RESPONSE.responseHeaders,
  request_body: PROCESSING_RESPONSE.requestBody,
  response_body: PROCESSING_RESPONSE.responseBody,
  request_trailers: PROCESSING_RESPONSE.requestTrailers,
  response_trailers: PROCESSING_RESPONSE.responseTrailers,
};

/** Written once: most messages are answered by one of these. */
const CONTINUE_MESSAGES: Readonly<Record<AnsweredPhase, Uint8Array>> = {
  request_headers: emptyResponse("request_headers"),
  request_body: emptyResponse("request_body"),
  response_headers: emptyResponse("response_headers"),
  response_body: emptyResponse("response_body"),
  request_trailers: emptyResponse("request_trailers"),
  response_trailers: emptyResponse("response_trailers"),
};

/** A bool that is set. */
const TRUE = 1;
const APPEND = messageOfNumbers([[BOOL_VALUE.value, TRUE]]);
const SIZE_OF_APPEND = sizeOfField(APPEND.length);

/** A field that is written already. */
interface Field {
  readonly tag: number;
  readonly bytes: Uint8Array;
}

const BODY_CLEARED: Field = {
  tag: COMMON_RESPONSE.bodyMutation,
  bytes: messageOfNumbers([[BODY_MUTATION.clearBody, TRUE]]),
};
const CONTENT_LENGTH = "content-length";
const NO_HEADERS: readonly Header[] = [];
/** Envoy refuses a body of another length than content-length says (500). */
const WITHOUT_LENGTH: Mutation = { set: NO_HEADERS, remove: [CONTENT_LENGTH], clearRoute: false };

type Mutation = Omit<Extract<Verdict, { kind: "mutate" }>, "kind">;

/**
 * Writes the ProcessingResponse that answers `phase` with `verdict`.
 * @throws where the phase does not take such a verdict, or a header's value is none
 */
export function encodeResponse(phase: Phase, verdict: Verdict): Uint8Array {
  if (verdict.kind === "reply") return encodeReply(verdict);
  if (phase === "unreadable") throw new Error("a message that was not read can only be replied to");
  switch (verdict.kind) {
    case "continue":
      return CONTINUE_MESSAGES[phase];
    case "mutate":
      return encodeMutate(phase, verdict);
    case "drop-body":
      if (phase !== "request_body") throw new Error(`there is no body to drop in ${phase}`);
      return encodeMutation(phase, WITHOUT_LENGTH, undefined, BODY_CLEARED);
    case "stream":
      return encodeReplacedHead(phase, verdict);
    case "rewrite":
      return encodeRewrittenHead(phase, verdict);
    default:
      return assertNever(verdict);
  }
}

function encodeMutate(phase: AnsweredPhase, mutation: Mutation): Uint8Array {
  const { body, set } = mutation;
  const metadata = metadataIn(mutation);
  if (body === undefined) return encodeMutation(phase, mutation, metadata);
  const replaced = { tag: COMMON_RESPONSE.bodyMutation, bytes: encodeBody(body) };
  // The head of an answer has gone before the pieces of its body come.
  if (phase === "response_body") return encodeMutation(phase, mutation, undefined, replaced);
  if (phase !== "request_body") throw new Error(`there is no body to replace in ${phase}`);
  const length: Header = [CONTENT_LENGTH, String(body.length)];
  return encodeMutation(phase, { ...mutation, set: [...set, length] }, metadata, replaced);
}

/** What Envoy is told beside the headers: of a request, or of its answer. */
function metadataIn({ relayed, counted }: Mutation): Field | undefined {
  if (relayed) return { tag: PROCESSING_RESPONSE.dynamicMetadata, bytes: encodeRelayed(relayed) };
  if (!counted) return undefined;
  const bytes = encodeMetadata(CALLS_METADATA.namespace, metadataOf(counted));
  return { tag: PROCESSING_RESPONSE.dynamicMetadata, bytes };
}

function encodeBody(body: Uint8Array): Uint8Array {
  const writer = new Writer(sizeOfField(body.length));
  writer.payload(BODY_MUTATION.body, body);
  return writer.bytes;
}

/** @param after a field of ProcessingResponse to follow; `beside`: one of CommonResponse */
function encodeMutation(
  phase: AnsweredPhase,
  { set, remove, clearRoute }: Mutation,
  after?: Field,
  beside?: Field,
): Uint8Array {
  let mutation = sizeOfSetHeaders(set);
  for (const name of remove) mutation += sizeOfField(name.length);
  const common =
    sizeOfField(mutation) + (beside ? sizeOfField(beside.bytes.length) : 0) + (clearRoute ? sizeOfNumber(TRUE) : 0);
  const response = sizeOfField(common);

  const writer = new Writer(sizeOfField(response) + (after ? sizeOfField(after.bytes.length) : 0));
  writer.open(RESPONSE_TAGS[phase], response);
  writer.open(PHASE_RESPONSE.response, common);
  writer.open(COMMON_RESPONSE.headerMutation, mutation);
  writeSetHeaders(writer, set);
  for (const name of remove) writer.text(HEADER_MUTATION.removeHeaders, name);
  if (beside) writer.payload(beside.tag, beside.bytes);
  if (clearRoute) writer.number(COMMON_RESPONSE.clearRouteCache, TRUE);
  if (after) writer.payload(after.tag, after.bytes);
  return writer.bytes;
}

function modeOverride(mode: typeof REPLACED_BODY | typeof REWRITTEN_BODY): Field {
  const bytes = messageOfNumbers([
    [PROCESSING_MODE.requestHeaderMode, HEADER_SEND_MODES.indexOf(mode.request_header_mode)],
    [PROCESSING_MODE.responseHeaderMode, HEADER_SEND_MODES.indexOf(mode.response_header_mode)],
    [PROCESSING_MODE.requestBodyMode, BODY_SEND_MODES.indexOf(mode.request_body_mode)],
    [PROCESSING_MODE.responseBodyMode, BODY_SEND_MODES.indexOf(mode.response_body_mode)],
    [PROCESSING_MODE.requestTrailerMode, HEADER_SEND_MODES.indexOf(mode.request_trailer_mode)],
    [PROCESSING_MODE.responseTrailerMode, HEADER_SEND_MODES.indexOf(mode.response_trailer_mode)],
  ]);
  return { tag: PROCESSING_RESPONSE.modeOverride, bytes };
}

const REPLACED_BODY_OVERRIDE = modeOverride(REPLACED_BODY);
const REWRITTEN_BODY_OVERRIDE = modeOverride(REWRITTEN_BODY);

function encodeReplacedHead(phase: AnsweredPhase, { status, set, remove }: StreamedAnswer): Uint8Array {
  if (phase !== "response_headers") throw new Error(`there is no answer to replace in ${phase}`);
  const headers: Header[] = [[":status", String(status)], ...set];
  return encodeMutation(phase, { set: headers, remove, clearRoute: false }, REPLACED_BODY_OVERRIDE);
}

function encodeRewrittenHead(phase: AnsweredPhase, { set, remove }: RewrittenAnswer): Uint8Array {
  if (phase !== "response_headers") throw new Error(`there is no answer to rewrite in ${phase}`);
  const mutation = { set, remove: [...remove, CONTENT_LENGTH], clearRoute: false };
  return encodeMutation(phase, mutation, REWRITTEN_BODY_OVERRIDE);
}

/** Writes the next piece of a StreamedAnswer; the last one may be empty. */
export function encodeStreamedBody(body: Uint8Array, last: boolean): Uint8Array {
  const streamed = sizeOfField(body.length) + (last ? sizeOfNumber(TRUE) : 0);
  const mutation = sizeOfField(streamed);
  const common = sizeOfField(mutation);
  const response = sizeOfField(common);
  const writer = new Writer(sizeOfField(response));
  writer.open(PROCESSING_RESPONSE.responseBody, response);
  writer.open(PHASE_RESPONSE.response, common);
  writer.open(COMMON_RESPONSE.bodyMutation, mutation);
  writer.open(BODY_MUTATION.streamedResponse, streamed);
  writer.payload(STREAMED_BODY_RESPONSE.body, body);
  if (last) writer.number(STREAMED_BODY_RESPONSE.endOfStream, TRUE);
  return writer.bytes;
}

/** Asks Envoy to wait up to `ms` more for the answer to the message at hand. Envoy obeys once a phase. */
export function encodeMessageTimeout(ms: number): Uint8Array {
  const seconds = Math.floor(ms / 1000);
  const nanos = (ms % 1000) * 1_000_000;
  const duration = messageOfNumbers([
    [DURATION.seconds, seconds],
    [DURATION.nanos, nanos],
  ]);
  const writer = new Writer(sizeOfField(duration.length));
  writer.payload(PROCESSING_RESPONSE.overrideMessageTimeout, duration);
  return writer.bytes;
}

function sizeOfSetHeaders(headers: readonly Header[]): number {
  let size = 0;
  let before = "";
  for (const header of headers) {
    const [name] = header;
    size += sizeOfField(sizeOfField(sizeOfHeader(header)) + (name === before ? SIZE_OF_APPEND : 0));
    before = name;
  }
  return size;
}

function writeSetHeaders(writer: Writer, headers: readonly Header[]): void {
  let before = "";
  for (const header of headers) {
    const [name, value] = header;
    // The first field of a name replaces what was there; the next ones are added beside it.
    const isNext = name === before;
    before = name;
    // The last check before Envoy: a value with a line break would become a header of its own.
    if (!isFieldValue(value)) throw new Error(`the value of ${name} is no header value`);
    const size = sizeOfHeader(header);
    writer.open(HEADER_MUTATION.setHeaders, sizeOfField(size) + (isNext ? SIZE_OF_APPEND : 0));
    writer.open(HEADER_VALUE_OPTION.header, size);
    writer.text(HEADER_VALUE.key, name);
    // Envoy reads raw_value alone. Values are latin1, as HeaderFields.get gives them.
    writer.text(HEADER_VALUE.rawValue, value);
    if (isNext) writer.payload(HEADER_VALUE_OPTION.append, APPEND);
  }
}

function sizeOfHeader([name, value]: Header): number {
  return sizeOfField(name.length) + sizeOfField(value.length);
}

function encodeReply({ status, headers, body, details }: Reply): Uint8Array {
  const code = sizeOfNumber(status);
  const mutation = sizeOfSetHeaders(headers);
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const reply = sizeOfField(code) + sizeOfField(mutation) + sizeOfField(bytes.length) + sizeOfField(details.length);

  const writer = new Writer(sizeOfField(reply));
  writer.open(PROCESSING_RESPONSE.immediateResponse, reply);
  writer.open(IMMEDIATE_RESPONSE.status, code);
  writer.number(HTTP_STATUS.code, status);
  writer.open(IMMEDIATE_RESPONSE.headers, mutation);
  writeSetHeaders(writer, headers);
  writer.payload(IMMEDIATE_RESPONSE.body, bytes);
  writer.text(IMMEDIATE_RESPONSE.details, details);
  return writer.bytes;
}

function emptyResponse(phase: AnsweredPhase): Uint8Array {
  const writer = new Writer(sizeOfField(0));
  writer.open(RESPONSE_TAGS[phase], 0);
  return writer.bytes;
}
