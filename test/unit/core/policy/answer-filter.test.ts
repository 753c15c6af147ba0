import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BodyRewriter } from "../../../../src/core/http.ts";
import { filteredEvent, filteredEvents, filteredJson } from "../../../../src/core/policy/answer-filter.ts";
import { filterMessages } from "../../../../src/core/policy/list-filter.ts";
import type { NamedKind } from "../../../../src/core/policy/rule.ts";

const MARK = "\ufeff";
const HIDDEN = "hidden";

/** Everything may be seen but what has "hidden" in its name. */
const permits = { permits: (_: NamedKind, name: string) => !name.includes(HIDDEN) };

const FILTER = {
  permits,
  isModern: false,
  deepest: 20,
  mostMessages: 1_000,
  longest: 10_000,
  mayBeLonger: false,
  hold: (_: number): boolean => true,
  waiting: ["1"],
  unread: (id: string) => `{"id":${id},"error":"unread"}`,
};
const ERROR = FILTER.unread("1");

/** @param pieces of the body, as they come */
function through(rewriter: BodyRewriter, ...pieces: readonly (string | Uint8Array)[]): string {
  const written = pieces.map((piece) => rewriter.write(Buffer.from(piece as string)));
  return Buffer.concat([...written, rewriter.end()]).toString();
}

const json = (body: string | Uint8Array, over: Partial<typeof FILTER> = {}) =>
  through(filteredJson({ ...FILTER, ...over }, false, false), body);
const events = (body: string, over: Partial<typeof FILTER> = {}) =>
  through(filteredEvents({ ...FILTER, ...over }), body);

const LONG = "x".repeat(FILTER.longest);
const UPDATE = '"method":"notifications/resources/updated"';

describe("an answer to no request for a list may be longer than what is held", () => {
  const other = { ...FILTER, mayBeLonger: true };
  const byByte = (text: string) => Array.from(Buffer.from(text), (byte) => Uint8Array.of(byte));
  const forms = {
    json: (text: string) => [filteredJson(other, false, false), text] as const,
    events: (text: string) => [filteredEvents(other), `event: message\nid: 1\ndata: ${text}\n\n`] as const,
    lines: (text: string) => [filteredEvents(other), `data:${text.replaceAll(",", ",\r\ndata:")}\r\n\r\n`] as const,
  };

  test.each([
    `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"${LONG}"}]}}`,
    `{"result":{"structuredContent":{"tools":[{"name":"hidden"}]},"text":"tools","x":"\\"\\\\${LONG}"}, "id":1 } `,
    `[{"id":1,"result":{"content":["tools",null,-1.5e3,true,false,"${LONG}"]}}]`,
    `{"id":1,"error":{"message":"${LONG}"}}`,
    `{"method":"notifications/message","params":{"data":"${LONG}"}}`,
  ])("and passes to the byte: %.60s", (text) => {
    for (const form of Object.values(forms)) {
      const [, body] = form(text);
      expect(through(form(text)[0], body)).toBe(body);
      expect(through(form(text)[0], ...byByte(body))).toBe(body);
    }
  });

  test.each([
    `{"id":1,"x":"${LONG}","result":{"tools":[{"name":"hidden"}]}}`,
    `{"id":1,"x":"${LONG}","result":{"Too${"x".repeat(200)}":1,"\\u0074ools" : [{"name":"hidden"}]}}`,
    `{"id":1,"x":"${LONG}","result":{"Resources":[{"uri":"hidden"}]}}`,
    `{"id":1,"x":"${LONG}","result":{"prompts\\u0000${LONG}":[{"name":"hidden"}]}}`,
    `[{"id":1,"x":"${LONG}","result":{"resourceTemplates":[{"uriTemplate":"hidden"}]}}]`,
    `[[{"id":1,"x":"${LONG}","result":{"tools":[{"name":"hidden"}]}}]]`,
    `{"x":"${LONG}",${UPDATE},"params":{"uri":"hidden"}}`,
    `{"x":"${LONG}"}{"result":{"tools":[{"name":"hidden"}]}}`,
    `{"x":"${LONG}",'result':{'tools':[{"name":"hidden"}]}}`,
    `{"x":"${LONG}"/**/,"result":{/*[*/"tools":[{"name":"hidden"}]}}`,
    `{"x":"${LONG}",result:{tools:[{"name":"hidden"}]}}`,
    `{"x":["${LONG}"},"result":{"tools":[{"name":"hidden"}]}}`,
    `{"x":"${LONG}","y":${"[".repeat(30)}1${"]".repeat(30)},"z":"hidden"}`,
  ])("but no list or update goes on in it: %.20s", (text) => {
    for (const form of Object.values(forms)) {
      const [, body] = form(text);
      for (const pieces of [[body], byByte(body)]) {
        const written = through(form(text)[0], ...pieces);
        expect(written).not.toContain("hidden");
        expect(written).not.toContain(body);
      }
    }
  });

  test("an event that is cut off is an error to who waits, and later events pass", () => {
    const [rewriter, body] = forms.events(`{"id":1,"x":"${LONG}","result":{"tools":[{"name":"hidden"}]}}`);
    const written = through(rewriter, ...byByte(`${body}data: {"id":2,"result":{}}\n\n`));
    expect(written).toContain('\n\ndata: {"id":2,"result":{}}\n\n');
    expect(written.endsWith(`data: ${ERROR}\n\n`)).toBe(true);
  });

  test("no line of an event goes on that a lenient reader may take for its data", () => {
    const written = through(
      filteredEvents(other),
      `data: "${LONG}"\nData: {"result":{"tools":[{"name":"hidden"}]}}\n\n`,
    );
    expect(written).not.toContain("hidden");
  });
});

