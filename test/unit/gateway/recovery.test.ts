/** What the gateway keeps of a request in case its session is lost, and when it lets go of that. */
import { describe, expect, test } from "vitest";
import type { Decision, Reply, ResponseHead, Verdict } from "../../../src/core/http.ts";
import type { RequestPolicy } from "../../../src/core/routes.ts";
import type { Exchange } from "../../../src/gateway/exchange.ts";
import type { RecoveredAnswer } from "../../../src/recovery/recovered-answer.ts";
import type { SentMessage, SentRequest, UsedSession } from "../../../src/recovery/replayable.ts";
import { mintSessionId } from "../../../src/sessions/id.ts";
import { ANONYMOUS, type SessionStore } from "../../../src/sessions/store.ts";
import { unavailable } from "../../support/unavailable.ts";
import { fields } from "../core/fields.ts";
import { BACKEND, POLICY, ROUTE } from "../core/policy.ts";
import { answerHead, BINDING, openGateway } from "./open.ts";

const CALL = '{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a"}}';
const LEVEL = '{"jsonrpc":"2.0","id":"x","method":"logging/setLevel","params":{"level":"debug"}}';
const INITIALIZE = '{"jsonrpc":"2.0","id":"x","method":"initialize","params":{"protocolVersion":"2025-11-25"}}';
const INSTEAD: Reply = { kind: "reply", status: 200, headers: [], body: "instead", details: "test" };
const PASSED_ON = (id: string) => ({ kind: "mutate", set: [["mcp-session-id", id]], remove: [], clearRoute: false });
const SURFACE: RequestPolicy = {
  ...POLICY,
  routes: new Map([["/mcp", { ...ROUTE, backend: { ...BACKEND, onSessionLost: "surface" } }]]),
};

interface Options {
  readonly policy?: RequestPolicy;
  readonly store?: Partial<SessionStore>;
  /** False: nothing is kept. */
  readonly keeps?: boolean;
  /** What comes of a recovery. */
  readonly answer?: RecoveredAnswer;
}

/** A gateway that tells what it keeps, and has recovered. */
async function open({ keeps = true, answer = { kind: "reconnect", answer: INSTEAD }, ...options }: Options = {}) {
  const asked: { request: SentRequest; session: UsedSession; message: SentMessage | undefined }[] = [];
  const answered: [ResponseHead, string][] = [];
  let forgotten = 0;
  const opened = await openGateway({
    ...options,
    replayable: {
      keep(request, session, message) {
        asked.push({ request, session, message });
        if (!keeps) return { kind: "not-replayable", reason: "budget" };
        const forget = () => void forgotten++;
        return {
          kind: "replayable",
          request,
          session,
          message,
          key: session.key,
          principal: request.principal.digest,
          forget,
        };
      },
    },
    recovered: {
      async answer(_, head, suspicion) {
        answered.push([head, suspicion]);
        return answer;
      },
    },
  });
  const { gateway, id } = opened;
  const headers = (method: string, sessionId: string | undefined) => ({
    ":method": method,
    ":path": "/mcp?a=1",
    ":authority": "gw",
    "content-type": "application/json",
    accept: "text/event-stream",
    ...(sessionId !== undefined && { "mcp-session-id": sessionId }),
  });
  /** Sends a request; a body makes it a POST. */
  const send = async (method: string, body?: string, sessionId: string | undefined = id): Promise<Exchange> => {
    const exchange = gateway.open();
    const head = { headers: fields(headers(method, sessionId)), endOfStream: body === undefined };
    await exchange.requestHeaders(head);
    if (body !== undefined) await exchange.requestBody(Buffer.from(body));
    return exchange;
  };
  return { ...opened, send, asked, answered, forgotten: () => forgotten, headers };
}

/** The verdict on an answer that raises a suspicion. */
async function deferred(decision: Decision): Promise<Verdict> {
  if (decision instanceof Promise || decision.kind !== "deferred") throw new Error("the verdict is not deferred");
  return decision.verdict;
}

const LOST = answerHead({ ":status": "404", "mcp-session-id": "backend-id" });

