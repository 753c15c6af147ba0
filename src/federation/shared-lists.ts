/** What each backend offers to everybody, asked for in the router's own sessions. */
import type { ListKind } from "../core/federation/kinds.ts";
import type { Member } from "../core/routes.ts";
import type { AskLimits } from "./ask.ts";
import { listingDigest } from "./lists-digest.ts";
import { OwnSession, type OwnSessionDependencies } from "./own-session.ts";
import { type Ask, Source, type SourceOptions } from "./source.ts";

/** A backend, and the session in which it is asked. */
export interface SharedList {
  readonly member: Member;
  readonly source: Source;
  readonly session: OwnSession;
  readonly ask: Ask;
}

export interface SharedListsDependencies extends OwnSessionDependencies, Pick<SourceOptions, "observe" | "stopping"> {
  /** A backend has another list than before. */
  readonly onListChanged: (change: ListChange) => void;
}

/** A list of a backend, as it is now. */
export interface ListChange {
  /** The backend's name in the catalogue. */
  readonly source: string;
  readonly list: ListKind;
  /** "" where it is no longer offered. */
  readonly digest: string;
}

/** Names of backends in the catalogue: what is asked of one depends on all of this. */
export function sourceName({ route: { backend }, prefix, lists }: Member): string {
  return JSON.stringify([backend.name, backend.path, prefix, lists]);
}

export class SharedLists {
  readonly #dependencies: SharedListsDependencies;
  readonly #all = new Map<string, SharedList>();
  /** What was let go of, and still ends its session. */
  readonly #ending = new Set<Promise<void>>();

  constructor(dependencies: SharedListsDependencies) {
    this.#dependencies = dependencies;
  }

  /** @param name the member's (`sourceName`) */
  demand(name: string, member: Member, limits: AskLimits): Source {
    let shared = this.#all.get(name);
    if (!shared) {
      shared = this.#begin(name, member);
      this.#all.set(name, shared);
    }
    shared.source.demand(limits, shared.ask);
    return shared.source;
  }

  /** Another router has this list of a backend. */
  othersHave({ source: name, list, digest }: ListChange): void {
    const source = this.#all.get(name)?.source;
    if (source && listingDigest(source.offering.listings[list]) !== digest) source.renew();
  }

  peek(name: string): Source | undefined {
    return this.#all.get(name)?.source;
  }

  /** Resolves when a backend has been asked for its era for the first time. undefined: it has. */
  probing(name: string): Promise<unknown> | undefined {
    return this.#all.get(name)?.session.firstProbe;
  }

  all(): Iterable<SharedList> {
    return this.#all.values();
  }

  /** Lets go of backends that nobody has used for long, and of those that are not wanted any more. */
  look(isWanted: (name: string) => boolean): void {
    for (const [name, shared] of this.#all) {
      shared.source.expire();
      if (isWanted(name) && !shared.source.isUnused()) continue;
      this.#all.delete(name);
      const ending = this.#end(shared).finally(() => this.#ending.delete(ending));
      this.#ending.add(ending);
      const { backend } = shared.member.route;
      const isThere = [...this.#all.values()].some(({ member }) => member.route.backend.name === backend.name);
      if (!isThere) this.#dependencies.observe({ kind: "released", backend: backend.name });
    }
  }

  /** Ends all sessions. */
  async close(): Promise<void> {
    await Promise.all([...this.#ending, ...[...this.#all.values()].map((shared) => this.#end(shared))]);
  }

  #begin(name: string, member: Member): SharedList {
    const { backend } = member.route;
    const { clock, observe, stopping, onListChanged } = this.#dependencies;
    const { prefix } = member;
    const source = new Source({
      backend: backend.name,
      prefix,
      shared: true,
      clock,
      observe(event) {
        observe(event);
        if (event.kind !== "changed") return;
        onListChanged({ source: name, list: event.list, digest: event.digest });
      },
      stopping,
    });
    const session = new OwnSession(this.#dependencies, {
      backend,
      asks: member.lists === "shared" ? "lists" : "offer",
      awaitsEra: prefix === undefined,
      onChanged: () => source.wake(),
      onEra: (speaksModern) => source.learn(speaksModern),
    });
    return { member, source, session, ask: (limits, signal) => session.ask(limits, signal) };
  }

  async #end({ source, session }: SharedList): Promise<void> {
    await source.close();
    await session.end();
  }
}