describe("where there is no room to hold an answer", () => {
  /** Room for 100 bytes. */
  const room = () => {
    const counted = { most: 0, now: 0 };
    const hold = (bytes: number) => {
      counted.now = bytes;
      counted.most = Math.max(counted.most, bytes);
      return bytes <= 100;
    };
    return { counted, hold };
  };
  const list = `{"id":1,"result":{"tools":[{"name":"a","x":"${"x".repeat(200)}"}]}}`;
  const other = list.replace("tools", "content");
  const pieces = (text: string) => text.match(/.{1,60}/gs) ?? [];

  test("a list is an error, and what is no answer to a request for one passes", () => {
    for (const mayBeLonger of [false, true]) {
      const { counted, hold } = room();
      const given = { ...FILTER, hold, mayBeLonger };
      expect(through(filteredJson(given, false, false), ...pieces(list))).not.toContain('"a"');
      expect(through(filteredEvents(given), ...pieces(`data: ${list}\n\n`))).not.toContain('"a"');
      expect(through(filteredJson(given, false, false), ...pieces(other))).toBe(mayBeLonger ? other : ERROR);
      const event = `data: ${other}\n\n`;
      const written = through(filteredEvents(given), ...pieces(event));
      expect(written).toBe(mayBeLonger ? event : `:\n\nevent: message\ndata: ${ERROR}\n\n`);
      expect(counted).toEqual({ most: 120, now: 0 });
    }
  });

  test("what is held is told, and no more once it has gone on", () => {
    const { counted, hold } = room();
    const rewriter = filteredEvents({ ...FILTER, hold });
    rewriter.write(Buffer.from("data: 12\n\ndata: "));
    expect(counted).toEqual({ most: 6, now: 6 });
    rewriter.write(Buffer.from("3\n\n"));
    expect(counted.now).toBe(0);
  });
});

const answer = (result: string) => `{"jsonrpc":"2.0","id":1,"result":${result}}`;

