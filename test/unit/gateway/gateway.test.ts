import { describe, expect, test, vi } from "vitest";
import type { AdmissionCaps } from "../../../src/admission/admission.ts";
import { type Ledger, NO_CAPS, RESERVATION_MS } from "../../../src/admission/ledger.ts";
import type { Claims } from "../../../src/core/http.ts";
import type { Identity } from "../../../src/core/identity.ts";
import type { Exchange } from "../../../src/gateway/exchange.ts";
import { mintSessionId, parseSessionId, principalDigest, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS, type SessionStore } from "../../../src/sessions/store.ts";
import { unavailable } from "../../support/unavailable.ts";
import { claims as claimsOf } from "../core/claims.ts";
import { fields } from "../core/fields.ts";
import { BACKEND } from "../core/policy.ts";
import { LIFESPAN, type OpenOptions, openGateway } from "./open.ts";

/** The rest of an answer's head, where the backend gave it. */
const ANSWER = { flags: 0, endOfStream: false };
const unknown = async () => ({ kind: "unknown" }) as const;
const call = '{"jsonrpc":"2.0","id":"x","method":"tools/list"}';
const initialize =
  '{"jsonrpc":"2.0","id":"x","method":"initialize","params":{"protocolVersion":"2025-11-25","n":9007199254740993}}';

type Limits = Omit<OpenOptions, "store" | "identity">;

const open = (store: Partial<SessionStore> = {}, identity: Identity = { kind: "none" }, limits: Limits = {}) =>
  openGateway({ store, identity, ...limits });

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
  const inBand = expect.objectContaining({
    kind: "reply",
    status: 200,
    headers: [["content-type", "application/json"]],
    body: expect.stringMatching(
      /^\{"jsonrpc":"2.0","id":"x","error":\{"code":-32603,.*"data":\{"retryAfterMs":1000\}\}\}$/,
    ),
  });

  test("a session's requests get an error in band, and none goes through unpinned", async () => {
    const post = await open({ find: unavailable });
    head(post.exchange, "POST", post.id);
    expect(await post.exchange.requestBody(Buffer.from(call))).toEqual(inBand);
    expect(post.events).toContainEqual(expect.objectContaining({ kind: "rejected", reason: "store-unavailable" }));
  });

  test.each([
    ["notification", '{"jsonrpc":"2.0","method":"notifications/cancelled"}'],
    ["response", '{"jsonrpc":"2.0","id":1,"result":{}}'],
    ["batch", `[${call}]`],
  ])("a %s of a session gets 503, as no id could be answered", async (_, body) => {
    const { exchange, id } = await open({ find: unavailable });
    head(exchange, "POST", id);
    expect(await exchange.requestBody(Buffer.from(body))).toEqual(reply(503, undefined));
  });

  test("a session's streams and its end get 503", async () => {
    for (const method of ["GET", "DELETE"]) {
      const { exchange, id } = await open({ find: unavailable });
      expect(await head(exchange, method, id)).toEqual(reply(503, undefined));
    }
  });

  test("a request goes on whose session was found, though its expiry cannot slide", async () => {
    const { exchange, id, advance } = await open({ touch: unavailable });
    advance(LIFESPAN.idle / 2);
    head(exchange, "POST", id);
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(pinned);
  });

  describe("for a moment", () => {
    /** Away for so many tries of each operation, during which `retry` is asked. */
    async function openAway(tries: number) {
      const left = { find: tries, touch: tries };
      const retry = vi.fn(async () => true);
      const cancel = vi.fn();
      const outageWait = vi.fn(() => ({ retry, cancel }));
      const { store, ...rest } = await open({
        find: (...args) => (left.find-- > 0 ? unavailable() : store.find(...args)),
        touch: (...args) => (left.touch-- > 0 ? unavailable() : store.touch(...args)),
        outageWait,
      });
      return { ...rest, retry, cancel, outageWait };
    }

    test.each(["POST", "GET", "DELETE"])("a %s in a session waits, and goes on", async (method) => {
      const { exchange, id, retry, advance } = await openAway(3);
      advance(LIFESPAN.idle / 2);
      const verdict = head(exchange, method, id);
      expect(await (method === "POST" ? exchange.requestBody(Buffer.from(call)) : verdict)).toEqual(pinned);
      // The end of a session touches it no more.
      expect(retry).toHaveBeenCalledTimes(method === "DELETE" ? 3 : 6);
    });

    test("what a request keeps in memory meanwhile is told", async () => {
      const { exchange, id, outageWait } = await openAway(1);
      head(exchange, "POST", id);
      await exchange.requestBody(Buffer.from(call));
      expect(outageWait.mock.calls).toEqual([[Buffer.byteLength(call)]]);
    });

    test("a request whose client leaves waits no more", async () => {
      const { exchange, id, retry, cancel } = await openAway(Number.POSITIVE_INFINITY);
      const waiting = Promise.withResolvers<boolean>();
      retry.mockReturnValue(waiting.promise);
      cancel.mockImplementation(() => waiting.resolve(false));
      head(exchange, "POST", id);
      const verdict = exchange.requestBody(Buffer.from(call));
      await vi.waitFor(() => expect(retry).toHaveBeenCalled());
      exchange.closed();
      expect(await verdict).toEqual(inBand);
      expect(cancel).toHaveBeenCalledTimes(1);
    });

    test("one whose store answers asks nobody how long to wait", async () => {
      const { exchange, id, outageWait } = await openAway(0);
      head(exchange, "POST", id);
      await exchange.requestBody(Buffer.from(call));
      expect(outageWait).not.toHaveBeenCalled();
    });
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
    expect(await store.find(sessionKey(id), "one")).toMatchObject({ touchDue: false });
  });

  test("slides by each GET: while its stream is open, nothing else may use the session", async () => {
    let touches = 0;
    const touch: SessionStore["touch"] = async () => {
      touches++;
      return {
        kind: "touched",
        expiresIn: LIFESPAN.idle,
        binding: { sessionId: "backend-id", endpoint: "10.0.0.1:80", generation: 1 },
      };
    };
    const { exchange, gateway, id } = await open({ touch });
    for (const opened of [exchange, gateway.open()]) expect(await head(opened, "GET", id)).toEqual(pinned);
    expect(touches).toBe(2);
  });

  test("costs no write before that", async () => {
    const { exchange, id } = await open({ touch: () => Promise.reject(new Error("touched")) });
    head(exchange, "POST", id);
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(pinned);
  });
});

