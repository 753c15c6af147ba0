import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LONGEST_EVENT_ID } from "../../../../src/core/federation/event-ids.ts";
import { idForClient } from "../../../../src/core/federation/ids.ts";
import { ALL_LISTS, LIST_KINDS } from "../../../../src/core/federation/kinds.ts";
import { MOST_MESSAGES } from "../../../../src/core/federation/messages.ts";
import {
  placeEvent,
  readStreamEvent,
  type StreamEvent,
  withEventId,
} from "../../../../src/core/federation/stream-events.ts";
import { dataOf } from "../../../../src/core/sse/fields.ts";
import { EventReader, type SseEvent } from "../../../../src/core/sse/reader.ts";

const OWNER = { place: 2, tag: 3 };
const DEEPEST = 20;
const LINE_ENDS = ["\n", "\r", "\r\n"] as const;
const NOTIFICATION = '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":9007199254740993}}';
/** Bytes that no event here has. */
const LIMIT = 1024 * 1024;

/** The events of a whole stream. */
function eventsIn(stream: string | Uint8Array): readonly SseEvent[] {
  const reader = new EventReader(LIMIT);
  const events = reader.read(Buffer.from(stream));
  if (events === "too-long") throw new Error(events);
  const rest = reader.end();
  return rest ? [...events, rest] : events;
}

function read(stream: string): readonly StreamEvent[] {
  return eventsIn(stream).map((event) => readStreamEvent(event, OWNER, DEEPEST));
}

function readOne(stream: string): StreamEvent {
  const [event, ...others] = read(stream);
  if (!event || others.length > 0) throw new Error(`${others.length + 1} events in ${JSON.stringify(stream)}`);
  return event;
}

/** What a client gets of the event, or what kind it is. */
function saidOf({ said }: StreamEvent): string {
  return said.kind === "message" ? Buffer.from(said.bytes).toString() : said.kind;
}

const idOf = ({ id }: StreamEvent) => (id === undefined || id === "reset" ? id : { id: Buffer.from(id).toString() });

describe("the id of a backend's event", () => {
  test.each<[what: string, lines: string, id: ReturnType<typeof idOf>]>([
    ["none", "", undefined],
    ["its id", "id: é/1\n", { id: "é/1" }],
    ["its id without the space", "id:7\n", { id: "7" }],
    ["a reset where spaces stand around it, which no header keeps", "id:  7 \n", "reset"],
    ["a reset where no header holds it", "id: a\u0001b\n", "reset"],
    ["a reset where no header holds it either", "id: a\u007f\n", "reset"],
    ["the last of several", "id: 1\nid: 2\n", { id: "2" }],
    ["the one before an id with U+0000, which clients ignore", "id: 1\nid: a\0b\n", { id: "1" }],
    ["none where each has U+0000", "id: \0\n", undefined],
    ["none where a field only looks like it", "ID: 1\n id: 2\nidx: 3\n: id: 4\n", undefined],
    ["a reset where it is empty", "id: \n", "reset"],
    ["a reset where the line has no colon", "id\n", "reset"],
    ["a reset where the last of several is empty", "id: 1\nid:\n", "reset"],
    ["the longest", `id: ${"x".repeat(LONGEST_EVENT_ID)}\n`, { id: "x".repeat(LONGEST_EVENT_ID) }],
    ["a reset where it is longer", `id: 1\nid: ${"x".repeat(LONGEST_EVENT_ID + 1)}\n`, "reset"],
  ])("is %s, before the data or behind", (_, lines, id) => {
    for (const stream of [`${lines}data: ${NOTIFICATION}\n\n`, `data: ${NOTIFICATION}\n${lines}\n`])
      expect(idOf(readOne(stream))).toEqual(id);
  });

  test("is read of events that clients get nothing of", () => {
    const streams = ["id: 1\n\n", "id: 1\n: a comment\n\n", "id: 1\ndata: \n\n", "id: 1\ndata: x"];
    for (const stream of streams) expect(idOf(readOne(stream))).toEqual({ id: "1" });
  });
});

describe("the time after which a backend wants to be asked again", () => {
  test.each<[lines: string, retry: number | undefined]>([
    ["", undefined],
    ["retry: 0\n", 0],
    ["retry:2500\n", 2_500],
    ["retry: 1\nretry: 2\n", 2],
    ["retry: 1\nretry: soon\n", 1],
    ["retry: -1\n", undefined],
    ["retry: 1.5\n", undefined],
    ["retry: 1e3\n", undefined],
    ["retry: 5 \n", undefined],
    ["retry\n", undefined],
    [`retry: ${"9".repeat(10)}\n`, undefined],
    ["Retry: 5\n", undefined],
  ])("in %j is %s", (lines, retry) => {
    for (const stream of [`${lines}data: ${NOTIFICATION}\n\n`, `: x\n${lines}\n`])
      expect(readOne(stream).retry).toBe(retry);
  });
});

