import { describe, expect, test } from "vitest";
import { createAdmission } from "../../src/admission/admission.ts";
import { memoryLedger } from "../../src/admission/memory.ts";
import type { Claims } from "../../src/core/http.ts";
import type { Identity } from "../../src/core/identity.ts";
import { createGateway, type Exchange, type RequestEvent } from "../../src/gateway.ts";
import { mintSessionId, parseSessionId, principalDigest, sessionKey } from "../../src/sessions/id.ts";
import { memoryStore } from "../../src/sessions/memory.ts";
import { ANONYMOUS, type SessionStore } from "../../src/sessions/store.ts";
import { fields } from "./core/fields.ts";
import { POLICY } from "./core/policy.ts";

const policy = POLICY;
/** The rest of an answer's head, where the backend gave it. */
const ANSWER = { flags: 0, endOfStream: false };
const LIFESPAN = { idle: 8_000, lifetime: 60_000 };
const unavailable = async () => ({ kind: "unavailable" }) as const;
const unknown = async () => ({ kind: "unknown" }) as const;
const call = '{"jsonrpc":"2.0","id":"x","method":"tools/list"}';
const initialize =
  '{"jsonrpc":"2.0","id":"x","method":"initialize","params":{"protocolVersion":"2025-11-25","n":9007199254740993}}';

/** A gateway over a memory store with one session in it, parts of which can be made to fail. */
async function open(over: Partial<SessionStore> = {}, identity: Identity = { kind: "none" }) {
  let now = 0;
  const store = memoryStore({ ...LIFESPAN, now: () => now });
  const id = mintSessionId();
  const binding = { sessionId: "backend-id", endpoint: "10.0.0.1:80", generation: 1 };
  await store.create(sessionKey(id), {
    owner: ANONYMOUS,
    route: "/mcp",
    protocolVersion: undefined,
    initializeParams: "{}",
    bindings: { one: binding },
  });
  const events: RequestEvent[] = [];
  const ledger = memoryLedger({ now: () => now });
  const abandoned: string[] = [];
  const gateway = createGateway({
    policy: () => ({ ...policy, identity }),
    store: { ...store, ...over },
    ledger,
    admission: createAdmission(ledger),
    keeper: { keep: () => undefined },
    abandon: (backend, { sessionId }) => void abandoned.push(`${backend} ${sessionId}`),
    observe: (event) => void events.push(event),
  });
  return {
    gateway,
    exchange: gateway.open(),
    store,
    ledger,
    abandoned,
    id,
    events,
    advance: (ms: number) => (now += ms),
  };
}

function head(
  exchange: Exchange,
  method: string,
  session?: string,
  { claims, user }: { readonly claims?: Claims; readonly user?: string } = {},
) {
  const headers = fields({
    ":method": method,
    ":path": "/mcp",
    ":authority": "gw",
    "content-type": "application/json",
    accept: "text/event-stream",
    ...(session !== undefined && { "mcp-session-id": session }),
    ...(user !== undefined && { "x-user": user }),
  });
  return exchange.requestHeaders({ headers, endOfStream: method !== "POST", ...(claims && { claims }) });
}

const reply = (status: number, id: string | undefined) =>
  expect.objectContaining({
    kind: "reply",
    status,
    body: id === undefined ? expect.not.stringContaining('"id"') : expect.stringContaining(`"id":${id}`),
  });
const pinned = expect.objectContaining({
  kind: "mutate",
  set: expect.arrayContaining([["mcp-session-id", "backend-id"]]),
});

