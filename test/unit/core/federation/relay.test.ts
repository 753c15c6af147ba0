import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Answers } from "../../../../src/core/federation/answers.ts";
import { callEventId, LONGEST_EVENT_ID } from "../../../../src/core/federation/event-ids.ts";
import { idForClient, ownerOfId } from "../../../../src/core/federation/ids.ts";
import { MOST_MESSAGES } from "../../../../src/core/federation/messages.ts";
import { createRelay } from "../../../../src/core/federation/relay.ts";
import { isJsonObject, parseJson } from "../../../../src/core/json/parse.ts";
import { dataOf, MOST_LINES } from "../../../../src/core/sse/fields.ts";
import { EventReader } from "../../../../src/core/sse/reader.ts";

const WHOSE = { place: 2, tag: 0 };
const OWNER = { ...WHOSE, generation: 3 };
/** The id that an event of the backend's gets. */
const eventId = (id: string, answers?: Answers) => callEventId({ ...OWNER, id: Buffer.from(id) }, answers);
const REQUEST = '{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"n":9007199254740993}}';
const RELAYED = REQUEST.replace('"id":0', `"id":${idForClient(WHOSE, "0")}`);
const LEFT_OUT = ": a message of the server that must not pass is left out\n\n";
const MIB = 1024 * 1024;

function relay(stream: string, cuts: readonly number[] = [], ids?: readonly string[]): string {
  const bytes = Buffer.from(stream);
  const rewriter = createRelay({ owner: OWNER, deepest: 100, answers: ids && new Answers(ids) });
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    pieces.push(rewriter.write(bytes.subarray(at, cut)));
    at = cut;
  }
  return Buffer.concat([...pieces, rewriter.end()]).toString();
}

/** Whether an id is as a backend wrote it. */
const isOwnId = (id: unknown) => (typeof id === "number" ? id < 256 : typeof id === "string" && !/^s[0-9]+-/.test(id));

const event = (...lines: readonly string[]) => `${lines.map((line) => `data: ${line}\n`).join("")}\n`;

