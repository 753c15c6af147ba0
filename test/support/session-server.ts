/**
 * A scripted MCP server that has sessions, and forgets them when a test says so. It says that and everything else as the test
 * wants it said.
 */
import { randomUUID } from "node:crypto";
import { requestMessage, resultMessage, SESSION_NOT_FOUND } from "./messages.ts";
import {
  type Call,
  json,
  play,
  type Script,
  type ScriptedServer,
  startScriptedServer,
  text,
} from "./scripted-server.ts";

/** The tool that runs says which call it was of, and is written down. */
const TOOL = "run";

export interface SessionServer extends ScriptedServer {
  /** The ids of sessions that live. */
  readonly sessions: ReadonlySet<string>;
  /** The ids of calls of tools that have run, in their order. */
  readonly ran: readonly unknown[];
  /** The methods of what has reached it. */
  methods(): string[];
  /** The ids of the sessions that DELETEs have named, each as often as it came. */
  ended(): string[];
  /** Answers messages of a method, session or not, in place of what it would say. Until `reset`. */
  on(method: string, script: Script): void;
  /** Waits before it answers messages of a method as it would have. Until `reset`. */
  before(method: string, wait: () => Promise<unknown>): void;
  /** Lets requests of a method wait, until it is released: those that wait then are answered as they would have been. */
  hold(method: string): { readonly waiting: number; release(): void };
  /** What it says to a request in a session that it does not know. Until `reset`. */
  unknown(script: Script): void;
  /** What it says to a call that has run. Until `reset`. */
  result(script: Script): void;
  forget(): void;
  /** Begins a session, for an answer of the test's own. */
  begin(): string;
  /** Forgets everything, its sessions too. */
  reset(): void;
}

/** A call of its tool. */
export function runMessage(id: unknown): object {
  return requestMessage("tools/call", { name: TOOL, arguments: {} }, id);
}

const NOT_FOUND = json(404, SESSION_NOT_FOUND);

export async function startSessionServer(): Promise<SessionServer> {
  const sessions = new Set<string>();
  const ran: unknown[] = [];
  const scripts = new Map<string, Script>();
  let unknown: Script = NOT_FOUND;
  let result: Script | undefined;

  const begin = () => {
    const session = randomUUID();
    sessions.add(session);
    return session;
  };

  /** What it does about a call of which the test has said nothing. */
  const usual = ({ method, headers, body }: Call): Script => {
    const id = idOf(body);
    if (method === "initialize") {
      return json(200, resultMessage(id, { protocolVersion: "2025-11-25" }), { "mcp-session-id": begin() });
    }
    const session = headers["mcp-session-id"];
    if (typeof session !== "string" || !sessions.has(session)) return unknown;
    if (method === "DELETE") {
      sessions.delete(session);
      return text(200, "");
    }
    if (id === undefined) return text(202, "");
    if (method !== "tools/call") return json(200, resultMessage(id));
    ran.push(id);
    return result ?? json(200, resultMessage(id, { ran: id }));
  };

  const server = await startScriptedServer((call) => play(scripts.get(call.method) ?? usual(call), call));
  return Object.assign(server, {
    sessions,
    ran,
    methods: () => server.calls.map(({ method }) => method),
    ended: () =>
      server.calls.flatMap(({ method, headers }) => (method === "DELETE" ? String(headers["mcp-session-id"]) : [])),
    on: (method: string, script: Script) => void scripts.set(method, script),
    before(method: string, wait: () => Promise<unknown>) {
      scripts.set(method, async (call) => {
        await wait();
        return play(usual(call), call);
      });
    },
    hold(method: string) {
      const { promise: released, resolve } = Promise.withResolvers<void>();
      let waiting = 0;
      scripts.set(method, async (call) => {
        waiting++;
        await released;
        // Who has left calls nothing.
        return call.response.destroyed ? undefined : play(usual(call), call);
      });
      return {
        get waiting() {
          return waiting;
        },
        release() {
          scripts.delete(method);
          resolve();
        },
      };
    },
    unknown(script: Script) {
      unknown = script;
    },
    result(script: Script) {
      result = script;
    },
    forget: () => sessions.clear(),
    begin,
    reset() {
      server.clear();
      sessions.clear();
      scripts.clear();
      unknown = NOT_FOUND;
      result = undefined;
      ran.length = 0;
    },
  });
}

/** undefined: a notification, or no message. */
function idOf(body: string): unknown {
  return body === "" ? undefined : JSON.parse(body).id;
}
