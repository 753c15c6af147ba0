/** Holds what the clients saw against what Envoy logged: every request once, at the right backend, at its session's endpoint. */
import type { AccessEntry } from "../harness/access-log.ts";
import type { Config } from "../src/config/load.ts";
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

/** Audits every request of a journal. Gives also what failed besides: requests that are not in both. */
export function auditAll(
  { exchanges }: Journal,
  log: readonly AccessEntry[],
  config: Config,
): { readonly audited: readonly Audited[]; readonly failures: readonly string[] } {
  const fromClients = log.filter(({ listener }) => listener === "gateway");
  const entries = new Map(fromClients.map((entry) => [entry.client_id ?? "", entry]));
  const clients = Map.groupBy(exchanges, ({ client }) => client);
  const own = log.filter(({ listener }) => listener === "egress");
  return {
    audited: [...clients.values()].flatMap((sent) => auditClient(sent, entries, own, config)),
    failures:
      fromClients.length === exchanges.length
        ? []
        : [`Envoy logged ${fromClients.length} requests, the clients sent ${exchanges.length}`],
  };
}

/**
 * Audits all requests of one client. A client of the demo has at most one session.
 * @param own the calls that the router made itself
 */
function auditClient(
  exchanges: readonly Exchange[],
  entries: ReadonlyMap<string, AccessEntry>,
  own: readonly AccessEntry[],
  config: Config,
): Audited[] {
  const first = exchanges.find(({ what }) => what === "initialize");
  const opened = first && entries.get(first.tag);
  let home: Home | undefined = opened && {
    endpoint: opened.upstream,
    session: opened.session,
    sessionId: first?.sessionId,
  };
  return exchanges.map((exchange) => {
    const entry = entries.get(exchange.tag);
    const problems = entry ? findings(exchange, entry, home, config) : ["not in Envoy's log"];
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
  const { what, message, expected } = exchange;
  const found: string[] = [];
  const must = <Fact extends string | number | boolean>(
    fact: string,
    is: Fact | null | undefined,
    shouldBe: Fact | null | undefined,
  ) => {
    if (is !== shouldBe) found.push(`${fact} should be ${shouldBe ?? "none"}, is ${is ?? "none"}`);
  };

  must("status for the client", exchange.status, expected);
  must("status in Envoy's log", entry.status, expected);
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
