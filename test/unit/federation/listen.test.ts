import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { memberOf } from "../core/federated.ts";
import { createServer, LISTS, openCatalogue, openStream, result, type Script, type Scripted } from "./backends.ts";

const CHANGED = { jsonrpc: "2.0", method: "notifications/tools/list_changed" };
const EVENTS = { "content-type": "text/event-stream" };

/** A server whose streams are opened by the test. */
function listening(answer?: Script) {
  const streams: ReturnType<typeof openStream>[] = [];
  const open = (): Scripted => {
    const stream = openStream();
    streams.push(stream);
    return stream.answer;
  };
  const server = createServer({ answers: { GET: answer ?? open } });
  return { server, streams, ...openCatalogue({ files: server }) };
}

describe("a change that a backend announces", () => {
  test.each([
    ["alone", CHANGED],
    ["in a batch", [{ jsonrpc: "2.0", method: "notifications/message" }, CHANGED]],
    ["of another list", { ...CHANGED, method: "notifications/resources/list_changed" }],
  ])("is heard %s, and the backend is asked again soon", async (_, message) => {
    const { server, streams, demand, tools, clock, callsOf } = listening();
    await demand();
    server.tools = ["other"];
    streams[0]?.say(message);
    await clock.pass(999);
    expect(callsOf("tools/list")).toHaveLength(1);
    await clock.pass(1);
    expect(callsOf("tools/list")).toHaveLength(2);
    expect(tools()).toEqual(["files__other"]);
    expect(callsOf("initialize")).toHaveLength(1);
  });

  test("is one for a burst", async () => {
    const { streams, demand, clock, callsOf } = listening();
    await demand();
    for (let n = 0; n < 1_000; n++) streams[0]?.say(CHANGED);
    await clock.pass(1_000);
    expect(callsOf("tools/list")).toHaveLength(2);
    await clock.pass(10_000);
    expect(callsOf("tools/list")).toHaveLength(2);
  });

  test("is noticed less and less often where nothing changes", async () => {
    const { server, streams, demand, clock, callsOf, events } = listening();
    server.answers = {
      ...server.answers,
      // It announces a change whenever it is asked.
      "tools/list": () => {
        streams[0]?.say(CHANGED);
        return result({ tools: [{ name: "search" }] });
      },
    };
    await demand();
    await clock.pass(LISTS.refresh - 1);
    // At 0, 1, 2, 4, 8, 16 and 32 s.
    expect(callsOf("tools/list")).toHaveLength(7);
    expect(events.filter(({ kind }) => kind === "failed")).toEqual([]);
  });

  test("while the backend is being asked has it asked once more", async () => {
    const { server, streams, demand, clock, callsOf } = listening();
    await demand();
    const answered = Promise.withResolvers<void>();
    let asked = 0;
    server.answers = {
      ...server.answers,
      "prompts/list": async () => {
        if (asked++ === 0) await answered.promise;
        return result({ prompts: [] });
      },
    };
    streams[0]?.say(CHANGED);
    await clock.pass(1_000);
    streams[0]?.say(CHANGED);
    await clock.pass(100);
    answered.resolve();
    await clock.pass(2_000);
    expect(callsOf("tools/list")).toHaveLength(3);
  });

  test("is nothing to a backend that nobody uses", async () => {
    const { streams, demand, clock, callsOf } = listening();
    await demand();
    await clock.pass(LISTS.stale - 1);
    streams[0]?.say(CHANGED);
    await clock.pass(30_000);
    expect(callsOf("tools/list")).toHaveLength(1);
    expect(streams[0]?.body.destroyed).toBe(true);
  });
});

test.each([
  // Each event counts as a KiB at least.
  ["events", 'data: {"method":"notifications/message"}\n\n', 1],
  // Each line counts as 32 bytes at least.
  ["lines", `${"id\n".repeat(319)}\n`, 10],
])("a stream without end is read no faster than its %s can be looked at", async (_, event, kibibytes) => {
  const chunk = Buffer.from(event.repeat(1_000 / kibibytes));
  let written = 0;
  const endless = Readable.from(
    (function* () {
      for (;;) {
        written += chunk.length;
        yield chunk;
      }
    })(),
  );
  const { demand, clock } = listening(() => ({ headers: EVENTS, body: endless }));
  await demand();
  expect(written).toBeLessThan(4 * chunk.length);
  await clock.pass(10_000);
  expect(written).toBeGreaterThan(10 * chunk.length);
  expect(written).toBeLessThan(14 * chunk.length);
});

