/** Holds what the clients saw against what Envoy logged: every request once, at the right backend, at its session's endpoint. */
import type { AccessEntry } from "../harness/access-log.ts";
import type { Config } from "../src/config/load.ts";
import type { FederatedRoute } from "../src/core/routes.ts";
import { STREAMS } from "../src/core/streams.ts";
import type { Exchange, Journal } from "./journal.ts";

/** A request from both ends. */
export interface Audited {
  readonly exchange: Exchange;
  readonly entry: AccessEntry | undefined;
  /** What was right about it. */
  readonly notes: readonly string[];
  /** Every reason why it was not as it should be; none when it was. */
  readonly problems: readonly string[];
}

/** Where a client's session lives, as its `initialize` said. */
interface Home {
  readonly endpoint: string | null;
  readonly session: string | null;
  /** The gateway's id of it, the only one that a client may see. */
  readonly sessionId: string | undefined;
}

/** Envoy's log: requests of clients by their tags, and the calls that the router made itself. */
interface Logged {
  readonly clients: ReadonlyMap<string, AccessEntry>;
  readonly own: readonly AccessEntry[];
}

/** Audits every request of a journal. Gives also what failed besides: requests that are not in both. */
export function auditAll(
  { exchanges }: Journal,
  log: readonly AccessEntry[],
  config: Config,
): { readonly audited: readonly Audited[]; readonly failures: readonly string[] } {
  const fromClients = log.filter(({ listener }) => listener === "gateway");
  const logged = {
    clients: new Map(fromClients.map((entry) => [entry.client_id ?? "", entry])),
    own: log.filter(({ listener }) => listener === "egress"),
  };
  const clients = Map.groupBy(exchanges, ({ client }) => client);
  return {
    audited: [...clients.values()].flatMap((sent) => {
      const route = config.routes.find(({ path }) => path === sent[0]?.path);
      return route?.kind === "federated" ? auditFederated(sent, logged, route) : auditClient(sent, logged, config);
    }),
    failures:
      fromClients.length === exchanges.length
        ? []
        : [`Envoy logged ${fromClients.length} requests, the clients sent ${exchanges.length}`],
  };
}

/** Audits all requests of one client. A client of the demo has at most one session. */
function auditClient(exchanges: readonly Exchange[], { clients, own }: Logged, config: Config): Audited[] {
  const first = exchanges.find(({ what }) => what === "initialize");
  const opened = first && clients.get(first.tag);
  let home: Home | undefined = opened && {
    endpoint: opened.upstream,
    session: opened.session,
    sessionId: first?.sessionId,
  };
  return exchanges.map((exchange) => {
    const entry = clients.get(exchange.tag);
    const problems = entry ? findings(exchange, entry, home, config) : [NOT_LOGGED];
    if (exchange.lost && home) {
      const { session } = home;
      const again = own.filter((call) => call.session === session && call.mcp_method === entry?.mcp_method);
      if (again.length !== 1) problems.push(`sent again ${again.length} times`);
      // From here on the session lives where it was sent again.
      home = { ...home, endpoint: again[0]?.upstream ?? null };
    }
    const notes = exchange.notes.length === 0 && home ? ["at the session's endpoint"] : exchange.notes;
    return { exchange, entry, notes, problems: [...exchange.problems, ...problems] };
  });
}

function findings(exchange: Exchange, entry: AccessEntry, home: Home | undefined, config: Config): string[] {
  const { what, message } = exchange;
  const { found, must } = findingsOf();
  mustHaveStatus(exchange, entry, must);
  if (exchange.refused) {
    must("endpoint", entry.upstream, null);
    must("session id for the client", exchange.sessionId, undefined);
    return found;
  }
  const route = config.routes.find(({ path }) => path === exchange.path);
  must("backend", entry.backend, route?.kind === "transparent" ? route.backend.name : undefined);
  must("method in Envoy's log", entry.mcp_method, message && "method" in message ? message.method : null);
  must("pin", entry.endpoint, home && what !== "initialize" ? home.endpoint : null);
  must("session in Envoy's log", entry.session, home?.session ?? null);
  if (home) must("endpoint", entry.upstream, home.endpoint);
  if (exchange.sessionId !== undefined) must("session id for the client", exchange.sessionId, home?.sessionId);
  if (what === "initialize") must("a session id for the client", exchange.sessionId !== undefined, true);
  return found;
}

