/** What the catalogue learns of the eras that backends speak. */
import { describe, expect, test } from "vitest";
import { memberOf } from "../core/federated.ts";
import {
  createServer,
  LISTS,
  openCatalogue,
  result,
  rpcError,
  type Script,
  type ServerOptions,
  settle,
} from "./backends.ts";

const MODERN = ["2026-07-28"];

/** A sound server of sessions that answers a server/discover in its own way. */
function serverWith(discover: Script) {
  return createServer({ answers: { "server/discover": discover } });
}

/** A catalogue over one server. */
function open(server: ReturnType<typeof createServer>) {
  const opened = openCatalogue({ files: server });
  const { catalogue, route } = opened;
  return { ...opened, server, speaksModern: () => catalogue.view(route, undefined).eras[0]?.speaksModern };
}

const silent: Script = () => undefined;

describe("a backend", () => {
  test("speaks the modern era where its server/discover says so, which is asked as that era asks", async () => {
    const { demand, probes, speaksModern, tools } = open(createServer({ modern: ["2027-01-01", ...MODERN] }));
    await demand();
    expect(speaksModern()).toBe(true);
    expect(tools()).toEqual(["files__search"]);
    expect(probes).toMatchObject([
      {
        session: undefined,
        purpose: "list",
        headers: { "mcp-protocol-version": "2026-07-28", "mcp-method": "server/discover" },
        message: {
          params: {
            _meta: {
              "io.modelcontextprotocol/protocolVersion": "2026-07-28",
              "io.modelcontextprotocol/clientCapabilities": {},
              "io.modelcontextprotocol/clientInfo": { name: "envoy-mcp-router", version: "1.2.3" },
            },
          },
        },
      },
    ]);
    expect(probes[0]?.headers).not.toHaveProperty("mcp-name");
  });

  test("is asked once for each asking for its lists", async () => {
    const { demand, clock, probes } = open(createServer({ modern: MODERN }));
    for (let n = 0; n < 10; n++) await demand();
    expect(probes).toHaveLength(1);
    await clock.pass(LISTS.refresh);
    await demand();
    await settle();
    expect(probes).toHaveLength(2);
  });
});

describe("while a backend is asked for the first time whether it speaks the modern era", () => {
  test("requests of that era wait for its answer, and others do not", async () => {
    const answered = Promise.withResolvers<void>();
    const { catalogue, route, speaksModern, demand } = open(
      serverWith(async () => {
        await answered.promise;
        return result({ supportedVersions: MODERN, capabilities: {} });
      }),
    );
    await demand();
    expect(catalogue.ready(route, undefined)).toBeUndefined();
    const ready = catalogue.ready(route, undefined, "modern");
    expect(ready).toBeDefined();
    answered.resolve();
    await ready;
    expect(speaksModern()).toBe(true);
    expect(catalogue.ready(route, undefined, "modern")).toBeUndefined();
  });

  test("they wait no longer than lists.timeout, and not again", async () => {
    const { catalogue, route, clock, demand } = open(serverWith(silent));
    await demand();
    let isOver = false;
    void catalogue.ready(route, undefined, "modern")?.then(() => {
      isOver = true;
    });
    await clock.pass(LISTS.timeout - 1);
    expect(isOver).toBe(false);
    await clock.pass(1);
    expect(isOver).toBe(true);
    await clock.pass(LISTS.refresh);
    await demand();
    expect(catalogue.ready(route, undefined, "modern")).toBeUndefined();
  });
});

test.each<[string, Script]>([
  ["-32601", () => rpcError(-32601, "Method not found")],
  ["-32022", () => rpcError(-32022, "Unsupported protocol version")],
  ["-32602", () => rpcError(-32602, "Invalid params")],
  ["400 without JSON", () => ({ status: 400, body: "Bad Request" })],
  ["400 -32000", () => ({ ...rpcError(-32000, "Bad Request: Server not initialized"), status: 400 })],
  ["404", () => ({ status: 404 })],
  ["405", () => ({ status: 405 })],
  ["other versions", () => result({ supportedVersions: ["2025-11-25"] })],
  ["another result", () => result({})],
])("a backend that answers by %s does not speak the modern era, also where it did before", async (_, discover) => {
  const { demand, clock, server, speaksModern } = open(createServer({ modern: MODERN }));
  await demand();
  expect(speaksModern()).toBe(true);
  server.answers = { "server/discover": discover };
  await clock.pass(LISTS.refresh);
  await demand();
  await settle();
  expect(speaksModern()).toBe(false);
});

