import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import type { Turn } from "../../../src/backends/begin.ts";
import { createEgress } from "../../../src/backends/client.ts";
import { createSessionEnder } from "../../../src/backends/end.ts";
import { createSessionOpener, type OpenRequest } from "../../../src/backends/open.ts";
import { describeFailure, type Failure } from "../../../src/backends/opened.ts";
import { createRpc } from "../../../src/backends/rpc.ts";
import { memoryLocks } from "../../../src/locks/memory.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { memoryStore } from "../../../src/sessions/memory.ts";
import { ANONYMOUS, type Binding, withoutSession } from "../../../src/sessions/store.ts";
import { type Answer, type Handler, play, type Script, startScriptedServer } from "../../support/scripted-server.ts";
import { BACKEND } from "../core/policy.ts";

const never = new AbortController().signal;
const STEPS = ["initialize", "notifications/initialized"];
const NEW = { sessionId: "new", endpoint: "10.0.0.2:80", generation: 1 };
const OLD = { sessionId: "old", endpoint: "10.0.0.1:80", generation: 1 };

const ANSWERS: Readonly<Record<string, Answer>> = {
  initialize: {
    status: 200,
    headers: { "content-type": "application/json", "mcp-session-id": "new", "x-mcp-endpoint": NEW.endpoint },
    body: '{"result":{"protocolVersion":"2025-06-18"}}',
  },
  "notifications/initialized": { status: 202 },
  DELETE: { status: 204 },
};

let owner = new AsyncDisposableStack();
afterEach(async () => {
  await owner.disposeAsync();
  owner = new AsyncDisposableStack();
});

interface OpenOptions {
  /** In place of those above. */
  readonly answers?: Readonly<Record<string, Script>>;
  readonly bindings?: Record<string, Binding>;
}

/** A client's session, bound to some backends. */
async function open({ answers = {}, bindings = {} }: OpenOptions = {}) {
  const scripts: Readonly<Record<string, Script>> = { ...ANSWERS, ...answers };
  const listener = await startScriptedServer((call) => play(scripts[call.method] ?? { status: 500 }, call));
  owner.defer(() => listener.close());
  const egress = createEgress(listener.url);
  owner.defer(() => egress.close());
  const store = memoryStore({ idle: 60_000, lifetime: 60_000, unused: 60_000 });
  owner.defer(() => store.close());
  const key = sessionKey(mintSessionId());
  const session = { owner: ANONYMOUS, route: "/public", protocolVersion: undefined, initializeParams: "{}", bindings };
  await store.create(key, session);
  const locks = memoryLocks();
  const ender = createSessionEnder({ egress, backendOf: () => BACKEND, observe: () => undefined });
  const opener = createSessionOpener({ store, locks, rpc: createRpc(egress), ender });
  const request: OpenRequest = {
    backend: BACKEND,
    query: "",
    key,
    credentials: [],
    surfacesLogin: true,
    lastEndpoint: undefined,
    expected: 0,
    version: undefined,
  };
  const commits: boolean[] = [];
  const turn: Turn = {
    signal: never,
    bound: never,
    rest: (ms) => pause(ms, true),
    commit: (committed) => void commits.push(committed),
  };
  return {
    listener,
    store,
    key,
    commits,
    names: () => listener.calls.map(({ method }) => method),
    opener,
    request,
    turn,
  };
}