describe("while the store is away", () => {
  test("a session's messages get 503 with their id, its streams and its end too, and none goes through unpinned", async () => {
    const post = await open({ find: unavailable });
    head(post.exchange, "POST", post.id);
    expect(await post.exchange.requestBody(Buffer.from(call))).toEqual(reply(503, '"x"'));
    for (const method of ["GET", "DELETE"]) {
      const { exchange, id } = await open({ find: unavailable });
      expect(await head(exchange, method, id)).toEqual(reply(503, undefined));
    }
  });

  test("a touch that fails is a 503", async () => {
    const { exchange, id, advance } = await open({ touch: unavailable });
    advance(LIFESPAN.idle / 2);
    head(exchange, "POST", id);
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(reply(503, '"x"'));
  });

  test("an end that fails is a 503", async () => {
    const { exchange, id } = await open({ remove: unavailable });
    expect(await head(exchange, "DELETE", id)).toEqual(reply(503, undefined));
  });

  test("a session that the backend began is not given out: the initialize gets 503", async () => {
    const { exchange, events } = await open({ create: unavailable });
    head(exchange, "POST");
    await exchange.requestBody(Buffer.from(initialize));
    const headers = fields({ ":status": "200", "mcp-session-id": "backend-id" });
    expect(await exchange.responseHeaders({ headers, endpoint: "10.0.0.1:80", ...ANSWER })).toEqual(reply(503, '"x"'));
    expect(events.some(({ kind }) => kind === "session-created")).toBe(false);
  });

  test("what needs no session goes on", async () => {
    const { exchange } = await open({ find: unavailable });
    head(exchange, "POST");
    expect(await exchange.requestBody(Buffer.from(call))).toMatchObject({ kind: "mutate" });
  });
});

describe("a session that ends while its request is under way", () => {
  test("is unknown where its touch is due", async () => {
    const { exchange, id, advance } = await open({ touch: unknown });
    advance(LIFESPAN.idle / 2);
    head(exchange, "POST", id);
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(reply(404, '"x"'));
  });

  test("is unknown to the slower of two ends", async () => {
    const { exchange, id } = await open({ remove: unknown });
    expect(await head(exchange, "DELETE", id)).toEqual(reply(404, undefined));
  });
});

describe("the expiry of a session", () => {
  test.each(["POST", "GET"])("slides by a %s when an eighth of idle has gone by", async (method) => {
    const { exchange, id, store, advance } = await open();
    advance(LIFESPAN.idle / 2);
    const verdict = head(exchange, method, id);
    expect(await (method === "POST" ? exchange.requestBody(Buffer.from(call)) : verdict)).toEqual(pinned);
    expect(await store.find(sessionKey(id))).toMatchObject({ touchDue: false });
  });

  test("costs no write before that", async () => {
    const { exchange, id } = await open({ touch: () => Promise.reject(new Error("touched")) });
    head(exchange, "POST", id);
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(pinned);
  });
});

describe("a body of a request that is no message", () => {
  test.each(["GET", "DELETE"])("is none of ours: a %s is decided by its head", async (method) => {
    const { exchange, id } = await open();
    expect(await head(exchange, method, id)).toEqual(pinned);
    expect(await exchange.requestBody(Buffer.from(initialize))).toEqual({ kind: "continue" });
    const headers = fields({ ":status": "200", "mcp-session-id": "backend-id" });
    expect(await exchange.responseHeaders({ headers, endpoint: "10.0.0.1:80", ...ANSWER })).toMatchObject({
      set: [["mcp-session-id", id]],
    });
  });
});

test("a session of another route is unknown, also where both routes lead to one backend", async () => {
  const { exchange, store, id } = await open();
  const found = await store.find(sessionKey(id));
  if (found.kind !== "found") throw new Error("unreachable");
  const other = mintSessionId();
  await store.create(sessionKey(other), { ...found.session, route: "/other" });
  head(exchange, "POST", other);
  expect(await exchange.requestBody(Buffer.from(call))).toEqual(reply(404, '"x"'));
});

