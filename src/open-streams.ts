/** Builds the streams of one process, and the catalogue that they tell of: each needs the other. */
import type { InUse } from "./admission/in-use.ts";
import type { Egress } from "./backends/client.ts";
import { createRpc, type Rpc } from "./backends/rpc.ts";
import { longestListen } from "./config/backends.ts";
import { isOfOtherRules, permitsOn } from "./core/policy/access.ts";
import { type FederatedRoute, federationOf, type Member } from "./core/routes.ts";
import { askerOfStream, STREAMS, type StreamOf } from "./core/streams.ts";
import { type Catalogue, createCatalogue } from "./federation/catalogue.ts";
import { SYSTEM_CLOCK } from "./federation/clock.ts";
import type { CatalogueEvent } from "./federation/events.ts";
import { createListeners, type Listeners, type ListenersDependencies } from "./federation/listeners.ts";
import type { OwnListChange } from "./federation/lists-by-principal.ts";
import { MemberStreams } from "./federation/member-streams.ts";
import { type ListChange, sourceName } from "./federation/shared-lists.ts";
import { createSubscriptions, type Subscriptions } from "./federation/subscriptions.ts";
import { UnfinishedEvents } from "./federation/unfinished.ts";
import type { RequestEvent } from "./gateway/events.ts";
import type { GatewayParts } from "./gateway-parts.ts";
import { catalogueObserver } from "./observe/catalogue.ts";
import { cutOffObserver } from "./observe/cut-off.ts";
import type { Resume } from "./recovery/resume.ts";
import type { SessionKey } from "./sessions/id.ts";
import { FIRST_GENERATION, type SessionStore } from "./sessions/store.ts";
import { type Announce, createAnnouncing } from "./signals/announcing.ts";
import { createJoining, type Joining } from "./signals/joining.ts";
import { openNoSignals, type Signal } from "./signals/signals.ts";
import { VERSION } from "./version.ts";

/** Streams of the gateway's own, over all routers. */
export interface Streams extends Pick<Listeners, "open" | "reconfigured">, Pick<Subscriptions, "close"> {
  readonly catalogue: Catalogue;
  readonly subscribe: Subscriptions["open"];
  /** A session has another backend session than before, or more to hear from one. */
  sessionChanged(key: SessionKey): void;
  sessionEnded(key: SessionKey): void;
  /** Resolves when the client's stream, if there is one, brings what a backend says in a new session. Never rejects. */
  joined: Joining["wait"];
}

interface StreamDependencies {
  readonly egress: Egress;
  readonly inUse: InUse;
  readonly resume: Resume;
  readonly observe: (event: RequestEvent) => void;
}

export function openStreams(parts: GatewayParts, dependencies: StreamDependencies): Streams {
  const { config, shared, started } = parts;
  const signals = (config.processor.streams ? shared.openSignals : openNoSignals)(heard);
  started.defer(() => signals.close());
  const catalogue = openCatalogue(parts, dependencies.egress, {
    changed(backend, list) {
      listeners.changed(backend, list);
      subscriptions.changed(backend, list);
    },
    paths: () => new Set([...listeners.paths(), ...subscriptions.paths()]),
    tell: (change) => signals.tell({ kind: "lists", ...change }),
    tellOwn: (change) => signals.tell({ kind: "own-lists", ...change }),
    changedFor: (change) => listeners.changedFor(change),
  });
  const routes = routesIn(parts);
  const announce = createAnnouncing((signal) => signals.tell(signal));
  const { listeners, subscriptions } = openOwn(parts, dependencies, { routes, catalogue, announce });
  const hasOthers = config.processor.streams !== undefined && config.store.kind === "redis";
  const joining = createJoining({
    tell: (signal) => signals.tell(signal),
    joined: (key, backend) => listeners.joined(key, backend),
    hadStream: async (key) => hasOthers && (await hadStream(shared.store, key as SessionKey)),
  });

  function heard(signal: Signal): void {
    hear(signal, { catalogue, listeners, joining });
  }

  return {
    catalogue,
    sessionChanged(key) {
      listeners.look(key);
      signals.tell({ kind: "changed", key });
    },
    sessionEnded(key) {
      listeners.end(key);
      signals.tell({ kind: "ended", key });
    },
    open(of, request, sink) {
      const route = routes.routeAt(of.path);
      // Another router may have served the client so far. From the first stream on, this one knows what the route offers.
      if (route) catalogue.view(route, undefined);
      signals.tell({ kind: "listening", key: of.key });
      // Not waited for: it matters only to a request whose backend the client needs for the first time.
      if (hasOthers) void shared.store.remember(of.key as SessionKey, STREAMS, OPENED);
      return listeners.open(of, request, sink);
    },
    subscribe: (...of) => subscriptions.open(...of),
    reconfigured() {
      listeners.reconfigured();
      subscriptions.reconfigured();
    },
    close() {
      listeners.close();
      return subscriptions.close();
    },
    joined: joining.wait,
  };
}

/** What other routers tell. */
function hear(signal: Signal, { catalogue, listeners, joining }: Hearing): void {
  switch (signal.kind) {
    case "lists":
      catalogue.othersHave(signal);
      break;
    case "announced":
      catalogue.renew(signal.principal, signal.source);
      break;
    case "own-lists":
      catalogue.othersHaveOwn(signal);
      break;
    case "changed":
      listeners.look(signal.key);
      break;
    case "listening":
    case "ended":
      listeners.end(signal.key);
      break;
    default:
      joining.heard(signal);
  }
}