describe("what a backend says", () => {
  test.each(LINE_ENDS.map((end) => [end]))(
    "reaches the client without the lines of its id and its retry, each line ended by %j",
    (end) => {
      const event = ["event: message", "id: 1", `data: ${NOTIFICATION}`, "retry: 5", ": c", "id", "retry", "", ""];
      const passed = ["event: message", `data: ${NOTIFICATION}`, ": c", "", ""];
      expect(saidOf(readOne(event.join(end)))).toBe(passed.join(end));
    },
  );

  test("reaches the client byte for byte but for those lines, in however many lines it is written", () => {
    const text = fc.string({ unit: "grapheme" }).map((some) => some.replace(/[\r\n\0]/g, ""));
    const item = text.map((some) => `data:${JSON.stringify(some)},`);
    const other = fc.oneof(
      text.map((some) => `: ${some}`),
      text.map((some) => `event: ${some}`),
      text.map((some) => `idx: ${some}`),
      fc.constantFrom("data", "data:", "data: "),
    );
    const taken = fc.oneof(
      text.map((some) => `id: ${some}`),
      text.map((some) => `retry:${some}`),
      fc.constantFrom("id", "retry", "id: \0", "retry: 7"),
    );
    const kept = other.map((written) => ({ written, isKept: true }));
    const left = taken.map((written) => ({ written, isKept: false }));
    const items = item.map((written) => ({ written, isKept: true }));
    const maxLength = 12;
    fc.assert(
      fc.property(
        fc.array(fc.oneof(kept, left), { maxLength }),
        fc.array(fc.oneof(items, kept, left), { maxLength }),
        fc.constantFrom(...LINE_ENDS),
        fc.constantFrom("", "\ufeff"),
        (before, after, end, mark) => {
          const [first, last] = ['data: {"method":"a","params":[', "data: 0]}"].map((one) => ({
            written: one,
            isKept: true,
          }));
          if (!first || !last) throw new Error();
          const all = [...before, first, ...after, last];
          const written = (some: typeof all) => some.map((one) => one.written + end).join("") + end;
          expect(saidOf(readOne(mark + written(all)))).toBe(written(all.filter(({ isKept }) => isKept)));
        },
      ),
    );
  });

  test("ends where it ended, whatever line ends stand around what is taken out", () => {
    const lineEnd = fc.constantFrom(...LINE_ENDS);
    const line = fc.tuple(fc.constantFrom("id: 5", "retry: 7", "data: ", ": y"), lineEnd);
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 6 }), lineEnd, (lines, end) => {
        const stream = `data: {"method":"a"}\n${lines.map(([text, at]) => text + at).join("")}${end}`;
        // A CR and the LF behind it are one line end, and may leave the event open.
        fc.pre(eventsIn(`${stream}data: next\n\n`).length === 2);
        const said = saidOf(readOne(stream));
        const [own, next, ...others] = eventsIn(`${said}data: next\n\n`).map(dataOf);
        expect([own, next, others]).toEqual([dataOf(eventsIn(stream)[0] as SseEvent), "next", []]);
      }),
    );
  });

  test("goes on without the byte order mark of its stream, which a client would not ignore behind other events", () => {
    const stream = `data: ${NOTIFICATION}\n\n`;
    expect(saidOf(readOne(`\ufeff${stream}`))).toBe(stream);
    expect(saidOf(readOne(`\ufeffid: 1\n${stream}`))).toBe(stream);
  });

  test("goes on without the LF of a CRLF whose CR ended the event before", () => {
    const reader = new EventReader(LIMIT);
    const said = ['data: {"method":"a"}\r\n\r', '\ndata: {"method":"b"}\r\n\r\n'].flatMap((chunk) => {
      const events = reader.read(Buffer.from(chunk));
      if (events === "too-long") throw new Error(events);
      return events.map((event) => saidOf(readStreamEvent(event, OWNER, DEEPEST)));
    });
    expect(said).toEqual(['data: {"method":"a"}\r\n\r', 'data: {"method":"b"}\r\n\r\n']);
  });

  test.each([
    ["a comment", ": ping\n\n"],
    ["an extra blank line", "\n"],
    ["an event without data", "event: message\nid: 1\nretry: 5\n\n"],
    ["fields that only look like data", "DATA: {}\n data: {}\n\n"],
  ])("is nothing to the client where it is %s", (_, stream) => {
    expect(saidOf(readOne(stream))).toBe("nothing");
  });

  test.each(["data: \n\n", "data: \ndata: \n\n", "data:\r\n\r\n", "data\n\n", "id: 7\nretry: 5\ndata: \n\n"])(
    "is where its stream is, and no message, in %j",
    (stream) => {
      expect(saidOf(readOne(stream))).toBe("place");
    },
  );
});

