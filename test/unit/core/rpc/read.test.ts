import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Body, Message, Unreadable } from "../../../../src/core/rpc/message.ts";
import { readBody } from "../../../../src/core/rpc/read.ts";

const LIMITS = { depth: 64, batch: 10, name: 100_000 };

function read(text: string, limits = LIMITS): Body | Unreadable {
  return readBody(Buffer.from(text), limits);
}

function readOne(text: string): Message {
  const body = read(text);
  if (body.kind !== "single") throw new Error(`not read as one message: ${JSON.stringify(body)}`);
  return body.message;
}

/** The faulty message with its version, so that it has one fault only. */
function readFaulty(members: string): Body | Unreadable {
  return read(`{"jsonrpc":"2.0"${members}}`);
}

const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}';

describe("kinds of messages", () => {
  test("a method with an id is a request", () => {
    expect(readOne('{"jsonrpc":"2.0","id":7,"method":"ping"}')).toEqual({
      kind: "request",
      id: "7",
      method: "ping",
      params: undefined,
    });
  });

  test("a method without an id is a notification", () => {
    expect(readOne('{"jsonrpc":"2.0","method":"notifications/initialized"}')).toEqual({
      kind: "notification",
      method: "notifications/initialized",
      params: undefined,
    });
  });

  test.each([
    ['"id":"a","result":{}', '"a"'],
    ['"result":null,"id":3', "3"],
    ['"id":3,"error":{"code":1,"message":""}', "3"],
    ['"id":null,"error":{}', undefined],
    ['"error":{}', undefined],
    ['"id":3,"result":{},"error":null', "3"],
    ['"error":null,"id":3,"result":null', "3"],
  ])("%s is a response", (members, id) => {
    expect(readOne(`{"jsonrpc":"2.0",${members}}`)).toEqual({ kind: "response", id });
  });

  test.each([
    ['"id":1,"method":"m","params":null', { kind: "request", id: "1", method: "m", params: undefined }],
    ['"params":null,"method":"m"', { kind: "notification", method: "m", params: undefined }],
    ['"id":1,"method":"m","error":null', { kind: "request", id: "1", method: "m", params: undefined }],
  ])("null is as good as absent: %s", (members, message) => {
    expect(readOne(`{"jsonrpc":"2.0",${members}}`)).toEqual(message);
  });

  test("a _meta of null is as good as absent", () => {
    const message = readOne('{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"x","_meta":null}}');
    expect(message).toMatchObject({ params: { name: { value: "x" }, meta: undefined } });
  });

  test.each(["nul", "nulll", "n", "nope"])("%s is no null", (word) => {
    expect(read(`{"jsonrpc":"2.0","id":1,"method":"m","params":${word}}`)).toMatchObject({ reason: "not-json" });
    expect(read(`{"jsonrpc":"2.0","id":1,"method":"m","error":${word}}`)).toMatchObject({ reason: "not-json" });
  });

  test("a text is decoded whole up to the limit, and beyond it far enough to be above it", () => {
    const unit = fc.constantFrom("a", "é", "😀", "\ud800", "\n", '"', "\\");
    const text = fc.array(unit, { maxLength: 60 }).map((units) => units.join(""));
    fc.assert(
      fc.property(text, fc.boolean(), (name, isEscaped) => {
        const escaped = [...Array(name.length).keys()].map(
          (at) => `\\u${name.charCodeAt(at).toString(16).padStart(4, "0")}`,
        );
        const written = isEscaped ? `"${escaped.join("")}"` : JSON.stringify(name);
        const limits = { ...LIMITS, name: 4 };
        const body = read(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":${written}}}`, limits);
        if (body.kind !== "single" || body.message.kind === "response") throw new Error("not read");
        const value = body.message.params?.name?.value ?? "";
        if (name.length <= limits.name) expect(value).toBe(name);
        else expect(value.length).toBeGreaterThan(limits.name);
        expect(name.startsWith(value)).toBe(true);
      }),
    );
  });

  test("an array of messages is a batch, in their order", () => {
    expect(read(`[${CALL}, {"jsonrpc":"2.0","method":"n"}]`)).toMatchObject({
      kind: "batch",
      messages: [
        { kind: "request", id: "1", method: "tools/call" },
        { kind: "notification", method: "n" },
      ],
    });
  });

  test("an array of one message is a batch of one", () => {
    expect(read(`[${CALL}]`)).toMatchObject({ kind: "batch", messages: [{ kind: "request" }] });
  });

  test("unknown members go through, even twice", () => {
    expect(readOne('{"x":1,"jsonrpc":"2.0","x":{"id":5},"id":1,"method":"m"}')).toMatchObject({ id: "1", method: "m" });
  });
});

describe("ids are kept as they were written", () => {
  test.each([
    "0",
    "-0",
    "1.0",
    "1e2",
    "-1.5E-3",
    "9007199254740993",
    "123456789012345678901234567890",
    '""',
    '"é"',
    '"\\u0041\\"\\/"',
    '"\\ud800"',
  ])("%s", (id) => {
    expect(readOne(`{"jsonrpc":"2.0","id": ${id} ,"method":"m"}`)).toMatchObject({ kind: "request", id });
  });
});

describe("params", () => {
  test("names are given with their place in the body, quotes included", () => {
    const text =
      '{"jsonrpc":"2.0","id":1,"method":"m","params":{"é":1,"name" : "n\\u00e4me","uri":"a:b","taskId":"t"}}';
    const bytes = Buffer.from(text);

    const message = readOne(text);

    if (message.kind !== "request" || message.params === undefined) throw new Error("no params");
    const { params } = message;
    const written = (at: { start: number; end: number } | undefined) => bytes.subarray(at?.start, at?.end).toString();
    expect([params.name?.value, params.uri?.value, params.taskId?.value]).toEqual(["näme", "a:b", "t"]);
    expect([written(params.name), written(params.uri), written(params.taskId)]).toEqual([
      '"n\\u00e4me"',
      '"a:b"',
      '"t"',
    ]);
    expect(JSON.parse(written(params))).toEqual(JSON.parse(text).params);
  });

  test("names that are no strings are none", () => {
    const message = readOne(
      '{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":1,"uri":null,"taskId":{"name":"x"}}}',
    );
    expect(message).toMatchObject({ params: { name: undefined, uri: undefined, taskId: undefined } });
  });

  test("the protocol version of an initialize is read", () => {
    const message = readOne('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}');
    expect(message).toMatchObject({ params: { protocolVersion: "2025-11-25" } });
  });

  test("names deeper inside are not taken for the message's own", () => {
    const message = readOne('{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":{"name":"x","name":"y"}}}');
    expect(message).toMatchObject({ params: { name: undefined } });
  });

  const VERSION = "io.modelcontextprotocol/protocolVersion";
  const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
  test.each([
    ["{}", { protocolVersion: undefined, clientCapabilities: undefined }],
    ['{"progressToken":1}', { protocolVersion: undefined, clientCapabilities: undefined }],
    [
      `{"${VERSION}":"2026-07-28","${CAPABILITIES}":{"x":{}}}`,
      { protocolVersion: "2026-07-28", clientCapabilities: "object" },
    ],
    [`{"${VERSION}":5,"${CAPABILITIES}":[]}`, { protocolVersion: null, clientCapabilities: "malformed" }],
    [`{"${VERSION}":"null"}`, { protocolVersion: "null", clientCapabilities: undefined }],
    [`{"${VERSION.replace("/", "\\/")}":"v"}`, { protocolVersion: "v", clientCapabilities: undefined }],
    ["[]", undefined],
    ['"x"', undefined],
  ])("the envelope of _meta %s", (meta, envelope) => {
    const message = readOne(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":${meta}}}`);
    expect(message).toMatchObject({ params: { meta: envelope } });
  });
});

describe("keys and values count as what they decode to", () => {
  test("an escaped key", () => {
    expect(readOne('{"json\\u0072pc":"2.0","\\u0069d":1,"m\\u0065thod":"m"}')).toMatchObject({ id: "1", method: "m" });
  });

  test("an escaped method, version and name", () => {
    const text = '{"jsonrpc":"2\\u002e0","id":1,"method":"tools\\/call","params":{"name":"\\ud83d\\ude00\\ud800"}}';
    expect(readOne(text)).toMatchObject({ method: "tools/call", params: { name: { value: "😀\ud800" } } });
  });

  test.each([
    "nam",
    "namee",
    "n\u00e4me",
    "na\\u006de ",
    "\\u006e",
    "",
    "me\\u0074hod_with_a_tail_longer_than_any_name",
  ])("the key %s is not name", (key) => {
    expect(readOne(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"${key}":"x"}}`)).toMatchObject({
      params: { name: undefined },
    });
  });
});

describe("duplicate members that are read are refused", () => {
  test.each<[string, string, string | undefined]>([
    ['"jsonrpc":"2.0","id":1,"method":"m"', "jsonrpc", "1"],
    ['"id":1,"method":"m","method":"m"', "method", "1"],
    ['"id":1,"method":"m","m\\u0065thod":5', "method", "1"],
    ['"method":"m","params":{},"params":{},"id":"late"', "params", '"late"'],
    ['"id":1,"id":1,"method":"m"', "id", undefined],
    ['"id":1,"method":"m","\\u0069d":null', "id", undefined],
    ['"id":1,"result":1,"result":1', "result", undefined],
    ['"id":1,"error":1,"error":1', "error", undefined],
    ['"id":1,"method":"m","params":{"name":"a","name":"a"}', "params.name", "1"],
    ['"id":1,"method":"m","params":{"uri":"a","uri":1}', "params.uri", "1"],
    ['"id":1,"method":"m","params":{"taskId":1,"taskId":"a"}', "params.taskId", "1"],
    ['"id":1,"method":"m","params":{"protocolVersion":"a","protocolVersion":"b"}', "params.protocolVersion", "1"],
    ['"method":"m","params":{"_meta":{},"_meta":1},"id":1', "params._meta", "1"],
    ...["protocolVersion", "clientCapabilities"].map((key) => {
      const name = `io.modelcontextprotocol/${key}`;
      return [
        `"id":1,"method":"m","params":{"_meta":{"${name}":{},"${name}":{}}}`,
        `params._meta.${name}`,
        "1",
      ] satisfies [string, string, string];
    }),
  ])("%s", (members, name, id) => {
    expect(readFaulty(`,${members}`)).toEqual({
      kind: "unreadable",
      reason: "duplicate-key",
      detail: `duplicate member "${name}"`,
      id,
    });
  });
});

describe("a key that differs only in case from one that is read is refused, for other parsers take it for that one", () => {
  const VERSION = "io.modelcontextprotocol/protocolVersion";
  test.each<[string, string, string, string | undefined]>([
    ['"id":1,"method":"m","params":{"name":"echo","Name":"danger"}', "params.Name", "params.name", "1"],
    ['"id":1,"method":"m","params":{"NAME":"danger","name":"echo"}', "params.NAME", "params.name", "1"],
    ['"id":1,"method":"m","params":{"name":"echo","n\\u0041me":"danger"}', "params.nAme", "params.name", "1"],
    ['"id":1,"method":"m","params":{"uRI":"a:b"}', "params.uRI", "params.uri", "1"],
    ['"id":1,"method":"m","params":{"taskid":1}', "params.taskid", "params.taskId", "1"],
    ['"id":1,"method":"m","params":{"ta\u017fkId":1}', "params.ta\u017fkId", "params.taskId", "1"],
    ['"id":1,"method":"m","params":{"tas\\u212aId":1}', "params.tas\u212aId", "params.taskId", "1"],
    ['"id":1,"method":"m","params":{"_Meta":{}}', "params._Meta", "params._meta", "1"],
    [
      `"id":1,"method":"m","params":{"_meta":{"${VERSION}":"v","${VERSION.toLowerCase()}":"w"}}`,
      `params._meta.${VERSION.toLowerCase()}`,
      `params._meta.${VERSION}`,
      "1",
    ],
    ['"method":"m","Method":"n","id":1', "Method", "method", "1"],
    ['"method":"m","param\u017f":{},"id":1', "param\u017f", "params", "1"],
    ['"method":"m","ID":1', "ID", "id", undefined],
    ['"JsonRpc":"2.0","method":"m"', "JsonRpc", "jsonrpc", undefined],
    ['"id":1,"result":{},"Error":{}', "Error", "error", undefined],
  ])("%s", (members, key, name, id) => {
    expect(readFaulty(`,${members}`)).toEqual({
      kind: "unreadable",
      reason: "duplicate-key",
      detail: `member "${key}" differs from "${name}" only in case`,
      id,
    });
  });

  test.each([
    ['"id":1,"method":"m","params":{"name":"echo","name\\u0000x":"danger"}', "params.name"],
    ['"id":1,"method":"m","params":{"n\\u0061me\\u0000":"danger"}', "params.name"],
    [`"id":1,"method":"m","method\\u0000${"x".repeat(1_000)}":"n"`, "method"],
  ])("or by what follows U+0000 in it: %s", (members, name) => {
    expect(readFaulty(`,${members}`)).toMatchObject({
      reason: "duplicate-key",
      detail: `member "${name}" is written with U+0000 behind it`,
    });
  });

  test("or in case up to U+0000", () => {
    expect(readFaulty(',"id":1,"method":"m","params":{"Name\\u0000":1}')).toMatchObject({
      detail: 'member "params.Name" differs from "params.name" only in case',
    });
  });

  test("but not where U+0000 is not what is written", () => {
    expect(read('{"jsonrpc":"2.0","id":1,"method":"m","params":{"name\\\\u0000":1,"other\\u0000":2}}')).toMatchObject({
      kind: "single",
    });
  });

  test("in a batch too", () => {
    expect(read(`[${CALL},{"jsonrpc":"2.0","Method":"m"}]`)).toMatchObject({ reason: "duplicate-key", id: undefined });
  });

  test.each([
    ["deeper inside", '"params":{"arguments":{"Name":"x","NAME":"y"},"_meta":{"x":{"_META":1}}}'],
    ["in another member", '"x":{"Method":"m"}'],
    ["beside letters that only look alike", '"params":{"n\u0430me":1,"ur\u0131":1,"ur\u0130":1,"\u007fmeta":1}'],
  ])("but not %s, where nothing is read", (_, member) => {
    expect(read(`{"jsonrpc":"2.0","id":1,"method":"m",${member}}`)).toMatchObject({ kind: "single" });
  });

  test("as Unicode folds case, and no further", () => {
    const names = ["name", "uri", "taskId", "protocolVersion", "_meta"];
    // JavaScript's /iu compares by the same simple case folding as Go.
    const same = new RegExp(`^(?:${names.join("|")})$`, "iu");
    const letter = (name: string, at: number) => {
      const character = name[at] ?? "";
      const cases = [character, character.toLowerCase(), character.toUpperCase()];
      const beyond = { s: "\u017f", k: "\u212a", i: "\u0131", _: "\u007f" }[character.toLowerCase()];
      return fc.constantFrom(
        ...cases,
        ...(beyond === undefined ? [] : [beyond]),
        String.fromCharCode(character.charCodeAt(0) ^ 0x20),
      );
    };
    const key = fc
      .constantFrom(...names)
      .chain((name) => fc.tuple(...Array.from(name, (_, at) => letter(name, at))).map((letters) => letters.join("")));
    fc.assert(
      fc.property(key, fc.boolean(), (text, isEscaped) => {
        const asUnit = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
        const written = isEscaped ? `"${Array.from(text, asUnit).join("")}"` : JSON.stringify(text);
        const body = read(`{"jsonrpc":"2.0","id":1,"method":"m","params":{${written}:1}}`);
        const isRefused = body.kind === "unreadable" && body.reason === "duplicate-key";
        expect([text, isRefused]).toEqual([text, same.test(text) && !names.includes(text)]);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("JSON that is no JSON-RPC message is refused", () => {
  const ID = "id must be a string or a number";
  const VERSION = 'jsonrpc must be "2.0"';
  test.each([
    ["5", "a message must be an object", undefined],
    ['"text"', "a message must be an object", undefined],
    ["null", "a message must be an object", undefined],
    ["{}", VERSION, undefined],
    ['{"id":1,"method":"m"}', VERSION, "1"],
    ['{"jsonrpc":2.0,"method":"m","id":1}', VERSION, "1"],
    ['{"jsonrpc":"1.0","method":"m","id":1}', VERSION, "1"],
    ['{"jsonrpc":"2.00","method":"m","id":1}', VERSION, "1"],
    ['{"jsonrpc":"2.0","method":5,"id":1}', "method must be a string", "1"],
    ['{"jsonrpc":"2.0","method":null,"id":1}', "method must be a string", "1"],
    ['{"jsonrpc":"2.0","method":"m","id":null}', ID, undefined],
    ['{"jsonrpc":"2.0","method":"m","id":{}}', ID, undefined],
    ['{"jsonrpc":"2.0","method":"m","id":[1]}', ID, undefined],
    ['{"jsonrpc":"2.0","method":"m","id":true}', ID, undefined],
    ['{"jsonrpc":"2.0","error":{},"id":false}', ID, undefined],
    ['{"jsonrpc":"2.0","method":"m","params":[],"id":1}', "params must be an object", "1"],
    ['{"jsonrpc":"2.0","method":"m","result":null,"id":1}', "a message with a method has no result and no error", "1"],
    ['{"jsonrpc":"2.0","id":1,"error":null}', "a message has a method, a result or an error", "1"],
    ['{"jsonrpc":"2.0","id":1,"result":null,"error":{}}', "a response has a result or an error, not both", undefined],
    ['{"jsonrpc":"2.0","method":"m","id":1,"result":{}}', "a message with a method has no result and no error", "1"],
    ['{"jsonrpc":"2.0","method":"m","error":{}}', "a message with a method has no result and no error", undefined],
    ['{"jsonrpc":"2.0","id":1,"result":1,"error":1}', "a response has a result or an error, not both", undefined],
    ['{"jsonrpc":"2.0","result":1}', "a response with a result must have an id", undefined],
    ['{"jsonrpc":"2.0","id":null,"result":1}', "a response with a result must have an id", undefined],
    ['{"jsonrpc":"2.0","id":1}', "a message has a method, a result or an error", "1"],
    ['{"jsonrpc":"2.0","id":1,"params":{}}', "a message has a method, a result or an error", "1"],
  ])("%s", (text, detail, id) => {
    expect(read(text)).toEqual({ kind: "unreadable", reason: "not-json-rpc", detail, id });
  });

  test("of several faults the first in the text is told", () => {
    expect(read('{"jsonrpc":"2.0","params":1,"method":2,"id":3}')).toMatchObject({
      detail: "params must be an object",
      id: "3",
    });
  });

  test("a syntax error after another fault is what counts", () => {
    expect(read('{"jsonrpc":"1","id":1,"method":"m",}')).toEqual({ kind: "unreadable", reason: "not-json" });
  });
});

describe("batches", () => {
  test("an empty one is refused", () => {
    expect(read(" [ ] ")).toMatchObject({ reason: "empty-batch", id: undefined });
  });

  test("one of as many messages as allowed is read", () => {
    expect(read(`[${CALL},${CALL}]`, { ...LIMITS, depth: 64, batch: 2 })).toMatchObject({ kind: "batch" });
  });

  test("one of more is refused", () => {
    expect(read(`[${CALL},${CALL},${CALL}]`, { ...LIMITS, depth: 64, batch: 2 })).toEqual({
      kind: "unreadable",
      reason: "batch-too-long",
      detail: "a batch holds at most 2 messages",
      id: undefined,
    });
  });

  test.each(["1", "[]", `[${CALL}]`, "null"])("%s in one is refused", (element) => {
    expect(read(`[${CALL},${element}]`)).toMatchObject({ reason: "not-json-rpc", id: undefined });
  });

  test("a fault in one message refuses the whole, without an id", () => {
    expect(read(`[${CALL},{"jsonrpc":"2.0","id":5,"method":1}]`)).toMatchObject({
      reason: "not-json-rpc",
      detail: "method must be a string",
      id: undefined,
    });
  });

  test("the same member in two messages is no duplicate", () => {
    expect(read(`[${CALL},${CALL}]`)).toMatchObject({ kind: "batch" });
  });

  test.each(["[", "[,]", `[${CALL},]`, `[${CALL}`, `[${CALL}}`, `[1,${CALL}`, `[${CALL}]]`])(
    "%s is no JSON",
    (text) => {
      expect(read(text)).toEqual({ kind: "unreadable", reason: "not-json" });
    },
  );
});

describe("nesting", () => {
  function nested(levels: number, open = "[", close = "]"): string {
    return open.repeat(levels) + close.repeat(levels);
  }

  // The message is level 1, params 2, what is in them 3.
  test.each([
    ["an array in an unknown member", (levels: number) => `"x":${nested(levels - 1)}`],
    [
      "an object in an unknown member",
      (levels: number) => `"x":${'{"a":'.repeat(levels - 1)}1${"}".repeat(levels - 1)}`,
    ],
    ["an array in params", (levels: number) => `"params":{"arguments":${nested(levels - 2)}}`],
    ["an array in _meta", (levels: number) => `"params":{"_meta":{"x":${nested(levels - 3)}}}`],
  ])("%s may be as deep as the limit and no deeper", (_, member) => {
    const text = (levels: number) => `{"jsonrpc":"2.0",${member(levels)},"id":1,"method":"m"}`;
    expect(read(text(6), { ...LIMITS, depth: 6, batch: 1 })).toMatchObject({ kind: "single" });
    expect(read(text(7), { ...LIMITS, depth: 6, batch: 1 })).toEqual({
      kind: "unreadable",
      reason: "too-deep",
      detail: "nested deeper than 6",
      id: "1",
    });
  });

  test("a batch is one level more", () => {
    expect(read(CALL, { ...LIMITS, depth: 2, batch: 1 })).toMatchObject({ kind: "single" });
    expect(read(`[${CALL}]`, { ...LIMITS, depth: 2, batch: 1 })).toMatchObject({ reason: "too-deep", id: undefined });
    expect(read(`[${CALL}]`, { ...LIMITS, depth: 3, batch: 1 })).toMatchObject({ kind: "batch" });
  });

  test("containers side by side do not add up", () => {
    expect(
      read(`{"jsonrpc":"2.0","id":1,"method":"m","x":[[],[],{},[{}],{"a":{}},[]]}`, { ...LIMITS, depth: 4, batch: 1 }),
    ).toMatchObject({ kind: "single" });
  });

  test.each([10_000, 1_000_000])("%d levels are refused", (levels) => {
    expect(read(nested(levels))).toMatchObject({ reason: "too-deep" });
    expect(read(`{"x":${'{"a":['.repeat(levels)}${"]}".repeat(levels)},"id":1}`)).toMatchObject({
      reason: "too-deep",
      id: "1",
    });
  });

  test("a syntax error behind the limit is what counts", () => {
    expect(read("[".repeat(1_000_000))).toMatchObject({ reason: "not-json" });
    expect(read(`${"[".repeat(300)}${"]".repeat(299)}}`)).toMatchObject({ reason: "not-json" });
  });
});

describe("what is no JSON in UTF-8 is refused", () => {
  test.each([
    "",
    " ",
    "\ufeff{}",
    `${CALL} x`,
    `${CALL}${CALL}`,
    `${CALL}\0`,
    "{",
    "{,}",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{"a" 1}',
    "{a:1}",
    "{'a':1}",
    '{"a":1]',
    '{"a":[1}]',
    '{"x":{"a":1,}}',
    '{"x":{"a"}}',
    '{"x":[1,]}',
    '{"x":[,1]}',
    '{"x":[1 2]}',
    '{"id":01}',
    '{"id":-}',
    '{"id":1.}',
    '{"id":.5}',
    '{"id":1e}',
    '{"id":1e+}',
    '{"id":+1}',
    '{"id":0x1}',
    '{"id":"a}',
    '{"id":"\n"}',
    '{"id":"\\x"}',
    '{"id":"\\u12g4"}',
    '{"id":"\\u12',
    '{"id":"\\',
    '{"method":"',
    '{"method":"\\u00"}',
    '{"jsonrpc":"2.0',
    '{"jsonrpc":"2.0\\"',
    '{"x":tru}',
    '{"x":nul',
    '{"x":NaN}',
    '{"id":nope}',
    '{"x":1}//',
    "\u00a0{}",
    "\v{}",
  ])("%j", (text) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(read(text)).toEqual({ kind: "unreadable", reason: "not-json" });
  });

  test.each([
    ["a lone continuation byte", [0x80]],
    ["an overlong quote", [0xc0, 0xa2]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["beyond U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["a character cut short", [0xe2, 0x82]],
  ])("%s in a string", (_, bytes) => {
    const body = Buffer.concat([
      Buffer.from('{"jsonrpc":"2.0","id":"'),
      Buffer.from(bytes),
      Buffer.from('","method":"m"}'),
    ]);
    expect(readBody(body, LIMITS)).toEqual({ kind: "unreadable", reason: "not-json" });
  });
});

test("a plain Uint8Array in the middle of a larger buffer is read by its own bytes", () => {
  const larger = new TextEncoder().encode(`xx${CALL}yy`);
  expect(readBody(larger.subarray(2, -2), LIMITS)).toEqual(read(CALL));
});

describe("against JSON.parse", () => {
  /** Spacing and escapes are drawn from a tape of numbers, so that a failure shrinks and can be replayed. */
  class Writer {
    readonly #tape: readonly number[];
    #next = 0;
    constructor(tape: readonly number[]) {
      this.#tape = tape;
    }
    draw(below: number): number {
      return (this.#tape[this.#next++ % this.#tape.length] ?? 0) % below;
    }
    space(): string {
      return ["", "", "", " ", "\n", "\t\r "][this.draw(6)] ?? "";
    }
    string(text: string): string {
      let written = "";
      for (let i = 0; i < text.length; i++) {
        const plain = JSON.stringify(text[i]).slice(1, -1);
        const isHalf = /[\ud800-\udfff]/.test(text[i] ?? "");
        const escaped = `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`;
        written += isHalf || this.draw(8) === 0 ? escaped : plain;
      }
      return `"${written}"`;
    }
    value(value: unknown): string {
      const inside = () => {
        if (typeof value === "string") return this.string(value);
        if (Array.isArray(value)) return `[${value.map((element) => this.value(element)).join(",") || this.space()}]`;
        if (typeof value === "object" && value !== null) {
          return this.object(Object.entries(value).map(([key, member]) => [key, this.value(member)] as const));
        }
        return JSON.stringify(value);
      };
      return this.space() + inside() + this.space();
    }
    object(members: readonly (readonly [string, string])[]): string {
      const written = members.map(([key, value]) => `${this.space()}${this.string(key)}${this.space()}:${value}`);
      return `{${written.join(",") || this.space()}}`;
    }
  }

  const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });
  const someText = fc.oneof(anyText, fc.string({ unit: "grapheme" }), fc.constantFrom("tools/call", "2.0", ""));
  const tape = fc.array(fc.nat(), { minLength: 8, maxLength: 64 });
  const json = fc.jsonValue({ maxDepth: 3, stringUnit: "binary" });
  const rawNumber = fc.constantFrom("0", "-0", "1.0", "9007199254740993", "1E+2", "-12.50e-1", "1e999");

  /** A value where some are JSON text already, since not every number survives JSON.stringify. */
  type Written = { readonly text: string } | { readonly value: unknown };
  const asValue = (arb: fc.Arbitrary<unknown>): fc.Arbitrary<Written> => arb.map((value) => ({ value }));

  const meta = fc.record(
    {
      "io.modelcontextprotocol/protocolVersion": fc.oneof(someText, json),
      "io.modelcontextprotocol/clientCapabilities": json,
      progressToken: fc.nat(),
    },
    { requiredKeys: [] },
  );
  const params = fc.record(
    {
      name: fc.oneof(someText, json),
      uri: fc.oneof(someText, json),
      taskId: fc.oneof(someText, json),
      protocolVersion: fc.oneof(someText, json),
      _meta: fc.oneof(meta, json),
      arguments: json,
    },
    { requiredKeys: [] },
  );
  const member = {
    jsonrpc: fc.oneof({ weight: 12, arbitrary: asValue(fc.constant("2.0")) }, asValue(json)),
    method: fc.oneof({ weight: 12, arbitrary: asValue(someText) }, asValue(json)),
    id: fc.oneof(
      { weight: 8, arbitrary: asValue(someText) },
      { weight: 8, arbitrary: rawNumber.map((text): Written => ({ text })) },
      asValue(json),
    ),
    params: fc.oneof({ weight: 12, arbitrary: asValue(params) }, asValue(json)),
    result: asValue(json),
    error: asValue(json),
    other: asValue(json),
  };
  const memberRecord = fc.oneof(
    fc.record(member, { requiredKeys: ["jsonrpc", "method"] }).map(({ result, error, ...rest }) => rest),
    fc.record(member, { requiredKeys: ["jsonrpc"] }),
  );
  const messageText = fc.tuple(memberRecord, fc.infiniteStream(fc.nat()), tape).map(([record, order, writerTape]) => {
    const writer = new Writer(writerTape);
    const written = Object.entries(record)
      .map(([key, value]) => ({ key, value, rank: order.next().value }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ key, value }) => [key, "text" in value ? value.text : writer.value(value.value)] as const);
    return writer.space() + writer.object(written) + writer.space();
  });

  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  const isId = (value: unknown) => typeof value === "string" || typeof value === "number";

  /** The rules of JSON-RPC once more, over what JSON.parse gives. */
  function kindOf(message: unknown): Message["kind"] | undefined {
    if (!isObject(message) || message.jsonrpc !== "2.0") return undefined;
    const isAbsentAsNull = (key: string) => (key === "params" || key === "error") && message[key] === null;
    const has = (key: string) => Object.hasOwn(message, key) && !isAbsentAsNull(key);
    if (has("params") && !isObject(message.params)) return undefined;
    if (has("method")) {
      if (typeof message.method !== "string" || has("result") || has("error")) return undefined;
      if (!has("id")) return "notification";
      return isId(message.id) ? "request" : undefined;
    }
    if (has("result") === has("error")) return undefined;
    if (has("result")) return isId(message.id) ? "response" : undefined;
    return !has("id") || message.id === null || isId(message.id) ? "response" : undefined;
  }

  function parse(bytes: Uint8Array): { readonly value: unknown } | undefined {
    if (!isUtf8(bytes)) return undefined;
    try {
      return { value: JSON.parse(Buffer.from(bytes).toString()) };
    } catch {
      return undefined;
    }
  }

  test("messages are the ones that it parses, and ids, methods and names are what it gives", () => {
    fc.assert(
      fc.property(messageText, (text) => {
        const bytes = Buffer.from(text);
        const parsed: unknown = JSON.parse(text);
        const body = readBody(bytes, LIMITS);

        const kind = kindOf(parsed);
        if (kind === undefined || !isObject(parsed)) {
          expect(body).toMatchObject({ kind: "unreadable", reason: "not-json-rpc" });
          return;
        }
        if (body.kind !== "single") throw new Error(`not read: ${JSON.stringify(body)}`);
        const { message } = body;
        expect(message.kind).toBe(kind);
        if (message.kind !== "notification" && message.id !== undefined) {
          expect(text).toContain(message.id);
          expect(JSON.parse(message.id)).toBe(parsed.id);
        }
        if (message.kind === "response") return;
        expect(message.method).toBe(parsed.method);
        expect(message.params === undefined).toBe((parsed.params ?? undefined) === undefined);
        if (message.params === undefined || !isObject(parsed.params)) return;
        const written = (at: { start: number; end: number }) => JSON.parse(bytes.subarray(at.start, at.end).toString());
        expect(written(message.params)).toEqual(parsed.params);
        for (const name of ["name", "uri", "taskId"] as const) {
          const at = message.params[name];
          const value = parsed.params[name];
          expect(at?.value).toBe(typeof value === "string" ? value : undefined);
          if (at !== undefined) expect(written(at)).toBe(value);
        }
      }),
      { numRuns: 500 },
    );
  });

  const interesting = [...'{}[]:,"\\/u0aeE19+-.tfn \n\t'].map((character) => character.charCodeAt(0));
  const byte = fc.oneof(fc.constantFrom(...interesting), fc.integer({ min: 0, max: 255 }));
  const mutation = fc.record({
    how: fc.constantFrom("delete", "insert", "swap", "cut"),
    at: fc.nat(),
    to: fc.nat(),
    byte,
  });

  test("broken bodies are refused where it refuses them, and only there", () => {
    fc.assert(
      fc.property(messageText, fc.array(mutation, { minLength: 1, maxLength: 3 }), (text, mutations) => {
        const bytes = [...Buffer.from(text)];
        for (const { how, at, to, byte } of mutations) {
          const place = at % bytes.length;
          const other = to % bytes.length;
          if (how === "delete") bytes.splice(place, 1);
          if (how === "insert") bytes.splice(place, 0, byte);
          if (how === "cut") bytes.splice(place);
          if (how === "swap") [bytes[place], bytes[other]] = [bytes[other] ?? 0, bytes[place] ?? 0];
          if (bytes.length === 0) break;
        }
        const body = readBody(Uint8Array.from(bytes), LIMITS);
        const isRefused = body.kind === "unreadable" && body.reason === "not-json";
        expect(isRefused).toBe(parse(Uint8Array.from(bytes)) === undefined);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["numbers", "0123-+.eE"],
    ["strings", '"\\u0aF/bx\u0001é'],
    ["structure", '{}[]:,"1 '],
    ["words", "truefalsn, []"],
  ])("texts of the letters of %s", (_, letters) => {
    const text = fc.string({ unit: fc.constantFrom(...letters), maxLength: 9 });
    fc.assert(
      fc.property(text, fc.constantFrom("x", "id", "method", "jsonrpc"), (inner, key) => {
        for (const candidate of [inner, `[${inner}]`, `{"${key}":${inner}}`, `{"${key}":"${inner}"}`]) {
          const body = read(candidate);
          const isRefused = body.kind === "unreadable" && body.reason === "not-json";
          expect([candidate, isRefused]).toEqual([candidate, parse(Buffer.from(candidate)) === undefined]);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