describe("a request of a session is kept", () => {
  test("with all that it takes to send it again", async () => {
    const { send, asked, id, key, headers } = await open();
    await send("POST", CALL);
    expect(asked).toMatchObject([
      {
        request: {
          route: ROUTE,
          query: "?a=1",
          id: '"x"',
          principal: { digest: ANONYMOUS },
          policy: { limits: POLICY.limits },
        },
        session: { id, key, binding: BINDING },
        message: { labels: { method: "tools/call", name: "a" }, body: Buffer.from(CALL), stateChanges: undefined },
      },
    ]);
    expect([...(asked[0]?.request.headers.entries() ?? [])]).toEqual(Object.entries(headers("POST", id)));
  });

  test("with what it tells the backend to remember", async () => {
    const { send, asked } = await open();
    await send("POST", LEVEL);
    expect(asked).toMatchObject([{ message: { stateChanges: [{ kind: "level" }] } }]);
  });

  test("without a message where it is a GET", async () => {
    const { send, asked } = await open();
    await send("GET");
    expect(asked).toMatchObject([{ message: undefined, session: { binding: BINDING } }]);
  });
});

describe("nothing is kept", () => {
  test.each([
    ["of an initialize, also one with a session id", "POST", INITIALIZE],
    ["of a DELETE", "DELETE", undefined],
  ])("%s", async (_, method, body) => {
    const { send, asked } = await open();
    const exchange = await send(method, body);
    expect(asked).toEqual([]);
    expect(exchange.responseHeaders(LOST)).not.toMatchObject({ kind: "deferred" });
  });

  test("of a request without a session, or with one that nobody knows", async () => {
    const { send, asked } = await open();
    await send("POST", CALL, mintSessionId());
    await send("POST", CALL, "");
    expect(asked).toEqual([]);
  });

  test.each(["POST", "GET"])("on a route that passes losses on: %s", async (method) => {
    const { send, asked, id } = await open({ policy: SURFACE });
    const exchange = await send(method, method === "POST" ? CALL : undefined);
    expect(asked).toEqual([]);
    expect(exchange.responseHeaders(LOST)).toEqual(PASSED_ON(id));
  });

  test("of a request that has ended before its session was found", async () => {
    const { gateway, asked, headers, id } = await open();
    const exchange = gateway.open();
    exchange.requestHeaders({ headers: fields(headers("POST", id)), endOfStream: false });
    const verdict = exchange.requestBody(Buffer.from(CALL));
    exchange.closed();
    await verdict;
    expect(asked).toEqual([]);
  });
});

