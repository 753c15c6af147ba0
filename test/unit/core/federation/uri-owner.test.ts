import { describe, expect, test } from "vitest";
import { ALL_NAMES } from "../../../../src/core/federation/filter.ts";
import { compileGlob, matchesGlob } from "../../../../src/core/federation/glob.ts";
import type { ListKind } from "../../../../src/core/federation/kinds.ts";
import { readListPage } from "../../../../src/core/federation/list-page.ts";
import { type Listing, listingOf } from "../../../../src/core/federation/listing.ts";
import { mergeLists } from "../../../../src/core/federation/merge.ts";
import { templateGlob } from "../../../../src/core/federation/template.ts";
import { memberOfUri } from "../../../../src/core/federation/uri-owner.ts";

function listing(kind: ListKind, member: string, key: string, values: readonly string[]): Listing {
  const items = values.map((value) => ({ [key]: value }));
  const page = readListPage(Buffer.from(JSON.stringify({ result: { [member]: items } })), kind, 20);
  if (page.kind !== "page") throw new Error(page.kind);
  return listingOf(kind, "", page.items, page.leftOut);
}

interface Backend {
  readonly resources?: readonly string[];
  readonly templates?: readonly string[];
  readonly uris?: readonly string[];
}

function owner(uri: string, ...backends: readonly Backend[]) {
  const resources = backends.map(({ resources = [] }) => listing("resources", "resources", "uri", resources));
  const templates = backends.map((it) => listing("templates", "resourceTemplates", "uriTemplate", it.templates ?? []));
  return memberOfUri(uri, {
    resources: mergeLists("resources", resources, ALL_NAMES),
    templates: mergeLists("templates", templates, ALL_NAMES),
    patterns: backends.map(({ uris = [] }) => uris.map(compileGlob)),
  });
}

describe("a template", () => {
  test.each([
    ["file:///{path}", "file:///a/b", true],
    ["file:///{path}", "http:///a", false],
    ["{+path}", "", true],
    ["a{?x,y}/b", "a?x=1/b", true],
    ["a{b", "a{b", true],
    ["a{b", "ax", false],
    ["plain", "plain", true],
  ])("%s may become %s: %s", (template, uri, may) => {
    expect(matchesGlob(templateGlob(template), uri)).toBe(may);
  });
});

describe("a URI", () => {
  test("is of the backend that lists it, before all templates and patterns", () => {
    expect(owner("memo:x", { templates: ["memo:{x}"], uris: ["*"] }, { resources: ["memo:x"] })).toBe(1);
  });

  test("is of the first backend with a template that it may be made of", () => {
    expect(owner("memo:x", {}, { templates: ["{any}"] }, { templates: ["memo:{x}"] })).toBe(1);
    expect(owner("memo:x", {}, { templates: ["{z}"] }, { templates: ["memo:{a}"] }, { templates: ["{a}"] })).toBe(1);
  });

  test("is taken by no backend's template from the one that the configuration gives it to", () => {
    expect(owner("memo:x", { templates: ["{+any}"] }, { uris: ["memo:*"] })).toBe(1);
  });

  test("finds its owner among any number of templates", () => {
    const templates = Array.from({ length: 50_000 }, (_, n) => `{t${n}}`);
    const others = [1, 2, 3].map((of) => ({ templates: templates.map((template) => `${template}{${of}}`) }));
    expect(owner("memo:x", {}, { templates }, ...others)).toBe(1);
  });

  test("is of the first backend with a pattern for it, if nobody lists it", () => {
    expect(owner("memo:x", {}, { uris: ["file:*", "memo:*"] }, { uris: ["*"] })).toBe(1);
  });

  test("is of nobody otherwise", () => {
    expect(owner("memo:x", {}, { resources: ["memo:y"] })).toBeUndefined();
  });

  test("is compared byte by byte: what a cleaner would make one are two resources", () => {
    const backends = [{ resources: ["file:///a/../b"] }, { resources: ["file:///b"] }, { resources: ["FILE:///b"] }];
    expect(owner("file:///a/../b", ...backends)).toBe(0);
    expect(owner("file:///b", ...backends)).toBe(1);
    expect(owner("FILE:///b", ...backends)).toBe(2);
    expect(owner("file:///%62", ...backends)).toBeUndefined();
  });
});