describe.each<[string, Script]>([
  ["401", () => ({ status: 401 })],
  ["403", () => ({ status: 403, body: "Forbidden" })],
  ["429", () => ({ status: 429 })],
  ["500", () => ({ ...rpcError(-32601, "Method not found"), status: 500 })],
  ["503", () => ({ status: 503 })],
  ["a redirect", () => ({ status: 308 })],
  ["another error", () => rpcError(-32603, "Internal error")],
  ["no JSON", () => ({ body: "<html>" })],
  ["nothing", () => ({ status: 202 })],
  ["too much", () => ({ body: " ".repeat(1024 * 1024 + 1) })],
  ["a stream that ends", () => ({ headers: { "content-type": "text/event-stream" }, body: ": no\n\n" })],
  ["a connection that breaks", () => new Error("reset")],
  ["silence", silent],
])("%s says nothing of the era", (_, discover) => {
  test.each([true, false])("so what was known before stays: %s", async (before) => {
    const { demand, clock, server, speaksModern } = open(createServer(before ? { modern: MODERN } : {}));
    await demand();
    expect(speaksModern()).toBe(before);
    server.answers = { "server/discover": discover };
    await clock.pass(LISTS.refresh);
    await demand();
    await clock.pass(LISTS.timeout);
    expect(speaksModern()).toBe(before);
  });

  test("and is asked again with the lists, which come as ever", async () => {
    const { demand, clock, server, speaksModern, probes, events, tools } = open(serverWith(discover));
    await demand();
    expect(tools()).toEqual(["files__search"]);
    expect(events.filter(({ kind }) => kind === "failed")).toEqual([]);
    expect(speaksModern()).toBe(false);
    server.answers = {};
    server.modern = MODERN;
    await clock.pass(LISTS.refresh);
    await demand();
    await settle();
    expect(probes).toHaveLength(2);
    expect(speaksModern()).toBe(true);
  });
});

test("a backend that is away keeps its verdict, though its lists go", async () => {
  const { demand, clock, server, speaksModern, tools } = open(createServer({ modern: MODERN }));
  await demand();
  server.answers = { "server/discover": silent, initialize: silent, "tools/list": silent };
  for (let passed = 0; passed <= LISTS.stale; passed += LISTS.refresh) {
    await demand();
    await clock.pass(LISTS.refresh);
  }
  expect(tools()).toEqual([]);
  expect(speaksModern()).toBe(true);
});

describe("a backend on whose era depends who serves its clients", () => {
  const open = (discover: Script) =>
    openCatalogue({ files: serverWith(discover) }, [memberOf("files", { prefix: undefined })]);

  test("has said which it speaks once its lists are there, however late it says so", async () => {
    const said = Promise.withResolvers<void>();
    const modern = result({ resultType: "complete", supportedVersions: MODERN, capabilities: {} });
    const { catalogue, route, demand, tools } = open(() => said.promise.then(() => modern));
    await demand();
    expect(catalogue.ready(route, undefined)).toBeDefined();
    said.resolve();
    await settle();
    expect(catalogue.ready(route, undefined)).toBeUndefined();
    expect(catalogue.view(route, undefined).eras).toEqual([{ speaksModern: true, inSession: true }]);
    expect(tools()).toEqual(["search"]);
  });

  test("is not waited for longer than half of the time for its lists, which are there all the same", async () => {
    const { catalogue, route, demand, clock, tools } = open(silent);
    await demand();
    await clock.pass(LISTS.timeout / 2 - 1);
    expect(catalogue.ready(route, undefined)).toBeDefined();
    await clock.pass(1);
    expect(catalogue.ready(route, undefined)).toBeUndefined();
    expect(tools()).toEqual(["search"]);
  });
});

test("the end of the catalogue does not wait for what is still asked", async () => {
  const { demand, catalogue, probes } = open(serverWith(silent));
  await demand();
  await catalogue.close();
  expect(probes[0]?.signal.aborted).toBe(true);
});

