import { describe, expect, test } from "vitest";
import { compileGlob } from "../../../src/core/federation/glob.ts";
import { type ListChange, sourceName } from "../../../src/federation/shared-lists.ts";
import { memberOf } from "../core/federated.ts";
import {
  createServer,
  LISTS,
  namesIn,
  openCatalogue,
  openStream,
  policyOf,
  result,
  routeOf,
  type Script,
  settle,
} from "./backends.ts";

const silent: Script = () => undefined;

describe("a backend is asked", () => {
  test("in a session of the router's own, for the lists that its capabilities name", async () => {
    const server = createServer({ capabilities: { tools: {}, logging: {} } });
    const { demand, calls, names } = openCatalogue({ files: server });
    expect(await demand()).toEqual(["files__search"]);
    expect(names()).toEqual(
      ["initialize", "notifications/initialized", "GET", "tools/list"].toSorted(byOrder(names())),
    );
    const [initialize, ...rest] = calls;
    expect(initialize?.message).toMatchObject({
      params: {
        protocolVersion: "2025-11-25",
        capabilities: {},
        clientInfo: { name: "envoy-mcp-router", version: "1.2.3" },
      },
    });
    for (const call of calls) expect(call.purpose).toBe("list");
    for (const call of rest) {
      expect(call.session).toBe("session-1");
      expect(call.headers).toMatchObject({ "mcp-protocol-version": "2025-06-18" });
      expect(call.headers).not.toHaveProperty("x-mcp-session");
    }
  });

  test("once, however many ask at once", async () => {
    const { catalogue, route, callsOf } = openCatalogue({ files: createServer() });
    for (let n = 0; n < 10_000; n++) catalogue.view(route, undefined);
    await settle();
    for (let n = 0; n < 10_000; n++) catalogue.view(route, undefined);
    await settle();
    for (const name of ["initialize", "tools/list", "prompts/list", "resources/list", "resources/templates/list"])
      expect(callsOf(name)).toHaveLength(1);
  });

  test("again when its lists are older than lists.refresh, by a demand, in the same session", async () => {
    const server = createServer();
    const { demand, tools, clock, callsOf } = openCatalogue({ files: server });
    await demand();
    server.tools = ["search", "read"];
    await clock.pass(LISTS.refresh - 1);
    await demand();
    expect(callsOf("tools/list")).toHaveLength(1);
    await clock.pass(1);
    expect(callsOf("tools/list")).toHaveLength(1);
    // The old list is served meanwhile.
    expect(tools()).toEqual(["files__search"]);
    await settle();
    expect(tools()).toEqual(["files__read", "files__search"]);
    expect(callsOf("tools/list")).toHaveLength(2);
    expect(callsOf("initialize")).toHaveLength(1);
  });

  test("again while clients listen for changes, though none of them asks for anything", async () => {
    const server = createServer();
    const { demand, clock, config, events, route, callsOf } = openCatalogue({ files: server });
    await demand();
    config.heard.add(route.path);
    for (let passed = 0; passed < 2 * LISTS.stale; passed += LISTS.refresh) {
      await clock.pass(LISTS.refresh);
      await settle();
    }
    server.tools = ["read"];
    events.length = 0;
    await clock.pass(2 * LISTS.refresh);
    await settle();
    expect(events).toContainEqual(expect.objectContaining({ kind: "changed", list: "tools" }));
    expect(callsOf("initialize")).toHaveLength(1);
    config.heard.clear();
    await clock.pass(2 * LISTS.stale);
    await settle();
    expect(events).toContainEqual({ kind: "released", backend: "files" });
  });

  test("once for all routes that lead to it", async () => {
    const { config, catalogue, route, callsOf } = openCatalogue({ files: createServer() });
    const other = routeOf(route.members, { path: "/other" });
    config.policy = policyOf(route, other);
    catalogue.view(route, undefined);
    catalogue.view(other, undefined);
    await settle();
    expect(namesIn(catalogue, other)).toEqual(["files__search"]);
    expect(callsOf("initialize")).toHaveLength(1);
  });

  test("without a session where it keeps none, and each time anew what it has", async () => {
    const server = createServer({ stateful: false });
    const { demand, clock, calls, callsOf } = openCatalogue({ files: server });
    expect(await demand()).toEqual(["files__search"]);
    server.capabilities = { prompts: {} };
    await clock.pass(LISTS.refresh);
    await demand();
    expect(await demand()).toEqual([]);
    expect(callsOf("initialize")).toHaveLength(2);
    expect(callsOf("GET")).toEqual([]);
    for (const { name, session, headers } of calls) {
      expect(session).toBeUndefined();
      if (name !== "initialize") expect(headers).toMatchObject({ "mcp-protocol-version": "2025-06-18" });
    }
  });

  test("in another session where it has lost the first", async () => {
    const server = createServer();
    const { demand, clock, events, callsOf } = openCatalogue({ files: server });
    await demand();
    server.sessions.clear();
    server.tools = ["read"];
    await clock.pass(LISTS.refresh);
    await demand();
    expect(await demand()).toEqual(["files__read"]);
    expect(callsOf("initialize")).toHaveLength(2);
    expect(events.filter(({ kind }) => kind === "failed")).toEqual([]);
  });

  test("in no third session where it loses each", async () => {
    const server = createServer({ answers: { "tools/list": () => ({ status: 404, body: "Session not found" }) } });
    const { demand, events, callsOf } = openCatalogue({ files: server });
    await demand();
    expect(callsOf("initialize")).toHaveLength(2);
    expect(events).toContainEqual(
      expect.objectContaining({ kind: "failed", failure: { reason: "lost-at-once" }, list: undefined }),
    );
  });
});