describe("the answer to a request that was kept", () => {
  test("is what its recovery comes to", async () => {
    const { send, answered } = await open();
    const exchange = await send("POST", CALL);
    expect(await deferred(exchange.responseHeaders(LOST))).toBe(INSTEAD);
    expect(answered).toEqual([[LOST, "probe"]]);
  });

  test("is the first one where there is no other, with the client's session id", async () => {
    const { send, id } = await open({ answer: { kind: "first" } });
    const exchange = await send("POST", CALL);
    expect(await deferred(exchange.responseHeaders(LOST))).toEqual(PASSED_ON(id));
  });

  test("goes on as it is where the request could not be kept, which is told of", async () => {
    const { send, events } = await open({ keeps: false });
    const exchange = await send("POST", CALL);
    expect(exchange.responseHeaders(LOST)).toMatchObject({ kind: "mutate" });
    expect(events).toContainEqual({ kind: "not-replayable", reason: "budget", route: ROUTE });
  });

  test("is waited for no longer than the request, which is forgotten at its end", async () => {
    const { send, forgotten } = await open();
    const exchange = await send("POST", CALL);
    expect(forgotten()).toBe(0);
    exchange.closed();
    expect(forgotten()).toBe(1);
  });
});
describe("a GET that says what its client heard last", () => {
  const STREAM = answerHead({ ":status": "200", "content-type": "text/event-stream" });

  /** A session that was recovered so many times. */
  async function recovered(times: number, options: Options = {}) {
    const opened = await open(options);
    const { store, key, gateway, headers, id } = opened;
    const recover = (generation: number) => store.bind(key, "one", generation, BINDING);
    for (let generation = 1; generation <= times; generation++) await recover(generation);
    /** Sends it, and gives what goes on of it. */
    const listen = async (over: Readonly<Record<string, string>> = { "last-event-id": "e1" }) => {
      const exchange = gateway.open();
      const head = { headers: fields({ ...headers("GET", id), ...over }), endOfStream: true };
      return { exchange, verdict: await exchange.requestHeaders(head) };
    };
    return { ...opened, listen, recover };
  }

  const goesOn = { kind: "mutate", remove: [] };
  const beginsAnew = { kind: "mutate", remove: ["last-event-id"] };

  test("goes on with it where its session was never lost, and that it listens is written once", async () => {
    const { listen, changes } = await recovered(0);
    for (let n = 0; n < 2; n++) {
      const { exchange, verdict } = await listen();
      expect(verdict).toMatchObject(goesOn);
      exchange.responseHeaders(STREAM);
    }
    expect(changes).toEqual([{ kind: "listening", generation: 1 }]);
  });

  test("goes on without it after a recovery, and the next one with it: that is one write", async () => {
    const { listen, changes } = await recovered(1);
    const { exchange, verdict } = await listen();
    expect(verdict).toMatchObject(beginsAnew);
    exchange.responseHeaders(STREAM);
    for (let n = 0; n < 2; n++) {
      const next = await listen();
      expect(next.verdict).toMatchObject(goesOn);
      next.exchange.responseHeaders(STREAM);
    }
    expect(changes).toEqual([{ kind: "listening", generation: 2 }]);
  });

  test("goes on without it after each further recovery", async () => {
    const { listen, recover } = await recovered(3);
    (await listen()).exchange.responseHeaders(STREAM);
    expect((await listen()).verdict).toMatchObject(goesOn);
    await recover(4);
    expect((await listen()).verdict).toMatchObject(beginsAnew);
  });

  test("goes on with it where the client has opened a stream since, in which it had nothing to say", async () => {
    const { listen } = await recovered(1);
    const { exchange, verdict } = await listen({});
    expect(verdict).toMatchObject(goesOn);
    exchange.responseHeaders(STREAM);
    expect((await listen()).verdict).toMatchObject(goesOn);
  });

  test.each(["404", "503"])("goes on without it until a stream was opened: %s", async (status) => {
    const { listen, changes } = await recovered(1);
    (await listen()).exchange.responseHeaders({ ...STREAM, headers: fields({ ":status": status }) });
    expect((await listen()).verdict).toMatchObject(beginsAnew);
    expect(changes).toEqual([]);
  });

  test("goes on without it where the store could not remember the one before", async () => {
    const { listen } = await recovered(1, { store: { remember: unavailable } });
    const { exchange } = await listen();
    exchange.responseHeaders(STREAM);
    expect((await listen()).verdict).toMatchObject(beginsAnew);
  });

  test("is no POST, whose header of that name means nothing and goes on", async () => {
    const { gateway, headers, id, changes } = await recovered(1);
    const exchange = gateway.open();
    const head = { headers: fields({ ...headers("POST", id), "last-event-id": "e1" }), endOfStream: false };
    await exchange.requestHeaders(head);
    expect(await exchange.requestBody(Buffer.from(CALL))).toMatchObject(goesOn);
    exchange.responseHeaders(STREAM);
    expect(changes).toEqual([]);
  });
});

test("a session that was recovered while its DELETE came is ended where it is by now", async () => {
  const moved = { sessionId: "new", endpoint: "10.0.0.2:80", generation: 2 };
  const session = { owner: ANONYMOUS, route: "/mcp", protocolVersion: undefined, initializeParams: "{}" };
  const remove = async () => ({ kind: "removed", session: { ...session, bindings: { one: moved } } }) as const;
  const { gateway, headers, id } = await open({ store: { remove } });
  const verdict = await gateway.open().requestHeaders({ headers: fields(headers("DELETE", id)), endOfStream: true });
  expect(verdict).toMatchObject({
    kind: "mutate",
    set: expect.arrayContaining([
      ["x-mcp-endpoint", moved.endpoint],
      ["mcp-session-id", moved.sessionId],
    ]),
  });
});
