import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EACH, type Path, placesOf } from "../../../../src/core/json/places.ts";

const DEEPEST = 20;

/** The texts of the values that a path leads to, or what else was found. */
function textsAt(text: string, path: Path, deepest = DEEPEST): readonly string[] | string {
  const bytes = Buffer.from(text);
  const places = placesOf(bytes, path, deepest);
  if (places.kind === "ambiguous") return `ambiguous ${places.member}`;
  if (places.kind === "unreadable") return "unreadable";
  return places.at.map(({ start, end }) => bytes.toString("utf8", start, end));
}

describe("the places of values", () => {
  test.each<[what: string, text: string, path: Path, texts: readonly string[]]>([
    ["a request's id, as it is written", ' { "id" : 1.0 ,"method":"ping"}', ["id"], ["1.0"]],
    ["a completion's ref", '{"params":{"ref":{"type":"ref/prompt","name":"é"}}}', ["params", "ref", "name"], ['"é"']],
    ["a cancelled request's id", '{"params":{"requestId":"7"}}', ["params", "requestId"], ['"7"']],
    ["a progress token", '{"params":{"_meta":{"progressToken": 12 }}}', ["params", "_meta", "progressToken"], ["12"]],
    [
      "the names of a list",
      '{"result":{"tools":[{"name":"a"},{"title":"no name"}, {"x":[{"name":"inner"}],"name":"b"}],"nextCursor":"c"}}',
      ["result", "tools", EACH, "name"],
      ['"a"', '"b"'],
    ],
    ["the items of a list", '{"tools":[ {"a":1} ,2,[] ]}', ["tools", EACH], ['{"a":1}', "2", "[]"]],
    ["nothing of an empty list", '{"tools":[]}', ["tools", EACH, "name"], []],
    ["the whole text", " [1] ", [], ["[1]"]],
    ["nothing where a value is of another kind", '{"params":[{"name":"a"}]}', ["params", "name"], []],
    ["nothing where an array is none", '{"tools":{"name":"a"}}', ["tools", EACH, "name"], []],
    ["nothing where a member is absent", "{}", ["params", "name"], []],
    ["nothing within a scalar", "null", ["id"], []],
    ["a member whose name is escaped", '{"\\u0069d":1}', ["id"], ["1"]],
    ["a member beside one of the same name deeper down", '{"a":{"id":1},"id":2}', ["id"], ["2"]],
  ])("are told of %s", (_, text, path, texts) => {
    expect(textsAt(text, path)).toEqual(texts);
  });

  test.each<[what: string, text: string, path: Path, member: string]>([
    ["stands there twice", '{"id":1,"id":2}', ["id"], "id"],
    ["differs in case", '{"Id":1}', ["id"], "id"],
    ["differs in case beside the right one", '{"id":1,"ID":2}', ["id"], "id"],
    ["ends at U+0000", '{"id\\u0000x":1}', ["id"], "id"],
    ["stands twice deeper down", '{"params":{"name":"a","name":"b"}}', ["params", "name"], "name"],
    ["stands twice in one item", '{"tools":[{"name":"a"},{"name":"b","name":"c"}]}', ["tools", EACH, "name"], "name"],
    ["leads to two values", '{"params":{"name":"a"},"params":{"name":"b"}}', ["params", "name"], "params"],
  ])("are not told where a member %s, since another parser may take another one", (_, text, path, member) => {
    expect(textsAt(text, path)).toBe(`ambiguous ${member}`);
  });

  test.each(["", "{", '{"id":1', '{"id":1} x', '{"id":tru}', '{"id":1,"id":2', '{"tools":[{"name":"a"},]}'])(
    "are not told of %j, which is no JSON",
    (text) => {
      const paths: readonly Path[] = [["id"], ["tools", EACH, "name"], []];
      for (const path of paths) expect(textsAt(text, path)).toBe("unreadable");
    },
  );

  test("are not told of bytes that are no UTF-8", () => {
    expect(placesOf(Uint8Array.from([0x22, 0xff, 0x22]), [], DEEPEST)).toEqual({ kind: "unreadable" });
  });

  test("are not told of a text that is nested too deep, on the path or beside it", () => {
    expect(textsAt("[[[1]]]", [EACH, EACH, EACH], 3)).toEqual(["1"]);
    expect(textsAt("[[[1]]]", [EACH, EACH, EACH], 2)).toBe("unreadable");
    expect(textsAt('{"a":[[1]],"id":1}', ["id"], 2)).toBe("unreadable");
  });

  test("are those of the values that JSON.parse finds", () => {
    const names = ["a", "b"] as const;
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(1, "x", null, true, 1e21, 'é\\"'),
        fc.array(tie("tree"), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...names, "c"), tie("tree"), { maxKeys: 3 }),
      ),
    }));
    const steps: readonly Path[number][] = [...names, EACH];
    const path = fc.array(fc.constantFrom(...steps), { maxLength: 4 });
    const valuesAt = (value: unknown, [step, ...rest]: Path): unknown[] => {
      if (step === undefined) return [value];
      if (step === EACH) return Array.isArray(value) ? value.flatMap((item) => valuesAt(item, rest)) : [];
      const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
      return isObject && Object.hasOwn(value, step) ? valuesAt((value as Record<string, unknown>)[step], rest) : [];
    };
    fc.assert(
      fc.property(tree, path, fc.constantFrom(0, 1), (value, way, indent) => {
        const texts = textsAt(JSON.stringify(value, null, indent), way);
        expect(typeof texts === "string" ? texts : texts.map((text) => JSON.parse(text))).toEqual(valuesAt(value, way));
      }),
    );
  });
});