describe("where a backend has no stream, it is asked for none again in that session", () => {
  test.each<[string, Scripted]>([
    ["405", { status: 405 }],
    ["400", { status: 400 }],
    ["202", { status: 202 }],
    ["204", { status: 204 }],
    ["a redirect", { status: 307 }],
    ["a page", { headers: { "content-type": "text/html" }, body: "<html>" }],
    ["JSON", { body: "{}" }],
    ["404", { status: 404 }],
  ])("%s", async (_, answer) => {
    const { demand, clock, callsOf, events } = listening(() => answer);
    await demand();
    for (let passed = 0; passed < LISTS.stale; passed += LISTS.refresh) {
      await clock.pass(LISTS.refresh);
      await demand();
    }
    expect(callsOf("GET")).toHaveLength(1);
    expect(callsOf("initialize")).toHaveLength(1);
    expect(events.filter(({ kind }) => kind === "failed")).toEqual([]);
  });

  test("and a 404 may say that the session is lost", async () => {
    const { server, demand, clock, tools, callsOf } = listening(() => ({ status: 404, body: "Session not found" }));
    await demand();
    server.sessions.clear();
    server.tools = ["other"];
    await clock.pass(1_000);
    expect(callsOf("initialize")).toHaveLength(2);
    expect(tools()).toEqual(["files__other"]);
  });
});

test("a backend that loses every session after one stream is given another one less and less often", async () => {
  const heard = new Set<string | undefined>();
  const { server, demand, clock, callsOf } = listening(({ session }) => {
    if (!heard.has(session)) {
      heard.add(session);
      return { headers: EVENTS, body: "" };
    }
    server.sessions.delete(session ?? "");
    return { status: 404, body: "Session not found" };
  });
  await demand();
  await clock.pass(20_000);
  // Each second stream is refused after 1 s, and the lists are asked for 1, 2, 4 and 8 s after that.
  expect(callsOf("initialize").length).toBeLessThanOrEqual(5);
  for (let passed = 0; passed < 60 * 60_000; passed += LISTS.refresh) {
    await clock.pass(LISTS.refresh);
    await demand();
  }
  // Once in lists.refresh at most.
  expect(callsOf("initialize").length).toBeLessThanOrEqual(60 + 10);
});

describe("a stream that ends", () => {
  test.each<[string, Script]>([
    ["at once", () => ({ headers: EVENTS, body: "" })],
    ["by an error", () => new Error("reset")],
    ["by a status that passes", () => ({ status: 503 })],
    ["for another that the server has not let go of", () => ({ status: 409 })],
    ["by an event without end", () => ({ headers: EVENTS, body: `data: ${"x".repeat(1024 * 1024)}` })],
  ])("%s is opened again less and less often", async (_, answer) => {
    const { demand, clock, callsOf } = listening(answer);
    await demand();
    await clock.pass(7_500);
    // At 0, 1, 3 and 7 s.
    expect(callsOf("GET")).toHaveLength(4);
    expect(callsOf("tools/list")).toHaveLength(1);
  });

  test("after long is opened again soon, and what changed meanwhile is noticed", async () => {
    const { server, streams, demand, clock, tools } = listening();
    await demand();
    await clock.pass(LISTS.refresh);
    server.tools = ["other"];
    streams[0]?.body.push(null);
    await clock.pass(1_000);
    expect(streams).toHaveLength(2);
    await clock.pass(1_000);
    expect(tools()).toEqual(["files__other"]);
  });

  test("with the session is opened in the next one", async () => {
    const { server, streams, demand, clock, callsOf } = listening();
    await demand();
    server.sessions.clear();
    await clock.pass(LISTS.refresh);
    await demand();
    expect(callsOf("GET").map(({ session }) => session)).toEqual(["session-1", "session-2"]);
    expect(streams[0]?.body.destroyed).toBe(true);
  });
});

