/** Streams that Envoy relays (core/relayed.ts), on the wire: written into an answer to Envoy, and read from its access log. */
import { RELAYED_METADATA, type RelayedStream } from "../core/relayed.ts";
import { entryValue, type MessageSpan, stringIn } from "./struct.ts";
import {
  ACCESS_LOG_COMMON,
  HTTP_ACCESS_LOG_ENTRIES,
  HTTP_ACCESS_LOG_ENTRY,
  MAP_ENTRY,
  METADATA,
  STREAM_ACCESS_LOGS_MESSAGE,
  STRUCT,
  VALUE,
} from "./tags.ts";
import { FieldCursor, sizeOfField, Writer } from "./wire.ts";

export function encodeRelayed({ session, backend }: RelayedStream): Uint8Array {
  return encodeMetadata(RELAYED_METADATA.namespace, [
    [RELAYED_METADATA.session, session],
    [RELAYED_METADATA.backend, backend],
  ]);
}

/**
 * Writes the Struct of ProcessingResponse.dynamic_metadata: texts in one namespace.
 * @param members in ASCII
 */
export function encodeMetadata(
  namespace: string,
  members: readonly (readonly [key: string, text: string])[],
): Uint8Array {
  const entries = members.map(([key, text]) => sizeOfEntry(key, sizeOfField(text.length)));
  const struct = entries.reduce((size, entry) => size + sizeOfField(entry), 0);
  const outer = sizeOfEntry(namespace, sizeOfField(struct));

  const writer = new Writer(sizeOfField(outer));
  writer.open(STRUCT.fields, outer);
  writer.text(MAP_ENTRY.key, namespace);
  writer.open(MAP_ENTRY.value, sizeOfField(struct));
  writer.open(VALUE.struct, struct);
  for (const [n, [key, text]] of members.entries()) {
    writer.open(STRUCT.fields, entries[n] ?? 0);
    writer.text(MAP_ENTRY.key, key);
    writer.open(MAP_ENTRY.value, sizeOfField(text.length));
    writer.text(VALUE.string, text);
  }
  return writer.bytes;
}

/** @param value bytes of the entry's Value */
function sizeOfEntry(key: string, value: number): number {
  return sizeOfField(key.length) + sizeOfField(value);
}

const SESSION = /^[\w-]{1,128}$/;
const BACKEND = /^[\w.-]{1,128}$/;

/**
 * Reads the streams that a StreamAccessLogsMessage tells of. Never throws: what cannot be read, or was not written by a processor,
 * is left out. A report that is lost costs nothing, since another one follows.
 */
export function decodeReports(bytes: Buffer): RelayedStream[] {
  const found: RelayedStream[] = [];
  try {
    for (const logs of spansOf(bytes, STREAM_ACCESS_LOGS_MESSAGE.httpLogs))
      for (const entry of spansOf(bytes, HTTP_ACCESS_LOG_ENTRIES.logEntry, logs)) {
        const stream = readEntry(bytes, entry);
        if (stream) found.push(stream);
      }
  } catch {
    // The fields before it are as good as they were.
  }
  return found;
}

/** A HTTPAccessLogEntry. */
function readEntry(bytes: Buffer, entry: MessageSpan): RelayedStream | undefined {
  for (const common of spansOf(bytes, HTTP_ACCESS_LOG_ENTRY.commonProperties, entry))
    for (const metadata of spansOf(bytes, ACCESS_LOG_COMMON.metadata, common))
      for (const { start, end } of spansOf(bytes, METADATA.filterMetadata, metadata)) {
        const struct = entryValue(bytes, start, end, RELAYED_METADATA.namespace);
        if (struct) return readStream(bytes, struct);
      }
  return undefined;
}

function readStream(bytes: Buffer, struct: MessageSpan): RelayedStream | undefined {
  const session = stringIn(bytes, struct, RELAYED_METADATA.session, "latin1");
  const backend = stringIn(bytes, struct, RELAYED_METADATA.backend, "latin1");
  if (session === undefined || backend === undefined || !SESSION.test(session) || !BACKEND.test(backend))
    return undefined;
  return { session, backend };
}

/** The payloads of a message's fields of one tag. */
function* spansOf(
  bytes: Buffer,
  tag: number,
  within: MessageSpan = { start: 0, end: bytes.length },
): Generator<MessageSpan, void> {
  const fields = new FieldCursor(bytes, within.start, within.end);
  while (fields.next()) if (fields.tag === tag) yield { start: fields.start, end: fields.end };
}
