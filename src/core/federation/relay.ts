/** Rewrites the ids of a backend's own requests in its answer to a client, as that passes. Pure. */
import { Buffer } from "node:buffer";
import type { BodyRewriter } from "../http.ts";
import { placesOf } from "../json/places.ts";
import { type Edit, rewrite } from "../json/rewrite.ts";
import { type Span, textOf } from "../json/span.ts";
import { dataSpans, EventReader, type SseEvent } from "../sse/reader.ts";
import { idForClient } from "./ids.ts";

/** Most bytes of an event that are held. A longer one passes as it is: no server asks a client by so much. */
const LONGEST_EVENT = 4 * 1024 * 1024;

/** What an event must hold to be a request of the server, or to cancel one. Most are results, and need no more than this look. */
const METHOD = Buffer.from('"method"');

/**
 * @param place of the backend in its route
 * @param deepest nesting of arrays and objects that is read; the outermost is 1
 */
export function createRelay(place: number, deepest: number): BodyRewriter {
  const reader = new EventReader(LONGEST_EVENT, "pass");
  const pass = (event: SseEvent) => (event.isPart ? event.bytes : relayed(event, place, deepest));
  return {
    write(chunk) {
      const events = reader.read(chunk);
      // This reader never stops.
      return events === "too-long" ? chunk : Buffer.concat(events.map(pass));
    },
    end() {
      const last = reader.end();
      return last ? pass(last) : new Uint8Array(0);
    },
  };
}

/** An event whose data is on one line, as servers write it. Another one passes as it is, and so does what is no JSON. */
function relayed(event: SseEvent, place: number, deepest: number): Uint8Array {
  const [data, ...others] = dataSpans(event);
  if (!data || others.length > 0) return event.bytes;
  const text = event.bytes.subarray(data.start, data.end);
  if (!Buffer.from(text.buffer, text.byteOffset, text.byteLength).includes(METHOD)) return event.bytes;
  const edits = editsOf(text, place, deepest).map(({ start, end, text: id }) => ({
    start: start + data.start,
    end: end + data.start,
    text: id,
  }));
  return edits.length === 0 ? event.bytes : rewrite(event.bytes, edits);
}

function editsOf(text: Uint8Array, place: number, deepest: number): Edit[] {
  const only = (...path: readonly string[]): Span | undefined => {
    const places = placesOf(text, path, deepest);
    return places.kind === "found" && places.at.length === 1 ? places.at[0] : undefined;
  };
  const edit = (span: Span): Edit => ({ ...span, text: idForClient(place, textOf(text, span)) });
  const method = only("method");
  if (!method) return [];
  const id = only("id");
  if (id) {
    // The server waits for the client's answer, and hears of its progress by this token.
    const token = only("params", "_meta", "progressToken");
    return token ? [edit(id), edit(token)] : [edit(id)];
  }
  const cancelled = textOf(text, method) === '"notifications/cancelled"' ? only("params", "requestId") : undefined;
  return cancelled ? [edit(cancelled)] : [];
}
