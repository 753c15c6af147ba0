/** Items of several servers' lists reach clients as their servers wrote them, but for the names. */
import { createRequire } from "node:module";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Child, start, waitFor } from "../../harness/child.ts";
import { accepts, freePort } from "../../harness/ports.ts";
import { ALL_LISTS, LIST_KINDS, type ListKind } from "../../src/core/federation/kinds.ts";
import { type Answer, messageOf, openSession, post } from "../support/http.ts";
import { type Lists, startListedServer } from "../support/listed-server.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { requestMessage } from "../support/messages.ts";
import type { SessionServer } from "../support/session-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/mcp";

/** What JSON allows and parsing and printing would lose, as members of an item. */
const ODD = [
  '"big":9007199254740993,"small":-0,"float":1.0,"exponent":1E400,"tiny":-0.0e-7',
  '"z":1,"10":{"b":null,"a":[ ]},"2":[{}, [] ,false],"a":""',
  '"emoji":"\\uD83D\\ude00","text":"\\\\ud83d","slash":"\\/","nul":"\\u0000","raw":"é\u2028😀"',
  '"twice":1,"twice":{"name":"no name"},"uri":1,"annotations":{"readOnlyHint":false,"destructiveHint":false}',
  '"__proto__":{"x":1},"constructor":null,"inputSchema":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}',
] as const;

/** Two pages of items, whose texts are made of the JSON text of their key. */
function pages(
  key: string,
  texts: readonly string[],
): { readonly pages: string[][]; readonly of: (key: string, n: number) => string } {
  const of = (text: string, n: number) => {
    const odd = ODD[n % ODD.length];
    return n % 2 === 0 ? `{"${key}":${text},${odd}}` : `{ ${odd} ,\t"${key}" : ${text} }`;
  };
  const items = texts.map((text, n) => of(text, n));
  const half = Math.ceil(items.length / 2);
  return { pages: [items.slice(0, half), items.slice(half)], of };
}

/** JSON texts of the keys, and what they become on a route. */
const KEYS: Record<ListKind, { readonly own: readonly string[]; readonly shown: readonly string[] }> = {
  tools: {
    own: ['"alpha"', '"\\u0062eta"', '"gamma-2"', '"delta\\u005f3"', '"épsilon"'],
    shown: ['"odd__alpha"', '"odd__beta"', '"odd__gamma-2"', '"odd__delta_3"', '"odd___psilon_HASH"'],
  },
  prompts: { own: ['"p1"', '"p\\u0032"', '"p3"'], shown: ['"odd__p1"', '"odd__p2"', '"odd__p3"'] },
  resources: {
    own: ['"file:///a\\/b"', '"FILE:///%41/../b?x#y"', '"test://é"'],
    shown: ['"file:///a\\/b"', '"FILE:///%41/../b?x#y"', '"test://é"'],
  },
  templates: {
    own: ['"file:///{+path}"', '"db:\\/\\/{table}\\/{id}"'],
    shown: ['"file:///{+path}"', '"db:\\/\\/{table}\\/{id}"'],
  },
};

const made = {
  tools: pages("name", KEYS.tools.own),
  prompts: pages("name", KEYS.prompts.own),
  resources: pages("uri", KEYS.resources.own),
  templates: pages("uriTemplate", KEYS.templates.own),
} satisfies Record<ListKind, unknown>;

const LISTS: Lists = {
  tools: made.tools.pages,
  prompts: made.prompts.pages,
  resources: made.resources.pages,
  templates: made.templates.pages,
};

/** The texts of all items of a list, and how many pages they came on. */
async function walk(
  port: number,
  path: string,
  session: string,
  kind: ListKind,
): Promise<{ readonly items: string[]; readonly pages: number }> {
  const { method, member } = LIST_KINDS[kind];
  const items: string[] = [];
  let cursor: unknown;
  for (let pages = 1; ; pages++) {
    const params = cursor === undefined ? {} : { cursor };
    const answer = await post(port, path, requestMessage(method, params), { "mcp-session-id": session });
    const { result } = messageOf(answer) as { result?: Record<string, unknown> };
    if (!result) throw new Error(`${method}: ${answer.status} ${answer.body}`);
    items.push(...itemsIn(textOf(answer), member));
    cursor = result.nextCursor;
    if (cursor === undefined) return { items, pages };
  }
}