test("a store that breaks its promise and rejects costs one request, and not the process", async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", note);
  const { exchange, id } = await open({ find: () => Promise.reject(new Error("broken")) });
  head(exchange, "POST", id);
  expect(await exchange.requestBody(Buffer.from(initialize))).toMatchObject({ kind: "mutate" });
  await new Promise((resolve) => setImmediate(resolve));
  process.removeListener("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

describe("another principal's session", () => {
  test("is unknown, and lives on", async () => {
    const { exchange, store, id } = await open();
    const theirs = mintSessionId();
    const found = await store.find(sessionKey(id));
    if (found.kind !== "found") throw new Error("unreachable");
    await store.create(sessionKey(theirs), { ...found.session, owner: "somebody" });
    head(exchange, "POST", theirs);
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(reply(404, '"x"'));
    expect(await store.find(sessionKey(theirs))).toMatchObject({ kind: "found" });
  });
});

describe("a principal", () => {
  const issuer = "https://issuer";
  const jwt = (required: boolean): Identity => ({ kind: "jwt", issuer, required });
  const byHeader: Identity = { kind: "header", name: "x-user", required: true };
  const ada = { claims: { issuer, subject: "ada" } };
  const bob = { claims: { issuer, subject: "bob" } };
  const nobody = {};

  /** A gateway in which `who` has begun a session, and a way to call in it. */
  async function begun(who: Parameters<typeof head>[3], identity: Identity) {
    const opened = await open({}, identity);
    head(opened.exchange, "POST", undefined, who);
    await opened.exchange.requestBody(Buffer.from(initialize));
    const headers = fields({ ":status": "200", "mcp-session-id": "backend-id" });
    const verdict = await opened.exchange.responseHeaders({ headers, endpoint: "10.0.0.1:80", ...ANSWER });
    const id = parseSessionId((verdict.kind === "mutate" ? verdict.set[0]?.[1] : undefined) ?? "");
    if (id === undefined) throw new Error("no session");
    const callAs = async (caller: Parameters<typeof head>[3]) => {
      const exchange = opened.gateway.open();
      head(exchange, "POST", id, caller);
      return exchange.requestBody(Buffer.from(call));
    };
    const endAs = async (caller: Parameters<typeof head>[3]) => head(opened.gateway.open(), "DELETE", id, caller);
    return { ...opened, id, callAs, endAs };
  }

  test("owns its sessions: to others, and to nobody, they are unknown, also to end, and the owner goes on", async () => {
    const { callAs, endAs } = await begun(ada, jwt(false));
    for (const caller of [bob, nobody, { claims: { issuer: "https://other", subject: "ada" } }]) {
      expect(await callAs(caller)).toEqual(reply(404, '"x"'));
      expect(await endAs(caller)).toEqual(reply(404, undefined));
    }
    expect(await callAs(ada)).toEqual(pinned);
    expect(await endAs(ada)).toEqual(pinned);
  });

  test("has no use of a session that nobody owns", async () => {
    const { callAs } = await begun(nobody, jwt(false));
    expect(await callAs(ada)).toEqual(reply(404, '"x"'));
    expect(await callAs(nobody)).toEqual(pinned);
  });

  test("is stored as a digest of issuer and subject, which never run together", async () => {
    const { store, id } = await begun(ada, jwt(true));
    const found = await store.find(sessionKey(id));
    if (found.kind !== "found") throw new Error("unreachable");
    expect(found.session.owner).toMatch(/^[\w-]{43}$/);
    expect(found.session.owner).toBe(principalDigest([issuer, "ada"]));
    expect(principalDigest(["ab", "c"])).not.toBe(principalDigest(["a", "bc"]));
    expect(principalDigest(["a1:b"])).not.toBe(principalDigest(["a", "b"]));
  });

  test("is the value of a header where that is its kind", async () => {
    const { callAs } = await begun({ user: "ada" }, byHeader);
    expect(await callAs({ user: "ada" })).toEqual(pinned);
    expect(await callAs({ user: "bob" })).toEqual(reply(404, '"x"'));
  });

  test.each([
    ["no claims", jwt(true), nobody],
    ["claims of another issuer", jwt(true), { claims: { issuer: "https://other", subject: "ada" } }],
    ["a header of that name, but no claims", jwt(true), { user: "ada" }],
    ["no header", byHeader, nobody],
    ["an empty header", byHeader, { user: "" }],
    ["claims, but no header", byHeader, ada],
  ])("that is required is asked for before the store is: %s", async (_, identity, who) => {
    const find = () => {
      throw new Error("the store was asked");
    };
    const { gateway, id, events } = await open({ find }, identity);
    for (const method of ["POST", "GET", "DELETE"])
      expect(head(gateway.open(), method, id, who)).toMatchObject({
        status: 401,
        headers: expect.arrayContaining([["www-authenticate", "Bearer"]]),
        body: expect.stringContaining('"code":-32600,"message":"Authentication required"'),
      });
    expect(events).toContainEqual({ kind: "rejected", reason: "unauthenticated", route: undefined });
  });

  test("is not asked for where identity is none, and claims count for nothing", async () => {
    const { exchange, id } = await open();
    head(exchange, "POST", id, ada);
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(pinned);
  });
});

describe("an initialize", () => {
  const answerOf = (exchange: Exchange, headers: Record<string, string>, endpoint: string | undefined) =>
    exchange.responseHeaders({ headers: fields(headers), endpoint, ...ANSWER });
  const begin = async () => {
    const opened = await open();
    head(opened.exchange, "POST");
    await opened.exchange.requestBody(Buffer.from(initialize));
    return opened;
  };

  test("that the backend takes begins a session, bound to who answered, with the client's params as written", async () => {
    const { exchange, store, events } = await begin();
    const verdict = await answerOf(exchange, { ":status": "200", "mcp-session-id": "new-id" }, "10.0.0.9:80");
    expect(verdict).toMatchObject({ kind: "mutate", set: [["mcp-session-id", expect.stringMatching(/^[\w-]{43}$/)]] });
    expect(events.at(-1)).toMatchObject({ kind: "session-created", endpoint: "10.0.0.9:80" });
    const given = verdict.kind === "mutate" ? verdict.set[0]?.[1] : undefined;
    const id = parseSessionId(given ?? "");
    if (id === undefined) throw new Error(`no session id: ${given}`);
    expect(await store.find(sessionKey(id))).toMatchObject({
      session: {
        owner: ANONYMOUS,
        route: "/mcp",
        protocolVersion: "2025-11-25",
        initializeParams: '{"protocolVersion":"2025-11-25","n":9007199254740993}',
        bindings: { one: { sessionId: "new-id", endpoint: "10.0.0.9:80", generation: 1 } },
      },
    });
  });

  test("whose answer does not tell the endpoint is a fault, and not a session that works by chance", async () => {
    const { exchange, store } = await begin();
    expect(() => answerOf(exchange, { ":status": "200", "mcp-session-id": "new-id" }, undefined)).toThrow(
      "upstream.address",
    );
    expect(store.size).toBe(1);
  });

  test.each([
    ["that gives no session", { ":status": "200" }, "10.0.0.9:80"],
    ["that fails", { ":status": "500", "mcp-session-id": "new-id" }, "10.0.0.9:80"],
  ])("with an answer %s begins none, and shows no id", async (_, headers, endpoint) => {
    const { exchange, store } = await begin();
    const verdict = await answerOf(exchange, headers, endpoint);
    expect(verdict).toEqual(
      "mcp-session-id" in headers
        ? { kind: "mutate", set: [], remove: ["mcp-session-id"], clearRoute: false }
        : { kind: "continue" },
    );
    expect(store.size).toBe(1);
  });
});

test("a refusal after the body was read carries the request's id also when it is our own fault", async () => {
  const { exchange } = await open();
  head(exchange, "POST");
  await exchange.requestBody(Buffer.from(call));
  expect(exchange.fault()).toEqual(reply(500, '"x"'));
});

test("an answer without a request, such as a 401 of a filter ahead, goes on", async () => {
  const { exchange } = await open();
  expect(exchange.responseHeaders({ headers: fields({ ":status": "401" }), endpoint: undefined, ...ANSWER })).toEqual({
    kind: "continue",
  });
});

test("a body without an accepted head is a fault", async () => {
  const { exchange } = await open();
  expect(() => exchange.requestBody(Buffer.from(call))).toThrow("without an accepted request head");
});
