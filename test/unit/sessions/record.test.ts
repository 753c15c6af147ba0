import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  readBinding,
  readRecord,
  readView,
  stateField,
  writeBinding,
  writeRecord,
} from "../../../src/sessions/record.ts";
import type { Session, StateChange } from "../../../src/sessions/store.ts";

const session: Session = {
  owner: "digest",
  route: "/mcp",
  protocolVersion: "2025-11-25",
  initializeParams: '{"é":9007199254740993}',
  bindings: { one: { sessionId: "a b", endpoint: "[::1]:80", generation: 12 } },
};

/** The fields of `session`, some of them replaced, or left out where undefined. */
function fields(over: Readonly<Record<string, string | undefined>>): string[] {
  const written = writeRecord(session);
  const all: Record<string, string | undefined> = {};
  for (let n = 0; n + 1 < written.length; n += 2) all[written[n] ?? ""] = written[n + 1];
  return Object.entries({ ...all, ...over }).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
}

test("what was written is read", () => {
  const visible = fc.stringMatching(/^[\x21-\x7e]{1,40}$/);
  const binding = fc.record(
    {
      sessionId: visible,
      endpoint: fc.stringMatching(/^[\x21-\x3a\x3c-\x7e]{1,40}$/),
      generation: fc.integer({ min: 1 }),
      version: fc.stringMatching(/^[\w.-]{1,32}$/),
    },
    { requiredKeys: ["sessionId", "endpoint", "generation"] },
  );
  const backend = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/);
  const uri = fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("a:b:c", "__proto__", ":", ""));
  const told = fc
    .record({
      level: fc.option(fc.json(), { nil: undefined }),
      subscriptions: fc.array(fc.tuple(uri, fc.json())).map((all) => new Map(all)),
      listening: fc.option(fc.integer({ min: 2 }), { nil: undefined }),
    })
    // Of a backend in whose session nothing was said there is no field.
    .filter(({ level, subscriptions, listening }) =>
      [level, listening, ...subscriptions].some((one) => one !== undefined),
    );
  const remembered = fc.array(fc.tuple(backend, told), { minLength: 1 }).map((all) => new Map(all));
  const sessions = fc.record(
    {
      owner: fc.string(),
      route: fc.string(),
      protocolVersion: fc.option(fc.string(), { nil: undefined }),
      initializeParams: fc.json(),
      bindings: fc.dictionary(backend, binding, { noNullPrototype: true }),
      remembered,
    },
    { requiredKeys: ["owner", "route", "protocolVersion", "initializeParams", "bindings"] },
  );
  fc.assert(
    fc.property(sessions, (any) => {
      expect(readRecord(writeRecord(any))).toEqual(any);
    }),
  );
});

test("fields of the scripts, and of who comes after us, are read over", () => {
  expect(readRecord(fields({ t: "1", e: "2", later: "x" }))).toEqual(session);
});

describe("a record is not read that", () => {
  test.each([
    ["is of a later layout", { v: "2" }, "layout 2, and this router reads 1"],
    ["is of a later layout with other bindings", { v: "2", "b:one": "x" }, "layout 2, and this router reads 1"],
    ["has no layout", { v: undefined }, "layout ?"],
    ["has no owner", { o: undefined }, "missing"],
    ["has no route", { r: undefined }, "missing"],
    ["has no params", { i: undefined }, "missing"],
    ["has a broken binding", { "b:one": "x" }, "field b:one holds no binding"],
  ])("%s", (_, over, why) => {
    expect(readRecord(fields(over))).toEqual({ kind: "unreadable", why: expect.stringContaining(why) });
  });
});

describe("of a record nothing is read for a request that", () => {
  test.each<[string, Parameters<typeof readView>[0], string]>([
    ["is of a later layout", ["2", "o", "/r", "x", null], "layout 2, and this router reads 1"],
    ["has no layout", [null, "o", "/r", null, null], "layout ?"],
    ["has no owner", ["1", null, "/r", null, null], "missing"],
    ["has no route", ["1", "o", null, null, null], "missing"],
    ["has a broken binding", ["1", "o", "/r", "x", null], "holds none"],
  ])("%s", (_, fields, why) => {
    expect(readView(fields)).toEqual({ kind: "unreadable", why: expect.stringContaining(why) });
  });
});

test("a binding is one text, of which the id comes last and may hold anything", () => {
  const binding = { generation: 3, endpoint: "10.0.0.1:80", sessionId: "a b  c" };
  expect(writeBinding(binding)).toBe("3 10.0.0.1:80 a b  c");
  expect(readBinding("3 10.0.0.1:80 a b  c")).toEqual(binding);
  expect(readBinding("3 10.0.0.1:80")).toBeUndefined();
});

test.each<[StateChange, readonly [string, string]]>([
  [{ kind: "level", params: "{}" }, ["l:one", "{}"]],
  [{ kind: "subscribe", uri: "a:b", params: "{}" }, ["u:one:a:b", "{}"]],
  // An empty value has it removed.
  [{ kind: "unsubscribe", uri: "a:b" }, ["u:one:a:b", ""]],
  [{ kind: "listening", generation: 2 }, ["g:one", "2"]],
])("%j is a field of its own", (change, field) => {
  expect(stateField("one", change)).toEqual(field);
});