describe("the first session of a client at a backend", () => {
  test("is begun, and bound as the first generation", async () => {
    const { opener, request, turn, names, store, key, commits } = await open({ bindings: { other: OLD } });
    expect(await opener.open(request, turn)).toEqual({ kind: "opened", binding: NEW, setCookies: [], debt: 10_000 });
    expect(names()).toEqual(STEPS);
    expect(commits).toEqual([true]);
    expect(await store.load(key)).toMatchObject({ session: { bindings: { one: NEW, other: OLD } } });
  });

  test("is opened once for all who ask at once", async () => {
    const { opener, request, turn, names } = await open();
    const opened = await Promise.all(Array.from({ length: 10 }, () => opener.open(request, turn)));
    expect(opened.map(({ kind }) => kind).toSorted()).toEqual([...Array(9).fill("joined"), "opened"]);
    expect(opened).toMatchObject(Array(10).fill({ binding: NEW }));
    expect(names()).toEqual(STEPS);
  });

  test("leaves its turn to others where another router opens it, and is that one's", async () => {
    const { promise: goOn, resolve: answer } = Promise.withResolvers<void>();
    const initialize: Script = () => goOn.then(() => ANSWERS.initialize);
    const { opener, request, turn, listener } = await open({ answers: { initialize } });
    const first = opener.open(request, turn);
    await listener.called("initialize");
    // The second one's turn ends when it is left to others.
    const rest: Turn["rest"] = (ms) => {
      answer();
      return turn.rest(ms);
    };
    expect(await opener.open(request, { ...turn, rest })).toEqual({ kind: "joined", binding: NEW });
    expect((await first).kind).toBe("opened");
  });

  test("is the one that is there already", async () => {
    const { opener, request, turn, names } = await open({ bindings: { one: OLD } });
    expect(await opener.open(request, turn)).toEqual({ kind: "joined", binding: OLD });
    expect(names()).toEqual([]);
  });

  test("cannot be ended where nobody says which endpoint began it", async () => {
    const { "x-mcp-endpoint": _, ...headers } = ANSWERS.initialize?.headers ?? {};
    const initialize = { ...ANSWERS.initialize, status: 200, headers };
    const { opener, request, turn, names } = await open({ answers: { initialize } });
    expect(await opener.open(request, turn)).toEqual({ kind: "refused", why: { reason: "no-endpoint" } });
    expect(names()).toEqual(["initialize"]);
  });
});

describe("a session at one of several backends", () => {
  const ofSeveral = { ofSeveral: true };

  test("is bound with the version that the backend has agreed on, whichever the client speaks", async () => {
    const { opener, request, turn, listener } = await open();
    const binding = { ...NEW, version: "2025-06-18" };
    const opened = await opener.open({ ...request, ...ofSeveral, version: "2025-11-25" }, turn);
    expect(opened).toMatchObject({ kind: "opened", binding });
    expect(listener.calls[1]?.headers).toMatchObject({ "mcp-protocol-version": "2025-06-18" });
  });

  test("is told of the log level that its client has set while it began, and of no level twice", async () => {
    const setLevel = (level: string) => opened.store.remember(opened.key, "one", { kind: "level", params: level });
    const levels: string[] = [];
    const initialize: Script = async () => {
      await setLevel('{"level":"error"}');
      return ANSWERS.initialize;
    };
    const told: Script = async ({ body }) => {
      levels.push(JSON.parse(body).params.level);
      // Once more, after it was bound.
      if (levels.length === 2) await setLevel('{"level":"info"}');
      return { status: 200, headers: { "content-type": "application/json" }, body: '{"result":{}}' };
    };
    const opened = await open({ answers: { initialize, "logging/setLevel": told } });
    await setLevel('{"level":"debug"}');
    const { opener, request, turn } = opened;
    expect((await opener.open({ ...request, ...ofSeveral }, turn)).kind).toBe("opened");
    expect(levels).toEqual(["debug", "error", "info"]);
  });

  test("is none where the backend begins none, and that is remembered with its version", async () => {
    const { "mcp-session-id": _, ...headers } = ANSWERS.initialize?.headers ?? {};
    const initialize = { status: 200, headers, body: ANSWERS.initialize?.body ?? "" };
    const { opener, request, turn, names, store, key } = await open({ answers: { initialize } });
    const binding = { ...withoutSession("2025-06-18"), generation: 1 };
    expect(await opener.open({ ...request, ...ofSeveral }, turn)).toMatchObject({ kind: "opened", binding });
    expect(await opener.open({ ...request, ...ofSeveral }, turn)).toMatchObject({ kind: "joined", binding });
    expect(await store.load(key)).toMatchObject({ session: { bindings: { one: binding } } });
    expect(names()).toEqual(["initialize"]);
  });

  test("is a refusal where the only backend begins none", async () => {
    const { "mcp-session-id": _, ...headers } = ANSWERS.initialize?.headers ?? {};
    const initialize = { status: 200, headers, body: ANSWERS.initialize?.body ?? "" };
    const { opener, request, turn } = await open({ answers: { initialize } });
    expect(await opener.open(request, turn)).toEqual({ kind: "refused", why: { reason: "no-session" } });
  });
});

