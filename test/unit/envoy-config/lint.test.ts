import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lintReference } from "../../../scripts/lint-reference.ts";
import { MISTAKES, type MistakeId, type Rule, ruleOf } from "../../../src/envoy-config/lint/rules.ts";
import { lintEnvoy } from "../../../src/envoy-config/lint.ts";
import { bootstrapOf, configOf, type Json } from "./configs.ts";
import { CALLER_CASES } from "./lint/caller-cases.ts";
import {
  type Case,
  CONFIG,
  type Form,
  findingsOf,
  fresh,
  GUARDED,
  JWT,
  matcherOf,
  put,
  subjectOf,
} from "./lint/case.ts";
import { CLUSTER_CASES } from "./lint/cluster-cases.ts";
import { EDGE_CASES } from "./lint/edge-cases.ts";
import { FILTER_CASES } from "./lint/filter-cases.ts";
import { ROUTE_CASES } from "./lint/route-cases.ts";
import { STREAM_CASES } from "./lint/stream-cases.ts";
import { TREE_CASES } from "./lint/tree-cases.ts";

const CASES: Readonly<Record<Rule, readonly Case[]>> = {
  ...FILTER_CASES,
  ...CALLER_CASES,
  ...CLUSTER_CASES,
  ...ROUTE_CASES,
  ...EDGE_CASES,
  ...STREAM_CASES,
};
// Object.entries and Object.keys give the keys of these records, and TypeScript calls them text.
const BY_RULE = (Object.entries(CASES) as [Rule, readonly Case[]][]).map(([rule, cases]): [Rule, readonly Case[]] => [
  rule,
  [...cases, ...(TREE_CASES[rule] ?? [])],
]);
const ROWS = BY_RULE.flatMap(([rule, cases]) => cases.map((one) => [one.what, rule, one] as const));
const IDS = Object.keys(MISTAKES) as MistakeId[];

describe.each<Form>(["lists", "trees"])("a bootstrap with %s of routes", (form) => {
  test.each(ROWS.filter(([, , { findings }]) => findings.length > 0))("%s is found by %s", (_, rule, one) => {
    const { bootstrap, config, placeOf } = subjectOf(one, form);
    const found = lintEnvoy(bootstrap, config);
    const expected = one.findings.map(({ path, ...finding }) => matcherOf({ ...finding, path: placeOf(path) }, rule));
    if (one.isPart) expect(found).toEqual(expect.arrayContaining(expected));
    else expect(found).toEqual(expected);
  });

  test.each(ROWS.filter(([, , { findings }]) => findings.length === 0))(
    "%s is none of the mistakes of %s",
    (_, __, one) => {
      expect(findingsOf(one, form)).toEqual([]);
    },
  );
});

describe("the cases", () => {
  test.each(BY_RULE)("of %s have a mistake, and its absence", (rule, cases) => {
    const mistakes = cases.filter(({ findings }) => findings.some((finding) => (finding.rule ?? rule) === rule));
    expect(mistakes).not.toEqual([]);
    expect(cases.filter(({ findings }) => findings.length === 0)).not.toEqual([]);
  });

  test("have each mistake of the rules", () => {
    const found = ROWS.flatMap(([, , one]) => findingsOf(one));
    const isFound = (id: MistakeId) => {
      const { severity, breaks, fix } = MISTAKES[id];
      const literals = `${breaks} ${fix}`.split(/<[\w-]+>/);
      const says = (message: string) => literals.every((text) => message.includes(text));
      return found.some((one) => one.rule === ruleOf(id) && one.severity === severity && says(one.message));
    };
    expect(IDS.filter((id) => !isFound(id))).toEqual([]);
  });
});

test("docs/envoy-checks.md is what the rules say (otherwise: make generate)", () => {
  const written = readFileSync(join(import.meta.dirname, "../../../docs/envoy-checks.md"), "utf8");
  expect(written).toBe(lintReference());
});