describe("the relay of a backend's events", () => {
  test("gives a request of the backend an id that says whose it is, and changes nothing else", () => {
    const stream = `: hello\nevent: message\nretry: 5\ndata: ${REQUEST}\n\n`;
    expect(relay(stream)).toBe(stream.replace('"id":0', '"id":2'));
  });

  test("gives each event an id that says whose it is, with data or without", () => {
    const stream = (one: string, other: string) =>
      `id: ${one}\ndata: \n\nid:${other}\r\ndata: {"id":1,"result":{}}\r\n\r\ndata: ${REQUEST}\nid: ${one}\n\n`;
    const relayed = stream(eventId("é/1"), eventId("2")).replace('"id":0', '"id":2');
    expect(relay(stream("é/1", "2"))).toBe(relayed);
  });

  test("leaves an event's id as it is where clients ignore it, or where it takes the last one back", () => {
    const stream = "id: \ndata: 1\n\nid\ndata: 2\n\nid: a\0b\ndata: 3\n\ndata: id: 4\n\n";
    expect(relay(stream)).toBe(stream);
  });

  test.each([
    ["too long", "x".repeat(LONGEST_EVENT_ID + 1)],
    ["a control character", "a\u0001b"],
    ["another one", "a\u007f"],
    ["a space at its end", "a "],
  ])("takes an id away that no header brings back: %s", (_, id) => {
    expect(relay(`id: ${id}\ndata: 1\n\n`)).toBe("id: \ndata: 1\n\n");
  });

  test("leaves results, errors, notifications and other events as they are", () => {
    const stream = [
      'data: {"jsonrpc":"2.0","id":0,"result":{"method":"x","text":"\\u00e9"}}\n\n',
      'data: {"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"\\"method\\""}}\r\n\r\n',
      'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":1,"_meta":{"progressToken":1}}}\r\r',
      'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"requestId":0,"progressToken":1}}\n\n',
      'data: {"id":0,"result":{"method":NaN,"text":"\\u0022method\\u0022:"}}\n\n',
      'data: no "method" JSON\n\n',
      'data: [{"id":0,"result":{"method":1}}]\n\n',
      'data: {"id":null,"method":"ping"}\n\n',
      "retry: 100\n\n",
    ].join("");
    expect(relay(stream)).toBe(stream);
  });

  test("changes the token by which the backend hears of progress, and the id that it cancels", () => {
    const asks = '{"id":"a","method":"sampling/createMessage","params":{"_meta":{"progressToken":7}}}';
    const cancels = '{"method":"notifications/cancelled","params":{"requestId":0}}';
    const escaped = '{"method":"notifications\\/cancelled","params":{"requestId":0}}';
    expect(relay(event(asks) + event(cancels) + event(escaped))).toBe(
      event(asks.replace('"a"', idForClient(WHOSE, '"a"')).replace(":7", `:${idForClient(WHOSE, "7")}`)) +
        event(cancels.replace(":0", ":2")) +
        event(escaped.replace(":0", ":2")),
    );
  });

  test("gives every id back as it was written, in a message that is written in any way", () => {
    const id = fc.oneof(
      fc.constantFrom("-1", "1.0", "1e3", "-0", "9007199254740993", '""', '"\\u0061"'),
      fc.string({ unit: "grapheme" }).map((text) => JSON.stringify(text)),
    );
    fc.assert(
      fc.property(id, fc.json(), fc.boolean(), (own, params, isPretty) => {
        const members = ['"method": "x/y"', `"params": ${params}`, `"id" : ${own}`, '"jsonrpc": "2.0"'];
        const lines = isPretty ? ["{", ...members.map((one, n) => (n < 3 ? `${one},` : one)), "}"] : [`{${members}}`];
        const relayed = relay(event(...lines));
        const at = relayed.lastIndexOf('"id" : ') + '"id" : '.length;
        const given = /^(?:"[^"]*"|\d+)/.exec(relayed.slice(at))?.[0] ?? "";
        expect(ownerOfId(given)).toEqual({ ...WHOSE, id: own });
        expect(relayed.slice(0, at) + own + relayed.slice(at + given.length)).toBe(event(...lines));
      }),
    );
  });

  test("changes each request of a batch", () => {
    const batch = `[ ${REQUEST},{"id":0,"result":{}} , ${REQUEST}]`;
    expect(relay(event(batch))).toBe(event(batch.replaceAll('"id":0,"method"', '"id":2,"method"')));
    const lines = ["[", ...Array.from({ length: MOST_LINES - 3 }, () => `${REQUEST},`), "{}]"];
    // Looked for from the first line on for each request, this would take minutes.
    expect(relay(event(...lines)) === event(...lines).replaceAll('"id":0', '"id":2')).toBe(true);
  });

  test("finds a method that is written with escapes", () => {
    expect(relay(event('{"id":0,"m\\u0065thod":"ping"}'))).toBe(event('{"id":2,"m\\u0065thod":"ping"}'));
  });

  test.each([
    ["two ids", '{"id":0,"id":1,"method":"ping"}'],
    ["an id that some parsers take for it", '{"ID":0,"method":"ping"}'],
    ["two methods", '{"id":0,"method":"ping","method":"ping"}'],
    ["a method that some parsers take for it", '{"id":0,"Method":"ping"}'],
    ["the same with escapes", '{"id":0,"METHO\\u0044":"ping"}'],
    ["the same up to U+0000", '{"id":0,"method\\u0000x":"ping"}'],
    ["two tokens", '{"id":0,"method":"ping","params":{"_meta":{"progressToken":1,"progressToken":2}}}'],
    ["a number that only some parsers take", '{"id":0,"params":{"x":NaN},"method":"ping"}'],
    ["more containers than are read", `{"params":${"[".repeat(200)}${"]".repeat(200)},"id":0,"method" : "ping"}`],
    ["one such message in a batch", '[{"id":0,"result":{}},{"id":0,"id":1,"method":"ping"}]'],
  ])("leaves a request out that has %s: its answer would go to another backend", (_, message) => {
    expect(relay(event(message) + event(REQUEST))).toBe(LEFT_OUT + event(RELAYED));
  });

  test("comes to the same wherever the stream is cut", () => {
    for (const end of ["\n", "\r", "\r\n"]) {
      const pretty = `data: {${end}data: "id":0,${end}: x${end}data: "method":"ping"}${end}${end}`;
      const stream = `\ufeff: c${end}id: 7${end}data: ${REQUEST}${end}${end}data: {"id":1,"result":{}}${end}${end}${pretty}`;
      const whole = relay(stream);
      expect(whole).toBe(stream.replaceAll('"id":0', '"id":2').replace("id: 7", `id: ${eventId("7")}`));
      for (let cut = 1; cut < Buffer.byteLength(stream); cut++) expect(relay(stream, [cut])).toBe(whole);
    }
  });

  test("leaves a request out wherever the stream is cut, and nothing beside it", () => {
    for (const end of ["\n", "\r", "\r\n"]) {
      const asks = `id: 8${end}data: {"id":0,"id":0,"method":"ping"}${end}${end}`;
      const stream = `data: a${end}${end}${asks}data: b${end}${end}`;
      for (let cut = 1; cut < stream.length; cut++) {
        const events = new EventReader(MIB).read(Buffer.from(relay(stream, [cut])));
        if (events === "too-long") throw new Error(events);
        expect(events.map(dataOf).filter((data) => data !== undefined)).toEqual(["a", "b"]);
      }
    }
  });

  test("lets the same pass of any messages, however their events are written and wherever the stream is cut", () => {
    const key = fc.constantFrom(
      '"id"',
      '"ID"',
      '"i\\u0064"',
      '"method"',
      '"m\\u0065thod"',
      '"Method"',
      '"result"',
      '"x"',
    );
    const flat = fc.constantFrom("7", "8", '"7"', "null", "NaN", '"ping"', '"\\"id\\":8"', '"}"', '"é"', "[[[[[]]]]]");
    const { value } = fc.letrec<{ value: string; object: string }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        flat,
        tie("object"),
        fc.array(tie("value")).map((all) => `[${all}]`),
      ),
      object: fc
        .array(fc.tuple(key, tie("value")), { maxLength: 4 })
        .map((all) => `{${all.map((one) => one.join(":"))}}`),
    }));
    const member = fc.oneof(
      fc.constantFrom('"id":7', '"id":8', '"method":"ping"', '"result":{}'),
      fc.tuple(key, value).map((one) => one.join(":")),
    );
    const message = fc.array(member, { maxLength: 5 }).map((all) => `{${all.join(",\n")}}`);
    const data = fc.oneof(
      message,
      fc.array(message, { maxLength: 3 }).map((all) => `[${all}]`),
      value,
    );
    const written = fc.tuple(
      data,
      fc.constantFrom("\n", "\r", "\r\n"),
      fc.constantFrom("", ": c", "id: 4", "event: message"),
    );
    const eventText = written.map(([text, end, first]) =>
      [...(first === "" ? [] : [first]), ...text.split("\n").map((line) => `data: ${line}`), "", ""].join(end),
    );
    const dataIn = (stream: string) => {
      const events = new EventReader(MIB).read(Buffer.from(stream));
      if (events === "too-long") throw new Error(events);
      return events.map(dataOf).filter((each) => each !== undefined);
    };
    fc.assert(
      fc.property(fc.array(eventText, { minLength: 1, maxLength: 3 }), fc.nat(300), (events, at) => {
        const stream = events.join("");
        const cut = Math.min(at, Buffer.byteLength(stream));
        const whole = dataIn(relay(stream, [], ["7"]));
        expect(dataIn(relay(stream, [cut], ["7"]))).toEqual(whole);
        // What a strict parser reads of it is no answer to another request, and no request with the backend's own id.
        for (const text of whole) {
          const said: unknown[] = [parseJson(text)].flat();
          for (const one of said.filter(isJsonObject)) {
            if ("method" in one) expect(one.id ?? "s0-").not.toSatisfy(isOwnId);
            else expect([8, "8"]).not.toContain(one.id);
          }
        }
      }),
    );
  });

  test("changes an event that the end of the stream has cut off too", () => {
    expect(relay(`data: ${REQUEST}`)).toBe(`data: ${RELAYED}`);
  });
});

