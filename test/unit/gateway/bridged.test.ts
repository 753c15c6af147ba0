/** Who serves a request on a route with `era: bridge`: the backend, or the gateway in its place. */
import { describe, expect, test } from "vitest";
import type { Era } from "../../../src/core/federation/era.ts";
import type { Decision, ResponseHead } from "../../../src/core/http.ts";
import { UH } from "../../../src/core/response-flags.ts";
import type { BridgedRoute } from "../../../src/core/routes.ts";
import { readStreamOf } from "../../../src/core/streams.ts";
import type { Exchange } from "../../../src/gateway/exchange.ts";
import { createBudget } from "../../../src/recovery/budget.ts";
import type { RecoveredAnswer } from "../../../src/recovery/recovered-answer.ts";
import { createReplayableRequests } from "../../../src/recovery/replayable.ts";
import { mintSessionId, sessionKey } from "../../../src/sessions/id.ts";
import { ANONYMOUS, type Binding, PARKED, withoutSession } from "../../../src/sessions/store.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";
import { POLICY, ROUTE } from "../core/policy.ts";
import { catalogueOf, type Offered } from "./catalogue.ts";
import { answerHead, BINDING, type OpenOptions, openGateway } from "./open.ts";
import { mutationIn, replyIn, settled } from "./verdicts.ts";

const MEMBER = memberOf("one", { prefix: undefined });
const FEDERATED = federatedRoute([{ ...MEMBER, route: { ...MEMBER.route, path: "/mcp" } }], {
  path: "/mcp",
  bridges: true,
  presents: "backend",
  stream: "own",
});
const BRIDGED: BridgedRoute = {
  kind: "bridged",
  path: "/mcp",
  sessions: "optional",
  transparent: ROUTE,
  federated: FEDERATED,
};

const OFFERED = { tools: ["files.read"], offer: { serverInfo: '{"name":"own","vendor":1}' } };
/** What the backend has said of itself, by what it speaks. */
const BACKENDS = {
  legacy: OFFERED,
  modern: { ...OFFERED, modern: "alone" },
  both: { ...OFFERED, modern: true },
  unknown: undefined,
} as const satisfies Record<string, Offered | undefined>;
type Backend = keyof typeof BACKENDS;

interface Options extends Omit<OpenOptions, "policy" | "catalogue"> {
  readonly route?: BridgedRoute;
  readonly backend?: Backend;
  readonly ready?: Promise<void>;
  /** Clients that wait for `ready`. */
  readonly waits?: Era;
  /** Of the session. */
  readonly bindings?: Readonly<Record<string, Binding>>;
}

/** The gateway, and a session on the route. */
async function open({ route = BRIDGED, backend = "legacy", ready, waits, bindings = {}, ...rest }: Options = {}) {
  const policy = { ...POLICY, routes: new Map([[route.path, route]]) };
  const opened = await openGateway({ ...rest, policy, catalogue: catalogueOf([BACKENDS[backend]], ready, waits) });
  const id = mintSessionId();
  const key = sessionKey(id);
  const session = { owner: ANONYMOUS, route: "/mcp", protocolVersion: undefined, initializeParams: "{}", bindings };
  await opened.store.create(key, session);
  await opened.store.touch(key, undefined);
  return { ...opened, id, key };
}

function head(exchange: Exchange, method: string, more: Readonly<Record<string, string>> = {}): Decision {
  const headers = fields({
    ":method": method,
    ":path": "/mcp",
    ":authority": "gw",
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    ...more,
  });
  return exchange.requestHeaders({ headers, endOfStream: method !== "POST" });
}

function post(exchange: Exchange, body: string, more?: Readonly<Record<string, string>>): Decision {
  head(exchange, "POST", more);
  return exchange.requestBody(Buffer.from(body));
}

const ENVELOPE =
  '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';
const modern = (method: string) => ({ "mcp-protocol-version": "2026-07-28", "mcp-method": method });