describe("a list loses what is hidden, and keeps all else to the byte", () => {
  test.each([
    ['{"tools":[{"name":"a"},{"name":"hidden"},{"name":"b"}]}', '{"tools":[{"name":"a"},{"name":"b"}]}'],
    ['{"tools":[{"name":"hidden"}]}', '{"tools":[]}'],
    ['{"tools":[]}', '{"tools":[]}'],
    ['{"tools":null,"x":[{"name":"hidden"}]}', '{"tools":null,"x":[{"name":"hidden"}]}'],
    [
      '{ "tools" : [ {"name":"a", "n":9007199254740993, "n":1.0} ] }',
      '{ "tools" : [ {"name":"a", "n":9007199254740993, "n":1.0} ] }',
    ],
    [
      '{"z":-0,"tools":[ {"name":"hidden"} , {"x":1,"name":"a"} ],"nextCursor":"c"}',
      '{"z":-0,"tools":[ {"x":1,"name":"a"} ],"nextCursor":"c"}',
    ],
    ['{"prompts":[{"name":"hidden"},{"name":"a"}]}', '{"prompts":[{"name":"a"}]}'],
    [
      '{"resources":[{"uri":"x:hidden","name":"a"},{"uri":"x:a","name":"hidden"}]}',
      '{"resources":[{"uri":"x:a","name":"hidden"}]}',
    ],
    [
      '{"resourceTemplates":[{"uriTemplate":"hidden:{x}"},{"uriTemplate":"a:{x}"}]}',
      '{"resourceTemplates":[{"uriTemplate":"a:{x}"}]}',
    ],
    [
      '{"tools":[{"name":"hidden"}],"prompts":[{"name":"hidden"},{"name":"a"}]}',
      '{"tools":[],"prompts":[{"name":"a"}]}',
    ],
    ['{"tools":[{"name":"a"}],"cacheScope":"public"}', '{"tools":[{"name":"a"}],"cacheScope":"private"}'],
    [
      '{"content":[{"type":"text","text":"hidden"}],"structuredContent":{"tools":[{"name":"hidden"}]}}',
      '{"content":[{"type":"text","text":"hidden"}],"structuredContent":{"tools":[{"name":"hidden"}]}}',
    ],
  ])("%s", (result, filtered) => {
    expect(json(answer(result))).toBe(answer(filtered));
    expect(json(`\n ${answer(result)}\n`)).toBe(`\n ${answer(filtered)}\n`);
    expect(json(MARK + answer(result))).toBe(MARK + answer(filtered));
    const event = (data: string) => `${MARK}: hi\r\nid: 7\r\nevent: message\r\ndata: ${data}\r\n\r\n`;
    expect(events(event(answer(result)))).toBe(event(answer(filtered)));
  });

  test("an item that nobody can name, or that another parser may name otherwise, is left out", () => {
    for (const item of [
      "{}",
      "7",
      '"a"',
      '{"name":7}',
      '{"name":"a","name":"hidden"}',
      '{"name":"a","Name":"hidden"}',
      '{"name":"a","name\\u0000":"hidden"}',
      '{"n\\u0061me":"hidd\\u0065n"}',
    ])
      expect(json(answer(`{"tools":[${item},{"name":"b"}]}`))).toBe(answer('{"tools":[{"name":"b"}]}'));
  });

  test("of MCP 2026-07-28 is nobody else's, also where it does not say so", () => {
    const modern = { isModern: true };
    expect(json(answer('{"tools":[{"name":"hidden"}]}'), modern)).toBe(answer('{"cacheScope":"private","tools":[]}'));
    expect(json(answer('{"content":[]}'), modern)).toBe(answer('{"content":[]}'));
  });

  test("in each message of a batch, those that are shown, however many they are", () => {
    const shown = '{"id":1,"result":{"tools":[{"name":"a"}]}}';
    const batch = (...messages: string[]) => `[${messages.join(",")}]`;
    const given = [shown.replace("[", '[{"name":"hidden"},'), `{${UPDATE},"params":{"uri":"x:hidden"}}`];
    const many = Array.from({ length: FILTER.mostMessages / 2 }, () => given).flat();
    const left = batch(...many.flatMap((_, n) => (n % 2 === 0 ? [shown] : [])));
    const room = { longest: 1_000_000 };
    expect(json(batch(...many), room)).toBe(left);
    expect(json(batch(...many, shown), room)).toBe(ERROR);
  });

  test("in time that is linear in the messages of a batch", () => {
    const time = (count: number) => {
      const one = '{"result":{"tools":[{"name":"hidden"}]}},';
      const data = Buffer.from(`[${one.repeat(count)}{${UPDATE}}]`);
      const began = performance.now();
      expect(filterMessages(data, { ...FILTER, mostMessages: count + 1 }).kind).toBe("filtered");
      return performance.now() - began;
    };
    const least = (count: number) => Math.min(time(count), time(count), time(count));
    // Where each looked at the edits of all, it took a hundred times as long.
    expect(least(30_000)).toBeLessThan(40 * least(3_000));
  });

  test("in a batch, beside other messages", () => {
    const batch = (tools: string) => `[{"id":1,"result":{"tools":[${tools}]}}, {"id":2,"result":{}}]`;
    expect(json(batch('{"name":"hidden"},{"name":"a"}'))).toBe(batch('{"name":"a"}'));
  });
});

