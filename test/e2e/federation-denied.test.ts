/** What a route denies is not listed, and cannot be called, however it is written. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { publicName } from "../../src/core/federation/naming.ts";
import { type Answer, MCP_HEADERS, messageOf, openSession, post, type Sent, send } from "../support/http.ts";
import { isOwn, startListedServer } from "../support/listed-server.ts";
import { requestMessage } from "../support/messages.ts";
import { modernHeaders, modernMessage } from "../support/modern.ts";
import { text } from "../support/scripted-server.ts";
import type { SessionServer } from "../support/session-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/mcp";
/** Where everything is denied that is not allowed. */
const NARROW = "/narrow";
const LONG = "long-".repeat(20);

const TOOLS = ["push", "pull", "rm.rf", LONG].map((name) => JSON.stringify({ name }));
const PROMPTS = ["secret", "open"].map((name) => JSON.stringify({ name }));
const RESOURCES = ["file:///secret", "file:///open"].map((uri) => JSON.stringify({ uri, name: "x" }));
const TEMPLATES = ["file:///secret/{path}", "file:///open/{path}"].map((uriTemplate) =>
  JSON.stringify({ uriTemplate }),
);

let git: SessionServer;
/** The same, but it never says what it has. */
let quiet: SessionServer;
let files: SessionServer;
let stack: Stack;
let session: string;

beforeAll(async () => {
  const lists = { tools: [TOOLS], prompts: [PROMPTS], resources: [RESOURCES], templates: [TEMPLATES] };
  git = await startListedServer(lists);
  quiet = await startListedServer(lists);
  for (const list of ["tools", "prompts", "resources", "resources/templates"])
    quiet.on(`${list}/list`, text(500, "no"));
  files = await startListedServer({ tools: [['{"name":"read"}']] });
  const tools = { deny: ["*__push", "*__rm_rf_*", publicName("git__", LONG), publicName("quiet__", LONG), "push"] };
  const prompts = { deny: ["*secret*"] };
  const resources = { deny: ["*secret*"] };
  stack = await startStack({
    backends: { git: [git.endpoint], quiet: [quiet.endpoint], files: [files.endpoint] },
    routes: [
      { path: PATH, backends: ["git", "quiet", "files"], tools, prompts, resources },
      { path: NARROW, backends: ["git", "files"], tools: { allow: ["*__pull", "files__*"], deny: ["files__read"] } },
    ],
  });
});
afterAll(async () => {
  await stack?.stop();
  await git?.close();
  await quiet?.close();
  await files?.close();
});
beforeEach(async () => {
  session = await openSession(stack.port, PATH);
});
afterEach(() => {
  for (const server of [git, quiet, files]) server.clear();
});

/** What clients have had a server do, but for the beginnings of sessions. */
function done(server: SessionServer): string[] {
  const begins = ["initialize", "notifications/initialized"];
  return server.calls.filter((call) => !isOwn(call) && !begins.includes(call.method)).map(({ body }) => body);
}

async function listed(path: string, method: string, member: string, key: string): Promise<unknown[]> {
  const answer = await post(stack.port, path, requestMessage(method), {
    "mcp-session-id": path === PATH ? session : await openSession(stack.port, path),
  });
  const { result } = messageOf(answer) as { result?: Record<string, Record<string, unknown>[]> };
  return (result?.[member] ?? []).map((item) => item[key]);
}

describe("is not listed", () => {
  test.each([
    [PATH, "tools/list", "tools", "name", ["files__read", "git__pull"]],
    [NARROW, "tools/list", "tools", "name", ["git__pull"]],
    [PATH, "prompts/list", "prompts", "name", ["git__open"]],
    [PATH, "resources/list", "resources", "uri", ["file:///open"]],
    [PATH, "resources/templates/list", "resourceTemplates", "uriTemplate", ["file:///open/{path}"]],
  ])("on %s in %s", async (path, method, member, key, expected) => {
    expect(await listed(path, method, member, key)).toEqual(expected);
  });
});