describe("a request that names its session in an odd way", () => {
  test.each(["", " ", ","])("by %j names none, and the backend decides", async (session) => {
    for (const method of ["POST", "GET", "DELETE"]) {
      const { exchange } = await open();
      const verdict = await head(exchange, method, session);
      expect(method === "POST" ? await exchange.requestBody(Buffer.from(call)) : verdict).toMatchObject({
        kind: "mutate",
        set: expect.not.arrayContaining([expect.arrayContaining(["mcp-session-id"])]),
        remove: expect.arrayContaining(["mcp-session-id"]),
      });
    }
  });

  test("by writing it twice names it", async () => {
    const { exchange, id } = await open();
    head(exchange, "POST", `${id}, ${id}`);
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(pinned);
  });

  test("by two ids names none that there is", async () => {
    const { exchange, id } = await open();
    head(exchange, "POST", `${id}, ${mintSessionId()}`);
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(reply(404, '"x"'));
  });
});

describe("the DELETE of a session", () => {
  const ended = async (headers: Record<string, string>, endpoint: string | undefined = "10.0.0.1:80", flags = 0) => {
    const opened = await open();
    await head(opened.exchange, "DELETE", opened.id);
    const verdict = await opened.exchange.responseHeaders({
      headers: fields(headers),
      endpoint,
      flags,
      endOfStream: true,
    });
    return { ...opened, verdict };
  };
  const done = { kind: "reply", status: 204, headers: [], body: "" };

  test.each(["200", "202", "204"])("is answered as its backend answers, by %s", async (status) => {
    const { verdict, abandoned } = await ended({ ":status": status });
    expect(verdict).toEqual({ kind: "continue" });
    expect(abandoned).toEqual([]);
  });

  test.each([
    ["404", []],
    ["405", []],
    ["400", ["one backend-id"]],
    ["401", ["one backend-id"]],
    ["307", ["one backend-id"]],
    ["500", ["one backend-id"]],
  ])(
    "is answered by 204 where its backend says %s, which is told once more if it may not know: %j",
    async (status, told) => {
      const { verdict, abandoned, events } = await ended({ ":status": status, location: "/elsewhere" });
      expect(verdict).toMatchObject(done);
      expect(abandoned).toEqual(told);
      expect(events.filter(({ kind }) => kind === "endpoint-doubtful")).toHaveLength(status === "307" ? 1 : 0);
    },
  );

  test("is answered by 204 where its backend is away", async () => {
    expect((await ended({ ":status": "503" }, undefined, 0x20)).verdict).toMatchObject(done);
  });

  test("is the router's to tell where its client left before the backend answered", async () => {
    const { exchange, id, abandoned } = await open();
    await head(exchange, "DELETE", id);
    expect(abandoned).toEqual([]);
    exchange.closed();
    expect(abandoned).toEqual(["one backend-id"]);
  });

  test("is the router's to tell where its client left before it was sent", async () => {
    const removing = Promise.withResolvers<void>();
    const remove: SessionStore["remove"] = async (key) => {
      await removing.promise;
      return opened.store.remove(key);
    };
    const opened = await open({ remove });
    const { exchange, id, key, abandoned } = opened;
    const verdict = head(exchange, "DELETE", id);
    exchange.closed();
    removing.resolve();
    await verdict;
    expect(abandoned).toEqual(["one backend-id"]);
    expect((await opened.store.load(key)).kind).toBe("unknown");
  });

  test("is not told again when a request ends that was answered", async () => {
    const { exchange, abandoned } = await ended({ ":status": "200" });
    exchange.closed();
    expect(abandoned).toEqual([]);
  });

  test("that is none of ours is its backend's to answer", async () => {
    const { exchange } = await open();
    await head(exchange, "DELETE");
    const headers = fields({ ":status": "405" });
    expect(await exchange.responseHeaders({ headers, endpoint: "10.0.0.1:80", ...ANSWER })).toEqual({
      kind: "continue",
    });
  });
});

