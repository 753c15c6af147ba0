import { describe, expect, test } from "vitest";
import type { Member } from "../../../src/core/routes.ts";
import { ASKED_AT_ONCE, type Asker, type AskSession } from "../../../src/federation/asker.ts";
import { MOST_BYTES, MOST_PRINCIPALS } from "../../../src/federation/lists-by-principal.ts";
import { sourceName } from "../../../src/federation/shared-lists.ts";
import { mintSessionId, sessionKey, sessionTag } from "../../../src/sessions/id.ts";
import { memberOf } from "../core/federated.ts";
import {
  type Call,
  createServer,
  LISTS,
  openCatalogue,
  policyOf,
  result,
  routeOf,
  rpcError,
  type Script,
  settle,
} from "./backends.ts";

const KEY = sessionKey(mintSessionId());

/** A client whose session at each member is `its-<principal>`, and another in its place `its-other-<principal>`. */
function askerOf(principal: string, over: Partial<Asker> = {}): Asker {
  const caller: Asker["caller"] = (member) => ({
    backend: member.route.backend,
    query: "",
    key: KEY,
    credentials: [["authorization", `Bearer ${principal}`]],
  });
  const sessionAt = (member: Member, sessionId: string): AskSession => ({
    caller: caller(member),
    peer: { sessionId, endpoint: "10.0.0.1:80", setCookies: [], version: "2025-03-26" },
    replace: async () => (sessionId === `its-${principal}` ? sessionAt(member, `its-other-${principal}`) : undefined),
  });
  return { principal, open: async (member) => sessionAt(member, `its-${principal}`), caller, ...over };
}

/** A server that lists a tool of the session that asks; in the router's own there is nothing to see. */
function open() {
  const server = createServer({
    capabilities: { tools: {} },
    answers: { "tools/list": ({ session }: Call) => result({ tools: [{ name: String(session) }] }) },
  });
  const opened = openCatalogue({ own: server, files: createServer() }, [
    memberOf("own", { lists: "principal" }),
    memberOf("files"),
  ]);
  const { catalogue, route } = opened;
  const namesFor = (asker: Asker | undefined, of = route) =>
    catalogue.view(of, asker).tools.items.map(({ item }) => item.key);
  return {
    ...opened,
    server,
    namesFor,
    async demandFor(asker: Asker) {
      catalogue.view(route, asker);
      await settle();
      return namesFor(asker);
    },
  };
}

