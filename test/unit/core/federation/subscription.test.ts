import { describe, expect, test } from "vitest";
import { compileGlob } from "../../../../src/core/federation/glob.ts";
import { readListenRequest } from "../../../../src/core/federation/listen-request.ts";
import type { Offer } from "../../../../src/core/federation/offer.ts";
import {
  acknowledgement,
  agreedLists,
  completion,
  listChanged,
  resourcesByMember,
  updated,
} from "../../../../src/core/federation/subscription.ts";
import { catalogueOf } from "../../gateway/catalogue.ts";
import { federatedRoute, memberOf } from "../federated.ts";
import { POLICY } from "../policy.ts";

const ENVELOPE =
  '{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"a":[1]}}';
const META = `${ENVELOPE.slice(0, -1)}, "x": 1.0, "io.modelcontextprotocol":2, "progressToken":1}`;
const request = (notifications: string, { id = "7", method = "subscriptions/listen", meta = META } = {}) =>
  Buffer.from(
    `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{"_meta":${meta},"notifications":${notifications}}}`,
  );
const read = (body: Uint8Array) => readListenRequest(body, POLICY.limits);

describe("the body of a subscriptions/listen", () => {
  test("says what the client listens for. Its id is kept as it was written, and of its _meta the envelope alone", () => {
    const notifications =
      '{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["a:b","c:d","a:b"]}';
    expect(read(request(notifications, { id: '"\\u0061\\/"' }))).toEqual({
      id: '"\\u0061\\/"',
      envelope: ENVELOPE,
      wanted: { lists: ["toolsListChanged"], resources: ["a:b", "c:d"] },
    });
  });

  test("may ask for nothing, or for what nobody here knows", () => {
    const nothing = { lists: [], resources: [] };
    expect(read(request("{}"))?.wanted).toEqual(nothing);
    expect(read(request('{"taskIds":["x"],"resourceSubscriptions":[]}'))?.wanted).toEqual(nothing);
  });

  test.each([
    ["is another request", request("{}", { method: "tools/list" })],
    ["is a notification", Buffer.from(request("{}").toString().replace('"id":7,', ""))],
    ["is a batch", Buffer.from(`[${request("{}")}]`)],
    ["is no JSON", Buffer.from("{")],
    ["is empty", Buffer.alloc(0)],
    ["has no params", Buffer.from('{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen"}')],
    ["has a _meta that is none", request("{}", { meta: "[]" })],
    ["has no filter", Buffer.from(request("{}").toString().replace("notifications", "other"))],
    ["has two filters", Buffer.from(request("{}").toString().replace("}}", '},"notifications":{}}'))],
    ["has a filter that is none", request("[]")],
    ["has a flag that is none", request('{"toolsListChanged":1}')],
    ["has resources that are none", request('{"resourceSubscriptions":"a:b"}')],
    ["has a resource that is none", request('{"resourceSubscriptions":["a:b",1]}')],
    ["is nested too deep", request(`{"x":${"[".repeat(200)}${"]".repeat(200)}}`)],
  ])("is none where it %s", (_, body) => {
    expect(read(body)).toBeUndefined();
  });
});

function offer(capabilities: Readonly<Record<string, string>>): Offer {
  const of = new Map(Object.entries(capabilities));
  return { version: undefined, capabilities: of, instructions: undefined, serverInfo: undefined };
}

describe("the gateway agrees to tell of", () => {
  test("those lists that a backend has", () => {
    const route = federatedRoute([memberOf("files"), memberOf("git")], { stream: "own" });
    const lists = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"] as const;
    const era = { speaksModern: true, inSession: true };
    const known = { offers: [offer({ tools: "{}" }), offer({ resources: "{}" })], eras: [era, era] };
    expect(agreedLists({ lists, resources: [] }, route, known)).toEqual(["toolsListChanged", "resourcesListChanged"]);
    expect(agreedLists({ lists: ["toolsListChanged"], resources: [] }, route, known)).toEqual(["toolsListChanged"]);
  });

  test("resources by those that have them, by list, pattern and template, and tell of updates", () => {
    const members = ["files", "git", "mute", "old", "unknown"].map((name) =>
      memberOf(name, { uris: [compileGlob(`${name}:*`)] }),
    );
    const route = federatedRoute(members, {
      filters: { ...federatedRoute([]).filters, resources: { allow: undefined, deny: [compileGlob("*secret*")] } },
    });
    const tells = { offer: { capabilities: new Map([["resources", '{"subscribe":true}']]) }, modern: true };
    const known = catalogueOf([
      { ...tells, resources: ["x:listed"], templates: ["t:{path}"] },
      tells,
      { offer: { capabilities: new Map([["resources", "{}"]]) }, modern: true },
      { ...tells, modern: false },
      undefined,
    ]).view(route, undefined);
    const resources = ["git:a", "x:listed", "t:1", "git:secret", "git:b", "mute:a", "old:a", "unknown:a", "nobody:a"];
    expect(resourcesByMember({ lists: [], resources }, route, known)).toEqual(
      new Map([
        [1, ["git:a", "git:b"]],
        [0, ["x:listed", "t:1"]],
        [3, ["old:a"]],
        [4, ["unknown:a"]],
      ]),
    );
  });

  test("so many resources as a stream may have", () => {
    const route = federatedRoute([memberOf("files", { uris: [compileGlob("*")] }), memberOf("git")]);
    const tells = { offer: { capabilities: new Map([["resources", '{"subscribe":true}']]) }, modern: true };
    const known = catalogueOf([tells, tells]).view(route, undefined);
    const resources = Array.from({ length: 1_001 }, (_, n) => `x:${n}`);
    expect(resourcesByMember({ lists: [], resources }, route, known).get(0)).toEqual(resources.slice(0, 1_000));
  });
});

describe("what the gateway says", () => {
  const ID = '"\\u0061"';
  const META_TEXT = `"_meta":{"io.modelcontextprotocol/subscriptionId":${ID}`;

  test.each([
    [
      acknowledgement(ID, { lists: ["toolsListChanged"], resources: ['x:"'] }),
      `"method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["x:\\""]},${META_TEXT}}}`,
    ],
    [
      acknowledgement(ID, { lists: [], resources: [] }),
      `"method":"notifications/subscriptions/acknowledged","params":{"notifications":{},${META_TEXT}}}`,
    ],
    [
      listChanged(ID, "notifications/tools/list_changed"),
      `"method":"notifications/tools/list_changed","params":{${META_TEXT}}}`,
    ],
    [updated(ID, 'x:"'), `"method":"notifications/resources/updated","params":{"uri":"x:\\"",${META_TEXT}}}`],
    [
      completion(ID, { name: "all", title: undefined, version: "1" }),
      `"id":${ID},"result":{"resultType":"complete",${META_TEXT},"io.modelcontextprotocol/serverInfo":{"name":"all","version":"1"}}}`,
    ],
  ])("has the client's id as it was written: %s", (said, expected) => {
    expect(Buffer.from(said).toString()).toBe(`event: message\ndata: {"jsonrpc":"2.0",${expected}}\n\n`);
  });
});
