/**
 * A process of its own, for open-streams.ts: the streams server of a router, over sessions that no server has anything to say in. It
 * listens at the port that it is given, says "listening", and answers each message with the bytes that it has, after a collection.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { getHeapSpaceStatistics } from "node:v8";
import { createRpc } from "../src/backends/rpc.ts";
import { ALL_NAMES } from "../src/core/federation/filter.ts";
import type { FederatedRoute } from "../src/core/routes.ts";
import { SYSTEM_CLOCK } from "../src/federation/clock.ts";
import { createListeners } from "../src/federation/listeners.ts";
import { MemberStreams } from "../src/federation/member-streams.ts";
import { UnfinishedEvents } from "../src/federation/unfinished.ts";
import { serveStreams } from "../src/http/streams.ts";
import type { Session, SessionStore } from "../src/sessions/store.ts";
import type { Memory } from "./open-streams.ts";
import { initializeParams, MCP_PATH, PROTOCOL_VERSION } from "./wire.ts";

const ROUTE: FederatedRoute = {
  path: MCP_PATH,
  kind: "federated",
  members: [],
  filters: { tools: ALL_NAMES, prompts: ALL_NAMES, resources: ALL_NAMES },
  pins: undefined,
  instructions: undefined,
  serverInfo: { name: "bench", title: undefined, version: "1" },
  sessions: "required",
  presents: "route",
  lists: { refresh: 60_000, stale: 60_000, timeout: 1_000, pages: 1, bytes: 1024, page: 1024 },
  bridges: false,
  stream: "own",
};
/** As a store in Redis, which keeps nothing of it in the router. */
const SESSION: Session = {
  owner: "",
  route: MCP_PATH,
  protocolVersion: PROTOCOL_VERSION,
  initializeParams: initializeParams("client"),
  bindings: {},
};
const store: Pick<SessionStore, "load"> = { load: async () => ({ kind: "loaded", session: SESSION }) };
/** ms that V8 has for what it does beside a collection. */
const SETTLE_MS = 500;
const unreachable = () => Promise.reject(new Error("no server has a session"));
const uses = new Set<object>();

const listeners = createListeners({
  routes: () => [ROUTE],
  routeAt: () => ROUTE,
  lists: () => "0123456789abcdef",
  isOfOtherRules: () => false,
  join: (client, request) => new MemberStreams(joined, client, request),
  use(of, gone) {
    const use = { key: of.key, principal: of.owner, backend: undefined, gone };
    uses.add(use);
    return () => uses.delete(use);
  },
});
const joined: ConstructorParameters<typeof MemberStreams>[0] = {
  store,
  rpc: createRpc({ send: unreachable, close: async () => undefined }, "stream"),
  clock: SYSTEM_CLOCK,
  unfinished: new UnfinishedEvents(
    () => 64 * 1024 * 1024,
    () => undefined,
  ),
  depth: () => 100,
  batch: () => 100,
  offers: () => [],
  eras: () => [],
  permits: () => undefined,
  recover: async () => false,
  renew: () => undefined,
};

await serveStreams(
  { host: "127.0.0.1", port: Number(process.argv[2]) },
  {
    open: (...of) => listeners.open(...of),
    subscribe: () => undefined,
    fault(error) {
      throw error;
    },
    noHttp2: () => undefined,
  },
);
process.on("message", () => {
  void memory().then((bytes) => process.send?.(bytes));
});
process.send?.("listening");

/** Twice: what only a finalizer lets go of goes with the second. */
async function memory(): Promise<Memory> {
  for (let n = 0; n < 2; n++) {
    global.gc?.();
    await sleep(SETTLE_MS);
  }
  const { rss, heapUsed } = process.memoryUsage();
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space");
  return { resident: rss - (young?.physical_space_size ?? 0), heap: heapUsed, streams: listeners.size };
}