describe("of a list that cannot be had", () => {
  test.each<[string, Script, object]>([
    ["a page of HTML", () => ({ headers: { "content-type": "text/html" }, body: "<html>" }), { reason: "unreadable" }],
    ["no JSON", () => ({ body: "{" }), { reason: "unreadable" }],
    ["nothing", () => ({ status: 202 }), { reason: "unreadable" }],
    ["a redirect", () => ({ status: 308 }), { reason: "status", status: 308 }],
    ["an error", () => ({ body: '{"error":{"code":-32603,"message":"no"}}' }), { reason: "error", code: -32603 }],
    ["a stream that ends", () => ({ headers: EVENTS, body: ": nothing\n\n" }), { reason: "unreadable" }],
    ["a connection that breaks", () => new Error("reset"), { reason: "broken", error: "reset" }],
    ["one that is too large", () => ({ body: " ".repeat(LISTS.bytes + 1) }), { reason: "too-large" }],
  ])("the others are there: %s", async (_, script, failure) => {
    const server = createServer({ answers: { "prompts/list": script } });
    const { demand, events, catalogue, route } = openCatalogue({ files: server });
    expect(await demand()).toEqual(["files__search"]);
    expect(events).toContainEqual(
      expect.objectContaining({ kind: "failed", list: "prompts", failure: expect.objectContaining(failure) }),
    );
    expect(catalogue.view(route, undefined).known).toEqual([false]);
  });

  test("nothing is missing where the method is unknown", async () => {
    const server = createServer({
      answers: { "prompts/list": () => ({ body: '{"error":{"code":-32601,"message":"Method not found"}}' }) },
    });
    const { demand, events, catalogue, route } = openCatalogue({ files: server });
    await demand();
    expect(catalogue.view(route, undefined).known).toEqual([true]);
    expect(events.filter(({ kind }) => kind === "failed")).toEqual([]);
  });
});

describe("a list comes", () => {
  test("in an event stream, after other messages, and the stream is left then", async () => {
    const stream = openStream();
    const server = createServer({ answers: { "tools/list": () => stream.answer } });
    const { demand, tools } = openCatalogue({ files: server });
    const begun = demand();
    await settle();
    stream.say({ jsonrpc: "2.0", method: "notifications/message", params: {} });
    stream.say({ jsonrpc: "2.0", id: 1, result: { tools: [{ name: "streamed" }] } });
    await begun;
    await settle();
    expect(tools()).toEqual(["files__streamed"]);
    expect(stream.body.destroyed).toBe(true);
  });
});