const INITIALIZE = '{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}';
const DISCOVER = `{"jsonrpc":"2.0","id":7,"method":"server/discover","params":{${ENVELOPE}}}`;
const LIST = '{"jsonrpc":"2.0","id":7,"method":"tools/list"}';

const REQUESTS = {
  legacy: (exchange: Exchange) => post(exchange, INITIALIZE),
  modern: (exchange: Exchange) => post(exchange, DISCOVER, modern("server/discover")),
};
/** In the session of a client of sessions. */
const inSession = (id: string) => ({
  message: (exchange: Exchange) => post(exchange, LIST, { "mcp-session-id": id }),
  listen: (exchange: Exchange) => head(exchange, "GET", { "mcp-session-id": id }),
  end: (exchange: Exchange) => head(exchange, "DELETE", { "mcp-session-id": id }),
});

describe("a request outside sessions", () => {
  test.each<[client: keyof typeof REQUESTS, backend: Backend]>([
    ["legacy", "legacy"],
    ["legacy", "both"],
    ["legacy", "unknown"],
    ["modern", "modern"],
    ["modern", "both"],
    ["modern", "unknown"],
  ])("of a %s client goes to a backend of era %s as it is", async (client, backend) => {
    const { exchange, events } = await open({ backend });
    const { set, body } = mutationIn(await settled(REQUESTS[client](exchange)));
    expect(set).toMatchObject({ "x-mcp-backend": "one" });
    expect(set).not.toHaveProperty("x-mcp-endpoint");
    expect(body).toBeUndefined();
    expect(events).toMatchObject([{ kind: "forwarded", route: { kind: "transparent" } }]);
  });

  test("of a legacy client is answered for a modern backend, which it is told of as that is", async () => {
    const { exchange } = await open({ backend: "modern" });
    const { status, body } = replyIn(await settled(REQUESTS.legacy(exchange)));
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: 7,
      result: { protocolVersion: "2025-06-18", serverInfo: { name: "own", vendor: 1 } },
    });
  });

  test("of a modern client is answered for a legacy backend, which it is told of as that is", async () => {
    const { exchange } = await open({ backend: "legacy" });
    const { status, body } = replyIn(await settled(REQUESTS.modern(exchange)));
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: 7,
      result: {
        supportedVersions: ["2026-07-28"],
        _meta: { "io.modelcontextprotocol/serverInfo": { name: "own", vendor: 1 } },
      },
    });
  });

  test("and without any is the backend's, unless that knows none", async () => {
    const toLegacy = await open({ backend: "legacy" });
    expect(mutationIn(await settled(post(toLegacy.exchange, LIST))).body).toBeUndefined();
    const toModern = await open({ backend: "modern" });
    expect(replyIn(await settled(post(toModern.exchange, LIST))).status).toBe(400);
  });

  test.each(["legacy", "modern"] as const)(
    "of a %s client waits until the backend has said what it speaks",
    async (of) => {
      const ready = Promise.withResolvers<void>();
      const { exchange } = await open({ backend: "both", ready: ready.promise });
      const decision = await REQUESTS[of](exchange);
      // For the lists (5 s), and then for a session at the backend (10 s).
      expect(decision).toMatchObject({ kind: "deferred", messageTimeout: 16_000 });
      ready.resolve();
      expect(mutationIn(await settled(decision)).set).toMatchObject({ "x-mcp-backend": "one" });
    },
  );

  test("of a modern client waits also where the backend has said what it offers, and is asked for its era", async () => {
    const ready = Promise.withResolvers<void>();
    const { exchange } = await open({ backend: "both", ready: ready.promise, waits: "modern" });
    const decision = await REQUESTS.modern(exchange);
    expect(decision).toMatchObject({ kind: "deferred" });
    ready.resolve();
    expect(mutationIn(await settled(decision)).body).toBeUndefined();
  });
});