describe("an event of more lines than are looked at", () => {
  const many = (line: string) => line.repeat(MOST_LINES);

  test("passes where it is a result, and its id where that stands before the data", () => {
    const long = (id: string) => `id: ${id}\ndata: {"id":0,\n${many("data:\n")}data: "result":{"method":"x"}}\n\n`;
    expect(relay(long("1") + event(REQUEST)) === long(eventId("1")) + event(RELAYED)).toBe(true);
  });

  test("is left out where it is a request", () => {
    const long = `data: {"id":0,\n${many("data:\n")}data: "method":"ping"}\n\n`;
    expect(relay(long + event(REQUEST))).toBe(LEFT_OUT + event(RELAYED));
  });
});

describe("a batch of more messages than are looked at", () => {
  const batch = (...messages: readonly string[]) => event(`[${messages.join(",")}]`);
  const results = Array.from({ length: MOST_MESSAGES }, (_, n) => `{"id":${n},"result":{}}`);

  test("passes where all are results", () => {
    const stream = batch(...results, '{"id":-1,"result":{"method":"x"}}');
    expect(relay(stream) === stream).toBe(true);
  });

  test("is left out where one may be a request", () => {
    expect(relay(batch(...results, REQUEST) + event(REQUEST))).toBe(LEFT_OUT + event(RELAYED));
    const few = batch(...results.slice(1), REQUEST);
    expect(relay(few) === few.replace(REQUEST, RELAYED)).toBe(true);
  });
});