describe("a backend that fails", () => {
  test("delays the others by lists.timeout at first, and then no more", async () => {
    const dead = { script: silent };
    const { catalogue, route, clock, tools, callsOf } = openCatalogue({ dead, files: createServer() });
    const ready = catalogue.ready(route, undefined);
    let isReady = false;
    void ready?.then(() => {
      isReady = true;
    });
    await clock.pass(LISTS.timeout - 1);
    expect(isReady).toBe(false);
    // What is there is offered already.
    expect(tools()).toEqual(["files__search"]);
    await clock.pass(1);
    expect(isReady).toBe(true);
    expect(catalogue.ready(route, undefined)).toBeUndefined();
    expect(callsOf("initialize", "dead")).toHaveLength(1);
  });

  test("is asked again, less and less often, also while nobody demands anything", async () => {
    const { demand, clock, calls, callsOf } = openCatalogue({ dead: { script: () => ({ status: 500 }) } });
    await demand();
    const times: number[] = [];
    const began = clock.now();
    for (let n = 1; n < 8; n++) {
      while (callsOf("initialize").length <= n) await clock.pass(1_000);
      times.push((clock.now() - began) / 1000);
    }
    // After 1, 2, 4, 8, 16 and 32 s, and then each 60 s.
    expect(times).toEqual([1, 3, 7, 15, 31, 63, 123]);
    expect(calls.every(({ name }) => name === "initialize")).toBe(true);
  });

  test("costs demands nothing", async () => {
    const { demand, callsOf } = openCatalogue({ dead: { script: () => ({ status: 500 }) } });
    for (let n = 0; n < 1_000; n++) await demand();
    expect(callsOf("initialize")).toHaveLength(1);
  }, 60_000);

  test("is not asked before it wants to be", async () => {
    const { demand, clock, callsOf } = openCatalogue({
      busy: { script: () => ({ status: 503, headers: { "retry-after": "30" } }) },
    });
    await demand();
    await clock.pass(29_999);
    await demand();
    expect(callsOf("initialize")).toHaveLength(1);
    await clock.pass(1);
    expect(callsOf("initialize")).toHaveLength(2);
  });

  test("joins when it is back", async () => {
    const server = createServer({ answers: { initialize: () => new Error("refused") } });
    const { demand, tools, clock } = openCatalogue({ files: server });
    expect(await demand()).toEqual([]);
    server.answers = {};
    await clock.pass(1_000);
    expect(tools()).toEqual(["files__search"]);
  });

  test("keeps its last lists for lists.stale, and then they go", async () => {
    const server = createServer();
    const { demand, clock, events, catalogue, route } = openCatalogue({ files: server });
    await demand();
    server.answers = { "tools/list": silent, initialize: silent };
    for (let passed = 0; passed < LISTS.stale; passed += LISTS.refresh) {
      expect(await demand()).toEqual(["files__search"]);
      await clock.pass(LISTS.refresh);
    }
    expect(await demand()).toEqual([]);
    expect(events).toContainEqual({ kind: "expired", backend: "files", shared: true, list: "tools", why: "failing" });
    expect(catalogue.view(route, undefined)).toMatchObject({ known: [false] });
  });

  test("is waited for again where nobody has needed its lists for lists.stale", async () => {
    const { demand, clock, events, catalogue, route } = openCatalogue({ files: createServer() });
    await demand();
    await clock.pass(LISTS.refresh - 1);
    await demand();
    await clock.pass(LISTS.stale - LISTS.refresh + 1);
    const ready = catalogue.ready(route, undefined);
    expect(ready).toBeInstanceOf(Promise);
    await ready;
    expect(namesIn(catalogue, route)).toEqual(["files__search"]);
    expect(catalogue.ready(route, undefined)).toBeUndefined();
    expect(events).toContainEqual(expect.objectContaining({ kind: "expired", list: "tools", why: "unused" }));
  });

  test.each<[string, Script, string]>([
    ["gives different session ids", () => result({}, { "mcp-session-id": "a, b" }), "several-sessions"],
    [
      "is behind an Envoy that names no endpoint",
      () => ({ ...result({}, { "mcp-session-id": "a" }), endpoint: undefined }),
      "no-endpoint",
    ],
    ["answers with an error", () => ({ body: '{"error":{"code":-32600,"message":"no"}}' }), "error"],
    ["answers with no result", () => ({ body: "{}" }), "unreadable"],
    ["answers with no JSON", () => ({ body: "[" }), "unreadable"],
    ["ends its stream", () => ({ headers: EVENTS, body: "" }), "unreadable"],
    ["says too much", () => ({ body: " ".repeat(1024 * 1024 + 1) }), "too-large"],
  ])("begins no session where it %s", async (_, initialize, reason) => {
    const { demand, events, names } = openCatalogue({ files: createServer({ answers: { initialize } }) });
    await demand();
    expect(events).toMatchObject([{ kind: "failed", failure: { reason } }]);
    expect(names()).toEqual(["initialize"]);
  });

  test("has the session ended that nobody will use", async () => {
    const initialize: Script = () => ({ headers: { "mcp-session-id": "a", "set-cookie": "lb=1" }, body: "{}" });
    const { demand, callsOf } = openCatalogue({ files: createServer({ answers: { initialize } }) });
    await demand();
    expect(callsOf("DELETE")).toMatchObject([{ session: "a", purpose: "list", headers: { cookie: "lb=1" } }]);
  });

  test("may lose a session before its first use", async () => {
    const server = createServer({ answers: { "notifications/initialized": () => ({ status: 404 }) } });
    const { demand, events, callsOf } = openCatalogue({ files: server });
    await demand();
    expect(events).toMatchObject([{ kind: "failed", failure: { reason: "lost-at-once" } }]);
    expect(callsOf("DELETE")).toEqual([]);
  });
});

