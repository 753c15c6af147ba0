import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ALL_NAMES } from "../../../../src/core/federation/filter.ts";
import { compileGlob } from "../../../../src/core/federation/glob.ts";
import { ALL_LISTS, LIST_KINDS, listKindOf } from "../../../../src/core/federation/kinds.ts";
import { MOST_ITEMS, type RawItem, readListPage } from "../../../../src/core/federation/list-page.ts";
import { type Listing, listingOf, sameListing } from "../../../../src/core/federation/listing.ts";
import { mergeLists } from "../../../../src/core/federation/merge.ts";
import { listAnswer } from "../../../../src/core/federation/page.ts";

const DEEPEST = 100;

function page(text: string, kind: Parameters<typeof readListPage>[1] = "tools") {
  return readListPage(Buffer.from(text), kind, DEEPEST);
}

function itemsOf(text: string, kind: Parameters<typeof readListPage>[1] = "tools"): readonly RawItem[] {
  const read = page(text, kind);
  if (read.kind !== "page") throw new Error(JSON.stringify(read));
  return read.items;
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const result = (items: readonly string[], more = "") => `{"jsonrpc":"2.0","id":1,"result":{"tools":[${items}]${more}}}`;
const tool = (name: string, more = "") => `{"name":${JSON.stringify(name)}${more}}`;

function listing(prefix: string, names: readonly string[]): Listing {
  return listingOf("tools", prefix, itemsOf(result(names.map((name) => tool(name)))), 0);
}

describe("the lists", () => {
  test("are found by their methods", () => {
    for (const kind of ALL_LISTS) expect(listKindOf(LIST_KINDS[kind].method)).toBe(kind);
    expect(listKindOf("constructor")).toBeUndefined();
  });
});

describe("a page of a backend's list", () => {
  test("leaves out an item with half a surrogate pair, which some clients' parsers refuse a whole answer for", () => {
    const halves = ['{"name":"a","d":"\\ud83d"}', '{"name":"b","\\uDE00":[1]}', '{"name":"c","d":"\\\\\\uD83D x"}'];
    const whole = ['{"name":"d","d":"\\ud83d\\uDE00"}', '{"name":"e","d":"\\\\ud83d"}', '{"name":"f","d":"\\udata"}'];
    expect(page(result([...halves, ...whole.slice(0, 2)]))).toMatchObject({
      leftOut: 3,
      items: [{ key: "d" }, { key: "e" }],
    });
    expect(page(result(whole))).toMatchObject({ kind: "unreadable" });
    const uris = '{"result":{"resources":[{"uri":"a:\\ud83d"},{"uri":"b:\\ud83d\\ude00"}]}}';
    expect(page(uris, "resources")).toMatchObject({ leftOut: 1, items: [{ key: "b:\u{1f600}" }] });
  });

  test("of the shortest items keeps no more of them than a list may have, and one that shows it", () => {
    const many = Array.from({ length: 3 * MOST_ITEMS }, (_, n) => `{"name":"${n}"}`);
    expect(page(result(many, ',"nextCursor":"on"'))).toMatchObject({
      items: { length: MOST_ITEMS + 1 },
      leftOut: 0,
      nextCursor: "on",
    });
    expect(page(result([...many, "{"]))).toMatchObject({ kind: "unreadable" });
  });

  test("gives each item with its name, in the backend's own bytes", () => {
    const odd = '{ "n" : 9007199254740993, "name":"a\\u0062", "x":-0, "x":1.0 , "annotations":{"readOnlyHint":false}}';
    const [item] = itemsOf(result([odd]));
    expect(item?.key).toBe("ab");
    expect(text(item?.bytes ?? new Uint8Array())).toBe(odd);
    expect(item && text(item.bytes.subarray(item.keyAt.start, item.keyAt.end))).toBe('"a\\u0062"');
  });

  test.each([
    ["no object", '"x"'],
    ["no name", '{"title":"x"}'],
    ["an empty name", '{"name":""}'],
    ["a name that is no text", '{"name":1}'],
    ["two names", '{"name":"a","name":"b"}'],
    ["a member that another parser may take for its name", '{"name":"a","Name":"b"}'],
    ["a name that no request could carry", `{"name":"${"n".repeat(10_000)}"}`],
  ])("leaves an item out that has %s, and no other", (_, item) => {
    expect(page(result([tool("first"), item, tool("last")]))).toMatchObject({
      kind: "page",
      leftOut: 1,
      items: [{ key: "first" }, { key: "last" }],
    });
  });

  test("tells where the next one begins, also by an empty cursor", () => {
    expect(page(result([], ',"nextCursor":"\\u0078"'))).toMatchObject({ nextCursor: "x" });
    const long = "c".repeat(100_000);
    expect(page(result([], `,"nextCursor":"${long}"`))).toMatchObject({ nextCursor: long });
    expect(page(result([], ',"nextCursor":""'))).toMatchObject({ nextCursor: "" });
    for (const end of ["", ',"nextCursor":null', ',"nextCursor":7'])
      expect(page(result([], end))).toMatchObject({ kind: "page", nextCursor: undefined });
  });

  test("may begin with a byte order mark", () => {
    expect(page(`\ufeff${result([tool("a")])}`)).toMatchObject({ items: [{ key: "a" }] });
  });

  test("is read of each kind by its own key", () => {
    const resources = '{"result":{"resources":[{"uri":"memo:x","name":"one"},{"name":"no uri"}]}}';
    expect(page(resources, "resources")).toMatchObject({ items: [{ key: "memo:x" }], leftOut: 1 });
    const templates = '{"result":{"resourceTemplates":[{"uriTemplate":"a:{b}","name":"t"}]}}';
    expect(page(templates, "templates")).toMatchObject({ items: [{ key: "a:{b}" }] });
  });

  test.each([
    ["a refusal", '{"error":{"code":-32601,"message":"no such method"}}', { kind: "error", code: -32601 }],
    ["an error without a code", '{"error":{"message":"x"}}', { kind: "error", code: undefined, message: "x" }],
    ["no JSON", "<html>", { kind: "unreadable" }],
    ["an array", "[]", { kind: "unreadable" }],
    ["cut off", result([tool("a")]).slice(0, -1), { kind: "unreadable" }],
    ["a result that is no object", '{"result":[]}', { kind: "unreadable" }],
    ["no list", '{"result":{}}', { kind: "unreadable" }],
    ["a list that is none", '{"result":{"tools":{}}}', { kind: "unreadable" }],
    ["two lists", '{"result":{"tools":[],"tools":[]}}', { kind: "unreadable" }],
    ["neither result nor error", '{"id":1}', { kind: "unreadable" }],
    ["an error that is no object", '{"error":"x"}', { kind: "unreadable" }],
    ["two results", '{"result":{"tools":[]},"result":{"tools":[]}}', { kind: "unreadable" }],
    ["too deep", result([tool("a", `,"x":${"[".repeat(200)}${"]".repeat(200)}`)]), { kind: "unreadable" }],
  ])("is %s", (_, body, expected) => {
    expect(page(body)).toMatchObject(expected);
  });

  test("may hold spaces around its items, which are no part of them", () => {
    const items = itemsOf('{ "result" : { "tools" : [ {"name":"a"} , {"name":"b" }\n] } }');
    expect(items.map(({ bytes }) => text(bytes))).toEqual(['{"name":"a"}', '{"name":"b" }']);
  });

  test("that is not UTF-8 is none", () => {
    expect(readListPage(Buffer.from([0x7b, 0xff, 0x7d]), "tools", DEEPEST)).toMatchObject({ kind: "unreadable" });
  });

  test("of a million small items is read in one pass", () => {
    const many = `{"result":{"tools":[${"{},".repeat(1_000_000)}{"name":"a"}]}}`;
    expect(page(many)).toMatchObject({ items: [{ key: "a" }], leftOut: 1_000_000 });
  });
});

describe("a listing", () => {
  test("changes the bytes of the name and no other", () => {
    fc.assert(
      fc.property(fc.array(fc.json(), { maxLength: 5 }), fc.string({ minLength: 1 }), (values, name) => {
        const members = values.map((value, n) => `"m${n}": ${value}`);
        const itemOf = (name: string) => `{${[...members, `"name" : ${JSON.stringify(name)}`].join(" ,\n")}}`;
        const [listed] = listingOf("tools", "files__", itemsOf(result([itemOf(name)])), 0).items;
        if (!listed) throw new Error("not listed");
        expect(text(listed.bytes)).toBe(itemOf(listed.key));
        expect(listed.own).toBe(name);
      }),
    );
  });

  test.each([
    ["half a surrogate pair", '"\\ud800"', "\ud800"],
    ["control characters", '"a\\u0000\\n\\u007f"', "a\0\n\x7f"],
    ["8,192 characters", `"${"é".repeat(8_192)}"`, "é".repeat(8_192)],
  ])("gives an item a name that all clients take, whose own has %s", (_, written, own) => {
    const [listed] = listingOf("tools", "files__", itemsOf(result([`{"name":${written},"x":1.0}`])), 0).items;
    expect(listed?.own).toBe(own);
    expect(listed?.key).toMatch(/^files__[A-Za-z0-9_-]{1,57}$/);
    expect(text(listed?.bytes ?? new Uint8Array())).toBe(`{"name":"${listed?.key}","x":1.0}`);
  });

  test("is sorted, keeps the first of two items of one name, and counts what it leaves out", () => {
    const made = listingOf("tools", "f__", itemsOf(result([tool("b"), tool("a", ',"n":1'), tool("a", ',"n":2')])), 3);
    expect(made.items.map(({ bytes }) => text(bytes))).toEqual(['{"name":"f__a","n":1}', '{"name":"f__b"}']);
    expect(made).toMatchObject({ leftOut: 3, duplicates: 1, size: 36 });
  });

  test("leaves URIs as they are", () => {
    const raw = itemsOf('{"result":{"resources":[{"uri":"file:///a/../b","name":"x"}]}}', "resources");
    const [item] = listingOf("resources", "f__", raw, 0).items;
    expect(item).toMatchObject({ key: "file:///a/../b", own: "file:///a/../b" });
  });

  test("holds one copy of its bytes", () => {
    const { items, size } = listing("f__", ["a", "b", "c"]);
    expect(new Set(items.map(({ bytes }) => bytes.buffer)).size).toBe(1);
    expect(items[0]?.bytes.buffer.byteLength).toBe(size);
  });

  test("is the same as another one only to the byte", () => {
    const one = listing("f__", ["a", "b"]);
    expect(sameListing(one, listing("f__", ["b", "a"]))).toBe(true);
    expect(sameListing(one, listing("f__", ["a"]))).toBe(false);
    expect(sameListing(one, listing("f__", ["a", "c"]))).toBe(false);
    const described = listingOf("tools", "f__", itemsOf(result([tool("a"), tool("b", ',"description":"new"')])), 0);
    expect(sameListing(one, described)).toBe(false);
  });
});

describe("a merged list", () => {
  test("offers the items of all backends by their full names, in one order", () => {
    const merged = mergeLists("tools", [listing("b__", ["x", "a"]), undefined, listing("a__", ["z"])], ALL_NAMES);
    expect(merged.items.map(({ item, member }) => [item.key, member])).toEqual([
      ["a__z", 2],
      ["b__a", 0],
      ["b__x", 0],
    ]);
    expect(merged.find("b__x")).toMatchObject({ member: 0, item: { own: "x" } });
    expect(merged.find("x")).toBeUndefined();
    expect(merged.find("constructor")).toBeUndefined();
  });

  test("keeps a name with the backend that stands first, and tells of the collision", () => {
    const merged = mergeLists("tools", [listing("", ["a"]), listing("", ["a", "b"])], ALL_NAMES);
    expect(merged.find("a")?.member).toBe(0);
    expect(merged.items).toHaveLength(2);
    expect(merged.collisions).toEqual([{ key: "a", kept: 0, leftOut: 1 }]);
  });

  test("hides what the route denies", () => {
    const filter = { allow: undefined, deny: [compileGlob("*__delete")] };
    const merged = mergeLists("tools", [listing("f__", ["delete", "read"])], filter);
    expect(merged.items.map(({ item }) => item.key)).toEqual(["f__read"]);
    expect(merged.find("f__delete")).toBeUndefined();
    expect(merged.hidden).toBe(1);
  });

  test("has the same names for one backend whatever others offer", () => {
    const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 70 }), { maxLength: 8 });
    fc.assert(
      fc.property(names, names, (own, others) => {
        const alone = mergeLists("tools", [listing("a__", own)], ALL_NAMES);
        const both = mergeLists("tools", [listing("a__", own), listing("b__", others)], ALL_NAMES);
        const keys = (merged: typeof both) =>
          merged.items.flatMap(({ item, member }) => (member === 0 ? item.key : []));
        expect(keys(both)).toEqual(keys(alone));
      }),
    );
  });
});

