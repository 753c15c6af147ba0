import { describe, expect, test } from "vitest";
import { ALL_NAMES } from "../../../../src/core/federation/filter.ts";
import { readListPage } from "../../../../src/core/federation/list-page.ts";
import { type Listing, listingOf } from "../../../../src/core/federation/listing.ts";
import { mergeLists } from "../../../../src/core/federation/merge.ts";
import { leadOfCall, type RouteLists } from "../../../../src/core/federation/owner.ts";
import { type Pins, pinCheck } from "../../../../src/core/federation/pins.ts";
import { readBody } from "../../../../src/core/rpc/read.ts";
import { toolDigest } from "../../../../src/federation/tool-digest.ts";
import { federatedRoute, memberOf } from "../federated.ts";

const BACKENDS = ["one", "two"];
const DEEPEST = 100;

function listing(prefix: string, items: readonly string[]): Listing {
  const page = readListPage(Buffer.from(`{"result":{"tools":[${items}]}}`), "tools", DEEPEST);
  if (page.kind !== "page") throw new Error(page.kind);
  return listingOf("tools", prefix, page.items, 0);
}

function digestsIn(listings: readonly (Listing | undefined)[]): Pins["accepted"] {
  const accepted = new Map<string, Map<string, ReadonlySet<string>>>();
  listings.forEach((of, member) => {
    for (const item of of?.items ?? []) {
      const byBackend = accepted.get(item.key) ?? new Map();
      byBackend.set(BACKENDS[member] ?? "", new Set([toolDigest(item)]));
      accepted.set(item.key, byBackend);
    }
  });
  return accepted;
}

function merged(
  listings: readonly (Listing | undefined)[],
  accepted: Pins["accepted"],
  onChange: Pins["onChange"] = "hide",
) {
  const pins = { file: "pins.json", onChange, accepted, version: "1" };
  return mergeLists("tools", listings, ALL_NAMES, pinCheck(pins, BACKENDS, toolDigest));
}

const READ =
  '{"name":"read","description":"Reads","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object"}}';

describe("a tool", () => {
  const accepted = digestsIn([listing("", [READ])]);

  test("that was accepted is offered, also where its backend writes it in another way", () => {
    const spelt =
      '{ "inputSchema":{"type":"object"}, "annotations":{ "readOnlyHint" : true }, "description":"\\u0052eads", "name":"r\\u0065ad" }';
    expect(merged([listing("", [spelt])], accepted)).toMatchObject({ items: [{ member: 0 }], differing: [] });
  });

  test.each([
    ["another description", READ.replace("Reads", "Writes")],
    ["another annotation", READ.replace("true", "false")],
    ["another schema", READ.replace('"type":"object"', '"type":"object","required":["path"]')],
    ["a title", READ.replace("{", '{"title":"Read",')],
    ["a member that nobody knows", READ.replace("{", '{"x-new":0,')],
    ["a description that stands twice", READ.replace("{", '{"description":"Reads",')],
    ["no description", READ.replace('"description":"Reads",', "")],
    ["a member __proto__", READ.replace("{", '{"__proto__":{},')],
  ])("with %s is not found", (_, changed) => {
    const list = merged([listing("", [changed])], accepted);
    expect(list.find("read")).toBeUndefined();
    expect(list).toMatchObject({ items: [], differing: [{ key: "read", member: 0, accepted: [expect.any(String)] }] });
    expect(list.differing[0]?.digest).not.toBe(list.differing[0]?.accepted[0]);
  });

  test.each(["READ", "read_", "reaD", "__proto__", "constructor"])(
    "whose name %s only looks like another's is new",
    (name) => {
      expect(merged([listing("", [READ.replace('"read"', JSON.stringify(name))])], accepted)).toMatchObject({
        items: [],
        differing: [{ key: name, accepted: [] }],
      });
    },
  );

  test("is another one where the backend's own name of it is, though clients see the same", () => {
    const [odd] = listing("a__", ['{"name":"r.ead"}']).items;
    const [even] = listing("a__", ['{"name":"r:ead"}']).items;
    if (!odd || !even) throw new Error("no items");
    expect(toolDigest({ ...odd })).not.toBe(toolDigest({ ...odd, own: even.own }));
  });

  test("of another backend takes the name of an accepted one neither from the list nor from calls", () => {
    const second = digestsIn([undefined, listing("", [READ])]);
    const list = merged([listing("", [READ]), listing("", [READ])], second);
    expect(list.find("read")).toMatchObject({ member: 1 });
    expect(list).toMatchObject({ differing: [{ key: "read", member: 0, accepted: [] }], collisions: [] });
  });

  test("that changes is offered all the same where that is only told", () => {
    const list = merged([listing("", [READ.replace("Reads", "Writes")])], accepted, "warn");
    expect(list.find("read")).toBeDefined();
    expect(list.differing).toHaveLength(1);
  });

  test("that the route's filter hides is not told of", () => {
    const pins = { file: "", onChange: "hide", accepted, version: "" } as const;
    const none = { allow: [], deny: [] };
    expect(mergeLists("tools", [listing("", [READ])], none, pinCheck(pins, BACKENDS, toolDigest))).toMatchObject({
      hidden: 1,
      differing: [],
    });
  });
});

describe("a call of a tool whose backend has not said what it offers", () => {
  const body = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__read"}}');

  function lead(onChange: Pins["onChange"] | undefined) {
    const pins = onChange && { file: "", onChange, accepted: new Map(), version: "" };
    const route = federatedRoute([memberOf("one"), memberOf("two")], { pins });
    const none = (kind: "tools" | "prompts" | "resources" | "templates") => mergeLists(kind, [], ALL_NAMES);
    const lists: RouteLists = {
      tools: none("tools"),
      prompts: none("prompts"),
      resources: none("resources"),
      templates: none("templates"),
      known: [false, false],
      offers: [undefined, undefined],
      eras: [],
    };
    const read = readBody(body, { batch: 1, depth: DEEPEST, name: 100 });
    if (read.kind !== "single" || read.message.kind === "response") throw new Error(read.kind);
    return leadOfCall(read.message, body, route, lists, { era: "legacy", tagOf: () => 0 }, DEEPEST);
  }

  test("goes there where tools are not pinned, or only told of", () => {
    expect(lead(undefined)).toMatchObject({ kind: "owner", owner: { member: 0 } });
    expect(lead("warn")).toMatchObject({ kind: "owner", owner: { member: 0 } });
  });

  test("is refused where they are hidden: nobody can tell what it is now", () => {
    expect(lead("hide")).toMatchObject({ kind: "refused", reject: { reason: "backend-failed", backend: "one" } });
  });
});