interface Spelling {
  readonly body: string | Uint8Array;
  readonly headers?: Record<string, string>;
  readonly path?: string;
  readonly chunked?: boolean;
}

/** Different spellings of one call. */
type Spell = (name: string) => Spelling;

const call = (name: string, more = "") =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":${name},"arguments":{}${more}}}`;
const escaped = (name: string) =>
  `"${[...name].map((unit) => `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`).join("")}"`;
const plain = (name: string): Spelling => ({ body: call(JSON.stringify(name)) });

/** Those in which a call that is not denied goes through. */
const READ: readonly (readonly [string, Spell])[] = [
  ["plainly", plain],
  ["in escapes", (name) => ({ body: call(escaped(name)) })],
  ["in chunks", (name) => ({ ...plain(name), chunked: true })],
  [
    "with escaped keys",
    (name) => ({ body: plain(name).body.toString().replace('"name"', '"n\\u0061me"').replace("tools/", "tools\\/") }),
  ],
  ["with a charset", (name) => ({ ...plain(name), headers: { "content-type": 'Application/JSON ; charset="UTF-8"' } })],
  ["with white space", (name) => ({ body: `\r\n\t ${plain(name).body}\n` })],
  ["in a batch", (name) => ({ body: `[${plain(name).body}]` })],
  ["by another path", (name) => ({ ...plain(name), path: "/x/../%6dcp/" })],
  ["with an Mcp-Name of a session's era", (name) => ({ ...plain(name), headers: { "mcp-name": "git__pull" } })],
  [
    "with what only the gateway may say",
    (name) => ({
      ...plain(name),
      headers: { "x-mcp-name": "git__pull", "x-mcp-tool": "pull", "x-mcp-backend": "git" },
    }),
  ],
];

/** Those which are refused whatever they call. */
const UNREAD: readonly (readonly [string, Spell])[] = [
  ["after a byte order mark", (name) => ({ body: `\ufeff${plain(name).body}` })],
  ["in UTF-16", (name) => ({ body: Buffer.from(plain(name).body.toString(), "utf16le") })],
  ["in UTF-7", (name) => ({ ...plain(name), headers: { "content-type": "application/json; charset=utf-7" } })],
  ["as no JSON", (name) => ({ ...plain(name), headers: { "content-type": "text/plain" } })],
  ["after another name", (name) => ({ body: call(`"git__pull","name":${JSON.stringify(name)}`) })],
  ["before another name", (name) => ({ body: call(`${JSON.stringify(name)},"name":"git__pull"`) })],
  [
    "before an escaped key of another name",
    (name) => ({ body: call(`${JSON.stringify(name)},"n\\u0061me":"git__pull"`) }),
  ],
  ["before another case of the key", (name) => ({ body: call(`${JSON.stringify(name)},"Name":"git__pull"`) })],
  [
    "before other params",
    (name) => ({ body: plain(name).body.toString().replace(/\}$/, ',"params":{"name":"git__pull"}}') }),
  ],
  [
    "with the headers of another call",
    (name) => ({
      body: JSON.stringify(modernMessage("tools/call", { name })),
      headers: modernHeaders("tools/call", "git__pull"),
    }),
  ],
  [
    "in an era without sessions",
    (name) => ({
      body: JSON.stringify(modernMessage("tools/call", { name })),
      headers: modernHeaders("tools/call", name),
    }),
  ],
  ["with an encoding", (name) => ({ ...plain(name), headers: { "content-encoding": "gzip" } })],
];

/** Names that look like a denied tool's, or are one's: as clients would see it, or as its server has it. */
const NAMES = [
  "GIT__PUSH",
  "git__Push",
  "git__push ",
  " git__push",
  "git__push\u0000",
  "git__\u202epush",
  "git__ｐush",
  "push",
  "pull",
  "rm.rf",
  "git__git__push",
  "git_push",
  "git__",
  "__push",
  "git.push",
  "git/push",
  "git__rm.rf",
  `git__${LONG}`,
  "Quiet__push",
  "quiet__push\n",
  "quiet__rm.rf",
  `quiet__${LONG}`,
  "quiet__push",
];