describe("an answer that cannot be read is an error", () => {
  const list = '{"tools":[{"name":"hidden"}]}';
  const UNREADABLE = [
    ["no JSON", "tools: hidden"],
    ["JSON that is cut off", answer(list).slice(0, -1)],
    ["two texts", `${answer(list)}{}`],
    ["a list that is no array", answer('{"tools":{"0":{"name":"hidden"}}}')],
    ["a result that is no object", answer('[{"name":"hidden"}]')],
    ["two results", `{"id":1,"result":{},"result":${list}}`],
    ["a result in other case", `{"id":1,"Result":${list}}`],
    ["a list in other case", answer('{"Tools":[{"name":"hidden"}]}')],
    ["two lists of a name", answer('{"tools":[],"tools":[{"name":"hidden"}]}')],
    ["a list with U+0000 behind its name", answer('{"tools\\u0000":[{"name":"hidden"}]}')],
    ["a batch in a batch", `[[${answer(list)}]]`],
    ["nesting that is too deep", answer(`{"tools":[],"x":${"[".repeat(30)}${"]".repeat(30)}}`)],
  ] as const;

  test.each(UNREADABLE)("as JSON: %s", (_, body) => {
    expect(json(body)).toBe(ERROR);
    expect(json(MARK + body)).toBe(ERROR);
  });

  test.each(UNREADABLE)("in an event: %s, and the events around it are filtered as well", (_, body) => {
    const good = (n: number, tools: string) => `data: {"id":${n},"result":{"tools":[${tools}]}}\n\n`;
    const written = events(`${good(2, '{"name":"hidden"}')}id: 5\ndata: ${body}\n\n${good(3, '{"name":"hidden"}')}`);
    expect(written).not.toContain(HIDDEN);
    expect(written).toBe(`${good(2, "")}id: 5\n:\n\n${good(3, "")}event: message\ndata: ${ERROR}\n\n`);
  });

  test("in UTF-16", () => {
    expect(json(Buffer.from(answer(list), "utf16le"))).toBe(ERROR);
  });

  test("to each request of a batch", () => {
    const filter = { ...FILTER, waiting: ["1", '"b"'] };
    expect(through(filteredJson(filter, false, true), "x")).toBe(`[${FILTER.unread("1")},${FILTER.unread('"b"')}]`);
  });

  test("above the bytes that are held, whatever comes", () => {
    const long = answer(`{"tools":[{"name":"${"x".repeat(20_000)}"}]}`);
    expect(json(long)).toBe(ERROR);
    expect(through(filteredJson(FILTER, true, false), long)).toBe(ERROR);
    expect(events(`data: ${long}\n\n`)).toBe(`:\n\nevent: message\ndata: ${ERROR}\n\n`);
  });

  test("unless its status says that it failed, and it holds nothing", () => {
    const failed = (body: string) => through(filteredJson(FILTER, true, false), body);
    expect(failed("Session not found")).toBe("Session not found");
    expect(failed('{"error":{"code":-32001}}')).toBe('{"error":{"code":-32001}}');
    expect(failed(answer(list))).toBe(answer('{"tools":[]}'));
    expect(failed(`x ${answer(list)}`)).toBe(ERROR);
  });
});