test("requests of a backend are answered: a ping, and that others are unknown", async () => {
  const { streams, demand, clock, callsOf } = listening();
  await demand();
  const [stream] = streams;
  stream?.body.push('data: {"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}\n\n');
  stream?.say({ jsonrpc: "2.0", id: "a", method: "roots/list" });
  stream?.say({ jsonrpc: "2.0", id: 1, result: {} });
  stream?.body.push(": comment\n\ndata: no JSON\n\n");
  await clock.pass(0);
  expect(callsOf("response").map(({ message }) => message)).toEqual([
    { jsonrpc: "2.0", id: Number("9007199254740993"), result: {} },
    { jsonrpc: "2.0", id: "a", error: { code: -32601, message: "Method not found" } },
  ]);
});

describe("a backend that speaks the modern era", () => {
  const MODERN = ["2026-07-28"];
  const LISTEN = "subscriptions/listen";
  const heard = (id: unknown) => ({
    ...CHANGED,
    params: { _meta: { "io.modelcontextprotocol/subscriptionId": id } },
  });

  /** @param answer to what listens outside sessions. Default: a stream */
  function modern(options: Parameters<typeof createServer>[0] = {}, answer?: Script) {
    const streams: ReturnType<typeof openStream>[] = [];
    const open = (): Scripted => {
      const stream = openStream();
      streams.push(stream);
      return stream.answer;
    };
    const server = createServer({ modern: MODERN, answers: { [LISTEN]: answer ?? open }, ...options });
    return { server, streams, ...openCatalogue({ files: server }) };
  }

  test("is heard outside sessions as well, by a request for those lists of whose changes it tells", async () => {
    const { server, streams, demand, tools, clock, callsOf } = modern();
    await demand();
    expect(callsOf(LISTEN)).toMatchObject([
      {
        session: undefined,
        purpose: "list",
        headers: { "mcp-protocol-version": "2026-07-28", "mcp-method": LISTEN, "x-mcp-method": LISTEN },
        message: { params: { notifications: { toolsListChanged: true } } },
      },
    ]);
    server.tools = ["other"];
    streams[0]?.say(heard(callsOf(LISTEN)[0]?.message?.id));
    await clock.pass(1_000);
    expect(callsOf("tools/list")).toHaveLength(2);
    expect(tools()).toEqual(["files__other"]);
    expect(callsOf(LISTEN)).toHaveLength(1);
  });

  test("is listened to again where its stream ends, and asked for what it may have said meanwhile", async () => {
    const { streams, demand, clock, callsOf } = modern();
    await demand();
    await clock.pass(LISTS.refresh);
    streams[0]?.body.push(null);
    await clock.pass(1_000);
    expect(callsOf(LISTEN)).toHaveLength(2);
    expect(callsOf("tools/list")).toHaveLength(1);
    await clock.pass(1_000);
    expect(callsOf("tools/list")).toHaveLength(2);
  });

  test("is not listened to where it tells of no changes, or where its lists are by principal", async () => {
    const quiet = modern({ capabilities: { tools: {} } });
    await quiet.demand();
    expect(quiet.callsOf(LISTEN)).toEqual([]);
    const server = createServer({ modern: MODERN });
    const own = openCatalogue({ files: server }, [memberOf("files", { lists: "principal" })]);
    await own.demand();
    expect(own.callsOf(LISTEN)).toEqual([]);
  });

  test("that refuses is asked once for each asking for its lists", async () => {
    const { demand, clock, callsOf, events } = modern({}, () => ({ status: 404 }));
    await demand();
    await clock.pass(LISTS.refresh - 1);
    expect(callsOf(LISTEN)).toHaveLength(1);
    await clock.pass(1);
    await demand();
    expect(callsOf(LISTEN)).toHaveLength(2);
    expect(events.filter(({ kind }) => kind === "failed")).toEqual([]);
  });

  test("is left when it speaks that era no more, or when nobody uses it", async () => {
    const { server, streams, demand, clock, callsOf } = modern();
    await demand();
    server.modern = [];
    await clock.pass(LISTS.refresh);
    await demand();
    expect(streams[0]?.body.destroyed).toBe(true);
    server.modern = MODERN;
    await clock.pass(LISTS.refresh);
    await demand();
    expect(callsOf(LISTEN)).toHaveLength(2);
    await clock.pass(2 * LISTS.stale);
    expect(streams[1]?.body.destroyed).toBe(true);
  });
});
