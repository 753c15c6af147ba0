/** Takes a backend's own requests out of its events, for a client of the modern era, whom no server asks anything. Pure. */
import { Buffer } from "node:buffer";
import type { BodyRewriter } from "../http.ts";
import { isJsonObject, parseJson } from "../json/parse.ts";
import { placesOf } from "../json/places.ts";
import { textOf } from "../json/span.ts";
import { dataBytes } from "../sse/fields.ts";
import type { SseEvent } from "../sse/reader.ts";
import { eventRewriter } from "./event-rewriter.ts";

/** Most bytes of an event that are held. A longer one passes: it is a result, as no server asks so much. */
const LONGEST_EVENT = 1024 * 1024;

/** Stands in place of a request. */
const DECLINED = Buffer.from(": the server has asked its client\n\n");

/** A request of the backend's, to be answered. `id`: its JSON text. */
export interface AskedBack {
  readonly id: string;
  readonly method: string;
}

/** @param deepest nesting of arrays and objects that is read; the outermost is 1 */
export function declinedRequests(onAsked: (asked: AskedBack) => void, deepest: number): BodyRewriter {
  return eventRewriter(LONGEST_EVENT, (event) => {
    const asked = event.part ? undefined : askedIn(event, deepest);
    if (!asked) return event.bytes;
    onAsked(asked);
    // What stands in front of the first line ends the event before.
    return Buffer.concat([event.bytes.subarray(0, event.start), DECLINED]);
  });
}

/** The request of the backend's that an event holds; undefined where it is something else. */
export function askedIn(event: SseEvent, deepest: number): AskedBack | undefined {
  const data = dataBytes(event);
  if (!data) return undefined;
  const text = Buffer.from(data).toString();
  // Most events are results.
  if (!text.includes('"method"')) return undefined;
  const message = parseJson(text);
  if (!isJsonObject(message) || typeof message.method !== "string") return undefined;
  const places = placesOf(data, ["id"], deepest);
  const [id] = places.kind === "found" ? places.at : [];
  return id && { id: textOf(data, id), method: message.method };
}
