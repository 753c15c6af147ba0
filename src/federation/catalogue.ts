/**
 * What the backends of routes to several offer. One for each process: however many clients there are, a backend is asked once in
 * `lists.refresh` for what it offers to everybody. A backend that is away costs the others nothing.
 */
import type { Egress } from "../backends/client.ts";
import type { BackendEras, Era } from "../core/federation/era.ts";
import { tellsOf } from "../core/federation/list-flags.ts";
import type { Offer } from "../core/federation/offer.ts";
import { type FederatedRoute, federationOf, type Member, type RequestPolicy } from "../core/routes.ts";
import { type Asker, type AskFor, createAskFor } from "./asker.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import type { CatalogueEvent } from "./events.ts";
import { NOTHING_KNOWN } from "./kept-lists.ts";
import { type KnownRoute, sight } from "./known-route.ts";
import {
  createListsByPrincipal,
  type ListsByPrincipal,
  type ListsOfPrincipal,
  type OwnListChange,
  type SeenChange,
  viewFor,
} from "./lists-by-principal.ts";
import { backendReport, type CatalogueReport, routeReport } from "./report.ts";
import { type RouteCatalogue, RouteView, routeDigest } from "./route-view.ts";
import { type ListChange, SharedLists, sourceName } from "./shared-lists.ts";
import type { Source } from "./source.ts";

/** ms between two looks at what nobody uses any more. */
const LOOK_EVERY_MS = 10_000;
/** How long (ms) the end lets backends answer that are being asked: a session that has just begun would stay there. */
const STOP_GRACE_MS = 1_000;

export interface Catalogue {
  /**
   * What is known now. Has backends asked where that is due, and does not wait for them. Cheap: each request asks.
   * @param asker undefined: members whose lists are by principal offer nothing
   */
  view(route: FederatedRoute, asker: Asker | undefined): RouteCatalogue;
  /**
   * undefined: each member has answered or failed once, and lately. Otherwise resolves when that is so, at the latest after
   * `lists.timeout`. Never rejects.
   * @param era the client's. `modern`: it waits likewise until each has said once in which eras it answers
   */
  ready(route: FederatedRoute, asker: Asker | undefined, era?: Era): Promise<void> | undefined;
  /** What a request for a list waits for beside `ready`, for a moment: a list that is known to have changed. Never rejects. */
  renewed(route: FederatedRoute, asker: Asker | undefined): Promise<void> | undefined;
  /**
   * A backend says that it has other lists for this principal, to whichever router.
   * @param source the backend's name in the catalogue
   */
  renew(principal: string, source: string): void;
  /** What members say of themselves. Has nothing asked. */
  offers(route: FederatedRoute): readonly (Offer | undefined)[];
  /** What members are known to speak. Has nothing asked. */
  eras(route: FederatedRoute): readonly BackendEras[];
  /** A digest of what everybody is offered; "" where not all is known. Has nothing asked. */
  digest(route: FederatedRoute): string;
  /** Another router has this list of a backend. */
  othersHave(list: ListChange): void;
  /** Another router has this list of a backend for a principal. */
  othersHaveOwn(list: OwnListChange): void;
  /** For operators. Has nothing asked. */
  report(): CatalogueReport;
  /** Ends the router's own sessions. */
  close(): Promise<void>;
}

export interface CatalogueDependencies {
  readonly egress: Egress;
  /** The configuration in force. */
  readonly policy: () => RequestPolicy;
  /** The router's own version, which backends are told. */
  readonly version: string;
  readonly observe: (event: CatalogueEvent) => void;
  /** A backend offers everybody another list than before. Default: nobody is told. */
  readonly onListChanged?: (change: ListChange) => void;
  /** The same of a list for one principal. Default: nobody is told. */
  readonly onOwnListChanged?: (change: OwnListChange) => void;
  /** This router or another one has seen such a change. Default: no client is told. */
  readonly onOwnListSeen?: (change: SeenChange) => void;
  /** Paths of routes whose clients have a stream open: they are told of changes, though they ask for nothing. Default: none. */
  readonly heardOn?: () => ReadonlySet<string>;
  readonly clock?: Clock;
}