describe("the answer to a request for a list", () => {
  interface Answer {
    readonly id?: unknown;
    readonly result: { readonly tools: readonly { readonly name: string }[]; readonly nextCursor?: string };
  }
  function answer(merged: ReturnType<typeof mergeLists>, cursor?: string, most = 1_000): Answer {
    const body = listAnswer("7", merged, cursor, most);
    if (body === "bad-cursor") throw new Error(body);
    return JSON.parse(text(body));
  }
  const mergedOf = (names: readonly string[]) => mergeLists("tools", [listing("f__", names)], ALL_NAMES);

  test("is one JSON-RPC response, with the id as it was written", () => {
    const body = listAnswer("9007199254740993", mergedOf(["a"]), undefined, 100);
    expect(text(body as Uint8Array)).toBe(
      '{"jsonrpc":"2.0","id":9007199254740993,"result":{"tools":[{"name":"f__a"}]}}',
    );
    expect(text(listAnswer(undefined, mergedOf([]), undefined, 100) as Uint8Array)).toBe(
      '{"jsonrpc":"2.0","result":{"tools":[]}}',
    );
  });

  test("is cut into pages of some bytes, with an item at least on each", () => {
    const merged = mergedOf(["a", "b", "c"]);
    const first = answer(merged, undefined, 20);
    expect(first.result.tools).toEqual([{ name: "f__a" }]);
    expect(answer(merged, first.result.nextCursor, 1_000).result).toEqual({
      tools: [{ name: "f__b" }, { name: "f__c" }],
    });
  });

  test.each(["", "x", "!!", Buffer.from("7").toString("base64url"), Buffer.from('"a').toString("base64url")])(
    "is refused for the cursor %j, which is none of ours",
    (cursor) => {
      expect(listAnswer("1", mergedOf(["a"]), cursor, 100)).toBe("bad-cursor");
    },
  );

  test("neither doubles nor loses what stays in the list, however that changes between two pages", () => {
    const letters = fc.uniqueArray(fc.string({ unit: fc.constantFrom(..."abcdefgh"), minLength: 1, maxLength: 3 }));
    fc.assert(
      fc.property(
        letters,
        fc.array(letters, { minLength: 1 }),
        fc.integer({ min: 1, max: 60 }),
        (stays, comings, most) => {
          const seen: string[] = [];
          let cursor: string | undefined;
          for (let turn = 0; turn < 1_000; turn++) {
            const coming = comings[turn % comings.length] ?? [];
            const { result: got } = answer(mergedOf([...new Set([...stays, ...coming])]), cursor, most);
            seen.push(...got.tools.map(({ name }) => name));
            cursor = got.nextCursor;
            if (cursor === undefined) break;
          }
          expect(cursor).toBeUndefined();
          expect(new Set(seen).size).toBe(seen.length);
          for (const name of stays) expect(seen).toContain(`f__${name}`);
        },
      ),
    );
  });
});
