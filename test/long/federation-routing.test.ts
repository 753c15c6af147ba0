/** Thousands of calls on one URL for several servers: each reaches its own, once, as it was written. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { INTERNAL_HEADERS } from "../../src/core/headers.ts";
import { type Answer, messageOf, openSession, post } from "../support/http.ts";
import { startMcpServer, type TestServer } from "../support/mcp-server.ts";
import { type Stack, startStack } from "../support/stack.ts";

const PATH = "/mcp";
const BACKENDS = ["files", "git", "web"] as const;
const ENDPOINTS = 2;
const SESSIONS = 50;
const CALLS = 10_000;

type Backend = (typeof BACKENDS)[number];

let servers: Record<Backend, readonly TestServer[]>;
let stack: Stack;

beforeAll(async () => {
  const start = (backend: string) =>
    Promise.all(Array.from({ length: ENDPOINTS }, (_, n) => startMcpServer(`${backend}-${n}`, { json: n === 0 })));
  servers = { files: await start("files"), git: await start("git"), web: await start("web") };
  stack = await startStack({
    backends: Object.fromEntries(BACKENDS.map((name) => [name, servers[name].map(({ endpoint }) => endpoint)])),
    routes: [{ path: PATH, backends: BACKENDS }],
    config: { processor: { messageTimeout: "60s" } },
  });
});
afterAll(async () => {
  await stack?.stop();
  await Promise.all(Object.values(servers ?? {}).flatMap((all) => all.map((server) => server.close())));
});

/** One call of a tool. */
interface Planned {
  readonly backend: Backend;
  readonly session: string;
  /** Text that no other call has. */
  readonly text: string;
  /** What the client writes, and what its backend must get. */
  readonly written: string;
  readonly expected: string;
}

/** A call as clients write it, given JSON texts: of its id, of the tool's name, and of the text to echo. */
type Spelling = (id: string, name: string, text: string) => string;

const SPELLINGS: readonly Spelling[] = [
  (id, name, text) =>
    `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":${name},"arguments":{"text":${text},"n":9007199254740993}}}`,
  (id, name, text) =>
    `{"params":{"arguments":{"z":-0,"text":${text},"a":1.0,"e":1E+2,"10":1,"2":2},"name":${name}},"method":"tools/call","id":${id},"jsonrpc":"2.0"}`,
  (id, name, text) =>
    ` {\r\n\t"jsonrpc" : "2.0" , "id" : ${id} , "method" : "tools\\/c\\u0061ll" , "params" : { "arguments" : { "text" : ${text} } , "name" : ${name} } } \n`,
  (id, name, text) =>
    `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"x":{"name":"git__echo"},"x":["\\ud83d\\ude00","\\ud800"],"name":${name},"arguments":{"text":${text},"name":"web__echo","é":"\\u00e9\\/","d":1,"d":-0.0,"y":[1e400],"y":{}}}}`,
];

/** Public names as different JSON texts. */
const NAMES: readonly ((name: string) => string)[] = [
  (name) => JSON.stringify(name),
  (name) => JSON.stringify(name).replace("__", "\\u005F_"),
  (name) => `"${[...name].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")}"`,
];

/** What a client says of itself that only the gateway may say: all of it leads elsewhere. */
function hostile(backend: Backend, n: number): Record<string, string> {
  const other = BACKENDS[(BACKENDS.indexOf(backend) + 1) % BACKENDS.length] ?? backend;
  const endpoint = servers[other][n % ENDPOINTS]?.endpoint ?? "";
  const all: Record<string, string> = Object.fromEntries(INTERNAL_HEADERS.map((name) => [name, `hostile-${n}`]));
  return {
    ...all,
    "x-mcp-backend": other,
    "x-mcp-endpoint": endpoint,
    "x-mcp-tool": "whoami",
    "x-client-id": "mcp-router/list",
  };
}

function planned(sessions: readonly string[]): Planned[] {
  return Array.from({ length: CALLS }, (_, n) => {
    const backend = BACKENDS[n % BACKENDS.length] ?? "files";
    const session = sessions[n % sessions.length] ?? "";
    const spelling = SPELLINGS[n % SPELLINGS.length];
    const name = NAMES[Math.floor(n / SPELLINGS.length) % NAMES.length];
    if (!spelling || !name) throw new Error("no such spelling");
    const text = `call ${n}`;
    const write = (nameText: string) => spelling(String(n), nameText, JSON.stringify(text));
    return { backend, session, text, written: write(name(`${backend}__echo`)), expected: write('"echo"') };
  });
}

test(`${CALLS} calls of ${SESSIONS} sessions`, async () => {
  const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => openSession(stack.port, PATH)));
  const plan = planned(sessions);
  const answers = new Map<Planned, Answer>();
  // One call of each session at a time, all sessions at once.
  await Promise.all(
    sessions.map(async (session) => {
      for (const call of plan.filter((each) => each.session === session)) {
        const headers = { ...hostile(call.backend, answers.size), "mcp-session-id": session };
        answers.set(call, await post(stack.port, PATH, call.written, headers));
      }
    }),
  );

  const lost = plan.filter((call) => {
    const answer = answers.get(call);
    if (answer?.status !== 200) return true;
    const { id, result } = messageOf(answer) as { id: unknown; result?: { content: { text: string }[] } };
    return JSON.stringify(id) !== call.text.slice("call ".length) || result?.content[0]?.text !== call.text;
  });
  expect(lost.slice(0, 3).map((call) => [call.written, answers.get(call)])).toEqual([]);

  const reached = new Map<string, { readonly backend: Backend; readonly session: unknown; readonly from: string }[]>();
  for (const backend of BACKENDS)
    for (const server of servers[backend])
      for (const { headers, body } of server.received) {
        if (!body.includes('"echo"')) continue;
        const text = body.toString();
        const session = headers["mcp-session-id"];
        reached.set(text, [...(reached.get(text) ?? []), { backend, session, from: server.name }]);
        // Nothing that a client claimed has come through.
        expect(JSON.stringify(headers)).not.toContain("hostile-");
        expect(headers["x-client-id"]).toBeUndefined();
      }
  const misrouted = plan.filter(({ backend, expected }) => {
    const [at, ...others] = reached.get(expected) ?? [];
    return others.length > 0 || at?.backend !== backend || !String(at.session).startsWith(at.from);
  });
  expect(misrouted.slice(0, 3).map(({ expected }) => [expected, reached.get(expected)])).toEqual([]);
  expect(reached.size).toBe(CALLS);

  // Each session of a client is one session at each backend, and nobody else's.
  const pairs = new Map<string, Set<string>>();
  for (const { backend, session, expected } of plan) {
    const there = String(reached.get(expected)?.[0]?.session);
    pairs.set(there, (pairs.get(there) ?? new Set()).add(`${backend} ${session}`));
  }
  expect(pairs.size).toBe(SESSIONS * BACKENDS.length);
  expect([...pairs.values()].every((clients) => clients.size === 1)).toBe(true);
}, 900_000);
