import { describe, expect, test } from "vitest";
import { ALL_NAMES } from "../../../../src/core/federation/filter.ts";
import { compileGlob } from "../../../../src/core/federation/glob.ts";
import { readSubscriptionEvent, type SubscriptionIds } from "../../../../src/core/federation/subscription-events.ts";
import { EventReader } from "../../../../src/core/sse/reader.ts";

const IDS = { ours: '"mcp-router-1"', clients: "9007199254740993" };
const SHOWN = { allow: undefined, deny: [compileGlob("x:secret*")] };
const DEEPEST = 20;

function read(text: string, shown = ALL_NAMES, ids: SubscriptionIds = IDS) {
  const events = new EventReader(1024 * 1024).read(Buffer.from(text));
  const [event, ...others] = events === "too-long" ? [] : events;
  if (!event || others.length > 0) throw new Error(text);
  const said = readSubscriptionEvent(event, ids, shown, DEEPEST);
  return said.kind === "message" ? Buffer.from(said.bytes).toString() : said;
}

const meta = (id = IDS.ours) => `"_meta":{"io.modelcontextprotocol/subscriptionId":${id}}`;
const said = (method: string, params: string) => `{"jsonrpc":"2.0","method":"${method}","params":{${params}}}`;
const updated = (uri: string, id?: string) => said("notifications/resources/updated", `"uri":"${uri}",${meta(id)}`);

describe("an event of a backend's stream comes to the client", () => {
  test("as it was written, but for the id of the subscription, and what is of the backend's stream alone", () => {
    const event = (id: string, own: string) =>
      `event: message\r\n${own}data: { "method" :"notifications/resources/updated",\r\n` +
      `data: "params":{"n":1.0,"_meta":{"a":1,\r\n` +
      `data:  "io.modelcontextprotocol/subscriptionId" : ${id},"b":-0},"uri":"x:\\u0061"}}\r\n\r\n`;
    expect(read(event(IDS.ours, "id: 7\r\nretry: 5\r\n"))).toBe(event(IDS.clients, ""));
  });

  test.each(["notifications/message", "notifications/progress", "notifications/vendor"])(
    "also where it is %s",
    (method) => {
      const event = (id: string) => `data: ${said(method, `"x":[1],${meta(id)}`)}\n\n`;
      expect(read(event(IDS.ours))).toBe(event(IDS.clients));
    },
  );

  test("also where the backend writes the id in another way", () => {
    expect(read(`data: ${updated("x:a", '"mcp-router-\\u0031"')}\n\n`)).toBe(
      `data: ${updated("x:a", IDS.clients)}\n\n`,
    );
  });
});

describe("to a client with a session comes", () => {
  const readFor = (text: string) => read(text, ALL_NAMES, { ours: IDS.ours, clients: undefined });

  test("an update without the id of a subscription, and nothing else changes", () => {
    const event = (id: string) =>
      `data: {"method":"notifications/resources/updated","params":{"n":1.0,"_meta":{"a":1${id}},"uri":"x:a"}}\n\n`;
    expect(readFor(event(`,"io.modelcontextprotocol/subscriptionId" : ${IDS.ours}`))).toBe(event(""));
  });

  test("nothing else of such a stream", () => {
    expect(readFor(`data: ${said("notifications/message", `"data":1,${meta()}`)}\n\n`)).toEqual({ kind: "nothing" });
  });
});

describe("an event of a backend's stream does not", () => {
  test.each([
    ["a comment", ":\n\n"],
    ["no data", "event: message\n\n"],
    ["no JSON", "data: {\n\n"],
    ["of another subscription", `data: ${updated("x:a", '"other"')}\n\n`],
    ["of a subscription by a number", `data: ${updated("x:a", "1")}\n\n`],
    ["of no subscription", `data: ${said("notifications/message", '"data":1')}\n\n`],
    ["of two subscriptions", `data: ${updated("x:a", `${IDS.ours},"io.modelcontextprotocol/subscriptionId":1`)}\n\n`],
    ["of a list", `data: ${said("notifications/tools/list_changed", meta())}\n\n`],
    ["a cancelled request", `data: ${said("notifications/cancelled", `"requestId":${IDS.ours},${meta()}`)}\n\n`],
    ["a request by the name of a notification", `data: {"id":1,${said("notifications/message", meta()).slice(1)}\n\n`],
    ["a request", `data: {"id":1,${said("sampling/createMessage", meta()).slice(1)}\n\n`],
    ["no notification", `data: ${said("tools/call", meta())}\n\n`],
    ["a method that is none", `data: {"method":1,"params":{${meta()}}}\n\n`],
    ["an update of nothing", `data: ${said("notifications/resources/updated", meta())}\n\n`],
    ["an update of a hidden resource", `data: ${updated("x:secret/1")}\n\n`],
    ["an answer to another request", 'data: {"id":"x","result":{}}\n\n'],
    [
      "nested too deep",
      `data: ${said("notifications/message", `${meta()},"x":${"[".repeat(30)}${"]".repeat(30)}`)}\n\n`,
    ],
  ])("where it is %s", (_, event) => {
    expect(read(event, SHOWN)).toEqual({ kind: "nothing" });
  });
});

test("a backend acknowledges what it tells of", () => {
  const acknowledged = (params: string) =>
    read(`data: ${said("notifications/subscriptions/acknowledged", `${params}${meta()}`)}\n\n`);
  const notifications = '"notifications":{"toolsListChanged":true,"resourceSubscriptions":["x:a",1]},';
  expect(acknowledged(notifications)).toEqual({ kind: "acknowledged", resources: ["x:a"] });
  for (const none of ["", '"notifications":{},', '"notifications":1,', '"notifications":{"resourceSubscriptions":1},'])
    expect(acknowledged(none)).toEqual({ kind: "acknowledged", resources: [] });
});

test.each(['"result":{"resultType":"complete"}', '"error":{"code":-32603,"message":"limit"}'])(
  "a backend that answers says no more: %s",
  (answer) => {
    expect(read(`data: {"jsonrpc":"2.0","id":${IDS.ours},${answer}}\n\n`)).toEqual({ kind: "answered" });
  },
);