test.each(IDS)("what %s breaks and what to write instead are sentences", (id) => {
  const { breaks, fix } = MISTAKES[id];
  for (const sentence of [breaks, fix]) expect(sentence).toMatch(/^[A-Z`].*\.$/);
});

describe("a generated bootstrap", () => {
  test.each<[string, Record<string, unknown>]>([
    ["as small as it can be", {}],
    ["with TLS for clients", { gateway: { tls: { cert: "/c.pem", key: "/k.pem" } } }],
    ["with a Unix socket", { processor: { listen: "unix:/run/mcp.sock" } }],
    ["with several processors", { processor: { endpoints: ["10.0.0.1:50051", "router.internal:50051"] } }],
    ["on IPv6", { gateway: { listen: "[::]:8080" }, egress: { listen: "[::1]:8081" } }],
    ["with a federated route", { routes: [{ path: "/mcp", backends: ["everything", "files"] }] }],
    [
      "with a federated route and streams of its own",
      { processor: { streams: {} }, routes: [{ path: "/mcp", backends: ["everything", "files"] }] },
    ],
    ["with an admin listener", { envoy: { admin: "127.0.0.1:9901" } }],
    ["with origins of browsers", { gateway: { origins: ["https://app.example", "http://localhost:5173"] } }],
    ["with keys of tokens at a URL", { identity: { ...JWT, jwks: { uri: "https://issuer.example/jwks" } } }],
    ["with tokens", { identity: JWT, gateway: { origins: ["https://app.example"] } }],
    ["with a guard", { admission: { guard: { perSecond: 10, burst: 20 } } }],
    [
      "with times of tools",
      {
        timeouts: {
          tools: [
            { tools: ["a"], call: "20m" },
            { tools: ["b"], call: "10m" },
          ],
        },
      },
    ],
    ["with limits of calls", { limits: { calls: [{ tools: ["*"], rate: "5/s" }] } }],
    [
      "with limits of calls by a service",
      { limits: { calls: [{ tools: ["*"], rate: "5/s" }], service: { address: "ratelimit:8081" } } },
    ],
    ["with a path for health checks", { gateway: { health: "/healthz", origins: ["https://app.example"] } }],
    ["behind trusted proxies", { gateway: { trustedHops: 1 } }],
    [
      "with a guard, tokens and origins",
      {
        identity: JWT,
        admission: { guard: { perSecond: 10, burst: 20 } },
        gateway: { origins: ["https://app.example"] },
      },
    ],
    ["with other times and limits", { timeouts: { call: "1m", listen: "2m" }, limits: { body: "1KiB" } }],
  ])("%s is clean", (_, sections) => {
    const subject = configOf(sections);
    expect(lintEnvoy(bootstrapOf(subject), subject)).toEqual([]);
  });

  test("is clean in camelCase too", () => {
    expect(lintEnvoy(camelCased(bootstrapOf(CONFIG)), CONFIG)).toEqual([]);
  });
});

describe("a document that cannot be read", () => {
  test.each([[undefined], [null], [7], ["text"], [[]], [{}], [{ static_resources: { listeners: {} } }]])(
    "is a finding: %j",
    (document) => {
      expect(lintEnvoy(document, CONFIG)).toEqual([
        {
          rule: "bootstrap",
          severity: "error",
          path: "static_resources.listeners",
          message: expect.stringContaining("no bootstrap"),
        },
      ]);
    },
  );

  test("is a warning where its listeners come over xDS", () => {
    const findings = lintEnvoy({ dynamic_resources: { lds_config: {} } }, CONFIG);
    expect(findings).toMatchObject([{ rule: "not-visible", severity: "warning", path: "static_resources.listeners" }]);
  });

  test("never makes the lint throw", () => {
    const places = placesIn(bootstrapOf(GUARDED));
    fc.assert(
      fc.property(fc.constantFrom(...places), fc.jsonValue({ maxDepth: 2 }), (place, value) => {
        const bootstrap = fresh(GUARDED);
        put(bootstrap, place, value);
        for (const { path, message } of lintEnvoy(bootstrap, GUARDED)) expect(path && message).toBeTruthy();
      }),
      { numRuns: 500 },
    );
  });
});

/** The keys to every place in a document. */
function placesIn(node: Json, keys: readonly string[] = []): (readonly string[])[] {
  if (typeof node !== "object" || node === null) return keys.length > 0 ? [keys] : [];
  const inside = Object.keys(node).flatMap((key) => placesIn(node[key], [...keys, key]));
  return keys.length > 0 ? [keys, ...inside] : inside;
}

/** proto3 JSON's other spelling of field names. Map keys, which hold dots, and @type stay. */
function camelCased(node: Json): Json {
  if (Array.isArray(node)) return node.map(camelCased);
  if (typeof node !== "object" || node === null) return node;
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => [
      key.includes(".") ? key : key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
      camelCased(value),
    ]),
  );
}