/**
 * Audits all requests of a client of a federated route: a call is at the one backend that its name says, in a session that was
 * opened there once; everything else is answered by the router, and reaches no backend.
 */
function auditFederated(exchanges: readonly Exchange[], { clients, own }: Logged, route: FederatedRoute): Audited[] {
  /** The endpoint of the client's session at each backend. */
  const homes = new Map<string, string | null>();
  const { session } = exchanges.map(({ tag }) => clients.get(tag)).find((entry) => entry?.session) ?? { session: null };
  return exchanges.map((exchange) => {
    const entry = clients.get(exchange.tag);
    const called = calledOn(route, exchange);
    if (!entry || !called) {
      const problems = entry ? findingsOfOurs(exchange, entry) : [NOT_LOGGED];
      const notes = exchange.notes.length === 0 ? ["answered by the router"] : exchange.notes;
      return { exchange, entry, notes, problems: [...exchange.problems, ...problems] };
    }
    const { backend } = called;
    const forIt = own.filter((call) => call.client_id === exchange.tag && call.backend === backend);
    const opened = forIt.filter((call) => call.method === "POST" && call.endpoint === null && call.status === 200);
    const again = forIt.filter((call) => call.mcp_method === entry.mcp_method);
    const isFirst = !homes.has(backend);
    if (isFirst) homes.set(backend, opened[0]?.upstream ?? null);

    const { found, must } = findingsOf();
    mustHaveStatus(exchange, entry, must);
    must("backend", entry.backend, backend);
    must("name in Envoy's log", entry.mcp_name, `${called.prefix}${called.tool}`);
    must("the backend's name of it", entry.mcp_tool, called.tool);
    must("session in Envoy's log", entry.session, session);
    must("sessions opened for it", opened.length, isFirst || exchange.lost ? 1 : 0);
    must("pin", entry.endpoint, homes.get(backend));
    must("endpoint", entry.upstream, homes.get(backend));
    must("times sent again", again.length, exchange.lost ? 1 : 0);
    if (exchange.lost) homes.set(backend, again[0]?.upstream ?? null);
    return { exchange, entry, notes: exchange.notes, problems: [...exchange.problems, ...found] };
  });
}

/** What the router answers itself. */
function findingsOfOurs(exchange: Exchange, entry: AccessEntry): string[] {
  const { found, must } = findingsOf();
  mustHaveStatus(exchange, entry, must);
  // Envoy carries a stream of the router's own from there.
  if (exchange.verb === "GET") must("backend", entry.backend, STREAMS);
  else must("endpoint", entry.upstream, null);
  must("a session id for the client", exchange.sessionId !== undefined, exchange.what === "initialize");
  return found;
}

/** The call that an exchange is; undefined: none. */
function calledOn({ members }: FederatedRoute, { message }: Exchange) {
  const name = message && "method" in message ? message.params?.name : undefined;
  if (typeof name !== "string") return undefined;
  const member = members.find(({ prefix = "" }) => name.startsWith(prefix));
  if (!member) return undefined;
  const { route, prefix = "" } = member;
  return { backend: route.backend.name, prefix, tool: name.slice(prefix.length) };
}

const NOT_LOGGED = "not in Envoy's log";

type Must = <Fact extends string | number | boolean>(
  fact: string,
  is: Fact | null | undefined,
  shouldBe: Fact | null | undefined,
) => void;

/** Collects what is not as it should be. */
function findingsOf(): { readonly found: string[]; readonly must: Must } {
  const found: string[] = [];
  return {
    found,
    must(fact, is, shouldBe) {
      // Envoy writes null for what is not there.
      if ((is ?? null) !== (shouldBe ?? null))
        found.push(`${fact} should be ${shouldBe ?? "none"}, is ${is ?? "none"}`);
    },
  };
}

function mustHaveStatus({ status, expected }: Exchange, entry: AccessEntry, must: Must): void {
  must("status for the client", status, expected);
  must("status in Envoy's log", entry.status, expected);
}