describe("what changes", () => {
  test("is told, and only that", async () => {
    const server = createServer({ prompts: ["greet"] });
    const { demand, clock, events } = openCatalogue({ files: server });
    const changes = () => events.splice(0).filter(({ kind }) => kind === "changed");
    await demand();
    expect(changes()).toEqual([
      { kind: "changed", backend: "files", shared: true, list: "tools", items: 1, digest: expect.any(String) },
      { kind: "changed", backend: "files", shared: true, list: "prompts", items: 1, digest: expect.any(String) },
    ]);
    await clock.pass(LISTS.refresh);
    await demand();
    await settle();
    expect(changes()).toEqual([]);
    server.answers = { "tools/list": () => result({ tools: [{ name: "search", description: "other" }] }) };
    await clock.pass(LISTS.refresh);
    await demand();
    await settle();
    expect(changes()).toMatchObject([{ kind: "changed", backend: "files", shared: true, list: "tools", items: 1 }]);
  });

  test("is shown by another object, and nothing else is", async () => {
    const server = createServer();
    const { demand, clock, catalogue, route } = openCatalogue({ files: server });
    await demand();
    const before = catalogue.view(route, undefined);
    await clock.pass(LISTS.refresh);
    await demand();
    await settle();
    expect(catalogue.view(route, undefined)).toBe(before);
    server.tools = [];
    await clock.pass(LISTS.refresh);
    await demand();
    await settle();
    const after = catalogue.view(route, undefined);
    expect(after).not.toBe(before);
    expect(after.tools.items).toEqual([]);
    expect(after.prompts).toBe(before.prompts);
  });

  test("is a list too that the backend no longer has", async () => {
    const server = createServer({ stateful: false });
    const { demand, clock, events, catalogue, route } = openCatalogue({ files: server });
    await demand();
    server.capabilities = {};
    await clock.pass(LISTS.refresh);
    await demand();
    expect(await demand()).toEqual([]);
    expect(events).toContainEqual({
      kind: "changed",
      backend: "files",
      shared: true,
      list: "tools",
      items: 0,
      digest: "",
    });
    expect(catalogue.view(route, undefined).known).toEqual([true]);
  });
});

