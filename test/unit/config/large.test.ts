/** Files that are large, deeply nested or full of mistakes: the work on them is bounded. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import * as z from "zod";
import { LARGEST_FILE, loadConfig } from "../../../src/config/load.ts";
import { errorsIn } from "./sections.ts";

vi.mock("zod", async (original) => {
  const zod = await original<typeof import("zod")>();
  return { ...zod, toJSONSchema: vi.fn(zod.toJSONSchema) };
});
afterEach(() => void vi.mocked(z.toJSONSchema).mockClear());

const BASE = { backends: { one: { endpoints: ["h:1"] } }, routes: [{ path: "/mcp", backends: ["one"] }] };

test("of 2,000 unknown settings the first are reported, and the number of the rest; the JSON schema is made once", () => {
  const unknown = Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`gatewayx${n}`, 1]));
  const errors = errorsIn(stringify({ ...BASE, ...unknown }));
  expect(errors).toHaveLength(21);
  expect(errors[0]).toBe('top level: unknown setting "gatewayx0"; did you mean "gateway"?');
  expect(errors.at(-1)).toBe("and 1980 more errors");
  expect(vi.mocked(z.toJSONSchema).mock.calls.length).toBeLessThanOrEqual(1);
});

test.each([
  ["values", { routes: Array.from({ length: 100 }, (_, n) => ({ path: n, backends: ["one"] })) }, 100],
  ["names", { backends: Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`X${n}`, BASE.backends.one])) }, 100],
  ["contradictions", { routes: Array.from({ length: 100 }, () => ({ path: "/mcp", backends: ["two"] })) }, 199],
])("the same holds for wrong %s", (_, over, all) => {
  const errors = errorsIn(stringify({ ...BASE, ...over }));
  expect(errors).toHaveLength(21);
  expect(errors.at(-1)).toBe(`and ${all - 20} more errors`);
});

test("a list of as many items as a file can hold is not reported as nested", () => {
  const items = "0,".repeat(240_000);
  expect(errorsIn(`routes: [${items}0]`).join()).not.toContain("nested");
});

test("a file that is too large is refused", () => {
  const comments = `${stringify(BASE)}${"# x\n".repeat(LARGEST_FILE / 4)}`;
  expect(errorsIn(comments)).toEqual([
    `the file has ${comments.length} bytes, expected at most ${LARGEST_FILE} (512 KiB)`,
  ]);
});

test("20,000 keys are compared with each other once", () => {
  const text = Array.from({ length: 20_000 }, (_, n) => `k${n}: 1`).join("\n");
  expect(errorsIn(`${text}\nk5: 2\n`)).toEqual(["not YAML: Map keys must be unique at line 20001, column 1"]);
});

describe("deep nesting is reported without a stack trace:", () => {
  test.each([
    ["flow", `backends: ${"[".repeat(20_000)}${"]".repeat(20_000)}\n`],
    ["flow that is not closed", `backends: ${"[".repeat(20_000)}\n`],
    ["mappings", `backends: ${"{a: ".repeat(20_000)}1${"}".repeat(20_000)}\n`],
    ["blocks", `${Array.from({ length: 900 }, (_, n) => `${" ".repeat(n)}a:`).join("\n")} 1\n`],
    ["sequences on one line", `backends:\n  ${"- ".repeat(20_000)}1\n`],
  ])("%s", (_, text) => {
    const errors = errorsIn(text).join("\n");
    expect(errors).not.toBe("");
    expect(errors).not.toMatch(/call stack|\bat .*:\d+:\d+/);
  });

  test("in those words", () => {
    expect(errorsIn(`backends: ${"[".repeat(20_000)}${"]".repeat(20_000)}\n`)).toEqual([
      "unusable YAML: nested too deep",
    ]);
  });
});

describe("a name that every object has is not silently dropped:", () => {
  test.each([
    ["at the top", { ...BASE, ["__proto__"]: { gateway: {} } }],
    ["as a backend", { ...BASE, backends: { ...BASE.backends, ["__proto__"]: { endpoints: ["h:2"] } } }],
    ["in a backend", { ...BASE, backends: { one: { ...BASE.backends.one, ["__proto__"]: { path: "/x" } } } }],
    ["as a label", { ...BASE, istio: { namespace: "a", selector: { ["__proto__"]: "x" } } }],
  ])("__proto__ %s", (_, config) => {
    expect(errorsIn(JSON.stringify(config))).toEqual([
      expect.stringMatching(/^unknown setting "__proto__" at line 1, column \d+$/),
    ]);
  });

  test.each(["hasOwnProperty", "toString", "valueOf", "__defineGetter__"])("%s is no name of a backend", (name) => {
    const config = { ...BASE, backends: { ...BASE.backends, [name]: { endpoints: ["h:2"] } } };
    expect(errorsIn(JSON.stringify(config))).toEqual([expect.stringContaining(`got "${name}"`)]);
  });

  test("constructor is an ordinary name", () => {
    const config = {
      backends: { constructor: { endpoints: ["h:1"] } },
      routes: [{ path: "/mcp", backends: ["constructor"] }],
    };
    expect(loadConfig(JSON.stringify(config))).toMatchObject({
      ok: true,
      config: { backends: [{ name: "constructor" }] },
    });
    expect(errorsIn(JSON.stringify({ ...BASE, routes: [{ path: "/mcp", backends: ["constructor"] }] }))).toEqual([
      expect.stringContaining('got "constructor", expected one of the backends: one'),
    ]);
  });
});
