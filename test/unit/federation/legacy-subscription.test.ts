/** What a client of the modern era hears of resources at a backend that needs a session. */
import { describe, expect, test } from "vitest";
import { createRpc } from "../../../src/backends/rpc.ts";
import { ALL_NAMES } from "../../../src/core/federation/filter.ts";
import { compileGlob } from "../../../src/core/federation/glob.ts";
import { MOST_IN_SESSION, subscribeInSession } from "../../../src/federation/legacy-subscription.ts";
import { createSemaphore } from "../../../src/locks/semaphore.ts";
import { memberOf } from "../core/federated.ts";
import {
  type Call,
  createTestClock,
  openStream,
  result,
  rpcError,
  type Script,
  type Scripted,
  scriptedEgress,
  settle,
} from "./backends.ts";

const ENVELOPE =
  '{"io.modelcontextprotocol/protocolVersion":"2026-07-28",' +
  '"io.modelcontextprotocol/clientInfo":{"name":"é","version":"1.0"}}';
const META = { "io.modelcontextprotocol/subscriptionId": 7 };
const UPDATED = "notifications/resources/updated";

interface Options {
  /** What the backend does in place of what one with subscriptions does. undefined: it does that. */
  readonly answer?: Script;
  readonly resources?: readonly string[];
  readonly shown?: Parameters<typeof subscribeInSession>[0]["shown"];
}

/** The backend files, to which a client listens. Its sessions are s1, s2, … */
function open({ answer, resources = ["x:a", "x:b"], shown = ALL_NAMES }: Options = {}) {
  const clock = createTestClock();
  const streams: ReturnType<typeof openStream>[] = [];
  let begun = 0;
  const { egress, calls } = scriptedEgress(async (call) => {
    const given = await answer?.(call);
    return given ?? answerOf(call);
  });
  function answerOf({ name }: Call): Scripted {
    switch (name) {
      case "initialize":
        return initialized(`s${++begun}`);
      case "GET": {
        const stream = openStream();
        streams.push(stream);
        return stream.answer;
      }
      case "resources/subscribe":
        return result({});
      default:
        return { status: 202 };
    }
  }
  const heard: unknown[] = [];
  const left = new AbortController();
  const { route } = memberOf("files");
  const { agreed, over } = subscribeInSession(
    {
      rpc: createRpc(egress, "stream"),
      held: undefined,
      egress,
      version: "1.0",
      clock,
      depth: 100,
      caller: { backend: route.backend, query: "?a=1", key: undefined, credentials: [["authorization", "Bearer x"]] },
      client: {
        async say(bytes) {
          heard.push(JSON.parse(/^data: (.*)$/m.exec(Buffer.from(bytes).toString())?.[1] ?? "{}").params);
        },
      },
      id: "7",
      envelope: ENVELOPE,
      resources,
      shown,
      turns: createSemaphore(1),
    },
    left.signal,
  );
  const done = (name: string) => calls.filter((call) => call.name === name).map(({ session }) => session);
  return { clock, calls, streams, heard, left, agreed, over, done };
}

function initialized(session: string, capabilities: object = { resources: { subscribe: true } }): Scripted {
  const said = { protocolVersion: "2025-06-18", capabilities, serverInfo: { name: "files", version: "1" } };
  return result(said, { "mcp-session-id": session });
}

const tell = (uri: string, more: object = {}) => ({ jsonrpc: "2.0", method: UPDATED, params: { uri, ...more } });

describe("a client hears of updates", () => {
  test("of what it has subscribed to in a session of its own, with its name and credentials", async () => {
    const { calls, streams, heard, agreed } = open();
    expect(await agreed).toEqual(["x:a", "x:b"]);
    expect(calls.map(({ name, session }) => `${name} ${session}`)).toEqual([
      "initialize undefined",
      "notifications/initialized s1",
      // Before the stream is there, an update would be lost.
      "GET s1",
      "resources/subscribe s1",
      "resources/subscribe s1",
    ]);
    expect(calls.every(({ headers }) => headers.authorization === "Bearer x")).toBe(true);
    expect(calls[0]?.message?.params).toEqual({
      protocolVersion: "2025-11-25",
      capabilities: {},
      clientInfo: { name: "é", version: "1.0" },
    });
    streams[0]?.say(tell("x:a", { n: 1, _meta: { b: 2 } }));
    await settle();
    expect(heard).toEqual([{ uri: "x:a", n: 1, _meta: { ...META, b: 2 } }]);
  });

  test("and of nothing else that the server says there, nor of what the route hides", async () => {
    const { streams, heard, agreed } = open({ shown: { allow: undefined, deny: [compileGlob("x:secret*")] } });
    await agreed;
    streams[0]?.say(tell("x:secret"));
    streams[0]?.say({ jsonrpc: "2.0", method: "notifications/message", params: { data: 1 } });
    streams[0]?.say({ jsonrpc: "2.0", method: "notifications/tools/list_changed" });
    streams[0]?.say({ jsonrpc: "2.0", id: 7, result: {} });
    streams[0]?.say({ ...tell("x:a"), id: 1 });
    streams[0]?.say(tell("x:b"));
    await settle();
    expect(heard).toEqual([{ uri: "x:b", _meta: META }]);
  });

  test("of what of it the server agrees to", async () => {
    const isOther = ({ message }: Call) => JSON.stringify(message?.params).includes("x:b");
    const { agreed } = open({
      answer: (call) => (call.name === "resources/subscribe" && isOther(call) ? rpcError(-32002, "none") : undefined),
    });
    expect(await agreed).toEqual(["x:a"]);
  });

  test("of as many resources as a session remembers", async () => {
    const resources = Array.from({ length: MOST_IN_SESSION + 5 }, (_, n) => `x:${n}`);
    const { agreed, done } = open({ resources });
    expect(await agreed).toEqual(resources.slice(0, MOST_IN_SESSION));
    expect(done("resources/subscribe")).toHaveLength(MOST_IN_SESSION);
  });
});