describe("names pass as they are", () => {
  const call = (name: string) =>
    `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{${ENVELOPE},"name":"${name}"}}`;
  const bound = { generation: 1, sessionId: "s", endpoint: "10.0.0.2:80", version: undefined };

  test.each(["files.read", "not listed"])("%s, into a session that the gateway holds", async (name) => {
    const { exchange } = await open({
      openFirst: async () => ({ kind: "opened", binding: bound, setCookies: [], debt: 0 }),
    });
    const { body } = mutationIn(
      await settled(post(exchange, call(name), { ...modern("tools/call"), "mcp-name": name })),
    );
    expect(JSON.parse(body ?? "")).toMatchObject({ params: { name } });
    expect(body).not.toContain("io.modelcontextprotocol");
  });

  test.each(["files.read", "not listed"])("%s, from a session of the gateway's", async (name) => {
    const { exchange, id } = await open({ backend: "modern" });
    const sent = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"${name}"}}`;
    const { set, body } = mutationIn(await settled(post(exchange, sent, { "mcp-session-id": id })));
    expect(set).toMatchObject({ "mcp-name": name, "mcp-protocol-version": "2026-07-28" });
    expect(JSON.parse(body ?? "")).toMatchObject({ params: { name } });
  });

  test("and lists to the byte", async () => {
    const { exchange, id } = await open({ backend: "modern" });
    const { body } = replyIn(await settled(inSession(id).message(exchange)));
    expect(body).toEqual({ jsonrpc: "2.0", id: 7, result: { tools: [{ name: "files.read" }] } });
  });
});

const EACH: readonly Backend[] = ["legacy", "modern", "both", "unknown"];
const OF_SESSION = ["message", "listen", "end"] as const;
const CELLS = EACH.flatMap((backend) => OF_SESSION.map((what) => [what, backend] as const));

describe("a session stays with whoever began it:", () => {
  test.each(CELLS)("a %s in one of the backend's goes there, with a backend of era %s", async (what, backend) => {
    const { exchange, id } = await open({ backend, bindings: { one: BINDING } });
    const { set, body } = mutationIn(await settled(inSession(id)[what](exchange)));
    expect(set).toMatchObject({ "x-mcp-endpoint": BINDING.endpoint, "mcp-session-id": BINDING.sessionId });
    expect(body).toBeUndefined();
  });

  test.each(EACH)("a DELETE of one of the gateway's is the gateway's, with a backend of era %s", async (backend) => {
    const { exchange, id, ended, key } = await open({ backend });
    expect(replyIn(await settled(inSession(id).end(exchange))).status).toBe(204);
    expect(ended).toEqual([key]);
  });

  test.each(EACH)("so is a GET, with a backend of era %s", async (backend) => {
    const { exchange, id, key } = await open({ backend });
    const { set } = mutationIn(await settled(inSession(id).listen(exchange)));
    expect(readStreamOf(set["x-mcp-stream"] ?? "")).toEqual({ key, owner: ANONYMOUS, path: "/mcp" });
  });

  test("without streams there is none across the eras, as each era says it", async () => {
    const route = { ...BRIDGED, federated: { ...FEDERATED, stream: "none" } } as const;
    const toModern = await open({ route, backend: "modern" });
    expect(await settled(inSession(toModern.id).listen(toModern.exchange))).toMatchObject({
      kind: "reply",
      status: 405,
    });
    const toLegacy = await open({ route, backend: "legacy" });
    const listen = `{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{${ENVELOPE},"notifications":{}}}`;
    const answer = replyIn(await settled(post(toLegacy.exchange, listen, modern("subscriptions/listen"))));
    expect(answer).toMatchObject({ status: 404, body: { error: { code: -32601 } } });
  });

  test("a backend that began none for one of the gateway's is still asked by the gateway", async () => {
    const one = { ...withoutSession("2025-06-18"), generation: 1 };
    const { exchange, id } = await open({ bindings: { one } });
    expect(replyIn(await settled(inSession(id).message(exchange))).body).toMatchObject({ result: { tools: [{}] } });
  });

  test("one that was begun at another backend, before the route led here, is not moved", async () => {
    const { exchange, id } = await open({ bindings: { other: BINDING } });
    expect(replyIn(await settled(inSession(id).message(exchange)))).toMatchObject({ status: 404 });
  });

  describe("one of the backend's, where that begins none any more,", () => {
    const answered = async (
      backend: Backend,
      status: string,
      over: Partial<ResponseHead> = {},
      recovered?: RecoveredAnswer,
    ) => {
      const bindings = { one: BINDING };
      const recovery = recovered && {
        replayable: createReplayableRequests(createBudget(1e6)),
        recovered: { answer: async () => recovered },
      };
      const { exchange, id, events } = await open({ backend, bindings, ...recovery });
      await settled(inSession(id).message(exchange));
      const verdict = await settled(exchange.responseHeaders(answerHead({ ":status": status }, over)));
      return { verdict, events };
    };

    test.each(["400", "404", "405"])("is lost by an answer of %s", async (status) => {
      const { verdict, events } = await answered("modern", status);
      expect(replyIn(verdict)).toMatchObject({ status: 404, body: { id: 7, error: { code: -32001 } } });
      expect(events.at(-1)).toMatchObject({ kind: "rejected", reason: "session-unknown" });
    });

    test("is lost where its endpoint takes no connections", async () => {
      const { verdict } = await answered("modern", "503", { flags: UH, endpoint: undefined });
      expect(replyIn(verdict).status).toBe(404);
    });

    test.each([
      ["backend-unavailable", 404, -32001],
      ["store-unavailable", 200, -32603],
    ] as const)("and where a recovery finds there %s: %i", async (reason, status, code) => {
      const recovered = { kind: "refused", reject: { reason, id: "7", inBand: true } } as const;
      const { verdict } = await answered("modern", "503", { flags: UH, endpoint: undefined }, recovered);
      expect(replyIn(verdict)).toMatchObject({ status, body: { id: 7, error: { code } } });
    });

    test.each(["200", "401", "500", "503"])("goes on by an answer of %s", async (status) => {
      expect((await answered("modern", status)).verdict).toEqual({ kind: "continue" });
    });

    test.each(["legacy", "both", "unknown"] as const)("and only there: not with one of era %s", async (backend) => {
      expect((await answered(backend, "400")).verdict).toEqual({ kind: "continue" });
    });
  });

  test("one that was parked is the backend's", async () => {
    const { exchange, id, resumed } = await open({ bindings: { one: { ...BINDING, endpoint: PARKED } } });
    await settled(inSession(id).message(exchange));
    expect(resumed).toMatchObject([{ route: { kind: "transparent" }, why: "parked" }]);
  });

  test.each(["not-ours", mintSessionId()])("one that is not there is lost: %s", async (id) => {
    const { exchange } = await open({ backend: "modern" });
    expect(replyIn(await settled(inSession(id).message(exchange))).status).toBe(404);
  });

  test.each([
    ["modern", "reply"],
    ["legacy", "mutate"],
  ] as const)("with a backend of era %s it outlives a store that was away for a moment", async (backend, kind) => {
    const bindings = backend === "modern" ? {} : { one: BINDING };
    const { store, gateway, id } = await open({ backend, bindings });
    let asked = 0;
    const blinking = await open({
      backend,
      store: {
        find: (...of) => (asked++ === 0 ? Promise.resolve({ kind: "unavailable" }) : store.find(...of)),
        touch: store.touch,
        outageWait: () => ({ retry: async () => true, cancel: () => undefined }),
      },
    });
    expect(gateway).toBeDefined();
    expect((await settled(inSession(id).message(blinking.exchange))).kind).toBe(kind);
  });
});
