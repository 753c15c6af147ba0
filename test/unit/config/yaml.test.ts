import { expect, test } from "vitest";
import { parseYaml } from "../../../src/config/yaml.ts";

test.each([
  ["%TAG x\n---\na: 1", "not YAML: an unknown directive at line 1, column 1"],
  ["%YAML\n---\na: 1", "not YAML: an unknown directive at line 1, column 1"],
  ['a: "\\q"', "not YAML: an unknown escape in double quotes at line 1, column 5; use single quotes"],
  ["a: *", 'not YAML: an alias without a name at line 1, column 4; quote a value that begins with "*"'],
  ["a: *b", 'not YAML: an alias without its anchor; quote a value that begins with "*"'],
  ["a: !x!y 1", "not YAML: an unknown tag at line 1, column 4"],
  ["? [1]\n: 1", "unusable YAML: a key that is not a text"],
  ["a: &x 1\n*x : 2", "unusable YAML: a key that is an alias"],
])("%j is refused: %s", (text, error) => {
  expect(parseYaml(text)).toEqual({ ok: false, errors: [error] });
});
