import { describe, expect, test } from "vitest";
import { MOST_ITEMS } from "../../../src/core/federation/list-page.ts";
import { type Call, createServer, LISTS, openCatalogue, result, rpcError, type Script, settle } from "./backends.ts";

/** A server whose tools come on pages: each has a tool of its own and the next page's cursor. */
function paged(cursorAfter: (cursor: string | undefined) => string | undefined) {
  const cursors: (string | undefined)[] = [];
  const server = createServer({
    answers: {
      "tools/list": ({ message }: Call) => {
        const cursor = message?.params?.cursor;
        cursors.push(cursor);
        const nextCursor = cursorAfter(cursor);
        return result({ tools: [{ name: `t${cursors.length}` }], ...(nextCursor !== undefined && { nextCursor }) });
      },
    },
  });
  return { server, cursors, ...openCatalogue({ files: server }) };
}

test("a capability of more than 16 KiB is left out: each client's initialize is answered with all of them", async () => {
  const server = createServer({ capabilities: { tools: {}, extensions: { "a/x": "x".repeat(20_000) } } });
  const { demand, catalogue, route } = openCatalogue({ files: server });
  await demand();
  expect([...(catalogue.view(route, undefined).offers[0]?.capabilities.keys() ?? [])]).toEqual(["tools"]);
});

describe("all pages of a list are read", () => {
  test("by the cursors as the backend gives them", async () => {
    const second = 'é "\\ \u{1f600}';
    const { demand, cursors, events } = paged((cursor) => (cursor === undefined ? second : undefined));
    expect(await demand()).toEqual(["files__t1", "files__t2"]);
    expect(cursors).toEqual([undefined, second]);
    expect(events.filter(({ kind }) => kind === "listed")).toContainEqual({
      kind: "listed",
      backend: "files",
      list: "tools",
      items: 2,
      leftOut: 0,
      duplicates: 0,
      cut: undefined,
    });
  });

  test("up to an empty cursor, which is the end for a server with sessions", async () => {
    const { demand, cursors } = paged(() => "");
    await demand();
    expect(cursors).toHaveLength(1);
  });

  test.each([
    ["stays the same", () => "again", "cursor", 2],
    ["comes again", (cursor: string | undefined) => (cursor === "a" ? "b" : "a"), "cursor", 3],
    ["is another each time", (cursor = "") => `${cursor}x`, "pages", LISTS.pages],
  ])("but no further where the cursor %s: what came before is kept", async (_, cursorAfter, cut, pages) => {
    const { demand, cursors, events } = paged(cursorAfter);
    expect(await demand()).toHaveLength(pages);
    expect(cursors).toHaveLength(pages);
    expect(events).toContainEqual(expect.objectContaining({ kind: "listed", list: "tools", items: pages, cut }));
    expect(events.filter(({ kind }) => kind === "failed")).toEqual([]);
  });

  test("within lists.bytes: what came before is kept", async () => {
    let pages = 0;
    const description = "x".repeat(LISTS.bytes / 2 - 200);
    const server = createServer({
      answers: {
        "tools/list": () => result({ tools: [{ name: `t${++pages}`, description }], nextCursor: `${pages}` }),
      },
    });
    const { demand, events } = openCatalogue({ files: server });
    expect(await demand()).toEqual(["files__t1", "files__t2"]);
    expect(pages).toBe(3);
    expect(events).toContainEqual(expect.objectContaining({ kind: "listed", list: "tools", cut: "bytes" }));
  });

  test("and not asked for where they are at lists.bytes already", async () => {
    let pages = 0;
    const page = (description: string) => result({ tools: [{ name: "t", description }], nextCursor: "next" });
    const room = LISTS.bytes - String(page("").body).length;
    const server = createServer({
      answers: {
        "tools/list": () => {
          pages++;
          return page("x".repeat(room));
        },
      },
    });
    const { demand, events } = openCatalogue({ files: server });
    await demand();
    expect(pages).toBe(1);
    expect(events).toContainEqual(expect.objectContaining({ kind: "listed", list: "tools", cut: "bytes" }));
  });

  test("up to the most items", async () => {
    const tools = Array.from({ length: MOST_ITEMS + 1 }, (_, n) => ({ name: `t${n}` }));
    const server = createServer({ answers: { "tools/list": () => result({ tools, nextCursor: "next" }) } });
    const {
      demand,
      events,
      tools: names,
      callsOf,
    } = openCatalogue({ files: server }, undefined, {
      lists: { ...LISTS, bytes: 10_000_000 },
    });
    await demand();
    expect(names()).toHaveLength(MOST_ITEMS);
    expect(callsOf("tools/list")).toHaveLength(1);
    expect(events).toContainEqual(expect.objectContaining({ kind: "listed", cut: "items", items: MOST_ITEMS }));
  });

  test("or the list as it was stays, where one of them fails", async () => {
    const server = createServer();
    const { demand, clock, tools, events } = openCatalogue({ files: server });
    await demand();
    server.answers = {
      "tools/list": ({ message }) =>
        message?.params?.cursor === undefined
          ? result({ tools: [{ name: "new" }], nextCursor: "gone" })
          : rpcError(-32602, "unknown cursor"),
    };
    await clock.pass(LISTS.refresh);
    await demand();
    await settle();
    expect(tools()).toEqual(["files__search"]);
    expect(events).toContainEqual(expect.objectContaining({ kind: "failed", list: "tools" }));
  });
});

test("items that nothing can name, or that have another one's name, are left out and counted", async () => {
  const tools = [1, null, {}, { name: "" }, { name: 5 }, { name: "a" }, { name: "a", title: "twin" }];
  const server = createServer({ answers: { "tools/list": () => result({ tools }) } });
  const { demand, events } = openCatalogue({ files: server });
  expect(await demand()).toEqual(["files__a"]);
  expect(events).toContainEqual(expect.objectContaining({ list: "tools", items: 1, leftOut: 5, duplicates: 1 }));
});

test.each<[string, Script]>([
  ["by its status", () => ({ status: 404, body: "Session not found" })],
  ["in an error, by a success", () => rpcError(-32600, "Session not found")],
])("a lost session is noticed %s, and begun anew", async (_, lost) => {
  let times = 0;
  const server = createServer();
  const { demand, callsOf } = openCatalogue({
    files: { script: (call) => (call.name === "tools/list" && times++ === 0 ? lost(call) : server.script(call)) },
  });
  expect(await demand()).toEqual(["files__search"]);
  expect(callsOf("initialize")).toHaveLength(2);
});
