/**
 * Ids of the events that clients get on a route to several backends. They say whose an event is, so that any router can have the
 * stream resumed that it was on (MCP 2025-11-25, "Resumability and Redelivery"): a call's answer at its one backend, or the session's
 * own stream at each. A client sends the last one back in a header, so they are of `[A-Za-z0-9_.-]`. Pure.
 */
import { Buffer } from "node:buffer";
import { type Answers, readAnswers } from "./answers.ts";
import { type IdOwner, ownerIn, ownerNumber } from "./ids.ts";

/** Bytes of a backend's id. A longer one is not passed on, and its event cannot be resumed from. */
export const LONGEST_EVENT_ID = 1024;
/** Characters of an id with the places of several backends. What does not fit is resumed from its beginning. */
const LONGEST_STREAM_ID = 4096;

/** Whether a backend's id can be sent back in a header as it is: without control characters, and without spaces around it. */
export function isResumable(id: Uint8Array): boolean {
  const isEdge = (byte: number | undefined) => byte === undefined || byte <= SPACE;
  if (id.length > LONGEST_EVENT_ID || isEdge(id[0]) || isEdge(id.at(-1))) return false;
  return id.every((byte) => byte >= SPACE && byte !== DELETE);
}

const SPACE = 0x20;
const DELETE = 0x7f;

/** The last event of a backend's stream. */
export interface EventPlace extends IdOwner {
  /** Of the binding that the stream was opened in: another backend session does not know the event. */
  readonly generation: number;
  /** The backend's id. */
  readonly id: Uint8Array;
}

/** Where a call's answer was when its stream ended. */
export interface CallPlace {
  readonly kind: "call";
  readonly place: EventPlace;
  /** To what it is the answer; undefined where that is not known. */
  readonly answers: Answers | undefined;
}

/** Where a client's streams were when they ended. */
export type ResumeAt =
  | CallPlace
  | {
      readonly kind: "stream";
      /** What the client knows of the lists: a short digest, or "". */
      readonly lists: string;
      readonly places: readonly EventPlace[];
    };

const CALL = "c";
const STREAM = "s";
const PLACE = /^([0-9]{1,9})-([0-9]{1,9})-([A-Za-z0-9_-]*)$/;
const LISTS = /^[A-Za-z0-9_-]{0,16}$/;

/** Id of an event of a call's answer. @param answers to what: so that the rest of the events is told from answers to other calls */
export function callEventId(place: EventPlace, answers: Answers | undefined): string {
  const note = answers?.note;
  return CALL + written(place) + (note === undefined ? "" : `.${Buffer.from(note).toString("base64url")}`);
}

/**
 * Id of an event of a session's own stream.
 * @param lists a digest of `[A-Za-z0-9_-]`, at most 16 characters
 * @param places the last event of each backend's stream, those that came last first
 */
export function streamEventId(lists: string, places: Iterable<EventPlace>): string {
  let id = STREAM + lists;
  for (const place of places) {
    const more = `.${written(place)}`;
    if (id.length + more.length <= LONGEST_STREAM_ID) id += more;
  }
  return id;
}

/** Reads an id; undefined where it is none that a client was given. */
export function readEventId(text: string): ResumeAt | undefined {
  if (text.length > LONGEST_STREAM_ID) return undefined;
  if (text.startsWith(CALL)) {
    const [first = "", note, ...others] = text.slice(CALL.length).split(".");
    const place = placeIn(first);
    if (!place || others.length > 0) return undefined;
    // A router of before wrote none.
    const answers = note === undefined ? undefined : readAnswers(Buffer.from(note, "base64url").toString());
    return note === undefined || answers ? { kind: "call", place, answers } : undefined;
  }
  if (!text.startsWith(STREAM)) return undefined;
  const [lists = "", ...written] = text.slice(STREAM.length).split(".");
  const places = written.map(placeIn);
  if (!LISTS.test(lists) || !places.every((place) => place !== undefined)) return undefined;
  return { kind: "stream", lists, places };
}

function written({ place, tag, generation, id }: EventPlace): string {
  return `${ownerNumber({ place, tag })}-${generation}-${Buffer.from(id).toString("base64url")}`;
}

function placeIn(text: string): EventPlace | undefined {
  const [, number, generation, coded] = PLACE.exec(text) ?? [];
  const owner = ownerIn(Number(number));
  if (coded === undefined || !owner) return undefined;
  const place = { ...owner, generation: Number(generation), id: Buffer.from(coded, "base64url") };
  // Another spelling is none that a client was given.
  return written(place) === text ? place : undefined;
}
