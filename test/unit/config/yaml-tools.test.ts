/** What YAML 1.1 tools make of a configuration (Helm, kustomize, PyYAML), and values that YAML reads as something else. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { loadConfig } from "../../../src/config/load.ts";
import { jsonSchema } from "../../../src/config/schema.ts";

const ROOT = join(import.meta.dirname, "../../..");
const BASE = { backends: { one: { endpoints: ["h:1"] } }, routes: [{ path: "/mcp", backends: ["one"] }] };

function loadText(text: string) {
  const loaded = loadConfig(text);
  return loaded.ok ? loaded.config : loaded.errors;
}

function load(over: object) {
  return loadText(JSON.stringify({ ...BASE, ...over }));
}

interface Schema {
  readonly title?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly oneOf?: readonly Schema[];
}

/** The paths of settings whose values may be `off`. */
function settingsWithOff(schema: Schema, path: readonly string[] = []): string[][] {
  const below = [schema, ...(schema.oneOf ?? [])].flatMap(({ properties = {} }) => Object.entries(properties));
  return [
    ...(schema.title?.endsWith(", or off") ? [[...path]] : []),
    ...below.flatMap(([name, property]) => settingsWithOff(property, [...path, name])),
  ];
}

describe("off is off, however a tool writes it:", () => {
  const settings = settingsWithOff(jsonSchema() as Schema);

  test("the settings that may be off", () => {
    expect(settings.map((path) => path.join("."))).toEqual(
      ["sessions", "perPrincipal", "anonymous", "waiting", "park", "wait"].map((name) => `admission.${name}`),
    );
  });

  test.each(
    settings.flatMap((path) => ["off", "Off", "OFF", "false", "False", '"off"'].map((off) => [path, off] as const)),
  )("%j: %s", (path, off) => {
    const nested = path.reduceRight((value, name) => `{ ${name}: ${value} }`, off).slice(2, -2);
    const identity = "identity: { kind: header, name: x-user }";
    const config = loadText(`${nested}\n${identity}\n${stringify(BASE)}`);
    expect(config).toHaveProperty(path);
    expect(path.reduce<unknown>((value, name) => Reflect.get(value as object, name), config)).toBeUndefined();
  });

  test.each(["no", "none", "true", "on", "~", '"false"'])("but not as %s", (written) => {
    const errors = loadText(`admission: { sessions: ${written} }\n${stringify(BASE)}`);
    expect(errors).toEqual([expect.stringMatching(/^admission\.sessions: .*, expected a whole number .*, or off$/)]);
  });
});

const examples = ["demo", "envoy", "examples", "k8s"].flatMap((folder) =>
  globSync(`${folder}/**/mcp-router*.yaml`, { cwd: ROOT }).filter((file) => !file.includes("node_modules")),
);

test("there are examples", () => expect(examples.length).toBeGreaterThan(3));

test.each(examples)("read and written by a YAML 1.1 tool, it is the same configuration: %s", (file) => {
  const text = readFileSync(join(ROOT, file), "utf8");
  const direct = loadConfig(text);
  expect(direct.ok).toBe(true);
  expect(loadConfig(stringify(parse(text, { version: "1.1" }), { version: "1.1" }))).toEqual(direct);
});

test("a file that says that it is YAML 1.1 is read as that", () => {
  expect(loadText(`%YAML 1.1\n---\nadmission: { sessions: off }\n${stringify(BASE)}`)).toMatchObject({
    admission: { sessions: undefined },
  });
});

test.each([
  ["1e+07", 10_000_000],
  ["100.0", 100],
  ["0x10", 16],
])("a whole number may be written as Helm and others do: %s", (written, sessions) => {
  expect(loadText(`admission: { sessions: ${written} }\n${stringify(BASE)}`)).toMatchObject({
    admission: { sessions },
  });
});

describe("an error says what to write where a tool or YAML changed the kind of a value:", () => {
  const jwt = { kind: "jwt", issuer: "i", audiences: ["a"], jwks: { file: "/k" } };
  test.each<[object, string]>([
    [
      { processor: { drain: 30 } },
      'got 30, expected a duration such as "500ms", "10s", "30m" or "24h"; a number needs its unit, as in "30s"',
    ],
    [{ processor: { drain: "30" } }, '; a number needs its unit, as in "30s"'],
    [{ admission: { wait: 40 } }, ', or off; a number needs its unit, as in "30s"'],
    [{ admission: { wait: "40" } }, ', or off; a number needs its unit, as in "30s"'],
    [
      { admission: { sessions: "100" } },
      'got "100", expected a whole number from 1 to 10000000, or off; write it without quotes',
    ],
    [{ limits: { batch: "100" } }, "; write it without quotes"],
    [{ limits: { body: "4194304" } }, "; write it without quotes"],
    [{ identity: { ...jwt, required: "true" } }, 'got "true", expected true or false; write it without quotes'],
    [{ identity: { ...jwt, audiences: [123456789012] } }, "got 123456789012, expected an audience; put it in quotes"],
    [{ routes: [{ path: "/mcp", backends: [true] }] }, "got true, expected the name of a backend; put it in quotes"],
    [{ istio: { namespace: 1, selector: { a: "b" } } }, "got 1, expected the name of a namespace; put it in quotes"],
    [{ istio: { namespace: "m", selector: { a: true } } }, "got true, expected the value of a label; put it in quotes"],
  ])("%j", (over, error) => {
    const [only = "", ...others] = load(over) as string[];
    expect(others).toEqual([]);
    expect(only.endsWith(error), only).toBe(true);
  });

  test.each([".inf", ".nan"])("%s, which JSON does not have, is shown", (written) => {
    const [error] = loadText(`limits: { batch: ${written} }\n${stringify(BASE)}`) as string[];
    expect(error).toMatch(/^limits\.batch: got (Infinity|NaN), expected a whole number/);
  });

  test("a merge key", () => {
    const errors = loadText(
      "backends: { one: { <<: { path: /x }, endpoints: [h:1] } }\nroutes: [{ path: /mcp, backends: [one] }]",
    );
    expect(errors).toEqual(['backends.one: unknown setting "<<"; YAML 1.2 has no merge keys; write the settings out']);
  });

  test.each(["1e5", "0x1F", "True", "~"])("a name that YAML reads as no text: %s", (name) => {
    const errors = loadText(
      `backends:\n  ${name}: { endpoints: [h:1] }\nroutes: [{ path: /mcp, backends: ["${name}"] }]`,
    );
    expect(errors).toEqual([
      "unusable YAML: a key at line 2, column 3 that YAML does not read as text; put it in quotes",
    ]);
  });

  test.each(["1", "on", "no", "007a"])("a name that may stand without quotes: %s", (name) => {
    expect(
      loadText(`backends:\n  ${name}: { endpoints: [h:1] }\nroutes: [{ path: /mcp, backends: ["${name}"] }]`),
    ).toMatchObject({
      backends: [{ name }],
    });
  });
});