describe("a login that the backend asks for", () => {
  test.each([401, 403])("by %i is told to the caller who wants to know", async (status) => {
    const { opener, request, turn } = await open({ answers: { initialize: { status } } });
    expect(await opener.open(request, turn)).toEqual({ kind: "login" });
  });

  test("is a refusal to another", async () => {
    const { opener, request, turn } = await open({ answers: { initialize: { status: 401 } } });
    const why = { reason: "status", status: 401 };
    expect(await opener.open({ ...request, surfacesLogin: false }, turn)).toEqual({ kind: "refused", why });
  });
});

describe("a session is not opened", () => {
  test("in place of a binding that the client's session does not have", async () => {
    const { opener, request, turn } = await open();
    const why = { reason: "no-binding" };
    expect(await opener.open({ ...request, expected: 2 }, turn)).toEqual({ kind: "refused", why });
  });

  test("where the backend breaks, but may be later", async () => {
    const { opener, request, turn } = await open({ answers: { initialize: { status: 502 } } });
    const why = { reason: "status", status: 502 };
    expect(await opener.open(request, turn)).toEqual({ kind: "unavailable", what: "backend", why });
  });

  test("once the signal has come", async () => {
    const { opener, request, turn, names } = await open();
    expect(await opener.open(request, { ...turn, signal: AbortSignal.abort() })).toEqual({ kind: "aborted" });
    expect(names()).toEqual([]);
  });
});

describe("a session that has begun is ended where its connection breaks", () => {
  const breaksOff: Handler = ({ response }) => void response.destroy();

  test("in the answer to its initialize", async () => {
    const initialize: Handler = ({ response }) => {
      response.writeHead(200, { ...ANSWERS.initialize?.headers, "content-length": 100 }).write("{");
      setTimeout(() => response.destroy(), 10);
      return undefined;
    };
    const { opener, request, turn, listener } = await open({ answers: { initialize } });
    expect(await opener.open(request, turn)).toMatchObject({ kind: "broken" });
    expect((await listener.called("DELETE")).headers).toMatchObject({ "mcp-session-id": "new" });
  });

  test.each(["notifications/initialized", "logging/setLevel", "resources/subscribe"])("in %s", async (name) => {
    const { opener, request, turn, listener, store, key } = await open({ answers: { [name]: breaksOff } });
    await store.remember(key, "one", { kind: "level", params: "{}" });
    await store.remember(key, "one", { kind: "subscribe", uri: "a", params: "{}" });
    expect(await opener.open(request, turn)).toMatchObject({ kind: "broken" });
    expect((await listener.called("DELETE")).headers).toMatchObject({ "mcp-session-id": "new" });
    expect(await store.load(key)).toMatchObject({ session: { bindings: {} } });
  });
});

test("each failure has words of its own for the log", () => {
  const failures: Failure[] = [
    { reason: "session-ended" },
    { reason: "no-binding" },
    { reason: "no-session" },
    { reason: "several-sessions" },
    { reason: "no-endpoint" },
    { reason: "lost-at-once" },
    { reason: "timeout" },
    { reason: "status", status: 401 },
    { reason: "version", backend: "2025-06-18", client: "2024-11-05" },
    { reason: "broken", error: "reset" },
  ];
  expect(new Set(failures.map(describeFailure)).size).toBe(failures.length);
});