describe("an event that is longer than the relay holds", () => {
  const blob = "x".repeat(5 * MIB);
  const cuts = [MIB, 4.5 * MIB];

  test.each([
    ["a result", `{"id":0,"result":{"method":"${blob}"}}`],
    ["a result of many lines", `{"id":0,\ndata: "result":{\ndata: "method":"${blob}","x":"\\"}}"}}`],
    ["a batch of results", `[{"id":0,"result":"${blob}"},{"id":1,"result":{"method":"method"}}]`],
  ])("passes as it is: %s", (_, message) => {
    const stream = event(message) + event(REQUEST);
    expect(relay(stream, cuts) === event(message) + event(RELAYED)).toBe(true);
  });

  test("gets its id all the same, where that stands before the data", () => {
    const long = (id: string) => `id: ${id}\n${event(`{"id":0,"result":"${blob}"}`)}`;
    expect(relay(long("1"), cuts) === long(eventId("1"))).toBe(true);
  });

  test("is left out where it is a request", () => {
    const long = event(`{"method":"sampling/createMessage","params":"${blob}","id":0}`);
    expect(relay(long + long + event(REQUEST), cuts)).toBe(LEFT_OUT + LEFT_OUT + event(RELAYED));
  });

  test.each([
    ["at its end", '"method":"ping"}'],
    ["on another line", '\n: "\nevent: {\ndata: "method":"ping"}'],
    ["in a spelling of its own", '"\\u006dethod" :"ping"}'],
  ])("is cut off where it turns out to be a request %s", (_, end) => {
    const relayed = relay(event(`{"id":0,"params":"${blob}",${end}`) + event(REQUEST), [...cuts, 5 * MIB]);
    expect(relayed.endsWith(`xxx\n\n${event(RELAYED)}`)).toBe(true);
    expect(relayed).not.toContain("ping");
  });
});

