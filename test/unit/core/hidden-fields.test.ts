import { expect, test } from "vitest";
import { withoutFields } from "../../../src/core/hidden-fields.ts";
import { HeaderNames } from "../../../src/core/http.ts";
import { fields } from "./fields.ts";

test("fields that are hidden are not there", () => {
  const headers = fields({ a: "1", b: "2", c: "3" });
  const left = withoutFields(headers, new Set(["b"]));
  expect([...left.entries()]).toEqual([
    ["a", "1"],
    ["c", "3"],
  ]);
  expect([left.get("a"), left.get("b")]).toEqual(["1", undefined]);
  expect(left.present(new HeaderNames(["a", "b"]))).toEqual(["a"]);
  expect(left.size).toBe(headers.size);
});