describe("the lists of several backends", () => {
  test("are one, in which the first backend's item is offered of two of one name, and that is told", async () => {
    const one = createServer({ tools: ["search", "one"] });
    const two = createServer({ tools: ["search", "two"] });
    const members = [memberOf("one", { prefix: "" }), memberOf("two", { prefix: "" })];
    const { demand, events, clock, catalogue, route } = openCatalogue({ one, two }, members);
    expect(await demand()).toEqual(["one", "search", "two"]);
    expect(catalogue.view(route, undefined).tools.find("search")?.member).toBe(0);
    const collisions = () => events.splice(0).filter(({ kind }) => kind === "collisions");
    expect(collisions()).toEqual([
      {
        kind: "collisions",
        shared: true,
        route: "/all",
        list: "tools",
        number: 1,
        first: { key: "search", kept: "one", leftOut: "two" },
      },
    ]);
    two.tools = ["two"];
    await clock.pass(LISTS.refresh);
    await demand();
    await demand();
    expect(collisions()).toMatchObject([{ number: 0, first: undefined }]);
  });

  test("hold what the route's filters allow; templates are held to those of resources", async () => {
    const server = createServer({ tools: ["a", "b"], resources: ["x:1"], templates: ["x:{n}", "y:{n}"] });
    const nothing = { allow: [], deny: [] };
    const { demand, catalogue, route } = openCatalogue({ files: server }, undefined, {
      filters: {
        tools: { allow: undefined, deny: [compileGlob("*__b")] },
        prompts: nothing,
        resources: { allow: [compileGlob("x:*")], deny: [] },
      },
    });
    expect(await demand()).toEqual(["files__a"]);
    const { resources, templates } = catalogue.view(route, undefined);
    expect(resources.items.map(({ item }) => item.key)).toEqual(["x:1"]);
    expect(templates.items.map(({ item }) => item.key)).toEqual(["x:{n}"]);
  });

  test("come with what each backend says of itself", async () => {
    const { demand, catalogue, route } = openCatalogue({ files: createServer(), dead: { script: silent } });
    await demand();
    const { offers } = catalogue.view(route, undefined);
    expect(offers[1]).toBeUndefined();
    expect(offers[0]).toMatchObject({
      version: "2025-06-18",
      serverInfo: '{"name":"server"}',
      instructions: undefined,
    });
    expect([...(offers[0]?.capabilities ?? [])]).toEqual([
      ["tools", '{"listChanged":true}'],
      ["prompts", "{}"],
      ["resources", "{}"],
    ]);
  });
});

describe("the router's own sessions are ended", () => {
  test("at the end, and then nothing is asked any more", async () => {
    const server = createServer();
    const { demand, catalogue, clock, names, callsOf } = openCatalogue({ files: server });
    await demand();
    await catalogue.close();
    expect(server.sessions.size).toBe(0);
    expect(callsOf("DELETE")).toMatchObject([{ session: "session-1", purpose: "list" }]);
    const before = names().length;
    await demand();
    await clock.pass(LISTS.stale);
    expect(names()).toHaveLength(before);
  });

  test("at the end, also where one is just being begun", async () => {
    const answered = Promise.withResolvers<void>();
    const server = createServer();
    const slow: Script = async (call) => {
      if (call.name === "initialize") await answered.promise;
      return server.script(call);
    };
    const { demand, catalogue } = openCatalogue({ files: { script: slow } });
    await demand();
    const closed = catalogue.close();
    answered.resolve();
    await closed;
    expect(server.sessions.size).toBe(0);
  });

  test("at the end, which waits no longer than a second for a backend", async () => {
    const { demand, catalogue, clock, events, calls } = openCatalogue({ dead: { script: silent } });
    await demand();
    const closed = catalogue.close();
    await clock.pass(1_000);
    await closed;
    expect(calls.every(({ signal }) => signal.aborted)).toBe(true);
    expect(events).toEqual([]);
  });

  test("when nobody has used a backend for lists.stale", async () => {
    const server = createServer();
    const { demand, clock, events, tools } = openCatalogue({ files: server });
    await demand();
    await clock.pass(LISTS.stale + 20_000);
    expect(server.sessions.size).toBe(0);
    expect(events).toContainEqual({ kind: "released", backend: "files" });
    expect(tools()).toEqual([]);
    await settle();
    expect(tools()).toEqual(["files__search"]);
  });

  test("when no route leads to a backend any more, and the others stay", async () => {
    const [files, other] = [createServer(), createServer()];
    const { demand, catalogue, config, clock, events, callsOf } = openCatalogue({ files, other });
    await demand();
    const left = routeOf([memberOf("other")], { path: "/left" });
    config.policy = policyOf(left);
    catalogue.view(left, undefined);
    await settle();
    expect([files.sessions.size, other.sessions.size]).toEqual([0, 1]);
    expect(events).toContainEqual({ kind: "released", backend: "files" });
    expect(events).toContainEqual({ kind: "route-gone", route: "/all" });
    expect(namesIn(catalogue, left)).toEqual(["other__search"]);
    expect(callsOf("initialize", "other")).toHaveLength(1);
    await clock.pass(LISTS.refresh);
    expect(callsOf("initialize", "files")).toHaveLength(1);
  });

  test("when a backend's path is another, and it is asked there", async () => {
    const files = createServer();
    const { demand, catalogue, config, calls, events } = openCatalogue({ files });
    await demand();
    const member = memberOf("files");
    const moved = { ...member, route: { ...member.route, backend: { ...member.route.backend, path: "/v2" } } };
    const route = routeOf([moved]);
    config.policy = policyOf(route);
    catalogue.view(route, undefined);
    await settle();
    expect(files.sessions.size).toBe(1);
    expect(calls.filter(({ name }) => name === "initialize").map(({ path }) => path)).toEqual(["/mcp", "/v2"]);
    expect(calls.filter(({ name }) => name === "DELETE").map(({ path }) => path)).toEqual(["/mcp"]);
    expect(events.filter(({ kind }) => kind === "released")).toHaveLength(1);
  });
});

