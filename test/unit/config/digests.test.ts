import { expect, test } from "vitest";
import { differing, digestsOf } from "../../../src/config/digests.ts";

const FILE = "backends: { one: { endpoints: [h:1] } }\nroutes: [{ path: /one, backends: [one] }]\n";

test("comments and spelling make no difference, and values do", () => {
  const other =
    '# ours\nroutes:\n  - path: "/one"\n    backends:\n      - one\nbackends: { one: { endpoints: ["h:1"] } }\n';
  expect(differing(digestsOf(FILE), digestsOf(other))).toEqual([]);
  expect(differing(digestsOf(FILE), digestsOf(FILE.replace("h:1", "h:2")))).toEqual(["backends"]);
});

test("a section in one file alone makes a difference", () => {
  const more = `${FILE}limits: { body: 1MiB }\n`;
  expect(differing(digestsOf(FILE), digestsOf(more))).toEqual(["limits"]);
  expect(differing(digestsOf(more), digestsOf(FILE))).toEqual(["limits"]);
});

test("nothing tells of the password", () => {
  const store = (password: string) => `${FILE}store: { kind: redis, url: "redis://:${password}@h:1" }\n`;
  expect(digestsOf(store("one"))).toEqual(digestsOf(store("two")));
});

test.each(["", "[]", "a: b: c"])("of what is no configuration there are none: %j", (text) => {
  expect(digestsOf(text)).toEqual({});
});
