/** Backends that answer as a test says, a clock that the test moves, and a catalogue between them. */
import { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import type { Answer, Egress } from "../../../src/backends/client.ts";
import type { FederatedRoute, ListLimits, Member, RequestPolicy } from "../../../src/core/routes.ts";
import { type Catalogue, createCatalogue } from "../../../src/federation/catalogue.ts";
import type { Clock } from "../../../src/federation/clock.ts";
import type { CatalogueEvent } from "../../../src/federation/events.ts";
import type { OwnListChange, SeenChange } from "../../../src/federation/lists-by-principal.ts";
import type { ListChange } from "../../../src/federation/shared-lists.ts";
import { federatedRoute, memberOf } from "../core/federated.ts";
import { POLICY } from "../core/policy.ts";

interface TestClock extends Clock {
  /** Moves on, and has everything done that this is the time for. */
  pass(ms: number): Promise<void>;
}

/** Lets everything happen that waits for no time. */
export async function settle(): Promise<void> {
  for (let n = 0; n < 30; n++) await setImmediate();
}

export function createTestClock(): TestClock {
  let now = 1_000_000;
  const timers = new Map<object, { readonly at: number; readonly run: () => void }>();
  return {
    now: () => now,
    after(ms, run) {
      const key = {};
      timers.set(key, { at: now + ms, run });
      return () => void timers.delete(key);
    },
    async pass(ms) {
      await settle();
      const end = now + ms;
      for (;;) {
        const [next] = [...timers]
          .filter(([, { at }]) => at <= end)
          .toSorted(([, one], [, other]) => one.at - other.at);
        if (!next) break;
        const [key, { at, run }] = next;
        timers.delete(key);
        now = Math.max(now, at);
        run();
        await settle();
      }
      now = end;
      await settle();
    },
  };
}

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: { readonly cursor?: string };
}

/** A call as a backend gets it. */
export interface Call {
  readonly backend: string;
  /** JSON-RPC method of a POST, or the method of HTTP. */
  readonly name: string;
  readonly path: string;
  readonly session: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly purpose: string;
  /** The message of a POST. */
  readonly message: Message | undefined;
  readonly signal: AbortSignal;
}

export interface Scripted {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Readable;
  /** Default: that of the session; undefined: Envoy's own answer. */
  readonly endpoint?: string | undefined;
}

/** undefined: no answer ever comes. An Error: the connection breaks. */
export type Script = (call: Call) => Scripted | Error | undefined | Promise<Scripted | Error | undefined>;

/** `probes`: the calls that ask for a backend's era. They are asked beside the others, whenever that is. */
export function scriptedEgress(script: Script) {
  const calls: Call[] = [];
  const probes: Call[] = [];
  const egress: Egress = {
    async send({ purpose, to, session, method, headers, body }, signal) {
      const message: Message | undefined = body === undefined ? undefined : JSON.parse(String(body));
      const call: Call = {
        backend: to.backend.name,
        name: message?.method ?? (message ? "response" : method),
        path: to.backend.path,
        session: session?.sessionId,
        headers: Object.fromEntries(headers),
        purpose,
        message,
        signal,
      };
      (call.name === "server/discover" ? probes : calls).push(call);
      const aborted = new Promise<never>((_, reject) => {
        const abort = () => reject(new Error("aborted"));
        if (signal.aborted) abort();
        signal.addEventListener("abort", abort, { once: true });
      });
      aborted.catch(() => undefined);
      const given = await Promise.race([script(call), aborted]);
      if (given === undefined) return aborted;
      if (given instanceof Error) throw given;
      return answerOf(given, signal);
    },
    close: async () => undefined,
  };
  return { egress, calls, probes };
}

function answerOf(given: Scripted, signal: AbortSignal): Answer {
  const { status = 200, headers = {}, body = "" } = given;
  const endpoint = "endpoint" in given ? given.endpoint : "10.0.0.1:80";
  const stream = typeof body === "string" ? Readable.from(body === "" ? [] : [Buffer.from(body)]) : body;
  stream.on("error", () => undefined);
  signal.addEventListener("abort", () => stream.destroy(new Error("aborted")), { once: true });
  const all = { "content-type": "application/json", ...headers };
  return {
    status,
    header: (name) => new Map(Object.entries(all)).get(name),
    headers: Object.entries(all),
    endpoint,
    body: stream,
    discard: () => void stream.destroy(),
  };
}

/** An answer with a result. */
export function result(value: unknown, headers: Scripted["headers"] = {}): Scripted {
  return { headers, body: JSON.stringify({ jsonrpc: "2.0", id: 1, result: value }) };
}

export function rpcError(code: number, message: string): Scripted {
  return { body: JSON.stringify({ jsonrpc: "2.0", id: 1, error: { code, message } }) };
}