describe("a backend of the modern era alone", () => {
  const UNSUPPORTED: Script = () => ({ ...rpcError(-32022, "Unsupported protocol version"), status: 400 });

  function modernServer(options: ServerOptions = {}) {
    return createServer({ stateful: false, modern: MODERN, answers: { initialize: UNSUPPORTED }, ...options });
  }

  test("is asked in that era where it has replaced one of sessions, in whose session it refuses everything", async () => {
    const [old, next] = [createServer(), modernServer({ tools: ["find"] })];
    let isReplaced = false;
    const script: Script = (call) => {
      if (!isReplaced) return old.script(call);
      return call.session === undefined ? next.script(call) : UNSUPPORTED(call);
    };
    const { demand, clock, catalogue, route, callsOf } = openCatalogue({ files: { script } });
    expect(await demand()).toEqual(["files__search"]);
    isReplaced = true;
    await clock.pass(LISTS.refresh);
    await demand();
    expect(await demand()).toEqual(["files__find"]);
    expect(catalogue.view(route, undefined).eras).toEqual([{ speaksModern: true, inSession: false }]);
    expect(callsOf("DELETE")).toHaveLength(1);
  });

  test("is not taken for replaced where a session that has just begun refuses everything", async () => {
    const refusing = createServer({ answers: { "tools/list": UNSUPPORTED } });
    const { demand, callsOf } = openCatalogue({ files: refusing });
    await demand();
    expect(callsOf("initialize")).toHaveLength(1);
    expect(refusing.sessions.size).toBe(1);
  });

  test("is asked for its lists in that era, and offers them to all clients", async () => {
    const opened = openCatalogue({ files: modernServer({ resources: ["file:///a"] }) });
    await opened.demand();
    const { catalogue, route, callsOf, events, names, tools } = opened;
    expect(tools()).toEqual(["files__search"]);
    expect(catalogue.view(route, undefined)).toMatchObject({
      known: [true],
      eras: [{ speaksModern: true, inSession: false }],
      offers: [{ version: "2026-07-28" }],
    });
    expect(events.filter(({ kind }) => kind === "failed")).toEqual([]);
    expect(callsOf("tools/list")).toMatchObject([
      {
        session: undefined,
        headers: { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" },
        message: { params: { _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } } },
      },
    ]);
    expect(names()).not.toContain("GET");
    expect(names()).not.toContain("DELETE");
    expect(catalogue.report()).toMatchObject({
      backends: [{ eras: ["modern"], version: "2026-07-28", offered: { tools: { items: 1 } } }],
      routes: [{ tools: [{ key: "files__search" }], resources: [{ key: "file:///a" }] }],
    });
  });

  test("is asked for all pages", async () => {
    const asked: unknown[] = [];
    const list: Script = ({ message }) => {
      asked.push(message?.params?.cursor);
      return result({ tools: [{ name: `t${asked.length}` }], ...(asked.length < 2 && { nextCursor: "é" }) });
    };
    const opened = openCatalogue({ files: modernServer({ answers: { initialize: UNSUPPORTED, "tools/list": list } }) });
    await opened.demand();
    expect(asked).toEqual([undefined, "é"]);
    expect(opened.tools()).toEqual(["files__t1", "files__t2"]);
  });

  test("is asked on by an empty cursor, which is one as any; but not twice", async () => {
    const asked: unknown[] = [];
    const list: Script = ({ message }) => {
      asked.push(message?.params?.cursor);
      return result({ tools: [{ name: `t${asked.length}` }], nextCursor: "" });
    };
    const opened = openCatalogue({ files: modernServer({ answers: { initialize: UNSUPPORTED, "tools/list": list } }) });
    await opened.demand();
    expect(asked).toEqual([undefined, ""]);
    expect(opened.tools()).toEqual(["files__t1", "files__t2"]);
    expect(opened.events).toContainEqual(
      expect.objectContaining({ kind: "listed", list: "tools", items: 2, cut: "cursor" }),
    );
  });

  test.each<[string, ServerOptions]>([
    ["both eras", { modern: MODERN }],
    ["the legacy era alone", {}],
  ])("is seen beside one of %s", async (_, beside) => {
    const opened = openCatalogue({ files: modernServer(), git: createServer(beside) });
    await opened.demand();
    expect(opened.tools()).toEqual(["files__search", "git__search"]);
  });

  test("is one of both eras once it begins sessions", async () => {
    const server = modernServer();
    const opened = openCatalogue({ files: server });
    await opened.demand();
    server.answers = {};
    await opened.clock.pass(LISTS.refresh);
    await opened.demand();
    await settle();
    expect(opened.tools()).toEqual(["files__search"]);
    expect(opened.catalogue.view(opened.route, undefined).eras).toEqual([{ speaksModern: true, inSession: true }]);
  });

  test.each<[string, Script, Script]>([
    ["it is away", () => ({ status: 503 }), () => result({ supportedVersions: MODERN })],
    ["it wants a login", () => ({ status: 401 }), () => result({ supportedVersions: MODERN })],
    ["nothing says that it is one", UNSUPPORTED, () => ({ status: 503 })],
    ["it is of no era", UNSUPPORTED, () => rpcError(-32601, "Method not found")],
  ])("is not asked in it where %s", async (_, initialize, discover) => {
    const { demand, events, names } = openCatalogue({
      files: modernServer({ answers: { initialize, "server/discover": discover } }),
    });
    await demand();
    expect(names()).toEqual(["initialize"]);
    expect(events).toMatchObject([{ kind: "failed", list: undefined, failure: { reason: "status" } }]);
  });

  test("whose lists come late fails like any other", async () => {
    const answers = { initialize: UNSUPPORTED, "tools/list": silent };
    const { demand, clock, events } = openCatalogue({ files: modernServer({ answers }) });
    await demand();
    await clock.pass(LISTS.timeout);
    expect(events).toMatchObject([{ kind: "failed", failure: { reason: "timeout" } }]);
  });
});