describe("the notice that a list has changed", () => {
  const noticeOf = (method: string) => `{"jsonrpc":"2.0","method":${method}}`;

  test.each(ALL_LISTS.map((list) => [LIST_KINDS[list].listChanged]))(
    "%s does not reach the client, however its letters are escaped",
    (method) => {
      const { length } = method;
      const escaped = (letter: string) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
      fc.assert(
        fc.property(
          fc.array(fc.boolean(), { minLength: length, maxLength: length }),
          fc.boolean(),
          (which, escapesKey) => {
            const letters = [...method].map((letter, n) => (which[n] ? escaped(letter) : letter)).join("");
            const notice = noticeOf(`"${letters}"`).replace("method", escapesKey ? "meth\\u006fd" : "method");
            expect(saidOf(readOne(`data: ${notice}\n\n`))).toBe("list-changed");
          },
        ),
      );
    },
  );

  test.each([
    ["has params", '{"jsonrpc":"2.0","params":{"_meta":{"a":[1]}},"method":"notifications/tools/list_changed"}'],
    ["has slashes that are escaped", noticeOf('"notifications\\/tools\\/list_changed"')],
    ["has spaces", ' { "method" : "notifications/tools/list_changed" } '],
  ])("is one where it %s", (_, notice) => {
    expect(saidOf(readOne(`id: 1\ndata: ${notice}\n\n`))).toBe("list-changed");
  });

  test("is one in a batch that holds nothing else", () => {
    const notice = noticeOf('"notifications/tools/list_changed"');
    expect(saidOf(readOne(`data: [${notice}, ${notice}]\n\n`))).toBe("list-changed");
    const batch = `data: [${notice}, ${NOTIFICATION}]\n\n`;
    expect(saidOf(readOne(batch))).toBe(batch);
  });

  test("is none, and nothing to the client, in a batch of more messages than are looked at", () => {
    const batch = (length: number) =>
      `data: [${Array.from({ length }, () => noticeOf('"notifications/tools/list_changed"')).join(",")}]\n\n`;
    expect(saidOf(readOne(batch(MOST_MESSAGES)))).toBe("list-changed");
    expect(saidOf(readOne(batch(MOST_MESSAGES + 1)))).toBe("nothing");
  });

  test("is one over several lines", () => {
    const stream =
      'data: {"jsonrpc":"2.0",\r\nid: 1\r\ndata: "method":\r\ndata: "notifications/tools/list_changed"}\r\n\r\n';
    expect(saidOf(readOne(stream))).toBe("list-changed");
  });

  test.each([
    ["a second method", '{"method":"notifications/tools/list_changed","method":"notifications/tools/list_changed"}'],
    ["a key that some parsers take for method", '{"Method":"notifications/tools/list_changed"}'],
    ["a number that only some parsers take", '{"method":"notifications/tools/list_changed","params":{"a":NaN}}'],
    [
      "more containers than are read",
      `{"method":"notifications/tools/list_changed","a":${"[".repeat(30)}${"]".repeat(30)}}`,
    ],
  ])("is nothing to the client where it has %s", (_, notice) => {
    expect(saidOf(readOne(`data: ${notice}\n\n`))).toBe("nothing");
  });

  test.each([
    [
      "the name stands elsewhere",
      '{"method":"notifications/message","params":{"data":"notifications/tools/list_changed"}}',
    ],
    ["another thing has changed", noticeOf('"notifications/roots/list_changed"')],
    ["it is in another case", noticeOf('"notifications/tools/LIST_CHANGED"')],
    ["the method is no text", noticeOf('["notifications/tools/list_changed"]')],
  ])("is none where %s", (_, message) => {
    expect(saidOf(readOne(`data: ${message}\n\n`))).toBe(`data: ${message}\n\n`);
  });
});

