import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Answers } from "../../../../src/core/federation/answers.ts";
import {
  callEventId,
  type EventPlace,
  LONGEST_EVENT_ID,
  readEventId,
  streamEventId,
} from "../../../../src/core/federation/event-ids.ts";
import { MOST_PLACES, TAG_BITS } from "../../../../src/core/federation/ids.ts";

const place = (id: string, more: Partial<EventPlace> = {}): EventPlace => ({
  place: 1,
  tag: 5,
  generation: 2,
  id: Buffer.from(id),
  ...more,
});

const anyPlace = fc.record({
  place: fc.nat(MOST_PLACES - 1),
  tag: fc.nat(2 ** TAG_BITS - 1),
  generation: fc.integer({ min: 1, max: 999_999_999 }),
  id: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
});

describe("the id of an event", () => {
  test("of a call leads back to the backend's own, byte for byte", () => {
    fc.assert(
      fc.property(anyPlace, (one) => {
        const id = callEventId(one, undefined);
        expect(id).toMatch(/^[A-Za-z0-9_.-]+$/);
        expect(readEventId(id)).toEqual({ kind: "call", place: one, answers: undefined });
      }),
    );
  });

  test("of a call says what its events answer, where that is no longer than its place", () => {
    fc.assert(
      fc.property(anyPlace, fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 5 }), (one, ids) => {
        const answers = new Answers(ids.map((id) => JSON.stringify(id)));
        const id = callEventId(one, answers);
        expect(id).toMatch(/^[A-Za-z0-9_.-]+$/);
        const read = readEventId(id);
        if (read?.kind !== "call") throw new Error(id);
        expect(read.place).toEqual(one);
        expect(read.answers?.note).toBe(answers.note);
        for (const own of ids) expect(read.answers?.has(JSON.stringify(own)) ?? true).toBe(true);
        expect(read.answers?.has('"another one"') ?? false).toBe(false);
      }),
    );
    const many = new Answers(Array.from({ length: 100 }, (_, n) => String(n)));
    expect(readEventId(callEventId(place("x"), many))).toMatchObject({ kind: "call", answers: undefined });
  });

  test("of a session's stream leads back to the last event of each backend", () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9_-]{0,16}$/),
        fc.array(anyPlace, { maxLength: 20 }),
        (lists, places) => {
          const id = streamEventId(lists, places);
          expect(id).toMatch(/^[A-Za-z0-9_.-]+$/);
          expect(readEventId(id)).toEqual({ kind: "stream", lists, places });
        },
      ),
    );
  });

  test("has room for the longest ids of several backends, and leaves out what does not fit a header", () => {
    const long = place("x".repeat(LONGEST_EVENT_ID));
    const places = [long, long, long, place("y")];
    expect(readEventId(streamEventId("", places))).toEqual({
      kind: "stream",
      lists: "",
      places: [long, long, place("y")],
    });
  });

  test.each([
    ["nothing", ""],
    ["a backend's own", "5e1c_1700000000000_a"],
    ["no owner", `c${2 ** TAG_BITS * MOST_PLACES}-1-eA`],
    ["another spelling", callEventId(place("x"), undefined).replace(/A$/, "B")],
    ["a sign", callEventId(place("x"), undefined).replace("c", "c-")],
    ["leading zeros", callEventId(place("x"), undefined).replace("c", "c0")],
    ["a call with something else in it", `${callEventId(place("x"), undefined)}.x`],
    ["a call with more than that", `${callEventId(place("x"), new Answers(["7"]))}.x`],
    ["a stream with something else in it", `${streamEventId("", [place("x")])}.x`],
    ["a stream with a digest that is none", "s!"],
    ["one that is longer than any", `c1-1-${"A".repeat(5_000)}`],
  ])("is none that a client was given: %s", (_, text) => {
    expect(readEventId(text)).toBeUndefined();
  });
});