/** The body of a stream that a test writes to. */
export function openStream(): { readonly answer: Scripted; readonly body: Readable; say(message: unknown): void } {
  const body = new Readable({ read: () => undefined });
  return {
    answer: { headers: { "content-type": "text/event-stream" }, body },
    body,
    say: (message) => void body.push(`data: ${JSON.stringify(message)}\n\n`),
  };
}

const CAPABILITIES = { tools: { listChanged: true }, prompts: {}, resources: {} };

export interface ServerOptions {
  readonly tools?: readonly string[];
  readonly prompts?: readonly string[];
  readonly resources?: readonly string[];
  readonly templates?: readonly string[];
  readonly capabilities?: object;
  /** Versions without sessions that it speaks. Default: it has no server/discover. */
  modern?: readonly string[];
  /** Whether it keeps sessions. */
  readonly stateful?: boolean;
  /** In place of its own answers, by the name of the call. */
  readonly answers?: Readonly<Record<string, Script>>;
}

/** A sound server. What it offers may be changed. */
export function createServer(options: ServerOptions = {}) {
  const server = { tools: ["search"], prompts: [], resources: [], templates: [], ...options };
  const sessions = new Set<string>();
  let begun = 0;
  const script: Script = (call) => {
    const own = server.answers?.[call.name];
    if (own) return own(call);
    switch (call.name) {
      case "initialize": {
        const id = `session-${++begun}`;
        if (server.stateful !== false) sessions.add(id);
        const { capabilities = CAPABILITIES } = server;
        return result(
          { protocolVersion: "2025-06-18", capabilities, serverInfo: { name: "server" } },
          server.stateful === false ? {} : { "mcp-session-id": id },
        );
      }
      case "server/discover":
        return server.modern
          ? result({ supportedVersions: server.modern, capabilities: server.capabilities ?? CAPABILITIES })
          : { status: 400 };
      case "notifications/initialized":
        return { status: 202 };
      case "GET":
        return { status: 405 };
      case "DELETE":
        sessions.delete(call.session ?? "");
        return { status: 204 };
      default:
        break;
    }
    if (server.stateful !== false && !sessions.has(call.session ?? ""))
      return { status: 404, body: "Session not found" };
    switch (call.name) {
      case "tools/list":
        return result({ tools: server.tools.map((name) => ({ name })) });
      case "prompts/list":
        return result({ prompts: server.prompts.map((name) => ({ name })) });
      case "resources/list":
        return result({ resources: server.resources.map((uri) => ({ uri, name: "r" })) });
      case "resources/templates/list":
        return result({ resourceTemplates: server.templates.map((uriTemplate) => ({ uriTemplate, name: "t" })) });
      default:
        return { status: 200 };
    }
  };
  return Object.assign(server, { script, sessions });
}

export const LISTS: ListLimits = {
  refresh: 60_000,
  stale: 600_000,
  timeout: 5_000,
  pages: 10,
  bytes: 100_000,
  page: 10_000,
};

export function routeOf(members: readonly Member[], over: Partial<FederatedRoute> = {}): FederatedRoute {
  return federatedRoute(members, { lists: LISTS, ...over });
}

export function policyOf(...routes: readonly FederatedRoute[]): RequestPolicy {
  return { ...POLICY, routes: new Map(routes.map((route) => [route.path, route])) };
}

/** A catalogue over backends by their names. */
export function openCatalogue(
  backends: Readonly<Record<string, { readonly script: Script }>>,
  members: readonly Member[] = Object.keys(backends).map((name) => memberOf(name)),
  over: Partial<FederatedRoute> = {},
  onListChanged: (change: ListChange) => void = () => undefined,
) {
  const route = routeOf(members, over);
  const clock = createTestClock();
  const events: CatalogueEvent[] = [];
  const { egress, calls, probes } = scriptedEgress((call) => backends[call.backend]?.script(call));
  const config = { policy: policyOf(route), heard: new Set<string>() };
  /** What other routers are told of principals' lists, and what its clients may be told. */
  const own = { changes: [] as OwnListChange[], seen: [] as SeenChange[] };
  const catalogue = createCatalogue({
    egress,
    policy: () => config.policy,
    version: "1.2.3",
    observe: (event) => void events.push(event),
    heardOn: () => config.heard,
    onListChanged,
    onOwnListChanged: (change) => void own.changes.push(change),
    onOwnListSeen: (change) => void own.seen.push(change),
    clock,
  });
  return {
    route,
    clock,
    events,
    calls,
    probes,
    config,
    own,
    catalogue,
    names: () => calls.map(({ name }) => name),
    callsOf: (name: string, backend?: string) =>
      calls.filter((call) => call.name === name && (backend === undefined || call.backend === backend)),
    tools: () => namesIn(catalogue, route),
    /** Demands, and lets what that begins happen. */
    async demand() {
      catalogue.view(route, undefined);
      await settle();
      return namesIn(catalogue, route);
    },
  };
}

export function namesIn(catalogue: Catalogue, route: FederatedRoute): readonly string[] {
  return catalogue.view(route, undefined).tools.items.map(({ item }) => item.key);
}