describe("a request of a backend", () => {
  test.each(["0", "-1", '"a"', '"\\u0061"', "9007199254740993"])(
    "with the id %s gets one that says whose it is",
    (id) => {
      const request = (of: string) => `data: {"jsonrpc":"2.0","id":${of},"method":"roots/list"}\n\n`;
      expect(saidOf(readOne(`id: 1\n${request(id)}`))).toBe(request(idForClient(OWNER, id)));
    },
  );

  test.each(LINE_ENDS.map((end) => [end]))(
    "gets it over several lines too, between lines that are taken out, each line ended by %j",
    (end) => {
      const lines = (id: string, token: string) => [
        "data: {",
        `data: "id":${id},"method":"sampling/createMessage",`,
        ": c",
        `data: "params":{"_meta":{"progressToken":${token}}}`,
        "data: }",
      ];
      const [first = "", ...others] = lines("0", '"t"');
      const stream = ["retry: 5", first, "id: 1", ...others, "id: 2", "", ""].join(end);
      const passed = [...lines(idForClient(OWNER, "0"), idForClient(OWNER, '"t"')), "", ""].join(end);
      expect(saidOf(readOne(stream))).toBe(passed);
    },
  );

  test("is cancelled by the id that the client knows", () => {
    const cancels = (id: string) => `data: {"method":"notifications/cancelled","params":{"requestId":${id}}}\n\n`;
    expect(saidOf(readOne(cancels("7")))).toBe(cancels(idForClient(OWNER, "7")));
  });

  test.each([
    ["two ids", '{"id":0,"id":1,"method":"ping"}'],
    ["an id that some parsers take for it", '{"ID":0,"method":"ping"}'],
    ["two methods", '{"id":0,"method":"ping","method":"ping"}'],
    ["a number that only some parsers take", '{"id":0,"params":{"x":NaN},"method":"ping"}'],
    ["more containers than are read", `{"params":${"[".repeat(30)}${"]".repeat(30)},"id":0,"method":"ping"}`],
  ])("is nothing to the client where it has %s: its answer would go to another backend", (_, request) => {
    expect(readOne(`id: 1\ndata: ${request}\n\n`)).toEqual({
      id: Buffer.from("1"),
      retry: undefined,
      said: { kind: "nothing" },
    });
  });
});

describe("what is no request and no notification of a backend", () => {
  const RESULT = '{"jsonrpc":"2.0","id":0,"result":{"content":[]}}';
  const ERROR = '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}';

  test.each([
    ["a result", RESULT],
    ["an error", ERROR],
    ["a result that names a method further down", '{"id":0,"result":{"method":"ping"}}'],
    ["a result with escapes", '{"\\u0069d":0,"result":{}}'],
    ["a result that only some parsers take", '{"id":0,"result":NaN}'],
    ["a result with a method that only some parsers take for one", '{"id":0,"result":{},"Method":"ping"}'],
    ["a result of more containers than are read", `{"id":0,"result":${"[".repeat(30)}${"]".repeat(30)}}`],
    ["a batch of responses", `[${RESULT},${ERROR}]`],
    ["a batch in a batch", `[[${RESULT}]]`],
    ["an empty batch", "[]"],
    ["a message without anything", "{}"],
    ["a text", '"method"'],
    ["no JSON", "no method"],
  ])("is nothing to the client, which would take it for another backend's answer: %s", (_, message) => {
    const { said, id } = readOne(`id: 1\ndata: ${message}\n\n`);
    expect({ said, id }).toEqual({ said: { kind: "nothing" }, id: Buffer.from("1") });
  });

  test("is left out of a batch, whose other messages pass", () => {
    const asks = (id: string) => `{"id":${id},"method":"roots/list"}`;
    const passed = `event: message\ndata: [${asks(idForClient(OWNER, "7"))},${NOTIFICATION}]\n\n`;
    for (const batch of [
      [RESULT, asks("7"), NOTIFICATION],
      [asks("7"), ERROR, RESULT, NOTIFICATION],
      [asks("7"), NOTIFICATION, RESULT],
    ])
      expect(saidOf(readOne(`\ufeffid: 1\nretry: 5\ndata: [ ${batch.join(" , ")} ]\n\n`))).toBe(passed);
  });

  test.each(LINE_ENDS.map((end) => [end]))("is left out of a batch over several lines, each ended by %j", (end) => {
    const lines = [
      "data: [",
      `data: ${RESULT},`,
      'data: {"id":0,',
      "id: 1",
      'data: "method":"ping"}',
      "data: ]",
      "",
      "",
    ];
    const passed = `event: message\ndata: [{"id":${idForClient(OWNER, "0")}, "method":"ping"}]\n\n`;
    expect(saidOf(readOne(lines.join(end)))).toBe(passed);
  });
});

describe("an event of the client's stream", () => {
  test("has the id that it is given, and no other, whatever the backend has written", () => {
    for (const end of LINE_ENDS) {
      const stream = ["id: 1", `data: ${NOTIFICATION}`, "id: 2", "", ""].join(end);
      const { said } = readOne(stream);
      if (said.kind !== "message") throw new Error(said.kind);
      const [event, ...others] = eventsIn(withEventId("s_a.1-2-eA", said.bytes));
      expect(others).toEqual([]);
      expect(event && dataOf(event)).toBe(NOTIFICATION);
      expect(event && idOf(readStreamEvent(event, OWNER, DEEPEST))).toEqual({ id: "s_a.1-2-eA" });
    }
  });

  test("without a message says where the stream is", () => {
    const [event, ...others] = eventsIn(placeEvent("s1"));
    expect(others).toEqual([]);
    expect(event && dataOf(event)).toBe("");
    expect(event && idOf(readStreamEvent(event, OWNER, DEEPEST))).toEqual({ id: "s1" });
  });
});
