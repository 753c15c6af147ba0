import { describe, expect, test } from "vitest";
import { createRpc } from "../../../src/backends/rpc.ts";
import { ALL_NAMES } from "../../../src/core/federation/filter.ts";
import { compileGlob } from "../../../src/core/federation/glob.ts";
import type { FederatedRoute } from "../../../src/core/routes.ts";
import { BURST_MS, COMMENT_MS } from "../../../src/federation/listeners.ts";
import { AGREE_MS } from "../../../src/federation/member-subscription.ts";
import { MOST_STUCK_TICKS, MOST_UNREAD } from "../../../src/federation/paced-sink.ts";
import type { SubscriptionCaps } from "../../../src/federation/subscription-counts.ts";
import { createSubscriptions } from "../../../src/federation/subscriptions.ts";
import { UnfinishedEvents } from "../../../src/federation/unfinished.ts";
import { memberOf } from "../core/federated.ts";
import { fields } from "../core/fields.ts";
import { POLICY } from "../core/policy.ts";
import { catalogueOf } from "../gateway/catalogue.ts";
import {
  type Call,
  createTestClock,
  openStream,
  result,
  routeOf,
  type Script,
  type Scripted,
  scriptedEgress,
  settle,
} from "./backends.ts";
import { createSink } from "./sink.ts";

const ENVELOPE = '{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}';
const META = `${ENVELOPE.slice(0, -1)},"x":1.0}`;
const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
const TELLS = { offer: { capabilities: new Map([["resources", '{"subscribe":true}']]) }, modern: true };
const UNLIMITED: SubscriptionCaps = { sessions: undefined, perPrincipal: undefined, anonymous: undefined };
const OFFERED = [
  { ...TELLS, resources: ["files:a", "files:b"] },
  { ...TELLS, resources: ["git:a"] },
];

/** A backend's stream, which a test writes to. */
interface ListenedTo extends ReturnType<typeof openStream> {
  readonly call: Call;
  /** Says something of the subscription. */
  tell(method: string, params?: object): void;
}

interface Options {
  /** Whether the backends speak the modern era. Default: they do. */
  readonly modern?: boolean;
  /** What a backend does in place of a stream that acknowledges all. undefined: it does that. */
  readonly answer?: (call: Call) => ReturnType<Script> | "stream";
  readonly ready?: Promise<void>;
  readonly caps?: Partial<SubscriptionCaps>;
  /** How long (ms) Envoy lets a stream be open. */
  readonly longest?: number;
}

const DAY_MS = 24 * 60 * 60_000;

/** The two backends of a route, files and git, to which clients listen. */
function start({ answer = () => "stream" as const, ready, caps, modern = true, longest = DAY_MS }: Options = {}) {
  const clock = createTestClock();
  const streams: ListenedTo[] = [];
  const { egress, calls } = scriptedEgress((call) => {
    const given = answer(call);
    if (given !== "stream") return given;
    const stream = openStream();
    const id = call.message?.id;
    const tell = (method: string, params = {}) =>
      stream.say({ jsonrpc: "2.0", method, params: { ...params, _meta: { [SUBSCRIPTION_ID]: id } } });
    streams.push({ ...stream, call, tell });
    tell(ACKNOWLEDGED, { notifications: filterOf(call) });
    return stream.answer;
  });
  const cutOff: string[] = [];
  const refused: (readonly [reason: string, path: string])[] = [];
  let routes: readonly FederatedRoute[] = [routeOf([memberOf("files"), memberOf("git")], { stream: "own" })];
  const subscriptions = createSubscriptions({
    routes: () => routes,
    routeAt: (path) => routes.find((route) => route.path === path),
    catalogue: catalogueOf(
      OFFERED.map((offered) => ({ ...offered, modern })),
      ready,
      "modern",
    ),
    rpc: createRpc(egress, "stream"),
    permits: ({ outcome }) => (outcome === undefined ? undefined : { permits: (_, name) => name !== outcome }),
    isOfOtherRules: ({ outcome }) => outcome !== undefined,
    egress,
    version: "1.0",
    clock,
    unfinished: new UnfinishedEvents(
      () => 1024,
      (of, why) => void cutOff.push(`${of} ${why}`),
    ),
    limits: () => POLICY.limits,
    longest,
    caps: () => ({ ...UNLIMITED, ...caps, retryAfter: 30 }),
    refused: (reason, { path }) => void refused.push([reason, path]),
  });
  const reconfigure = (now: readonly FederatedRoute[]) => {
    routes = now;
    subscriptions.reconfigured();
  };
  return { clock, streams, calls, subscriptions, reconfigure, routes, refused, cutOff, ...clientOf(subscriptions) };
}