describe("lists that depend on who asks", () => {
  test("are asked for in the client's session with its credentials, and are that principal's alone", async () => {
    const { demandFor, namesFor, callsOf, catalogue, route } = open();
    expect(await demandFor(askerOf("ada"))).toEqual(["files__search", "own__its-ada"]);
    expect(await demandFor(askerOf("bob"))).toEqual(["files__search", "own__its-bob"]);
    expect(namesFor(askerOf("ada"))).toEqual(["files__search", "own__its-ada"]);
    expect(namesFor(undefined)).toEqual(["files__search"]);
    expect(catalogue.view(route, undefined).known).toEqual([false, true]);
    expect(callsOf("tools/list", "own").map(({ headers, session }) => [headers.authorization, session])).toEqual([
      ["Bearer ada", "its-ada"],
      ["Bearer bob", "its-bob"],
    ]);
    expect(callsOf("tools/list", "own")[0]).toMatchObject({
      purpose: "list",
      headers: { "x-mcp-session": sessionTag(KEY), "mcp-protocol-version": "2025-03-26" },
    });
  });

  test("are asked for without a session where the backend has none, with the client's credentials all the same", async () => {
    const { server, demandFor, callsOf, catalogue, route } = open();
    server.answers = {
      initialize: () => ({ ...rpcError(-32022, "Unsupported protocol version"), status: 400 }),
      "server/discover": () => result({ supportedVersions: ["2026-07-28"], capabilities: { tools: {} } }),
      "tools/list": ({ headers }) => result({ tools: [{ name: String(headers.authorization).slice(7) }] }),
    };
    const noSession = { open: async () => undefined };
    expect(await demandFor(askerOf("ada", noSession))).toEqual(["files__search", "own__ada"]);
    expect(await demandFor(askerOf("bob", noSession))).toEqual(["files__search", "own__bob"]);
    expect(catalogue.view(route, askerOf("ada", noSession)).eras[0]).toEqual({ speaksModern: true, inSession: false });
    expect(callsOf("tools/list", "own")[0]).toMatchObject({
      session: undefined,
      headers: { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" },
    });
  });

  test("are asked for in another session where the client's is lost, and no third one is begun", async () => {
    const { server, demandFor, events, callsOf } = open();
    const lost: Script = ({ session }) =>
      session === "its-ada" || session?.endsWith("bob")
        ? { status: 404, body: "Session not found" }
        : result({ tools: [{ name: String(session) }] });
    server.answers = { "tools/list": lost };
    expect(await demandFor(askerOf("ada"))).toEqual(["files__search", "own__its-other-ada"]);
    expect(events.filter(({ kind }) => kind === "failed")).toEqual([]);
    expect(await demandFor(askerOf("bob"))).toEqual(["files__search"]);
    expect(callsOf("tools/list", "own").map(({ session }) => session)).toEqual([
      "its-ada",
      "its-other-ada",
      "its-bob",
      "its-other-bob",
    ]);
    expect(events).toContainEqual(
      expect.objectContaining({ kind: "failed", list: "tools", failure: { reason: "no-session" } }),
    );
  });

  test("are asked for once in lists.refresh for each", async () => {
    const { demandFor, clock, callsOf } = open();
    for (let n = 0; n < 100; n++) await demandFor(askerOf("ada"));
    expect(callsOf("tools/list", "own")).toHaveLength(1);
    await clock.pass(LISTS.refresh);
    await demandFor(askerOf("ada"));
    expect(callsOf("tools/list", "own")).toHaveLength(2);
  });

  test("are not asked for by the router itself, which only asks what the backend is, and keeps no session there", async () => {
    const { demandFor, callsOf, server, catalogue, route } = open();
    await demandFor(askerOf("ada"));
    expect(callsOf("initialize", "own")).toHaveLength(1);
    expect(callsOf("GET", "own")).toEqual([]);
    expect(server.sessions.size).toBe(0);
    expect(catalogue.view(route, undefined).offers[0]?.capabilities.has("tools")).toBe(true);
  });

  test("are all asked for, where the backend tells nobody else what it has", async () => {
    const { demandFor, server, callsOf, catalogue, route } = open();
    server.answers = { ...server.answers, initialize: () => ({ status: 401 }) };
    server.sessions.add("its-ada");
    const asker = askerOf("ada");
    await demandFor(asker);
    expect(callsOf("tools/list", "own")).toHaveLength(1);
    expect(callsOf("resources/templates/list", "own")).toHaveLength(1);
    expect(catalogue.view(route, asker).offers[0]).toBeUndefined();
  });

  test("show the same object until something changes", async () => {
    const { demandFor, clock, catalogue, route } = open();
    const asker = askerOf("ada");
    await demandFor(asker);
    const before = catalogue.view(route, asker);
    await clock.pass(LISTS.refresh);
    await demandFor(asker);
    expect(catalogue.view(route, askerOf("ada"))).toBe(before);
  });

  test.each([
    ["there is no session", async () => undefined, { reason: "no-session" }],
    ["the session cannot be opened", () => Promise.reject(new Error("no")), { reason: "broken", error: "no" }],
    ["it is thrown", () => Promise.reject("text"), { reason: "broken", error: "text" }],
  ])("fail for that principal alone where %s", async (_, openSession, failure) => {
    const { demandFor, events, namesFor, clock, callsOf } = open();
    expect(await demandFor(askerOf("ada", { open: openSession }))).toEqual(["files__search"]);
    expect(events).toContainEqual(expect.objectContaining({ kind: "failed", backend: "own", failure }));
    // The client's session may be gone: nobody asks in it without being asked.
    await clock.pass(LISTS.refresh);
    expect(callsOf("tools/list", "own")).toEqual([]);
    expect(await demandFor(askerOf("ada"))).toEqual(["files__search", "own__its-ada"]);
    expect(namesFor(undefined)).toEqual(["files__search"]);
  });

  test("fail where the client's session is lost", async () => {
    const { demandFor, server, events } = open();
    server.answers = { "tools/list": () => ({ status: 404, body: "Session not found" }) };
    await demandFor(askerOf("ada"));
    expect(events).toContainEqual(
      expect.objectContaining({ kind: "failed", backend: "own", failure: { reason: "no-session" } }),
    );
  });

  test("are waited for as others are, no longer than lists.timeout", async () => {
    const { catalogue, route, clock } = open();
    const asker = askerOf("ada", { open: () => new Promise(() => undefined) });
    const ready = catalogue.ready(route, asker);
    await clock.pass(LISTS.timeout);
    await ready;
    expect(catalogue.ready(route, asker)).toBeUndefined();
  });

  test("are asked for in few sessions at once", async () => {
    const { catalogue, route, clock, events } = open();
    let opened = 0;
    const stuck = (n: number) =>
      askerOf(`p${n}`, {
        open: (_, signal) => {
          opened++;
          return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
        },
      });
    for (let n = 0; n < 100; n++) catalogue.view(route, stuck(n));
    await settle();
    expect(opened).toBe(ASKED_AT_ONCE);
    await clock.pass(LISTS.timeout);
    const failed = events.filter((event) => event.kind === "failed" && event.backend === "own");
    expect(failed).toHaveLength(100);
  });

  test("are those of so many principals at most; who used them longest ago is asked for again", async () => {
    const { demandFor, catalogue, route, callsOf } = open();
    await demandFor(askerOf("first"));
    await demandFor(askerOf("second"));
    await demandFor(askerOf("first"));
    for (let n = 2; n <= MOST_PRINCIPALS; n++) catalogue.view(route, askerOf(`p${n}`));
    await expect.poll(() => callsOf("tools/list", "own").length).toBe(MOST_PRINCIPALS + 1);
    expect(catalogue.report().byPrincipal.principals).toBe(MOST_PRINCIPALS);
    await demandFor(askerOf("first"));
    expect(callsOf("tools/list", "own")).toHaveLength(MOST_PRINCIPALS + 1);
    await demandFor(askerOf("second"));
    expect(callsOf("tools/list", "own")).toHaveLength(MOST_PRINCIPALS + 2);
  });

  test("are no more in memory where they are made of the shortest items", async () => {
    const { server, catalogue, route, clock } = open();
    const short = Array.from({ length: 20_000 }, (_, n) => ({ name: `t${n}` }));
    server.answers = { ...server.answers, "tools/list": () => result({ tools: short }) };
    const large = routeOf(route.members, { lists: { ...LISTS, bytes: MOST_BYTES } });
    for (let n = 0; n < 20; n++) {
      catalogue.view(large, askerOf(`p${n}`));
      await clock.pass(1);
      catalogue.view(large, askerOf(`p${n}`));
    }
    await clock.pass(1);
    const { principals, bytes } = catalogue.report().byPrincipal;
    // An item takes some 350 bytes: those around it, and its place in the principal's own view.
    expect(principals).toBeLessThan(12);
    expect(bytes).toBeLessThanOrEqual(1.2 * MOST_BYTES);
  });

  test("of everybody count for each principal that sees them", async () => {
    const files = createServer({ tools: Array.from({ length: 1_000 }, (_, n) => `t${n}`) });
    const own = createServer({ answers: { "tools/list": () => result({ tools: [] }) } });
    const members = [memberOf("own", { lists: "principal" }), memberOf("files")];
    const { catalogue, route, clock } = openCatalogue({ own, files }, members);
    for (let n = 0; n < 10; n++) {
      catalogue.view(route, askerOf(`p${n}`));
      await clock.pass(1);
      catalogue.view(route, askerOf(`p${n}`));
    }
    expect(catalogue.report().byPrincipal.bytes).toBeGreaterThan(500_000);
  });

  test("are so many bytes at most", async () => {
    const { server, catalogue, route, clock } = open();
    const description = "x".repeat(MOST_BYTES / 4);
    server.answers = { ...server.answers, "tools/list": () => result({ tools: [{ name: "t", description }] }) };
    const large = routeOf(route.members, { lists: { ...LISTS, bytes: MOST_BYTES } });
    for (let n = 0; n < 5; n++) {
      catalogue.view(large, askerOf(`p${n}`));
      await clock.pass(1);
    }
    expect(catalogue.report().byPrincipal.principals).toBe(3);
    expect(catalogue.report().byPrincipal.bytes).toBeLessThanOrEqual(MOST_BYTES);
  });

  test("are let go of when they are not used, and when no route leads to the backend", async () => {
    const { demandFor, catalogue, clock, config } = open();
    await demandFor(askerOf("ada"));
    await clock.pass(LISTS.stale + 20_000);
    expect(catalogue.report().byPrincipal).toEqual({ principals: 0, bytes: 0 });
    await demandFor(askerOf("ada"));
    expect(catalogue.report().byPrincipal.principals).toBe(1);
    const left = routeOf([memberOf("files")]);
    config.policy = policyOf(left);
    catalogue.view(left, askerOf("ada"));
    expect(catalogue.report().byPrincipal.principals).toBe(0);
  });
});

describe("a list that a principal has another of", () => {
  /** A server whose tool the test names, and what Ada is offered by it. */
  async function openFor(capabilities: object) {
    const opened = open();
    const { server, demandFor, clock } = opened;
    const ada = askerOf("ada");
    server.capabilities = capabilities;
    const list = (name: string) => {
      server.answers = { "tools/list": () => result({ tools: [{ name }] }) };
    };
    list("old");
    await demandFor(ada);
    return {
      ...opened,
      list,
      source: sourceName(memberOf("own", { lists: "principal" })),
      /** Has it asked for again as time goes by. */
      async refresh() {
        await clock.pass(LISTS.refresh);
        return demandFor(ada);
      },
      listed: () => opened.namesFor(ada),
    };
  }

  const seenBy = (principal: string) => ({ principal, backend: "own", list: "tools", isAnnounced: false });

  test("is told to other routers, and to the principal's clients", async () => {
    const { own, list, refresh, source } = await openFor({ tools: {} });
    list("new");
    await refresh();
    expect(own.changes).toMatchObject([{ principal: "ada", source, list: "tools", digest: expect.any(String) }]);
    expect(own.seen).toEqual([seenBy("ada")]);
    await refresh();
    expect(own.changes).toHaveLength(1);
  });

  test("may have been told to clients by a backend that tells of changes", async () => {
    const { own, list, refresh } = await openFor({ tools: { listChanged: true } });
    list("new");
    await refresh();
    expect(own.changes).toHaveLength(1);
    expect(own.seen).toEqual([{ ...seenBy("ada"), isAnnounced: true }]);
  });

  test("is told to nobody where the principal had none before", async () => {
    const { own, demandFor } = await openFor({ tools: {} });
    await demandFor(askerOf("eve"));
    expect(own).toEqual({ changes: [], seen: [] });
  });

  test("is asked for at once where another router has it, or has heard of it", async () => {
    const { catalogue, list, listed, source, own } = await openFor({ tools: {} });
    list("new");
    catalogue.othersHaveOwn({ principal: "ada", source, list: "tools", digest: "another" });
    await settle();
    expect(listed()).toEqual(["files__search", "own__new"]);
    expect(own.seen).toEqual([seenBy("ada")]);
    list("newer");
    catalogue.renew("ada", source);
    await settle();
    expect(listed()).toEqual(["files__search", "own__newer"]);
  });

  test("is not asked for where both routers have the same, or for another principal", async () => {
    const { catalogue, list, refresh, callsOf, own, source } = await openFor({ tools: {} });
    list("new");
    await refresh();
    const asked = callsOf("tools/list", "own").length;
    const digest = own.changes[0]?.digest ?? "";
    catalogue.othersHaveOwn({ principal: "ada", source, list: "tools", digest });
    catalogue.othersHaveOwn({ principal: "eve", source, list: "tools", digest: "another" });
    catalogue.renew("eve", source);
    await settle();
    expect(callsOf("tools/list", "own")).toHaveLength(asked);
  });

  test("is told to clients whose stream is here where their lists are not", async () => {
    const { catalogue, own, source } = await openFor({ tools: {} });
    catalogue.othersHaveOwn({ principal: "eve", source, list: "tools", digest: "another" });
    catalogue.othersHaveOwn({ principal: "eve", source: "none", list: "tools", digest: "another" });
    expect(own.seen).toEqual([seenBy("eve")]);
  });
});