describe("a parked session", () => {
  const another = { sessionId: "another-id", endpoint: "10.0.0.2:80", generation: 2 };
  const resumed = { kind: "resumed", binding: another, cookie: undefined } as const;
  /** A gateway whose session is parked. */
  const park = async (limits: Limits = {}, over: Partial<SessionStore> = {}) => {
    const opened = await open(over, undefined, { resume: async () => resumed, ...limits });
    await opened.store.park(sessionKey(opened.id), 0);
    return opened;
  };
  const ask = async (exchange: Exchange, method: string, id: string) => {
    const decided = head(exchange, method, id);
    return method === "POST" ? exchange.requestBody(Buffer.from(call)) : decided;
  };
  const pinnedAnew = expect.objectContaining({
    kind: "mutate",
    set: expect.arrayContaining([
      ["mcp-session-id", "another-id"],
      ["x-mcp-endpoint", "10.0.0.2:80"],
    ]),
  });

  test.each(["POST", "GET"])("is begun anew before its %s is sent anywhere, for which Envoy waits", async (method) => {
    const { exchange, id, resumed: asked } = await park();
    const later = await ask(exchange, method, id);
    expect(later).toMatchObject({
      kind: "deferred",
      messageTimeout: BACKEND.timeouts.initialize + 1_000,
    });
    expect(later.kind === "deferred" && (await later.verdict)).toEqual(pinnedAnew);
    expect(asked).toMatchObject([{ key: sessionKey(id), binding: { sessionId: "backend-id", generation: 1 } }]);
  });

  test("has its cookies go with the request", async () => {
    const { exchange, id } = await park({ resume: async () => ({ ...resumed, cookie: "LB=2" }) });
    const later = await ask(exchange, "POST", id);
    expect(later.kind === "deferred" && (await later.verdict)).toMatchObject({
      set: expect.arrayContaining([["cookie", "LB=2"]]),
    });
  });

  test("that was parked while its request was looked at is begun anew too", async () => {
    const { exchange, id, store, advance } = await open({}, undefined, { resume: async () => resumed });
    advance(LIFESPAN.idle / 2);
    head(exchange, "POST", id);
    // It is found already.
    await store.park(sessionKey(id), 0);
    expect(await exchange.requestBody(Buffer.from(call))).toMatchObject({ kind: "deferred" });
  });

  test("is unknown where it cannot be begun anew, under the request's id", async () => {
    const { exchange, id } = await park({ resume: async () => ({ kind: "none" }) });
    const later = await ask(exchange, "POST", id);
    expect(later.kind === "deferred" && (await later.verdict)).toEqual(reply(404, '"x"'));
  });

  test.each([
    ["store-away", "POST", 200, "store-unavailable"],
    ["store-away", "GET", 503, "store-unavailable"],
    ["backend-away", "POST", 200, "backend-unavailable"],
  ] as const)(
    "is not given up where it may be begun anew later (%s): %s gets %i",
    async (kind, method, status, reason) => {
      const { exchange, id, events } = await park({ resume: async () => ({ kind }) });
      const later = await ask(exchange, method, id);
      expect(later.kind === "deferred" && (await later.verdict)).toMatchObject({ kind: "reply", status });
      expect(events).toContainEqual(expect.objectContaining({ kind: "rejected", reason }));
    },
  );

  test("is waited for no longer than its request", async () => {
    let waiting: AbortSignal | undefined;
    const { exchange, id } = await park({
      resume: (signal) => {
        waiting = signal;
        return new Promise(() => undefined);
      },
    });
    await ask(exchange, "POST", id);
    expect(waiting?.aborted).toBe(false);
    exchange.closed();
    expect(waiting?.aborted).toBe(true);
  });

  test("takes a slot again with its use, above the caps", async () => {
    const { exchange, id, ledger } = await park({ caps: { sessions: 1 } });
    await ledger.hold({ key: sessionKey(mintSessionId()), principal: ANONYMOUS }, LIFESPAN.idle, NO_CAPS, "used");
    await ask(exchange, "GET", id);
    await new Promise((resolve) => setImmediate(resolve));
    expect(ledger.size.live).toBe(2);
  });

  test.each(["POST", "GET"])("has ended where its %s finds twice the caps, and nothing begins", async (method) => {
    const { exchange, id, ledger, store, resumed: asked } = await park({ caps: { sessions: 2 } });
    for (let n = 0; n < 4; n++)
      await ledger.hold({ key: sessionKey(mintSessionId()), principal: ANONYMOUS }, LIFESPAN.idle, NO_CAPS, "used");
    expect(await ask(exchange, method, id)).toEqual(reply(404, method === "POST" ? '"x"' : undefined));
    expect(asked).toEqual([]);
    expect(await store.find(sessionKey(id), "one")).toEqual({ kind: "unknown" });
    expect(ledger.size).toMatchObject({ live: 4, parked: 0 });
  });

  test("has ended there also where it was parked while its body was waited for", async () => {
    const opened = await open({}, undefined, { resume: async () => resumed, caps: { sessions: 2 } });
    const { exchange, id, ledger, store, resumed: asked, advance } = opened;
    advance(LIFESPAN.idle / 2);
    head(exchange, "POST", id);
    await store.park(sessionKey(id), 0);
    for (let n = 0; n < 4; n++)
      await ledger.hold({ key: sessionKey(mintSessionId()), principal: ANONYMOUS }, LIFESPAN.idle, NO_CAPS, "used");
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(reply(404, '"x"'));
    expect(asked).toEqual([]);
    expect(ledger.size).toMatchObject({ live: 4, parked: 0 });
  });

  test.each(["hold", "touch"])("begins nothing where the store takes no %s", async (name) => {
    const ledger = name === "hold" ? { ledger: () => ({ hold: unavailable }) } : {};
    const { exchange, id, resumed: asked } = await park(ledger, name === "touch" ? { touch: unavailable } : {});
    expect(await ask(exchange, "POST", id)).toMatchObject({ kind: "reply", status: 200 });
    expect(asked).toEqual([]);
  });

  test("ends by its DELETE, and its backend is not asked", async () => {
    const { exchange, id, store, events } = await park();
    expect(await ask(exchange, "DELETE", id)).toMatchObject({ kind: "reply", status: 204, body: "" });
    expect(await store.find(sessionKey(id), "one")).toEqual({ kind: "unknown" });
    expect(events).toMatchObject([{ kind: "session-ended" }]);
  });
});