export function createCatalogue({
  clock = SYSTEM_CLOCK,
  heardOn = () => new Set(),
  onListChanged = nobody,
  onOwnListChanged = nobody,
  onOwnListSeen = nobody,
  ...dependencies
}: CatalogueDependencies): Catalogue {
  return new BackendCatalogue({ ...dependencies, heardOn, onListChanged, onOwnListChanged, onOwnListSeen, clock });
}

function nobody(): void {
  // No other router, and no stream.
}

class BackendCatalogue implements Catalogue {
  readonly #dependencies: Required<CatalogueDependencies>;
  readonly #stopping = new AbortController();
  readonly #shared: SharedLists;
  readonly #byPrincipal: ListsByPrincipal;
  readonly #askFor: AskFor;
  readonly #routes = new WeakMap<FederatedRoute, KnownRoute>();
  /** The configuration that was in force at the last look. */
  #policy: RequestPolicy | undefined;
  /** Ends the looks; undefined: there is nothing to look after. */
  #stopLooking: (() => void) | undefined;
  #isClosed = false;

  constructor(dependencies: Required<CatalogueDependencies>) {
    this.#dependencies = dependencies;
    const parts = { ...dependencies, stopping: this.#stopping.signal };
    this.#shared = new SharedLists(parts);
    this.#byPrincipal = createListsByPrincipal({
      ...parts,
      onChanged: (change, member) => {
        dependencies.onOwnListChanged(change);
        this.#tellOwn(change, member);
      },
    });
    this.#askFor = createAskFor(dependencies.egress, dependencies.version);
  }

  view(route: FederatedRoute, asker: Asker | undefined): RouteCatalogue {
    const known = this.#known(route);
    const shared = this.#demand(known);
    const own = asker && this.#demandFor(asker, known);
    const view = own ? viewFor(own, route, this.#dependencies.observe) : known.view;
    return view.of(...sight(known, shared, own));
  }

  ready(route: FederatedRoute, asker: Asker | undefined, era: Era = "legacy"): Promise<void> | undefined {
    const waits = this.#asked(route, asker).flatMap((source) => source.ready() ?? []);
    const { members } = this.#known(route);
    const eras = era === "modern" ? members.flatMap(({ name }) => this.#shared.probing(name) ?? []) : [];
    return all([...waits, ...eras]);
  }

  renewed(route: FederatedRoute, asker: Asker | undefined): Promise<void> | undefined {
    return all(this.#asked(route, asker).flatMap((source) => source.renewed() ?? []));
  }

  renew(principal: string, source: string): void {
    this.#byPrincipal.renew(principal, source);
  }

  offers(route: FederatedRoute): readonly (Offer | undefined)[] {
    return this.#seen(route).offers;
  }

  eras(route: FederatedRoute): readonly BackendEras[] {
    return this.#seen(route).eras;
  }

  digest(route: FederatedRoute): string {
    return routeDigest(route, this.#seen(route));
  }

  othersHave(list: ListChange): void {
    this.#shared.othersHave(list);
  }

  othersHaveOwn(change: OwnListChange): void {
    // Where the list is here, the answer shows whether it is another one.
    if (this.#byPrincipal.othersHave(change)) return;
    const members = federatedRoutes(this.#dependencies.policy()).flatMap((route) => this.#known(route).members);
    const known = members.find(({ name }) => name === change.source);
    if (known) this.#tellOwn(change, known.member);
  }

  report(): CatalogueReport {
    const now = this.#dependencies.clock.now();
    const routes = federatedRoutes(this.#dependencies.policy());
    return {
      backends: Array.from(this.#shared.all(), (shared) => backendReport(shared, now)),
      byPrincipal: this.#byPrincipal.size,
      routes: routes.map((route) => routeReport(route, this.#seen(route))),
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopLooking?.();
    this.#byPrincipal.trim(() => false);
    const cancel = this.#dependencies.clock.after(STOP_GRACE_MS, () => this.#stopping.abort());
    await this.#shared.close();
    cancel();
    this.#stopping.abort();
  }

  /** The sources of what a principal is offered, which have been asked where that was due. */
  #asked(route: FederatedRoute, asker: Asker | undefined): readonly Source[] {
    const known = this.#known(route);
    const shared = this.#demand(known);
    const own = asker && this.#demandFor(asker, known);
    return [...shared, ...known.members.map(({ name }) => own?.sources.get(name))].filter(
      (source) => source !== undefined,
    );
  }

  /** What everybody is offered, without a demand. */
  #seen(route: FederatedRoute): RouteCatalogue {
    const known = this.#known(route);
    return known.view.of(...sight(known, this.#peek(known), undefined));
  }

  #known(route: FederatedRoute): KnownRoute {
    const known = this.#routes.get(route);
    if (known) return known;
    const members = route.members.map((member) => ({ name: sourceName(member), member }));
    const { policy, observe } = this.#dependencies;
    const limits = { ...route.lists, depth: policy().limits.depth };
    const made = { members, limits, view: new RouteView(route, observe, true) };
    this.#routes.set(route, made);
    return made;
  }

  /** Has the members asked what they offer to everybody. Returns their sources, in order. */
  #demand(known: KnownRoute): readonly (Source | undefined)[] {
    if (this.#isClosed) return this.#peek(known);
    if (this.#policy !== this.#dependencies.policy()) this.#look();
    return this.#demandShared(known);
  }

  #demandShared({ members, limits }: KnownRoute): readonly Source[] {
    return members.map(({ name, member }) => this.#shared.demand(name, member, limits));
  }

  #peek({ members }: KnownRoute): readonly (Source | undefined)[] {
    return members.map(({ name }) => this.#shared.peek(name));
  }

  /** Has members asked whose lists depend on who asks. Returns what the principal is offered; undefined where there are none. */
  #demandFor(asker: Asker, { members, limits }: KnownRoute): ListsOfPrincipal | undefined {
    if (this.#isClosed || members.every(({ member }) => member.lists === "shared")) return undefined;
    const own = this.#byPrincipal.of(asker.principal);
    for (const { name, member } of members) {
      if (member.lists === "shared") continue;
      const source = this.#byPrincipal.sourceOf(asker.principal, name, member);
      source.demand(limits, this.#askFor(asker, member, this.#shared.peek(name)));
    }
    return own;
  }

  #tellOwn({ principal, source, list }: OwnListChange, { route }: Member): void {
    const { offer } = this.#shared.peek(source)?.offering ?? NOTHING_KNOWN;
    const isAnnounced = offer !== undefined && tellsOf(list, offer);
    this.#dependencies.onOwnListSeen({ principal, backend: route.backend.name, list, isAnnounced });
  }

  /** Lets go of what no route leads to any more, and of what nobody has used for long; and looks again in a while. */
  #look(): void {
    this.#stopLooking?.();
    const { policy, clock, observe, heardOn } = this.#dependencies;
    const before = federatedRoutes(this.#policy);
    this.#policy = policy();
    const now = federatedRoutes(this.#policy);
    const paths = new Set(now.map(({ path }) => path));
    for (const { path } of before) if (!paths.has(path)) observe({ kind: "route-gone", route: path });
    const isPinned = (path: string) => now.some((route) => route.path === path && route.pins);
    for (const { path, pins } of before) if (pins && !isPinned(path)) observe({ kind: "unpinned", route: path });
    const heard = heardOn();
    for (const route of now) if (heard.has(route.path)) this.#demandShared(this.#known(route));
    const wanted = new Set(now.flatMap((route) => this.#known(route).members.map(({ name }) => name)));
    this.#shared.look((name) => wanted.has(name));
    this.#byPrincipal.trim((name) => wanted.has(name));
    this.#stopLooking = clock.after(LOOK_EVERY_MS, () => this.#look());
  }
}

function all(waits: readonly Promise<unknown>[]): Promise<void> | undefined {
  return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
}

function federatedRoutes(policy: RequestPolicy | undefined): readonly FederatedRoute[] {
  return Array.from(policy?.routes.values() ?? []).flatMap((route) => federationOf(route) ?? []);
}