/** The JSON text of the message in an answer: of JSON, or of an event of one line. */
function textOf({ headers, body }: Answer): string {
  if (!headers["content-type"]?.startsWith("text/event-stream")) return body;
  const [, data = ""] = /^data: (\{.*)$/m.exec(body) ?? [];
  return data;
}

/** The texts of the items of a list, as they stand in the text of a response. */
function itemsIn(text: string, member: string): string[] {
  const open = text.indexOf(`"${member}":[`) + member.length + 4;
  const items: string[] = [];
  let start = open;
  let depth = 0;
  let inString = false;
  for (let at = open; at < text.length; at++) {
    const unit = text[at];
    if (inString) {
      if (unit === "\\") at++;
      else if (unit === '"') inString = false;
    } else if (unit === '"') inString = true;
    else if (unit === "{" || unit === "[") {
      if (depth++ === 0) start = at;
    } else if (unit === "}" || unit === "]") {
      if (depth === 0) return items;
      if (--depth === 0) items.push(text.slice(start, at + 1));
    }
  }
  throw new Error(`no list of ${member}: ${text}`);
}

describe("a server of odd bytes, on two pages, beside another", () => {
  let odd: SessionServer;
  let other: SessionServer;
  let stack: Stack;

  beforeAll(async () => {
    odd = await startListedServer(LISTS);
    other = await startListedServer({ tools: [['{"name":"plain"}']], resources: [['{"uri":"plain://"}']] });
    const backends = { odd: [odd.endpoint], other: [other.endpoint] };
    stack = await startStack({
      backends,
      routes: [
        { path: PATH, backends: ["odd", "other"] },
        { path: "/reverse", backends: ["other", "odd"] },
      ],
    });
  });
  afterAll(async () => {
    await stack?.stop();
    await odd?.close();
    await other?.close();
  });

  test.each(ALL_LISTS)("%s", async (kind) => {
    const session = await openSession(stack.port, PATH);
    const { items } = await walk(stack.port, PATH, session, kind);
    // A hash stands for what no name may hold.
    const seen = items
      .filter((item) => !item.includes("plain"))
      .map((item) => item.replace(/odd___psilon_[\w-]{8}"/, 'odd___psilon_HASH"'));
    const { own, shown } = KEYS[kind];
    expect(own).toHaveLength(shown.length);
    expect(seen.toSorted()).toEqual(shown.map((text, n) => made[kind].of(text, n)).toSorted());
    const key = (item: string) => String(JSON.parse(item)[LIST_KINDS[kind].key]);
    expect(items.map(key)).toEqual(items.map(key).toSorted());
    const reverse = await openSession(stack.port, "/reverse");
    expect((await walk(stack.port, "/reverse", reverse, kind)).items).toEqual(items);
  });
});

describe("real servers, on pages of few items", () => {
  const EVERYTHING = createRequire(import.meta.url).resolve("@modelcontextprotocol/server-everything/dist/index.js");
  let server: TestServer;
  let everything: Child;
  let stack: Stack;

  beforeAll(async () => {
    const port = await freePort();
    // Not our whole environment: it has a tool that shows its own.
    const env = { PATH: process.env.PATH, PORT: String(port) };
    everything = start("server-everything", process.execPath, [EVERYTHING, "streamableHttp"], { env });
    server = await startMcpServer("one");
    await waitFor(everything, () => accepts(port));
    stack = await startStack({
      backends: { one: [server.endpoint], everything: [`127.0.0.1:${port}`] },
      routes: [
        { path: PATH, backends: ["one", "everything"] },
        { path: "/one", backends: ["one"] },
        { path: "/everything", backends: ["everything"] },
      ],
      config: { lists: { page: "1KiB" } },
    });
  });
  afterAll(async () => {
    await stack?.stop();
    await server?.close();
    await everything?.stop();
  });

  test.each(ALL_LISTS)("%s", async (kind) => {
    const { key } = LIST_KINDS[kind];
    const own = async (backend: string) => {
      const path = `/${backend}`;
      const { items } = await walk(stack.port, path, await openSession(stack.port, path), kind).catch(() => NO_ITEMS);
      // Both write the name of an item first or second, and once.
      return key === "name" ? items.map((item) => item.replace('"name":"', `"name":"${backend}__`)) : items;
    };
    const expected = [...(await own("one")), ...(await own("everything"))];
    const { items, pages } = await walk(stack.port, PATH, await openSession(stack.port, PATH), kind);
    expect(items.toSorted()).toEqual(expected.toSorted());
    expect(items.length).toBeGreaterThan(0);
    if (items.join("").length > 1_024) expect(pages).toBeGreaterThan(1);
  });
});

/** Of a server that does not have such a list. */
const NO_ITEMS = { items: [] };