function spelt({ body, headers = {}, path = PATH, chunked = false }: Spelling): Promise<Answer> {
  const sent: Sent = {
    port: stack.port,
    method: "POST",
    path,
    body,
    chunked,
    headers: { ...MCP_HEADERS, "mcp-session-id": session, ...headers },
  };
  return send(sent);
}

describe("is not called", () => {
  test.each([...READ, ...UNREAD])("%s", async (_, spell) => {
    const answer = await spelt(spell("git__push"));
    expect(answer.body).toContain("error");
    expect(done(git)).toEqual([]);
  });

  test.each(NAMES)("as %j", async (name) => {
    const message = messageOf(await spelt(plain(name)));
    expect(message).toMatchObject({ id: 1, error: {} });
    expect([...done(git), ...done(quiet)]).toEqual([]);
  });

  test.each([
    ["in front", ["git__push", "git__pull"]],
    ["behind", ["git__pull", "git__push"]],
    ["between", ["git__pull", "git__push", "git__pull"]],
  ])("in a batch with calls that are not denied: %s", async (_, names) => {
    const answer = await spelt({ body: `[${names.map((name) => plain(name).body).join(",")}]` });
    expect(answer.body).toContain("error");
    expect(done(git)).toEqual([]);
  });

  test("without an id, to which nobody could be told so", async () => {
    const body = '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"git__push"}}';
    expect((await spelt({ body })).status).toBe(202);
    expect(done(git)).toEqual([]);
  });

  test("as a task", async () => {
    const answer = await spelt({ body: call('"git__push"', ',"task":{"ttl":1}') });
    expect(messageOf(answer)).toMatchObject({ id: 1, error: {} });
    expect(done(git)).toEqual([]);
  });

  test("by an allow list's route, where it denies as well, or does not allow", async () => {
    const narrow = await openSession(stack.port, NARROW);
    for (const name of ["files__read", "git__push", "files__other"]) {
      const answer = await spelt({ ...plain(name), path: NARROW, headers: { "mcp-session-id": narrow } });
      expect(messageOf(answer)).toMatchObject({ id: 1, error: {} });
    }
    expect([...done(git), ...done(files)]).toEqual([]);
  });

  test.each([
    ["prompts/get", { name: "git__secret" }],
    ["prompts/get", { name: "quiet__secret" }],
    ["resources/read", { uri: "file:///secret" }],
    ["resources/read", { uri: "file:///secret/x" }],
    ["resources/read", { uri: "file:///open/secret" }],
    ["resources/subscribe", { uri: "file:///secret" }],
    ["resources/unsubscribe", { uri: "file:///secret" }],
    ["completion/complete", { ref: { type: "ref/prompt", name: "git__secret" }, argument: { name: "x", value: "" } }],
    [
      "completion/complete",
      { ref: { type: "ref/resource", uri: "file:///secret/{path}" }, argument: { name: "path", value: "" } },
    ],
  ])("nor got, read, subscribed or completed: %s of %j", async (method, params) => {
    const answer = await post(stack.port, PATH, requestMessage(method, params), { "mcp-session-id": session });
    expect(messageOf(answer)).toMatchObject({ id: 1, error: {} });
    expect([...done(git), ...done(quiet)]).toEqual([]);
  });
});

describe("what is not denied goes through", () => {
  test.each(READ)("%s", async (_, spell) => {
    await spelt(spell("git__pull"));
    expect(done(git)).toHaveLength(1);
  });

  test("also to a server that has not said what it has", async () => {
    expect(messageOf(await spelt(plain("quiet__pull")))).toMatchObject({ id: 1, result: { ran: 1 } });
  });
});