describe("a response of a backend", () => {
  const blob = "x".repeat(5 * MIB);
  const deep = `${"[".repeat(200)}${"]".repeat(200)}`;
  const answer = (stream: string, ...ids: readonly string[]) => relay(stream, [], ids);

  test.each([
    ["as it was written", "7", '{"jsonrpc":"2.0","id":7,"result":{"id":8}}'],
    ["in another spelling", '"a"', '{"result":{},"id" : "\\u0061" }'],
    ["as a text, which some servers write", "7", '{"id":"7","result":{}}'],
    ["in what only other parsers can read", "7", '{"result":{"id":8,"x":NaN},"id":7}'],
    ["in more containers than are read", '"a"', `{"id":"\\u0061","result":${deep}}`],
    ["behind what looks like one", "7", '{"result":"\\"id\\":8,{}","id":7}'],
    ["in a batch", "7", '[{"id":7,"result":{}},{"method":"x"}]'],
    ["that is null, for none", "7", '{"id":null,"error":{"code":1,"message":"x"}}'],
    ["that is missing, for none", "7", '{"error":{"code":1,"message":"x"}}'],
  ])("passes where it has the id of the request: %s", (_, id, message) => {
    expect(answer(event(message), id)).toBe(event(message));
  });

  test.each([
    ["a result", '{"jsonrpc":"2.0","id":8,"result":{"id":7}}'],
    ["an error", '{"id":"b","error":{"code":1,"message":"method"}}'],
    ["a result with a method further down", '{"id":8,"result":{"method":"x"}}'],
    ["a second id", '{"id":7,"id":8,"result":{}}'],
    ["an id that some parsers take for it", '{"ID":8,"result":{}}'],
    ["an id with escapes", '{"i\\u0064":8,"result":{}}'],
    ["an id that others read", '{"id":8,"result":NaN}'],
    ["an id that others read at the end", '{"result":NaN,"id": 8}'],
    ["a text that others read", '{"result":NaN,"id":"8\\""}'],
    ["an id that never ends", `{"result":NaN,"id":"${"7".repeat(1_000)}`],
    ["an id behind more containers than are read", `{"result":${deep},"id":8}`],
    ["one of a batch", '[{"id":7,"result":{}},{"id":8,"result":{}}]'],
    ["one of a batch with others", '[{"method":"x"},{"id":8,"result":{}}]'],
  ])("is left out where it answers another request, which may be at another backend: %s", (_, message) => {
    expect(answer(event(message) + event(REQUEST), "7")).toBe(LEFT_OUT + event(RELAYED));
  });

  test("passes with each id of a batch, and with none where nothing is asked", () => {
    const stream = ["1", '"b"'].map((id) => event(`{"id":${id},"result":{}}`));
    expect(answer(stream.join(""), "1", '"b"')).toBe(stream.join(""));
    expect(answer(stream.join(""))).toBe(LEFT_OUT + LEFT_OUT);
  });

  test("is told by the ids of events, for when the rest of them is asked for", () => {
    const stream = (id: string) => `id: ${id}\n${event('{"id":7,"result":{}}')}`;
    expect(answer(stream("1"), "7")).toBe(stream(eventId("1", new Answers(["7"]))));
  });

  test("is left out where it is longer than the relay holds, or cut off where its id stands at the end", () => {
    const cuts = [MIB, 4.5 * MIB, 5 * MIB];
    const own = event(`{"id":7,"result":"${blob}"}`) + event(`{"result":"${blob}","id":7}`);
    expect(relay(own, cuts, ["7"]) === own).toBe(true);
    expect(relay(event(`{"id":8,"result":"${blob}"}`), cuts, ["7"])).toBe(LEFT_OUT);
    const late = relay(event(`{"result":"${blob}","id":8}`) + event(REQUEST), cuts, ["7"]);
    expect(late.endsWith(`xxx\n\n${event(RELAYED)}`)).toBe(true);
  });
});

describe("the relay of a backend that is alone", () => {
  const RESPONSES = event('{"id":1,"result":{"tools":[]}}') + event('{"id":"2","result":{"tools":[]}}');

  function relayed(stream: string, owner: typeof OWNER | undefined, ids: readonly string[]): string {
    const rewriter = createRelay({ owner, alone: true, deepest: 100, answers: new Answers(ids) });
    return Buffer.concat([rewriter.write(Buffer.from(stream)), rewriter.end()]).toString();
  }

  test("leaves responses out of its own stream, and leaves all else as it is", () => {
    const own = `id: own\n${event(REQUEST)}: comment\n\n`;
    expect(relayed(RESPONSES + own, undefined, [])).toBe(LEFT_OUT + LEFT_OUT + own);
  });

  test("takes an id from its own stream's event by which that would go on as the answer to a call", () => {
    const forged = callEventId({ ...OWNER, id: Buffer.from("1") }, new Answers(["1"]));
    expect(relayed(`id: ${forged}\n${event(REQUEST)}`, undefined, [])).toBe(`id: \n${event(REQUEST)}`);
  });

  test("has a call's answer pass alone, under an id that says so, and its requests under their own", () => {
    const own = `id: 1\n${event(REQUEST)}${event('{"id":3,"result":{}}')}`;
    const marked = own.replace("id: 1", `id: ${eventId("1", new Answers(["3"]))}`);
    expect(relayed(RESPONSES + own, OWNER, ["3"])).toBe(LEFT_OUT + LEFT_OUT + marked);
  });
});
