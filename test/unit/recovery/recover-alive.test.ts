import { describe, expect, test } from "vitest";
import type { Header } from "../../../src/core/http.ts";
import type { Answer, Handler } from "../../support/scripted-server.ts";
import { type Answers, inEvents, NEW, never, open, RESTARTED, rpcError, STEPS, USED } from "./router.ts";

describe("a session whose requests are answered 401 or 403", () => {
  const inWords = { status: 401, body: "Unauthorized: Session not found" };

  test.each<[number, Answer]>([
    [401, { status: 401 }],
    [403, rpcError(403, -32001, "Mcp-Session-Id principal mismatch")],
    [401, inWords],
    [403, { status: 404 }],
  ])("%i is lost where its ping is, and a session begins with its client's credentials", async (status, ping) => {
    const { recovery, loss, names } = await open({ answers: { ping } });
    const asked = { ...loss, suspicion: "probe-and-log-in", status } as const;
    expect(await recovery.recover(asked, never)).toMatchObject({ kind: "recovered", binding: NEW });
    expect(names()).toEqual(["ping", ...STEPS]);
  });

  test.each<[string, Answers, string[]]>([
    ["initialize", { initialize: { status: 401 } }, ["initialize"]],
    ["initialize, by 403", { initialize: { status: 403 } }, ["initialize"]],
    ["all but initialize", { "notifications/initialized": { status: 401 } }, STEPS],
  ])(
    "is left as it is where a login is asked for to %s too, and what was begun is ended",
    async (_, refused, steps) => {
      for (const ping of [{ status: 401 }, inWords]) {
        const { recovery, loss, names, events, abandoned, store, key } = await open({ answers: { ping, ...refused } });
        const asked = { ...loss, suspicion: "probe-and-log-in", status: 401 } as const;
        expect(await recovery.recover(asked, never)).toEqual({ kind: "alive", by: "login" });
        expect(names().filter((name) => name !== "DELETE")).toEqual(["ping", ...steps]);
        expect(abandoned).toEqual(steps.length > 1 ? ["new"] : []);
        expect(events).toMatchObject([{ outcome: "alive" }]);
        expect(await store.find(key, "one")).toMatchObject({ session: { binding: USED } });
      }
    },
  );

  test.each<[string, Answer]>([
    ["the other of the two", { status: 403 }],
    ["200", { status: 200 }],
    ["503", { status: 503 }],
  ])("is left as it is where its ping is answered %s", async (_, ping) => {
    const { recovery, loss, names } = await open({ answers: { ping } });
    const asked = { ...loss, suspicion: "probe-and-log-in", status: 401 } as const;
    expect(await recovery.recover(asked, never)).toEqual({ kind: "alive", by: "ping" });
    expect(names()).toEqual(["ping"]);
  });
});

describe("a session that was found alive after an answer that seldom means a loss", () => {
  const asked = { suspicion: "probe-and-log-in", status: 401 } as const;

  test("is not probed again at once after the same answer", async () => {
    const { recovery, loss, names } = await open({ answers: { ping: { status: 200 } } });
    for (let n = 0; n < 10; n++)
      expect(await recovery.recover({ ...loss, ...asked }, never)).toEqual({ kind: "alive", by: "ping" });
    expect(names()).toEqual(["ping"]);
    await recovery.recover({ ...loss, ...asked, status: 403 }, never);
    await recovery.recover({ ...loss, ...asked, used: NEW }, never);
    expect(names()).toEqual(["ping", "ping", "ping"]);
  });

  test("is lost all the same once its endpoint takes no connections, which Envoy says by the same status", async () => {
    const { recovery, loss, names } = await open({ answers: { ping: { status: 200 } } });
    const stopping = { ...loss, suspicion: "probe", status: 503 } as const;
    expect(await recovery.recover(stopping, never)).toEqual({ kind: "alive", by: "ping" });
    const gone = { ...loss, suspicion: "unreachable", status: 503 } as const;
    expect(await recovery.recover(gone, never)).toMatchObject({ kind: "recovered", binding: NEW });
    expect(names()).toEqual(["ping", ...STEPS]);
  });

  test("is probed each time after an answer that often means a loss", async () => {
    const { recovery, loss, names } = await open({ answers: { ping: { status: 200 } } });
    for (let n = 0; n < 3; n++) await recovery.recover(loss, never);
    expect(names()).toEqual(["ping", "ping", "ping"]);
  });

  test("is probed again with other credentials, where its client was to log in", async () => {
    const refuses: Handler = ({ method, headers }) =>
      method === "initialize" && headers.authorization === "Bearer new" ? RESTARTED.initialize : { status: 401 };
    const { recovery, loss, names } = await open({ answers: { ping: refuses, initialize: refuses } });
    for (let n = 0; n < 3; n++)
      expect(await recovery.recover({ ...loss, ...asked }, never)).toEqual({ kind: "alive", by: "login" });
    expect(names()).toEqual(["ping", "initialize"]);
    const headers: readonly Header[] = [["authorization", "Bearer new"]];
    expect(await recovery.recover({ ...loss, ...asked, headers }, never)).toMatchObject({ kind: "recovered" });
  });
});

describe("a session that its backend knows", () => {
  test.each<[string, Answer]>([
    ["503 of its own, which says nothing", { status: 503, body: "overloaded" }],
    ["200", { status: 200, headers: { "content-type": "application/json" }, body: '{"result":{}}' }],
    ["an error", { status: 200, body: '{"error":{"code":-32601,"message":"session not found"}}' }],
    ["202", { status: 202 }],
    ["400 in other words", { status: 400, body: '{"error":{"message":"Bad Request"}}' }],
    ["400 in endless words", { status: 400, body: `${"x".repeat(4 * 1024 * 1024)} session not found` }],
    ["401", { status: 401 }],
    ["500", { status: 500, body: "the session, and its file" }],
    ["404 of a method that it does not have", rpcError(404, -32601, "Method not found")],
    ["404 of JSON-RPC about something else", rpcError(404, -32602, "Repository not found")],
    ["410 of JSON-RPC about something else", rpcError(410, -32000, "That tool is gone")],
    ["404 of JSON-RPC in an event stream", inEvents(rpcError(404, -32601, "Method not found"))],
  ])("is alive where its ping is answered by %s", async (_, ping) => {
    const { recovery, loss, names, events } = await open({ answers: { ping } });
    expect(await recovery.recover(loss, never)).toEqual({ kind: "alive", by: "ping" });
    expect(names()).toEqual(["ping"]);
    expect(events).toMatchObject([{ outcome: "alive", why: undefined, to: undefined }]);
  });

  test("is alive by the head of an answer whose body never comes", async () => {
    const ping: Handler = ({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      return undefined;
    };
    const { recovery, loss } = await open({ answers: { ping } });
    expect(await recovery.recover(loss, never)).toEqual({ kind: "alive", by: "ping" });
  });
});