describe("a request in a session", () => {
  test.each(["POST", "GET"])("is under way until it ends: a %s", async (method) => {
    const { exchange, id, uses } = await open();
    const decided = head(exchange, method, id);
    await (method === "POST" ? exchange.requestBody(Buffer.from(call)) : decided);
    expect([...uses]).toEqual([{ key: sessionKey(id), principal: ANONYMOUS, backend: "one" }]);
    exchange.closed();
    expect(uses.size).toBe(0);
  });

  test("that is refused, or has ended before it was sent, is not under way", async () => {
    const { gateway, id, uses } = await open();
    const refused = gateway.open();
    head(refused, "POST", mintSessionId());
    await refused.requestBody(Buffer.from(call));
    const left = gateway.open();
    head(left, "POST", id);
    const decided = left.requestBody(Buffer.from(call));
    left.closed();
    await decided;
    expect(uses.size).toBe(0);
  });
});

describe("a body of a request that is no message", () => {
  test.each(["GET", "DELETE"])("does not go on: a %s is decided by its head", async (method) => {
    const { exchange, id } = await open();
    expect(await head(exchange, method, id)).toEqual(pinned);
    expect(await exchange.requestBody(Buffer.from(initialize))).toEqual({ kind: "drop-body" });
    expect(await exchange.requestBody(new Uint8Array())).toEqual({ kind: "continue" });
    const headers = fields({ ":status": "200", "mcp-session-id": "backend-id" });
    expect(await exchange.responseHeaders({ headers, endpoint: "10.0.0.1:80", ...ANSWER })).toMatchObject({
      set: [["mcp-session-id", id]],
    });
  });
});

test("a session of another route is unknown, also where both routes lead to one backend", async () => {
  const { exchange, store, id } = await open();
  const found = await store.load(sessionKey(id));
  if (found.kind !== "loaded") throw new Error("unreachable");
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
    const found = await store.load(sessionKey(id));
    if (found.kind !== "loaded") throw new Error("unreachable");
    await store.create(sessionKey(theirs), { ...found.session, owner: "somebody" });
    head(exchange, "POST", theirs);
    expect(await exchange.requestBody(Buffer.from(call))).toEqual(reply(404, '"x"'));
    expect(await store.load(sessionKey(theirs))).toMatchObject({ kind: "loaded" });
  });
});