describe("after its stream was cut", () => {
  test("a server that keeps events goes on after the last one", async () => {
    const { streams, calls, heard, agreed, clock } = open();
    await agreed;
    streams[0]?.body.push('id: 5\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n');
    await settle();
    streams[0]?.body.push(null);
    await clock.pass(1_000);
    expect(calls.at(-1)).toMatchObject({ name: "GET", session: "s1", headers: { "last-event-id": "5" } });
    expect(heard).toEqual([]);
  });

  test("at another one, each resource counts as updated", async () => {
    const { streams, heard, agreed, clock, done } = open();
    await agreed;
    streams[0]?.body.push(null);
    await clock.pass(1_000);
    expect(heard.map((params) => (params as { uri: string }).uri)).toEqual(["x:a", "x:b"]);
    expect(done("initialize")).toHaveLength(1);
  });

  test("a session that is lost is begun anew, and each resource counts as updated", async () => {
    let isLost = false;
    const { streams, heard, agreed, clock, done } = open({
      answer: ({ name, session }) => (isLost && name === "GET" && session === "s1" ? { status: 404 } : undefined),
    });
    await agreed;
    isLost = true;
    streams[0]?.body.push(null);
    await clock.pass(2_000);
    expect(done("resources/subscribe")).toEqual(["s1", "s1", "s2", "s2"]);
    expect(done("DELETE")).toEqual(["s1"]);
    expect(heard.map((params) => (params as { uri: string }).uri)).toEqual(["x:a", "x:b"]);
  });

  test("a server that does not agree any more ends it", async () => {
    let refuses = false;
    const { streams, agreed, over, clock, done } = open({
      answer: ({ name, session }) => {
        if (refuses && name === "GET" && session === "s1") return { status: 404 };
        return refuses && name === "resources/subscribe" ? rpcError(-32002, "none") : undefined;
      },
    });
    await agreed;
    refuses = true;
    streams[0]?.body.push(null);
    await clock.pass(2_000);
    expect(await over).toBeGreaterThanOrEqual(400);
    expect(done("DELETE")).toEqual(["s1", "s2"]);
  });
});

describe("nothing is agreed to, and no session is left there, where a server", () => {
  test.each<[string, Script]>([
    ["has no subscriptions", ({ name }) => (name === "initialize" ? initialized("s1", { resources: {} }) : undefined)],
    ["has no stream", ({ name }) => (name === "GET" ? { status: 405 } : undefined)],
    ["knows no GET", ({ name }) => (name === "GET" ? { status: 404 } : undefined)],
    ["wants other credentials", ({ name }) => (name === "resources/subscribe" ? { status: 401 } : undefined)],
    ["refuses all", ({ name }) => (name === "resources/subscribe" ? rpcError(-32602, "no") : undefined)],
  ])("%s", async (_, answer) => {
    const { agreed, over, done } = open({ answer });
    expect(await agreed).toEqual([]);
    expect(await over).toBeGreaterThanOrEqual(400);
    await settle();
    expect(done("DELETE")).toEqual(["s1"]);
  });

  test("begins none", async () => {
    const { agreed, over, calls } = open({ answer: () => ({ status: 400 }) });
    expect(await agreed).toEqual([]);
    expect(await over).toBe(400);
    expect(calls).toHaveLength(1);
  });
});

test("a server that is away is asked again, less and less often, and heard once it is back", async () => {
  let isAway = true;
  const { agreed, calls, clock, streams, heard } = open({ answer: () => (isAway ? { status: 503 } : undefined) });
  expect(await agreed).toEqual([]);
  await clock.pass(60_000);
  expect(calls.length).toBeLessThan(10);
  isAway = false;
  await clock.pass(30_000);
  streams[0]?.say(tell("x:a"));
  await settle();
  expect(heard).toEqual([{ uri: "x:a", _meta: META }]);
});

test("a server that asks its client is answered: it lives, and nobody can be asked", async () => {
  const { streams, calls, agreed, heard } = open();
  await agreed;
  streams[0]?.say({ jsonrpc: "2.0", id: 1.5, method: "ping" });
  streams[0]?.say({ jsonrpc: "2.0", id: "a", method: "sampling/createMessage", params: {} });
  await settle();
  const answers = calls.filter(({ name }) => name === "response").map(({ message }) => message);
  expect(answers).toMatchObject([
    { id: 1.5, result: {} },
    { id: "a", error: { code: -32601 } },
  ]);
  expect(heard).toEqual([]);
});

describe("a client that leaves", () => {
  test("leaves no session there", async () => {
    const { agreed, left, over, done } = open();
    await agreed;
    left.abort();
    expect(await over).toBeUndefined();
    await settle();
    expect(done("DELETE")).toEqual(["s1"]);
  });

  test("leaves none also while it begins", async () => {
    const answered = Promise.withResolvers<Scripted>();
    const { left, over, done } = open({ answer: ({ name }) => (name === "initialize" ? answered.promise : undefined) });
    await settle();
    left.abort();
    answered.resolve(initialized("s1"));
    expect(await over).toBeUndefined();
    await settle();
    expect(done("DELETE")).toEqual(["s1"]);
    expect(done("resources/subscribe")).toEqual([]);
  });
});
