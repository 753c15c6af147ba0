/** What `check --live` says of the backends' answers. */
import { describe, expect, test } from "vitest";
import { liveFindings } from "../../../src/check/live-report.ts";
import type { CatalogueReport } from "../../../src/federation/report.ts";
import { load } from "../config/sections.ts";

const EGRESS = "127.0.0.1:8081";
const CONFIGURED = load({
  backends: { files: { endpoints: ["h:1"] }, search: { endpoints: ["h:2"] } },
  routes: [{ path: "/mcp", backends: ["files", "search"] }],
}).routes.filter((route) => route.kind === "federated");

type BackendReport = CatalogueReport["backends"][number];
type RouteReport = CatalogueReport["routes"][number];
type ListReport = NonNullable<BackendReport["offered"]["tools"]>;

function backend(name: string, over: Partial<BackendReport> = {}): BackendReport {
  return {
    backend: name,
    path: "/mcp",
    prefix: `${name}__`,
    lists: "shared",
    eras: ["legacy"],
    version: "2025-11-25",
    serverInfo: { name: `example-${name}`, version: "1.2.0" },
    capabilities: { tools: {} },
    offered: { tools: list() },
    asked: { age: 0, failure: null },
    ...over,
  };
}

/** Of a backend that has said nothing. */
const NOTHING = { version: undefined, serverInfo: undefined, offered: {} };

function list(over: Partial<ListReport> = {}): ListReport {
  return { items: 1, bytes: 100, leftOut: 0, duplicates: 0, cut: undefined, age: 0, ...over };
}

function findings(backends: readonly BackendReport[], over: Partial<RouteReport> = {}, configured = CONFIGURED) {
  const route = {
    path: "/mcp",
    tools: [],
    prompts: [],
    resources: [],
    templates: [],
    hidden: 0,
    pins: undefined,
    collisions: [],
    ...over,
  };
  const report = { backends, byPrincipal: { principals: 0, bytes: 0 }, routes: [route] };
  return liveFindings(report, configured, { egress: EGRESS, clients: new Map(), itself: new Map() });
}

test("what clients would see is shown by route, with the backend of each item", () => {
  const { text, errors, warnings } = findings(
    [backend("files", { offered: { tools: list({ items: 2 }), resources: list() } }), backend("search")],
    {
      tools: [
        { key: "files__read", backend: "files" },
        { key: "files__write_all", backend: "files" },
        { key: "search__query", backend: "search" },
      ],
      resources: [{ key: "file:///a", backend: "files" }],
      hidden: 3,
    },
  );
  expect(text).toBe(`/mcp
  files: example-files 1.2.0, protocol 2025-11-25, 2 tools, 1 resource
  search: example-search 1.2.0, protocol 2025-11-25, 1 tool
  clients of 2026-07-28 alone: refused, not known to speak it: files, search (\`era: bridge\` serves them all the same)
  tools:
    files__read       files
    files__write_all  files
    search__query     search
  resources:
    file:///a  files
  hidden by the route's filters: 3
`);
  expect({ errors, warnings }).toEqual({ errors: [], warnings: [] });
});

test("tools that were not accepted are errors where clients do not see them, and warnings where they do", () => {
  const differing = [
    { tool: "files__read", backend: "files", digest: "sha256:b", accepted: ["sha256:a"] },
    { tool: "files__write", backend: "files", digest: "sha256:c", accepted: [] },
  ];
  const hidden = findings([backend("files"), backend("search")], {
    pins: { file: "p.json", onChange: "hide", differing },
  });
  expect(hidden.text).toContain("  tools pinned by p.json: 2 not accepted as they are\n");
  expect(hidden.errors).toEqual([
    '/mcp: tool "files__read" of files is not what p.json accepts: clients do not see it; look at it with `mcp-router pin`',
    '/mcp: tool "files__write" of files is new, and not in p.json: clients do not see it; look at it with `mcp-router pin`',
  ]);
  const told = findings([backend("files")], { pins: { file: "p.json", onChange: "warn", differing } });
  expect(told.warnings).toEqual([expect.stringContaining("clients see it all the same"), expect.anything()]);
  expect(told.errors).toEqual([]);
  const many = Array.from({ length: 25 }, () => differing).flat();
  const { errors } = findings([backend("files")], { pins: { file: "p.json", onChange: "hide", differing: many } });
  expect(errors).toHaveLength(21);
  expect(errors.at(-1)).toBe("/mcp: and 30 more tools that p.json does not accept as they are");
});