describe("a principal", () => {
  const issuer = "https://issuer";
  const jwt = (required: boolean): Identity => ({ kind: "jwt", issuer, required });
  const byHeader: Identity = { kind: "header", name: "x-user", required: true };
  const ada = { claims: claimsOf({ iss: issuer, sub: "ada" }) };
  const bob = { claims: claimsOf({ iss: issuer, sub: "bob" }) };
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
    for (const caller of [bob, nobody, { claims: claimsOf({ iss: "https://other", sub: "ada" }) }]) {
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
    const found = await store.load(sessionKey(id));
    if (found.kind !== "loaded") throw new Error("unreachable");
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
    ["claims of another issuer", jwt(true), { claims: claimsOf({ iss: "https://other", sub: "ada" }) }],
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
    expect(await store.load(sessionKey(id))).toMatchObject({
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

describe("an answer that shows that a backend's endpoint is elsewhere", () => {
  const answerTo = async (message: string, headers: Record<string, string>, endpoint: string | undefined) => {
    const { exchange, events } = await open();
    await head(exchange, "POST");
    await exchange.requestBody(Buffer.from(message));
    const verdict = await exchange.responseHeaders({
      headers: fields(headers),
      endpoint,
      flags: 0,
      endOfStream: false,
    });
    return { verdict, doubts: events.filter(({ kind }) => kind === "endpoint-doubtful") };
  };
  const REDIRECT = { ":status": "307", location: "/mcp/" };

  test("by a redirect is not the client's, and is told", async () => {
    const { verdict, doubts } = await answerTo(call, REDIRECT, "10.0.0.1:80");
    expect(verdict).toEqual(reply(502, '"x"'));
    expect(doubts).toEqual([
      expect.objectContaining({ method: "POST", fault: expect.objectContaining({ status: "307" }) }),
    ]);
  });

  test("is none where the redirect is Envoy's own", async () => {
    const { verdict, doubts } = await answerTo(call, REDIRECT, undefined);
    expect(verdict).toEqual({ kind: "continue" });
    expect(doubts).toEqual([]);
  });

  test.each([
    [{ ":status": "404" }, "10.0.0.1:80", 1],
    [{ ":status": "200", "content-type": "text/html" }, "10.0.0.1:80", 1],
    [{ ":status": "404" }, undefined, 0],
    [{ ":status": "200", "content-type": "application/json" }, "10.0.0.1:80", 0],
  ])("to an initialize goes on and is told: %j by %s", async (headers, endpoint, told) => {
    const { verdict, doubts } = await answerTo(initialize, headers, endpoint);
    expect(verdict).toEqual({ kind: "continue" });
    expect(doubts).toHaveLength(told);
  });

  test("of a call in no session is none by its status or type", async () => {
    expect((await answerTo(call, { ":status": "404", "content-type": "text/html" }, "10.0.0.1:80")).doubts).toEqual([]);
  });
});

describe("the session ids in the answer to an initialize", () => {
  const answerBy = async (ids: string) => {
    const opened = await open();
    await head(opened.exchange, "POST");
    await opened.exchange.requestBody(Buffer.from(initialize));
    const headers = fields({ ":status": "200", "content-type": "application/json", "mcp-session-id": ids });
    const verdict = await opened.exchange.responseHeaders({ headers, endpoint: "10.0.0.9:80", ...ANSWER });
    return { ...opened, verdict };
  };

  test("are one where they are alike", async () => {
    const { verdict, store, gateway, events } = await answerBy("new-id, new-id");
    expect(verdict).toMatchObject({ kind: "mutate", set: [["mcp-session-id", expect.any(String)]] });
    expect(store.size).toBe(2);
    const [[, id] = []] = verdict.kind === "mutate" ? verdict.set : [];
    expect(await head(gateway.open(), "GET", id)).toMatchObject({
      set: expect.arrayContaining([["mcp-session-id", "new-id"]]),
    });
    expect(events.filter(({ kind }) => kind === "endpoint-doubtful")).toEqual([]);
  });

  test("begin no session where they differ, which is said, and its slot is left to its reservation", async () => {
    const { exchange, verdict, store, ledger, events, advance } = await answerBy("one-id, other-id");
    expect(verdict).toEqual(reply(502, '"x"'));
    expect(store.size).toBe(1);
    expect(events).toContainEqual(expect.objectContaining({ fault: { kind: "several-sessions", status: "200" } }));
    exchange.closed();
    expect(ledger.size.live).toBe(1);
    advance(RESERVATION_MS);
    await ledger.expired(0);
    expect(ledger.size.live).toBe(0);
  });

  test("are none where it is empty", async () => {
    const { verdict, store, ledger } = await answerBy("");
    expect(verdict).toMatchObject({ remove: ["mcp-session-id"] });
    expect([store.size, ledger.size.live]).toEqual([1, 0]);
  });
});

describe("the slot of an initialize", () => {
  const begun = {
    headers: fields({ ":status": "200", "mcp-session-id": "new-id" }),
    endpoint: "10.0.0.9:80",
    ...ANSWER,
  };
  const committed = { live: 1, parked: 0, expired: 0, principals: 1 };
  const nothing = { live: 0, parked: 0, expired: 0, principals: 0 };
  /** Sends an initialize, up to the backend. */
  const send = async (exchange: Exchange, who?: Parameters<typeof head>[3]) => {
    await head(exchange, "POST", undefined, who);
    return exchange.requestBody(Buffer.from(initialize));
  };
  const begin = async (...args: Parameters<typeof open>) => {
    const opened = await open(...args);
    expect(await send(opened.exchange)).toMatchObject({ kind: "mutate" });
    expect(opened.ledger.size.live).toBe(1);
    return opened;
  };
  /** Pauses an operation of the store or the ledger until it is let go. */
  const gate = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    return { wait: promise, go: resolve };
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  /** A ledger whose nth hold is another's. */
  const nthHold = (n: number, hold: (ledger: Ledger) => Ledger["hold"]) => (ledger: Ledger) => {
    let held = 0;
    return {
      hold: (...args: Parameters<Ledger["hold"]>) => (++held === n ? hold(ledger)(...args) : ledger.hold(...args)),
    };
  };

  test("is the session's once that begins, also after the request, until no request has named it for too long", async () => {
    const { exchange, ledger, advance } = await begin();
    expect(await exchange.responseHeaders(begun)).toMatchObject({ kind: "mutate" });
    exchange.closed();
    expect(ledger.size).toEqual(committed);
    advance(LIFESPAN.unused - 1);
    expect(ledger.size).toEqual(committed);
    advance(1);
    expect(ledger.size.live).toBe(0);
  });

  test.each([
    ["500", { ":status": "500" }],
    ["404 with a session id", { ":status": "404", "mcp-session-id": "new-id" }],
    ["200 without a session id", { ":status": "200" }],
    ["307 with a session id", { ":status": "307", location: "/mcp/", "mcp-session-id": "new-id" }],
  ])("comes back when the backend answers %s, before the answer has ended", async (_, headers) => {
    const { exchange, ledger, store, abandoned } = await begin();
    await exchange.responseHeaders({ headers: fields(headers), endpoint: "10.0.0.9:80", ...ANSWER });
    expect(ledger.size).toEqual(nothing);
    exchange.closed();
    expect(ledger.size).toEqual(nothing);
    expect(store.size).toBe(1);
    expect(abandoned).toEqual([]);
  });

  /** A slot that its backend may hold a session for: it is taken for as long as its reservation, and then it is free. */
  const expectToLapse = async ({ ledger, advance }: Awaited<ReturnType<typeof open>>) => {
    advance(RESERVATION_MS - 1);
    expect(ledger.size.live).toBe(1);
    advance(1);
    expect(ledger.size.live).toBe(0);
  };

  test("is taken until its reservation lapses when the request ends before the answer: the backend may have begun a session", async () => {
    const opened = await begin();
    opened.exchange.closed();
    await expectToLapse(opened);
  });

  test.each([
    ["a reset", "503", 1 << 4],
    ["a connection that broke", "503", 1 << 6],
    ["a timeout", "504", 1 << 2],
    ["the end of its time, of which Envoy sets no flag", "504", 0],
  ])("is taken until its reservation lapses when Envoy answers for %s", async (_, status, flags) => {
    const opened = await begin();
    const headers = fields({ ":status": status });
    await opened.exchange.responseHeaders({ headers, endpoint: "10.0.0.9:80", flags, endOfStream: false });
    opened.exchange.closed();
    await expectToLapse(opened);
  });

  test("comes back at once when Envoy answers that nobody was sent it", async () => {
    const { exchange, ledger } = await begin();
    // UF, and URX: after its retries.
    const flags = (1 << 5) | (1 << 15);
    await exchange.responseHeaders({
      headers: fields({ ":status": "503" }),
      endpoint: undefined,
      flags,
      endOfStream: false,
    });
    expect(ledger.size).toEqual(nothing);
  });

  test("of the initializes that wait counts no more once the request has ended", async () => {
    const { exchange, gateway } = await begin({}, undefined, { caps: { waiting: 1 } });
    expect(await send(gateway.open())).toMatchObject({ status: 503 });
    exchange.closed();
    expect(await send(gateway.open())).toMatchObject({ kind: "mutate" });
  });

  test("is taken until its reservation lapses when the backend cannot be told that its session will not be used", async () => {
    const opened = await begin({ create: unavailable }, undefined, { tells: false });
    expect(await opened.exchange.responseHeaders(begun)).toEqual(reply(503, '"x"'));
    opened.exchange.closed();
    await settled();
    expect(opened.abandoned).toEqual(["one new-id"]);
    await expectToLapse(opened);
  });

  test("comes back when the request ends before there is a slot", async () => {
    const { wait, go } = gate();
    const late =
      (ledger: Ledger) =>
      async (...args: Parameters<Ledger["hold"]>) => {
        await wait;
        return ledger.hold(...args);
      };
    const { exchange, ledger } = await open({}, undefined, { ledger: nthHold(1, late) });
    const verdict = send(exchange);
    await settled();
    exchange.closed();
    go();
    await verdict;
    expect(ledger.size).toEqual(nothing);
  });

  test("comes back when the request ends while its session is stored: that is ended, here and at the backend", async () => {
    const { wait, go } = gate();
    const create: SessionStore["create"] = async (...args) => {
      await wait;
      return store.create(...args);
    };
    const { exchange, ledger, store, abandoned } = await begin({ create });
    const verdict = exchange.responseHeaders(begun);
    exchange.closed();
    expect(ledger.size.live).toBe(1);
    go();
    await verdict;
    await settled();
    expect(ledger.size).toEqual(nothing);
    expect(store.size).toBe(1);
    expect(abandoned).toEqual(["one new-id"]);
  });

  test("comes back when the request ends while it is committed: the session is ended, here and at the backend", async () => {
    const { wait, go } = gate();
    const late =
      (ledger: Ledger) =>
      async (...args: Parameters<Ledger["hold"]>) => {
        const held = await ledger.hold(...args);
        await wait;
        return held;
      };
    const { exchange, ledger, store, abandoned, events } = await begin({}, undefined, { ledger: nthHold(2, late) });
    const verdict = exchange.responseHeaders(begun);
    await settled();
    expect(store.size).toBe(2);
    exchange.closed();
    go();
    await verdict;
    await settled();
    expect(ledger.size).toEqual(nothing);
    expect(store.size).toBe(1);
    expect(abandoned).toEqual(["one new-id"]);
    expect(events.some(({ kind }) => kind === "session-created")).toBe(false);
  });

  test("comes back when the session cannot be stored, and the backend is told, by whoever began it", async () => {
    const { exchange, ledger, abandoned, abandonedFor } = await begin({ create: unavailable });
    expect(await exchange.responseHeaders(begun)).toEqual(reply(503, '"x"'));
    await settled();
    expect(ledger.size).toEqual(nothing);
    expect(abandoned).toEqual(["one new-id"]);
    expect(abandonedFor.map((headers) => headers.get(":method"))).toEqual(["POST"]);
  });

  test("comes back when it cannot be committed: the session is ended, here and at the backend", async () => {
    const { exchange, ledger, store, abandoned } = await begin({}, undefined, {
      ledger: nthHold(2, () => unavailable),
    });
    expect(await exchange.responseHeaders(begun)).toEqual(reply(503, '"x"'));
    await settled();
    expect(ledger.size).toEqual(nothing);
    expect(store.size).toBe(1);
    expect(abandoned).toEqual(["one new-id"]);
  });

  test("that was lost to another while the backend took its time is refused as any, and the session is ended", async () => {
    const { exchange, gateway, ledger, store, abandoned, advance } = await begin({}, undefined, {
      caps: { sessions: 1 },
    });
    advance(RESERVATION_MS);
    await send(gateway.open());
    expect(await exchange.responseHeaders(begun)).toEqual(sessionLimit);
    exchange.closed();
    await ledger.expired(0);
    expect(ledger.size.live).toBe(1);
    expect(store.size).toBe(1);
    expect(abandoned).toEqual(["one new-id"]);
  });

  test("is taken until its reservation lapses after a fault", async () => {
    const opened = await begin();
    expect(() => opened.exchange.responseHeaders({ ...begun, endpoint: undefined, ...ANSWER })).toThrow();
    expect(opened.exchange.fault()).toEqual(reply(500, '"x"'));
    opened.exchange.closed();
    await expectToLapse(opened);
  });

  test("is taken by no other message", async () => {
    const { gateway, id, ledger } = await open();
    for (const session of [id, undefined]) {
      const exchange = gateway.open();
      head(exchange, "POST", session);
      expect(await exchange.requestBody(Buffer.from(call))).toMatchObject({ kind: "mutate" });
    }
    expect(ledger.size).toEqual(nothing);
  });

  const sessionLimit = {
    kind: "reply",
    status: 503,
    headers: expect.arrayContaining([["retry-after", "30"]]),
    body: '{"jsonrpc":"2.0","id":"x","error":{"code":-32000,"message":"Session limit reached"}}',
    details: expect.any(String),
  };
  const byHeader: Identity = { kind: "header", name: "x-user", required: false };

  test.each<[string, Partial<AdmissionCaps>]>([
    ["sessions-exhausted", { sessions: 2 }],
    ["principal-exhausted", { perPrincipal: 2 }],
    ["initializes-exhausted", { waiting: 2 }],
  ])(
    "that there is not is refused at once, with the request's id, and says nothing of others: %s",
    async (reason, caps) => {
      const { gateway, ledger, events } = await open({}, byHeader, { caps });
      const ada = { user: "ada" };
      for (let n = 0; n < 2; n++) expect(await send(gateway.open(), ada)).toMatchObject({ kind: "mutate" });
      const refused = gateway.open();
      expect(await send(refused, ada)).toEqual(sessionLimit);
      expect(events.at(-1)).toMatchObject({ kind: "rejected", reason });
      refused.closed();
      expect(ledger.size).toEqual({ live: 2, parked: 0, expired: 0, principals: 1 });
    },
  );

  test("that a principal has no more of is there for others, and for whom nobody knows", async () => {
    const { gateway } = await open({}, byHeader, { caps: { perPrincipal: 1 } });
    expect(await send(gateway.open(), { user: "ada" })).toMatchObject({ kind: "mutate" });
    expect(await send(gateway.open(), { user: "ada" })).toEqual(sessionLimit);
    for (const who of [{ user: "bob" }, {}, {}])
      expect(await send(gateway.open(), who)).toMatchObject({ kind: "mutate" });
  });

  test("that anonymous callers have no more of is there for those with a name", async () => {
    const { gateway, events } = await open({}, byHeader, { caps: { sessions: 4, anonymous: 2 } });
    for (let n = 0; n < 2; n++) expect(await send(gateway.open())).toMatchObject({ kind: "mutate" });
    expect(await send(gateway.open())).toEqual(sessionLimit);
    expect(events.at(-1)).toMatchObject({ kind: "rejected", reason: "anonymous-exhausted" });
    for (const user of ["ada", "bob"]) expect(await send(gateway.open(), { user })).toMatchObject({ kind: "mutate" });
  });

  test.each([
    ["a moment, but a second at least", 1, "1"],
    ["less than the longest, in whole seconds", 7_100, "8"],
    ["longer than the longest", 75_000, "30"],
    ["nobody knows how long", undefined, "30"],
  ])("that there is not is there in %s: Retry-After says so", async (_, freeIn, seconds) => {
    const hold = async () => ({ kind: "exhausted", by: "sessions", freeIn, idleIn: undefined }) as const;
    const { exchange } = await open({}, undefined, { ledger: () => ({ hold }) });
    expect(await send(exchange)).toMatchObject({ headers: expect.arrayContaining([["retry-after", seconds]]) });
  });

  describe("that an idle session will give away soon", () => {
    const caps = { sessions: 1, wait: 10_000 };
    const idleIn = (ms: number) => ({ kind: "exhausted", by: "sessions", freeIn: ms, idleIn: ms }) as const;
    /** An initialize that waits, since the ledger refuses it so often. */
    async function openWaiting(refusals: number) {
      const hold = vi.fn();
      const opened = await open({}, undefined, {
        caps,
        ledger: (ledger) => ({
          hold: (...args) => {
            hold();
            return hold.mock.calls.length <= refusals ? Promise.resolve(idleIn(20)) : ledger.hold(...args);
          },
        }),
      });
      const verdict = await send(opened.exchange);
      if (verdict.kind !== "deferred") throw new Error(`not later: ${JSON.stringify(verdict)}`);
      return { ...opened, hold, later: verdict };
    }

    test("is waited for, and Envoy is told how long that may take", async () => {
      const { later, events } = await openWaiting(2);
      expect(later.messageTimeout).toBe(11_000);
      expect(await later.verdict).toMatchObject({ kind: "mutate" });
      expect(events).toMatchObject([{ kind: "forwarded", how: "initialize" }]);
    });

    test("is not waited for once the client has left, and not taken", async () => {
      const { later, exchange, hold, ledger } = await openWaiting(Number.POSITIVE_INFINITY);
      exchange.closed();
      expect(await later.verdict).toMatchObject({ kind: "reply", status: 503 });
      expect(hold.mock.calls.length).toBeLessThanOrEqual(2);
      expect(ledger.size.live).toBe(0);
    });
  });

  test("is not given out while the ledger is away", async () => {
    const { exchange, events } = await open({}, undefined, { ledger: () => ({ hold: unavailable }) });
    expect(await send(exchange)).toEqual(reply(503, '"x"'));
    expect(events.at(-1)).toMatchObject({ kind: "rejected", reason: "store-unavailable" });
  });

  describe("of a session that has begun", () => {
    /** A session of Ada's, and the exchanges that use it. */
    const beginSession = async (limits?: Limits) => {
      const opened = await open({}, byHeader, limits);
      await send(opened.exchange, { user: "ada" });
      const verdict = await opened.exchange.responseHeaders(begun);
      opened.exchange.closed();
      const own = parseSessionId((verdict.kind === "mutate" ? verdict.set[0]?.[1] : undefined) ?? "");
      if (own === undefined) throw new Error("no session");
      const use = async (method: "POST" | "DELETE") => {
        const exchange = opened.gateway.open();
        const verdict = head(exchange, method, own, { user: "ada" });
        const decided = await (method === "POST" ? exchange.requestBody(Buffer.from(call)) : verdict);
        exchange.closed();
        await settled();
        return decided;
      };
      const live = async () => {
        // Whatever ran out is counted no more once somebody looks.
        await opened.ledger.expired(0);
        return opened.ledger.size.live;
      };
      return { ...opened, own, use, live };
    };
    const used = expect.objectContaining({
      kind: "mutate",
      set: expect.arrayContaining([["mcp-session-id", "new-id"]]),
    });

    test("comes back at its end", async () => {
      const { use, ledger } = await beginSession();
      expect(await use("DELETE")).toEqual(used);
      expect(ledger.size).toEqual(nothing);
    });

    test("is the session's, from the first request that names it, for as long as the session lives", async () => {
      const { use, live, advance } = await beginSession();
      advance(LIFESPAN.unused - 1);
      expect(await use("POST")).toEqual(used);
      advance(LIFESPAN.idle);
      expect(await live()).toBe(1);
      advance(LIFESPAN.idle / 8);
      expect(await live()).toBe(0);
      expect(await use("POST")).toEqual(reply(404, '"x"'));
    });

    test("goes on with its use", async () => {
      const { use, live, advance } = await beginSession();
      for (let n = 0; n < 4; n++) {
        advance(LIFESPAN.idle / 2);
        expect(await use("POST")).toEqual(used);
        expect(await live()).toBe(1);
      }
    });

    test("is taken anew by its use when it was lost, also over the cap", async () => {
      const { own, use, live, ledger, advance } = await beginSession({ caps: { sessions: 1, perPrincipal: 1 } });
      await ledger.release({ key: sessionKey(own), principal: principalDigest(["ada"]) });
      await ledger.hold(
        { key: sessionKey(mintSessionId()), principal: "another" },
        LIFESPAN.lifetime,
        NO_CAPS,
        "waiting",
      );
      expect(await live()).toBe(1);
      advance(LIFESPAN.idle / 2);
      expect(await use("POST")).toEqual(used);
      expect(await live()).toBe(2);
    });

    test("costs its use nothing while the ledger is away", async () => {
      const { use, advance } = await beginSession({
        ledger: (ledger) => ({ ...nthHold(3, () => unavailable)(ledger), release: unavailable }),
      });
      advance(LIFESPAN.idle / 2);
      expect(await use("POST")).toEqual(used);
      expect(await use("DELETE")).toEqual(used);
    });
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