interface Hearing {
  readonly catalogue: Catalogue;
  readonly listeners: Listeners;
  readonly joining: Joining;
}

/** A session remembers by it that the client has had a stream. */
const OPENED = { kind: "listening", generation: FIRST_GENERATION } as const;

async function hadStream(store: SessionStore, key: SessionKey): Promise<boolean> {
  const loaded = await store.load(key);
  return loaded.kind === "loaded" && loaded.session.remembered?.get(STREAMS)?.listening !== undefined;
}

/** Who is told of the catalogue's changes: this router's streams, and other routers. */
interface Told extends Pick<Listeners, "changed" | "changedFor" | "paths"> {
  readonly tell: (change: ListChange) => void;
  readonly tellOwn: (change: OwnListChange) => void;
}

function openCatalogue({ inForce, metrics, log, started }: GatewayParts, egress: Egress, told: Told): Catalogue {
  const report = catalogueObserver(metrics, log);
  const catalogue = createCatalogue({
    egress,
    policy: () => inForce.policy,
    version: VERSION,
    observe(event) {
      report(event);
      // What one principal is offered is nothing to the others.
      if (isChange(event) && event.shared) told.changed(event.backend, event.list);
    },
    onListChanged: told.tell,
    onOwnListChanged: told.tellOwn,
    onOwnListSeen: told.changedFor,
    heardOn: told.paths,
  });
  started.defer(() => catalogue.close());
  return catalogue;
}

/** The streams of sessions, and those outside. */
interface OwnStreams {
  readonly listeners: Listeners;
  readonly subscriptions: Subscriptions;
}

interface OwnNeeds {
  readonly routes: Routes;
  readonly catalogue: Catalogue;
  /** Tells other routers of what a backend says to a principal. */
  readonly announce: Announce;
}

function openOwn(
  parts: GatewayParts,
  dependencies: StreamDependencies,
  { routes, catalogue, announce }: OwnNeeds,
): OwnStreams {
  const { inForce, metrics, log } = parts;
  const rpc = createRpc(dependencies.egress, "stream");
  const limits = () => inForce.policy.limits;
  const unfinished = new UnfinishedEvents(() => limits().unfinishedEvents, cutOffObserver(metrics, log));
  const listeners = openListeners(parts, dependencies, { ...routes, rpc, unfinished, catalogue, announce });
  const subscriptions = createSubscriptions({
    ...routes,
    catalogue,
    rpc,
    egress: dependencies.egress,
    version: VERSION,
    clock: SYSTEM_CLOCK,
    unfinished,
    limits,
    longest: longestListen(parts.config.backends),
    caps: () => inForce.policy.admission,
    refused: (reason, route) => dependencies.observe({ kind: "rejected", reason, route }),
    permits: (of) => permitsOn(inForce.policy.access, of),
    isOfOtherRules: (of) => isOfOtherRules(inForce.policy.access, of),
  });
  metrics.streams(() => ({
    clients: listeners.size + subscriptions.size,
    backends: listeners.members + subscriptions.members,
  }));
  return { listeners, subscriptions };
}

/** The routes in force that have streams. */
type Routes = Pick<ListenersDependencies, "routes" | "routeAt">;

function routesIn({ inForce }: GatewayParts): Routes {
  return {
    routes: () => [...inForce.policy.routes.values()].flatMap((route) => federationOf(route) ?? []),
    routeAt(path) {
      const route = inForce.policy.routes.get(path);
      return route && federationOf(route);
    },
  };
}

/** What streams are made of. */
interface OfStreams extends Routes, Pick<OwnNeeds, "announce"> {
  readonly rpc: Rpc;
  readonly unfinished: UnfinishedEvents;
  readonly catalogue: Pick<Catalogue, "offers" | "eras" | "digest" | "renew">;
}

function openListeners(
  { inForce, shared }: GatewayParts,
  { inUse, resume }: StreamDependencies,
  { rpc, unfinished, routes, routeAt, catalogue, announce }: OfStreams,
): Listeners {
  const joined = {
    store: shared.store,
    rpc,
    clock: SYSTEM_CLOCK,
    unfinished,
    depth: () => inForce.policy.limits.depth,
    batch: () => inForce.policy.limits.batch,
    offers: (route: FederatedRoute) => catalogue.offers(route),
    eras: (route: FederatedRoute) => catalogue.eras(route),
    permits: (of: StreamOf) => permitsOn(inForce.policy.access, of),
    recover: recoverBy(resume),
    renew(of: StreamOf, member: Member) {
      const at = [askerOfStream(of), sourceName(member)] as const;
      catalogue.renew(...at);
      announce(...at);
    },
  };
  return createListeners({
    routes,
    routeAt,
    lists: (route) => catalogue.digest(route),
    join: (client, request) => new MemberStreams(joined, client, request),
    isOfOtherRules: (of) => isOfOtherRules(inForce.policy.access, of),
    use({ key, owner }, gone) {
      // Safe: a processor has written the key of a session.
      const use = { key: key as SessionKey, principal: owner, backend: undefined, gone };
      inUse.begin(use);
      return () => inUse.end(use);
    },
  });
}

function isChange(event: CatalogueEvent): event is Extract<CatalogueEvent, { kind: "changed" | "expired" }> {
  return event.kind === "changed" || (event.kind === "expired" && event.why === "failing");
}

function recoverBy(resume: Resume): ConstructorParameters<typeof MemberStreams>[0]["recover"] {
  return async ({ member: { route }, headers, key, binding }, signal) => {
    const resumed = await resume({ route, headers, key, binding, why: "lost" }, signal);
    return resumed.kind !== "none";
  };
}