describe("an event stream", () => {
  test("that ends without an answer ends as it is: the answer may come by another stream", () => {
    expect(events("id: 1\ndata: \n\n")).toBe("id: 1\ndata: \n\n");
  });

  test("whose answer came in spite of an event that is unreadable has no second one", () => {
    expect(events(`data: x\n\ndata: ${answer("{}")}\n\n`)).toBe(`:\n\ndata: ${answer("{}")}\n\n`);
  });

  test("is filtered also where a message stands over several lines", () => {
    const lines = '{"id":1,\ndata:"result":{"tools":[\ndata: {"name":"hidden"},\ndata: {"name":"a"}]}}';
    expect(events(`id: 3\ndata: ${lines}\n\n`)).toBe(
      'id: 3\nevent: message\ndata: {"id":1, "result":{"tools":[ {"name":"a"}]}}\n\n',
    );
  });

  test("brings updates of what its client may see alone, each in a spelling that all read alike", () => {
    const update = (params: string) =>
      `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":${params}}`;
    const shown = `data: ${update('{"uri":"x:a"}')}\n\n`;
    for (const params of [
      '{"uri":"x:hidden"}',
      '{"uri":"x:hidd\\u0065n"}',
      '{"uri":"x:a","uri":"x:hidden"}',
      '{"uri":"x:a","URI":"x:hidden"}',
      '{"uri":7}',
      "{}",
      "[]",
    ])
      expect(events(`data: ${update(params)}\n\n${shown}`)).toBe(`:\n\n${shown}`);
    const batch = `[${update('{"uri":"x:hidden"}')}, ${update('{"uri":"x:a"}')}]`;
    expect(events(`data: ${batch}\n\n`)).toBe(`data: [${update('{"uri":"x:a"}')}]\n\n`);
  });

  test("loses what is no data, and what a client that looks for JSON may read", () => {
    expect(events(`${answer('{"tools":[{"name":"hidden"}]}')}\n\n: comment\n\n`)).toBe(":\n\n: comment\n\n");
  });

  test("says nothing of what is hidden, wherever it is cut", () => {
    const tools = ["a", HIDDEN, "b", `${HIDDEN}2`].map((name) => ({ name }));
    const event = `\ufeffevent: message\r\nid: 1\r\ndata: ${JSON.stringify({ id: 1, result: { tools } })}\r\n\r\n`;
    const bytes = Buffer.from(event.repeat(2));
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 6 }), (cuts) => {
        const places = [0, ...cuts.toSorted((one, other) => one - other), bytes.length];
        const pieces = places.slice(1).map((end, n) => bytes.subarray(places[n], end));
        const written = through(filteredEvents(FILTER), ...pieces);
        expect(written).not.toContain(HIDDEN);
        expect(written.match(/"name":"b"/g)).toHaveLength(2);
      }),
    );
  });

  test("of no answers loses updates of what is hidden, and keeps the ids of its events", () => {
    const of = (text: string) => {
      const event = filteredEvent({ bytes: Buffer.from(text), start: 0 }, FILTER);
      return Buffer.from(event.bytes).toString();
    };
    const update = (uri: string) =>
      `id: 4\ndata: {"method":"notifications/resources/updated","params":{"uri":"${uri}"}}\n\n`;
    expect(of(update("x:a"))).toBe(update("x:a"));
    expect(of(update("x:hidden"))).toBe("id: 4\n:\n\n");
    expect(of("id: 4\ndata: x\n\n")).toBe("id: 4\n:\n\n");
    expect(of(": comment\n\n")).toBe(": comment\n\n");
  });
});