function filterOf({ message }: Call): unknown {
  return (message?.params as { notifications?: unknown } | undefined)?.notifications; // A test reads it.
}

function clientOf(subscriptions: ReturnType<typeof createSubscriptions>) {
  /** @param notifications what the client asks for */
  const listen = (
    notifications: object,
    { id = '"c\\u0031"', headers = {}, path = "/all", owner = "", outcome = "" } = {},
  ) => {
    const { sink, text, state, fill } = createSink(() => left?.());
    const method = "subscriptions/listen";
    const params = `{"_meta":${META},"notifications":${JSON.stringify(notifications)}}`;
    const body = Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`);
    const opened = subscriptions.open(
      { owner, path, ...(outcome !== "" && { outcome }) },
      { headers: fields(headers), query: "?a=1", body },
      sink,
    );
    const left = opened?.kind === "open" ? opened.left : undefined;
    const messages = () => [...text().matchAll(/^data: (.+)$/gm)].map(([, data]) => JSON.parse(data ?? ""));
    return {
      left,
      /** The refusal. */
      reply: opened?.kind === "reply" ? opened : undefined,
      text,
      state,
      messages,
      /** Methods of what was heard after the acknowledgement, or the resource that was updated. */
      heard: () =>
        messages()
          .slice(1)
          .map(({ method: of, params: with_, result }) => with_?.uri ?? of ?? result.resultType),
      agreed: () => messages()[0]?.params?.notifications,
      fill,
    };
  };
  return { listen };
}

/** Of the protocol: the client may listen anew. */
const COMPLETE = expect.objectContaining({ result: expect.objectContaining({ resultType: "complete" }) });

const BOTH = { resourceSubscriptions: ["files:a", "git:a"] };
const LISTS = { toolsListChanged: true, resourcesListChanged: true };

describe("a client's subscription", () => {
  test("is at each backend that has a resource of it, in no session and with the client's credentials", async () => {
    const { listen, calls } = start();
    const { agreed, text } = listen(
      { ...LISTS, resourceSubscriptions: ["git:a", "files:b", "nobody:x", "files:a"] },
      { headers: { authorization: "Bearer x", "mcp-method": "subscriptions/listen", accept: "*/*" } },
    );
    expect(text()).toBe(":\n\n");
    await settle();
    expect(calls.map(({ backend, name, session }) => [backend, name, session])).toEqual([
      ["git", "subscriptions/listen", undefined],
      ["files", "subscriptions/listen", undefined],
    ]);
    expect(calls[1]).toMatchObject({
      purpose: "stream",
      headers: {
        authorization: "Bearer x",
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "subscriptions/listen",
        "x-mcp-method": "subscriptions/listen",
      },
      message: {
        params: { _meta: JSON.parse(ENVELOPE), notifications: { resourceSubscriptions: ["files:b", "files:a"] } },
      },
    });
    expect(agreed()).toEqual({ resourcesListChanged: true, resourceSubscriptions: ["git:a", "files:b", "files:a"] });
    expect(text().match(/"c\\u0031"/g)).toHaveLength(1);
  });

  test("is acknowledged once, ahead of all else", async () => {
    const { listen, streams, subscriptions, clock } = start({
      answer: ({ backend }) => (backend === "git" ? undefined : "stream"),
    });
    const { messages, heard, agreed } = listen({ ...LISTS, ...BOTH });
    await settle();
    streams[0]?.tell("notifications/resources/updated", { uri: "files:a" });
    subscriptions.changed("files", "resources");
    await clock.pass(AGREE_MS - 1);
    expect(messages()).toEqual([]);
    await clock.pass(1);
    expect(agreed()).toEqual({ resourcesListChanged: true, resourceSubscriptions: ["files:a"] });
    expect(heard().toSorted()).toEqual(["files:a", "notifications/resources/list_changed"]);
  });

  test("waits for what the backends offer, and for their eras", async () => {
    const ready = Promise.withResolvers<void>();
    const { listen, calls } = start({ ready: ready.promise });
    const { agreed } = listen(BOTH);
    await settle();
    expect(calls).toEqual([]);
    ready.resolve();
    await settle();
    expect(agreed()).toEqual(BOTH);
  });

  test("brings what each backend says of it, and tells of lists once for a burst", async () => {
    const { listen, streams, subscriptions, clock } = start();
    const { heard } = listen({ ...LISTS, ...BOTH });
    await settle();
    streams[1]?.tell("notifications/resources/updated", { uri: "git:a" });
    streams[0]?.tell("notifications/message", { data: 1 });
    await settle();
    expect(heard()).toEqual(["git:a", "notifications/message"]);
    for (let n = 0; n < 5; n++) subscriptions.changed("files", "templates");
    // It was not agreed to: nobody has tools.
    subscriptions.changed("git", "tools");
    subscriptions.changed("git", "prompts");
    subscriptions.changed("mail", "resources");
    await clock.pass(BURST_MS);
    expect(heard().slice(2)).toEqual(["notifications/resources/list_changed"]);
    subscriptions.changed("git", "resources");
    await clock.pass(BURST_MS + COMMENT_MS);
    expect(heard()).toHaveLength(4);
  });

  test.each<[what: string, answer: Script]>([
    ["refuses it", () => ({ status: 404 })],
    ["has no more room for it", () => ({ body: '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"limit"}}' })],
    ["is away", () => ({ status: 503 })],
    ["takes no connection", () => new Error("refused")],
    ["has none, as its stream says", ({ message }) => refusing(message?.id)],
    ["agrees to nothing", ({ message }) => acknowledging(message?.id, {})],
    [
      "agrees to what it was not asked",
      ({ message }) => acknowledging(message?.id, { resourceSubscriptions: ["git:x"] }),
    ],
  ])("is acknowledged without the resources of a backend that %s", async (_, answer) => {
    const { listen, clock } = start({ answer: (call) => (call.backend === "git" ? answer(call) : "stream") });
    const { agreed, state } = listen(BOTH);
    await clock.pass(1_000);
    expect(agreed()).toEqual({ resourceSubscriptions: ["files:a"] });
    expect(state()).toBe("open");
  });

  test("ends at once where there is nothing to listen for", async () => {
    const { listen, calls } = start();
    const { messages, state } = listen({ promptsListChanged: true, resourceSubscriptions: ["nobody:x"] });
    await settle();
    expect(messages()).toMatchObject([
      { method: ACKNOWLEDGED, params: { notifications: {} } },
      { id: "c1", result: { resultType: "complete", _meta: { [SUBSCRIPTION_ID]: "c1" } } },
    ]);
    expect(state()).toBe("ended");
    expect(calls).toEqual([]);
  });

  test.each([
    ["no filter", {}, "/all", '{"jsonrpc":"2.0"}'],
    ["a route that is not there", BOTH, "/none", undefined],
  ])("is none with %s", (_, notifications, path, id) => {
    const { listen, subscriptions } = start();
    const { left, reply, text } = listen(notifications, { path, ...(id !== undefined && { id }) });
    expect([left, reply]).toEqual([undefined, undefined]);
    expect(text()).toBe("");
    expect(subscriptions.paths()).toEqual(new Set());
  });

  test("is known by its route while it is open, and ends at the backends when its client leaves", async () => {
    const { listen, subscriptions, streams, clock, calls } = start();
    const { left, text, state } = listen(BOTH);
    await settle();
    expect(subscriptions.paths()).toEqual(new Set(["/all"]));
    expect(subscriptions).toMatchObject({ size: 1, members: 2 });
    left?.();
    await clock.pass(60_000);
    expect(streams.map(({ body }) => body.destroyed)).toEqual([true, true]);
    expect(calls).toHaveLength(2);
    expect(subscriptions.paths()).toEqual(new Set());
    expect(subscriptions).toMatchObject({ size: 0, members: 0 });
    expect(state()).toBe("open");
    const said = text();
    await clock.pass(COMMENT_MS);
    expect(text()).toBe(said);
  });

  test("of a client that leaves before it was acknowledged begins nothing", async () => {
    const ready = Promise.withResolvers<void>();
    const { listen, calls } = start({ ready: ready.promise });
    const { left, messages } = listen(BOTH);
    left?.();
    ready.resolve();
    await settle();
    expect(calls).toEqual([]);
    expect(messages()).toEqual([]);
  });

  test.each([
    [10_000, 9_000],
    [1_000, 500],
    [DAY_MS, DAY_MS - 1_000],
  ])("is ended in good order before Envoy cuts it after %i ms: at %i ms", async (longest, at) => {
    const { listen, clock, subscriptions } = start({ longest });
    const { messages, state } = listen(LISTS);
    await clock.pass(at - 1);
    expect(state()).toBe("open");
    await clock.pass(1);
    expect(state()).toBe("ended");
    expect(messages().at(-1)).toEqual(COMPLETE);
    expect(subscriptions.size).toBe(0);
  });

  test("is kept alive by comments", async () => {
    const { listen, clock } = start();
    const [one, other] = [listen(LISTS), listen(LISTS)];
    await clock.pass(2 * COMMENT_MS);
    other.left?.();
    await clock.pass(COMMENT_MS);
    expect(one.text().match(/^:$/gm)).toHaveLength(4);
    expect(other.text().match(/^:$/gm)).toHaveLength(3);
  });
});

describe("the caps on sessions are the caps on subscriptions:", () => {
  const ADA = { owner: "ada" };
  const BOB = { owner: "bob" };

  test.each<[cap: keyof SubscriptionCaps, full: object, other: object, hasRoom: boolean]>([
    ["sessions", ADA, BOB, false],
    ["sessions", {}, ADA, false],
    ["perPrincipal", ADA, BOB, true],
    ["perPrincipal", ADA, {}, true],
    ["anonymous", {}, ADA, true],
  ])("%s, of %j and then of %j", (cap, full, other, hasRoom) => {
    const { listen, subscriptions } = start({ caps: { [cap]: 2 } });
    for (let n = 0; n < 2; n++) expect(listen(LISTS, full).reply).toBeUndefined();
    expect(listen(LISTS, full).left).toBeUndefined();
    expect(listen(LISTS, other).reply === undefined).toBe(hasRoom);
    expect(subscriptions.size).toBe(hasRoom ? 3 : 2);
  });

  test.each([
    ["perPrincipal", {}],
    ["anonymous", ADA],
  ])("%s is none on %j", (cap, whose) => {
    const { listen } = start({ caps: { [cap]: 1 } });
    for (let n = 0; n < 5; n++) expect(listen(LISTS, whose).reply).toBeUndefined();
  });

  test("one beyond them is refused, costs the backends nothing, and is told of", async () => {
    const { listen, calls, refused } = start({ caps: { sessions: 0 } });
    const { reply, text } = listen(BOTH);
    await settle();
    expect(reply).toMatchObject({
      status: 503,
      headers: [
        ["content-type", "application/json"],
        ["retry-after", "30"],
      ],
      body: '{"jsonrpc":"2.0","id":"c\\u0031","error":{"code":-32000,"message":"Subscription limit reached"}}',
    });
    expect(text()).toBe("");
    expect(calls).toEqual([]);
    expect(refused).toEqual([["subscriptions-exhausted", "/all"]]);
  });

  test("one that ends, or whose client leaves, gives its place away once", async () => {
    const { listen } = start({ caps: { sessions: 2, perPrincipal: 2 } });
    const [one] = [listen(LISTS, ADA), listen(LISTS, ADA)];
    one.left?.();
    one.left?.();
    const ended = listen({ promptsListChanged: true }, ADA);
    expect(listen(LISTS, ADA).left).toBeUndefined();
    await settle();
    expect(ended.state()).toBe("ended");
    expect(listen(LISTS, ADA).left).toBeDefined();
    expect(listen(LISTS, ADA).left).toBeUndefined();
  });
});

/** A stream with an error in it, which stays open. */
function refusing(id: unknown) {
  const { answer, say } = openStream();
  say({ jsonrpc: "2.0", id, error: { code: -32603, message: "limit" } });
  return answer;
}

function acknowledging(id: unknown, notifications: object, ends = false) {
  const params = { notifications, _meta: { [SUBSCRIPTION_ID]: id } };
  const { answer, body, say } = openStream();
  say({ jsonrpc: "2.0", method: ACKNOWLEDGED, params });
  if (ends) body.push(null);
  return answer;
}

describe("a backend whose stream ends", () => {
  test("is listened to again, and its resources count as updated meanwhile", async () => {
    const { listen, streams, clock } = start();
    const { heard } = listen({ resourceSubscriptions: ["files:b", "files:a", "git:a"] });
    await settle();
    streams[0]?.body.push(null);
    await clock.pass(1_000);
    expect(streams.map(({ call }) => call.backend)).toEqual(["files", "git", "files"]);
    expect(heard()).toEqual(["files:b", "files:a"]);
    const ids = streams.map(({ call }) => call.message?.id);
    expect(new Set(ids).size).toBe(3);
    streams[2]?.tell("notifications/resources/updated", { uri: "files:a" });
    await settle();
    expect(heard()).toEqual(["files:b", "files:a", "files:a"]);
  });

  test("and that agrees to more than it was asked says no more of that", async () => {
    const all = { resourceSubscriptions: ["files:a", "files:b"] };
    const { listen, clock, calls } = start({ answer: ({ message }) => acknowledging(message?.id, all, true) });
    const { heard, agreed } = listen({ resourceSubscriptions: ["files:b"] });
    await clock.pass(300);
    expect(calls).toHaveLength(2);
    expect(agreed()).toEqual({ resourceSubscriptions: ["files:b"] });
    expect(heard()).toEqual(["files:b"]);
  });

  test("is asked less and less often where it stays away, and is heard once it is back", async () => {
    let isAway = true;
    const { listen, streams, clock, calls } = start({
      answer: ({ backend }) => (isAway && backend === "git" ? { status: 503 } : "stream"),
    });
    const { heard, state } = listen(BOTH);
    await clock.pass(10 * 60_000);
    expect(calls.length).toBeLessThan(35);
    isAway = false;
    await clock.pass(30_000);
    streams[1]?.tell("notifications/resources/updated", { uri: "git:a" });
    await settle();
    expect(heard()).toEqual(["git:a"]);
    expect(state()).toBe("open");
  });

  test("ends the client's where it refuses what it had agreed to: its client listens anew", async () => {
    let isRefusing = false;
    const { listen, streams, clock } = start({ answer: () => (isRefusing ? { status: 404 } : "stream") });
    const { heard, state } = listen(BOTH);
    await settle();
    isRefusing = true;
    streams[1]?.body.push(null);
    await clock.pass(1_000);
    expect(heard()).toEqual(["complete"]);
    expect(state()).toBe("ended");
    expect(streams[0]?.body.destroyed).toBe(true);
  });
});

describe("an event that a backend does not end", () => {
  test("has its stream cut off where it takes too much, and the backend is listened to again", async () => {
    const { streams, cutOff, clock, listen } = start();
    listen({ resourceSubscriptions: ["files:a"] });
    await settle();
    streams[0]?.body.push(`data: ${"x".repeat(300)}`);
    await settle();
    expect(cutOff).toEqual(["files budget"]);
    await clock.pass(1_000);
    expect(streams.length).toBe(2);
  });
});

describe("a client that does not read", () => {
  test("keeps its backends waiting", async () => {
    const { listen, streams } = start();
    const { heard, fill } = listen(BOTH);
    await settle();
    fill(MOST_UNREAD + 1);
    streams[0]?.tell("notifications/resources/updated", { uri: "files:a" });
    streams[0]?.tell("notifications/resources/updated", { uri: "files:a" });
    await settle();
    expect(heard()).toEqual([]);
    fill(0);
    await settle();
    expect(heard()).toEqual(["files:a", "files:a"]);
  });

  test("hears later of changed lists, once", async () => {
    const { listen, subscriptions, clock } = start();
    const { heard, fill } = listen(LISTS);
    await settle();
    fill(MOST_UNREAD + 1);
    for (let n = 0; n < 3; n++) {
      subscriptions.changed("files", "resources");
      await clock.pass(BURST_MS);
    }
    expect(heard()).toEqual([]);
    fill(0);
    await clock.pass(COMMENT_MS);
    expect(heard()).toEqual(["notifications/resources/list_changed"]);
  });

  test("is let go of at the backends as soon as its stream ends", async () => {
    const { listen, subscriptions, streams } = start();
    const { fill } = listen(BOTH);
    await settle();
    fill(1);
    subscriptions.close();
    await settle();
    expect(streams.map(({ body }) => body.destroyed)).toEqual([true, true]);
    expect(subscriptions).toMatchObject({ size: 0, members: 0 });
  });

  test("is cut off in the end", async () => {
    const { listen, clock } = start();
    const { fill, state } = listen(LISTS);
    fill(MOST_UNREAD + 1);
    await clock.pass(MOST_STUCK_TICKS * COMMENT_MS);
    expect(state()).toBe("open");
    await clock.pass(COMMENT_MS);
    expect(state()).toBe("cut");
  });
});

describe("another configuration", () => {
  const filters = { tools: ALL_NAMES, prompts: ALL_NAMES, resources: ALL_NAMES };
  const deny = { allow: undefined, deny: [compileGlob("git:*")] };

  test("that changes whose a resource is ends the stream, after the client was told of changed lists", async () => {
    const { listen, reconfigure } = start();
    const { heard, state } = listen({ ...LISTS, ...BOTH });
    await settle();
    const members = [memberOf("files"), memberOf("git")];
    reconfigure([routeOf(members, { stream: "own", filters: { ...filters, resources: deny } })]);
    expect(heard()).toEqual(["notifications/resources/list_changed", "complete"]);
    expect(state()).toBe("ended");
  });

  test.each<[string, readonly FederatedRoute[]]>([
    ["takes a backend away", [routeOf([memberOf("files")])]],
    ["takes the route away", []],
    [
      "gives a backend other resources",
      [routeOf([memberOf("files"), memberOf("git", { uris: [compileGlob("x:*")] })])],
    ],
  ])("that %s ends it", async (_, now) => {
    const { listen, reconfigure } = start();
    const { state } = listen(BOTH);
    await settle();
    reconfigure(now);
    expect(state()).toBe("ended");
  });

  test("that changes the rules ends it, and its client listens anew", async () => {
    const { listen, reconfigure, routes } = start();
    const { heard, state } = listen({ ...LISTS, ...BOTH }, { outcome: "x:hidden" });
    await settle();
    reconfigure(routes);
    expect(heard().at(-1)).toBe("complete");
    expect(heard()).toContain("notifications/resources/list_changed");
    expect(state()).toBe("ended");
  });

  test("that changes nothing of this leaves it open", async () => {
    const { listen, reconfigure, routes, clock } = start();
    const { heard, state } = listen({ ...LISTS, ...BOTH });
    await settle();
    reconfigure(routes.map((route) => ({ ...route, filters: { ...filters, tools: deny } })));
    await clock.pass(BURST_MS);
    expect(heard()).toEqual([]);
    expect(state()).toBe("open");
  });
});

test("updates of what its client may not read are not said, though a backend tells of them", async () => {
  const { listen, streams } = start();
  const { heard } = listen(BOTH, { outcome: "file:///x/hidden" });
  await settle();
  const [stream] = streams;
  for (const uri of ["file:///x/hidden", "file:///x/shown"]) stream?.tell("notifications/resources/updated", { uri });
  await settle();
  expect(heard()).toEqual(["file:///x/shown"]);
});

test("a router that stops ends the streams as the protocol has it", async () => {
  const { listen, subscriptions } = start();
  const [one, other] = [listen(BOTH, { id: "1" }), listen(LISTS)];
  await settle();
  subscriptions.close();
  for (const { state } of [one, other]) expect(state()).toBe("ended");
  expect(one.messages().at(-1)).toEqual({
    jsonrpc: "2.0",
    id: 1,
    result: {
      resultType: "complete",
      _meta: { [SUBSCRIPTION_ID]: 1, "io.modelcontextprotocol/serverInfo": { name: "all", version: "1.2.3" } },
    },
  });
});

test("a backend that needs a session gets one for the stream, whose end the gateway's own end waits for", async () => {
  const deleted = Promise.withResolvers<Scripted>();
  const initialize = {
    protocolVersion: "2025-11-25",
    capabilities: { resources: { subscribe: true } },
    serverInfo: {},
  };
  const { listen, subscriptions, calls } = start({
    modern: false,
    answer({ name }) {
      if (name === "initialize") return result(initialize, { "mcp-session-id": "s1" });
      if (name === "GET") return openStream().answer;
      return name === "DELETE" ? deleted.promise : result({});
    },
  });
  const { agreed } = listen({ resourceSubscriptions: ["git:a"] });
  await settle();
  expect(agreed()).toEqual({ resourceSubscriptions: ["git:a"] });
  let isClosed = false;
  const closed = subscriptions.close().then(() => {
    isClosed = true;
  });
  await settle();
  expect(calls.at(-1)).toMatchObject({ backend: "git", name: "DELETE", session: "s1" });
  expect(isClosed).toBe(false);
  deleted.resolve({});
  await closed;
});