const EVENTS = { "content-type": "text/event-stream" };

/** Calls that are made at once may come in any order. */
function byOrder(names: readonly string[]) {
  return (one: string, other: string) => names.indexOf(one) - names.indexOf(other);
}

describe("a list that another router has, and this one does not", () => {
  async function open() {
    const server = createServer();
    const opened = openCatalogue({ files: server });
    await opened.demand();
    const source = sourceName(memberOf("files"));
    return {
      ...opened,
      server,
      source,
      others: (digest: string) => opened.catalogue.othersHave({ source, list: "tools", digest }),
    };
  }

  test("is asked for at once, and clients wait for it", async () => {
    const { server, route, catalogue, callsOf, tools, others } = await open();
    server.tools = ["other"];
    others("another");
    // Who only calls does not wait.
    expect(catalogue.ready(route, undefined)).toBeUndefined();
    const renewed = catalogue.renewed(route, undefined);
    expect(renewed).toBeDefined();
    await renewed;
    expect(tools()).toEqual(["files__other"]);
    expect(callsOf("tools/list")).toHaveLength(2);
    expect(catalogue.renewed(route, undefined)).toBeUndefined();
  });

  test("is asked for once more where it was being asked for already", async () => {
    const { server, route, clock, catalogue, tools, callsOf, others } = await open();
    const answered = Promise.withResolvers<void>();
    let asked = 0;
    server.answers = {
      "tools/list": async () => {
        if (asked++ > 0) return result({ tools: [{ name: "new" }] });
        await answered.promise;
        return result({ tools: [{ name: "old" }] });
      },
    };
    await clock.pass(LISTS.refresh);
    catalogue.view(route, undefined);
    await settle();
    others("another");
    answered.resolve();
    await catalogue.renewed(route, undefined);
    expect(tools()).toEqual(["files__new"]);
    expect(callsOf("tools/list")).toHaveLength(3);
  });

  test("is waited for no longer than a second", async () => {
    const { server, route, clock, catalogue, others } = await open();
    server.answers = { "tools/list": () => undefined };
    others("another");
    let isOver = false;
    void catalogue.renewed(route, undefined)?.then(() => {
      isOver = true;
    });
    await clock.pass(999);
    expect(isOver).toBe(false);
    await clock.pass(1);
    expect(isOver).toBe(true);
    expect(catalogue.renewed(route, undefined)).toBeUndefined();
  });

  test("is not asked for without end by routers that see another one each time", async () => {
    const { callsOf, clock, others } = await open();
    for (let n = 0; n < 300; n++) {
      others(`digest ${n}`);
      await clock.pass(100);
    }
    // At first, and then three times in each 15 of 30 s.
    expect(callsOf("tools/list")).toHaveLength(1 + 2 * 3);
  });

  test("is none where both have the same, or nobody asks for it here", async () => {
    const { callsOf, catalogue, changes, others } = await openTold();
    others(changes.at(0)?.digest ?? "");
    catalogue.othersHave({ source: "none", list: "tools", digest: "x" });
    await settle();
    expect(callsOf("tools/list")).toHaveLength(1);
  });

  /** With what other routers are told. */
  async function openTold() {
    const changes: ListChange[] = [];
    const opened = openCatalogue({ files: createServer() }, undefined, {}, (change) => void changes.push(change));
    await opened.demand();
    const source = sourceName(memberOf("files"));
    expect(changes).toMatchObject([{ source, list: "tools" }]);
    return {
      ...opened,
      changes,
      others: (digest: string) => opened.catalogue.othersHave({ source, list: "tools", digest }),
    };
  }
});