describe("clients of 2026-07-28 alone", () => {
  const both = (name: string) => backend(name, { eras: ["legacy", "modern"] });
  const lineOf = (text: string) => text.split("\n").find((line) => line.includes("clients of"));

  test("are served where each backend speaks that version", () => {
    const { text } = findings([both("files"), backend("search", { eras: ["modern"], version: "2026-07-28" })]);
    expect(lineOf(text)).toBe("  clients of 2026-07-28 alone: served");
    expect(text).toContain("files: example-files 1.2.0, protocol 2025-11-25 and 2026-07-28, 1 tool\n");
    expect(text).toContain("search: example-search 1.2.0, protocol 2026-07-28, 1 tool\n");
  });

  test("are not where one does not, which is named", () => {
    expect(lineOf(findings([both("files"), backend("search")]).text)).toBe(
      "  clients of 2026-07-28 alone: refused, not known to speak it: search (`era: bridge` serves them all the same)",
    );
  });

  test.each([
    ["where the eras are bridged", { era: "bridge" }, {}, "served"],
    ["not where lists depend on who asks", {}, { lists: "principal" }, "refused, lists: principal at files"],
  ])("are %s", (_, route, over, expected) => {
    const configured = load({
      backends: { files: { endpoints: ["h:1"], ...over }, search: { endpoints: ["h:2"] } },
      routes: [{ path: "/mcp", backends: ["files", "search"], ...route }],
    }).routes.filter((one) => one.kind === "federated");
    const { text } = findings([backend("files"), backend("search")], {}, configured);
    expect(lineOf(text)).toBe(`  clients of 2026-07-28 alone: ${expected}`);
  });
});

test("a backend that does not answer is an error, and is shown", () => {
  const { text, errors } = findings([
    backend("files", { asked: { age: 0, failure: "the backend answers 503" }, ...NOTHING }),
    backend("search", { asked: undefined, ...NOTHING }),
  ]);
  expect(text).toContain("  files: does not answer\n  search: does not answer\n");
  expect(errors).toEqual([
    "backend files does not answer through 127.0.0.1:8081 (egress): the backend answers 503",
    "backend search does not answer through 127.0.0.1:8081 (egress): it was not asked",
    expect.stringMatching(/^no backend answers: start Envoy /),
  ]);
});

test("a backend that answers for some of its lists is an error, and what it offers is shown", () => {
  const { text, errors } = findings([backend("files", { asked: { age: 0, failure: "not answered in time" } })]);
  expect(text).toContain("  files: example-files 1.2.0, protocol 2025-11-25, 1 tool\n");
  expect(errors).toEqual(["backend files answers only in part through 127.0.0.1:8081 (egress): not answered in time"]);
});

test("items of one name are an error", () => {
  const collision = { list: "resources", key: "file:///a", kept: "files", leftOut: "search" } as const;
  expect(findings([backend("files"), backend("search")], { collisions: [collision] }).errors).toEqual([
    '/mcp: two resources are called "file:///a": clients get that of files, and not that of search',
  ]);
});

test("items that no client sees are warned of, and so is a list that is cut off", () => {
  const offered = { tools: list({ items: 100, leftOut: 1, duplicates: 2, cut: "pages" }) };
  expect(findings([backend("files", { offered })]).warnings).toEqual([
    "backend files: 1 of its tools is left out: without a name or URI, or no objects",
    "backend files: 2 of its tools are left out: the list has the name already",
    "backend files: its tools are cut off after 100: the list has more pages than lists.pages",
  ]);
});

test("lists that depend on who asks are not shown", () => {
  const { text, errors } = findings([backend("files", { lists: "principal", offered: {} })]);
  expect(text).toContain(
    "  files: example-files 1.2.0, protocol 2025-11-25, its lists depend on who asks, and are not shown\n",
  );
  expect(errors).toEqual([]);
});

describe("text of a backend", () => {
  test.each<[unknown, string]>([
    [undefined, "protocol 2025-11-25, no lists"],
    ["a text", "protocol 2025-11-25, no lists"],
    [{ name: 1, version: {} }, "protocol 2025-11-25, no lists"],
    [{ name: "a" }, "a, protocol 2025-11-25, no lists"],
  ])("may be anything: serverInfo %j", (serverInfo, described) => {
    expect(findings([backend("files", { serverInfo, offered: {} })]).text).toContain(
      `/mcp\n  files: ${described}\n  clients `,
    );
  });

  test("cannot write to the terminal", () => {
    const evil = "file:///\u001b[2J\r\n\u202e";
    const escaped = "file:///\\u001b[2J\\u000d\\u000a\\u202e";
    const { text, errors } = findings(
      [
        backend("files", { serverInfo: { name: evil }, version: evil }),
        backend("search", { asked: { age: 0, failure: evil }, ...NOTHING }),
      ],
      {
        resources: [{ key: evil, backend: "files" }],
        collisions: [{ list: "resources", key: evil, kept: "files", leftOut: "search" }],
      },
    );
    const all = [text, ...errors].join("\n");
    expect(all.split(escaped)).toHaveLength(6);
    expect(all.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
  });
});
