/** What a client with a session hears of resources at backends that have no sessions. */
import { expect, test } from "vitest";
import { createRpc } from "../../../src/backends/rpc.ts";
import { SessionSubscriptions } from "../../../src/federation/session-subscriptions.ts";
import { UnfinishedEvents } from "../../../src/federation/unfinished.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { NO_STATE, type Session } from "../../../src/sessions/store.ts";
import { memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";
import { type Call, createTestClock, openStream, routeOf, type Script, scriptedEgress, settle } from "./backends.ts";

const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";
const ROUTE = routeOf([memberOf("files"), memberOf("git")], { stream: "own" });
/** The first backend is of the modern era alone. */
const ERAS = [
  { speaksModern: true, inSession: false },
  { speaksModern: true, inSession: true },
];

/** A client's session with subscriptions at both backends. */
function sessionOf(...uris: readonly string[]): Session {
  const state = { ...NO_STATE, subscriptions: new Map(uris.map((uri) => [uri, "{}"])) };
  const remembered = new Map([
    ["files", state],
    ["git", { ...NO_STATE, subscriptions: new Map([["git:a", "{}"]]) }],
  ]);
  const initializeParams = '{"capabilities":{"sampling":{}},"clientInfo":{"name":"é","version":"1.0"}}';
  return { owner: "", route: "/all", protocolVersion: undefined, initializeParams, bindings: {}, remembered };
}

function filterOf({ message }: Call): unknown {
  return (message?.params as { notifications?: unknown } | undefined)?.notifications; // A test reads it.
}

function open({ answer, isResumed = false }: { answer?: Script; isResumed?: boolean } = {}) {
  const clock = createTestClock();
  const streams: { readonly call: Call; tell(method: string, params?: object): void }[] = [];
  const { egress, calls } = scriptedEgress((call) => {
    const given = answer?.(call);
    if (given) return given;
    const stream = openStream();
    const id = call.message?.id;
    const tell = (method: string, params = {}) =>
      stream.say({ jsonrpc: "2.0", method, params: { ...params, _meta: { [SUBSCRIPTION_ID]: id } } });
    streams.push({ call, tell });
    tell("notifications/subscriptions/acknowledged", { notifications: filterOf(call) });
    return stream.answer;
  });
  const heard: unknown[] = [];
  const subscriptions = new SessionSubscriptions(
    {
      rpc: createRpc(egress, "stream"),
      clock,
      unfinished: new UnfinishedEvents(
        () => 1_000_000,
        () => undefined,
      ),
      depth: () => 100,
      eras: () => ERAS,
      permits: () => undefined,
    },
    {
      of: { key: "", owner: "", path: "/mcp" },
      key: sessionKey(mintSessionId()),
      isResumed,
      async say(backend, generation, { id, said }) {
        const text = said.kind === "message" ? Buffer.from(said.bytes).toString() : "";
        heard.push([backend, generation, id, JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? "{}").params]);
      },
    },
    { headers: fields({ authorization: "Bearer x" }), query: "?a=1" },
  );
  const look = async (...uris: readonly string[]) => {
    subscriptions.look(sessionOf(...uris), ROUTE);
    await settle();
  };
  const alive = () => calls.filter(({ signal }) => !signal.aborted).map(filterOf);
  return { clock, calls, streams, heard, subscriptions, look, alive };
}

const resources = (...uris: readonly string[]) => ({ resourceSubscriptions: uris });
const UPDATED = "notifications/resources/updated";

test("one stream for all resources of a backend, in the client's name; none where the backend has the session", async () => {
  const { look, calls, streams, heard, subscriptions } = open();
  await look("x:b", "x:a");
  await look("x:a", "x:b");
  expect(calls).toMatchObject([
    { backend: "files", name: "subscriptions/listen", headers: { authorization: "Bearer x" } },
  ]);
  expect(calls[0]?.message?.params).toEqual({
    _meta: {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientCapabilities": {},
      "io.modelcontextprotocol/clientInfo": { name: "é", version: "1.0" },
    },
    notifications: resources("x:a", "x:b"),
  });
  expect(subscriptions.size).toBe(1);
  streams[0]?.tell(UPDATED, { uri: "x:a", n: 1 });
  streams[0]?.tell("notifications/message", { data: 1 });
  await settle();
  expect(heard).toEqual([["files", 0, undefined, { uri: "x:a", n: 1, _meta: {} }]]);
});

test("another one takes its place where there is more to hear, and the last one is heard until the backend agrees", async () => {
  let isAway = false;
  const { look, alive, streams, heard, clock, subscriptions } = open({
    answer: () => (isAway ? new Error("away") : undefined),
  });
  await look("x:a");
  isAway = true;
  await look("x:a", "x:b");
  await look("x:a", "x:b", "x:c");
  await look("x:a", "x:b");
  streams[0]?.tell(UPDATED, { uri: "x:a" });
  await settle();
  expect(heard).toHaveLength(1);
  isAway = false;
  await clock.pass(1_000);
  expect(alive()).toContainEqual(resources("x:a", "x:b"));
  expect(alive()).not.toContainEqual(resources("x:a"));
  expect(subscriptions.size).toBe(1);
  await look();
  expect(subscriptions.size).toBe(0);
  expect(streams.every(({ call }) => call.signal.aborted)).toBe(true);
});

test("a client that comes back from another stream is told that each resource may have been updated, once", async () => {
  const { look, heard } = open({ isResumed: true });
  await look("x:a");
  await look("x:a", "x:b");
  expect(heard).toEqual([["files", 0, undefined, { uri: "x:a" }]]);
});

test("a backend that refuses is asked again at a look, later and later", async () => {
  const { look, calls, clock } = open({ answer: () => ({ status: 400 }) });
  await look("x:a");
  await look("x:a");
  expect(calls).toHaveLength(1);
  await clock.pass(30_000);
  await look("x:a");
  expect(calls).toHaveLength(2);
  await clock.pass(30_000);
  await look("x:a");
  expect(calls).toHaveLength(2);
});

test("it ends with the client's stream", async () => {
  const { look, streams, subscriptions } = open();
  await look("x:a");
  subscriptions.close();
  expect(streams.map(({ call }) => call.signal.aborted)).toEqual([true]);
  expect(subscriptions.size).toBe(0);
});
