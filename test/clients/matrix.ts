/**
 * What becomes of the clients of the SDKs when something fails, each on a route to one server and on a route to several. A row of the
 * matrix is a fault, which happens to new clients, to all at once; a cell of it is one client, and a test of its own.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Breakable, type BreakableServer, ROUTES, type ServerName, startBreakable } from "../support/breakable.ts";
import { NPM_SDKS, type TestClient } from "../support/clients.ts";
import { PROGRAM_SDKS } from "./programs.ts";

/** What becomes of a client. */
export interface Fate {
  /** Of its call in hand. `fails`: it is told so. `waits`: nothing tells it, and it waits for as long as its own timeout. */
  readonly call?: "answered" | "fails" | "waits";
  /** Of what its server tells it meanwhile. */
  readonly event?: "heard" | "lost";
  /** Of its first call afterwards. `stumbles`: that fails, and the next one does not. `dead`: that fails too. */
  readonly calls: "answered" | "stumbles" | "dead" | "in another session";
  /** What it hears of what its server tells afterwards. */
  readonly hears: "again" | "nothing";
}

/** It goes on. */
export const WELL = { calls: "answered", hears: "again" } as const satisfies Fate;

export interface Row {
  readonly fate: Fate;
  /** Of those that fare otherwise: by the name of an SDK, or by that and the kind of a route, as `nameOf` writes it. */
  readonly but?: Readonly<Record<string, Partial<Fate>>>;
  /** Has it happen. undefined: not as it should, on a machine this busy; then it happens again, to new clients. */
  happen(scene: Scene): Promise<readonly Fate[] | undefined>;
}

export interface World {
  /** Which server the clients use. */
  readonly server: ServerName;
  /** Sections of mcp-router.yaml. */
  readonly sections?: Readonly<Record<string, unknown>>;
  /** What happens, by what the statement of it is. */
  readonly rows: Readonly<Record<string, Row>>;
}

const SDKS = [...NPM_SDKS, ...PROGRAM_SDKS];
const PLACES = SDKS.flatMap((sdk) => ROUTES.map((kind) => ({ sdk, kind, name: nameOf(sdk.name, kind) })));

export function nameOf(sdk: string, kind: (typeof ROUTES)[number]): string {
  return `${sdk}, ${kind}`;
}

function fateOf({ fate, but = {} }: Row, { sdk, name }: (typeof PLACES)[number]): Fate {
  return { ...fate, ...but[sdk.name], ...but[name] };
}

/** For what takes a second or two on a machine with nothing else to do. */
const PATIENCE = { timeout: 60_000 };
/** How long (ms) after the others one is waited for that ought to hear nothing, or get no answer. Those come within one to three seconds. */
const QUIET_MS = 3_000;
/** The Python SDK comes back to a stream after so long (ms), and only once: it is deaf where nobody listens by then. */
const BACK_AFTER_MS = 1_000;
const TELL_EVERY_MS = 200;
const TRIES = 10;
/** For a row, ms. */
const LONGEST_MS = 300_000;

interface Cell {
  readonly place: (typeof PLACES)[number];
  readonly client: TestClient;
  /** That it is in before anything happens. */
  readonly session: string | undefined;
  /** Of the names of its server's tools. */
  readonly prefix: string;
}

/** Clients that have called, and have heard their server. */
interface Party {
  readonly cells: readonly Cell[];
  leave(): Promise<void>;
}

async function enter(gateway: Breakable, of: ServerName): Promise<Party> {
  const clients = new AsyncDisposableStack();
  const present = PLACES.filter(({ sdk }) => sdk.missing === undefined);
  const cells = await Promise.all(
    present.map(async (place): Promise<Cell> => {
      const { url, prefix } = gateway.way(place.kind, of);
      const client = await place.sdk.connect(url);
      // One that is dead cannot end well.
      clients.defer(() => client.close().catch(() => undefined));
      await client.call(`${prefix}whoami`, {});
      return { place, client, session: client.sessionId, prefix };
    }),
  );
  const haveHeard = async () => {
    await gateway.servers[of].tell("before");
    return cells.every(({ client }) => client.heard.includes("before"));
  };
  await vi.waitUntil(haveHeard, { ...PATIENCE, interval: TELL_EVERY_MS });
  return { cells, leave: () => clients.disposeAsync() };
}

/** What happens to clients in one row, and what they say of it. */
export class Scene {
  readonly gateway: Breakable;
  readonly server: BreakableServer;
  /** What the clients were told of calls that failed. */
  readonly failures: string[] = [];
  readonly #row: Row;
  readonly #cells: readonly Cell[];
  #told = 0;

  constructor(gateway: Breakable, { server }: World, row: Row, { cells }: Party) {
    this.gateway = gateway;
    this.server = gateway.servers[server];
    this.#row = row;
    this.#cells = cells;
  }

  /** Resolves to whether Envoy was away for so short a time that each client finds it when it comes back to its stream. */
  async restartEnvoy(): Promise<boolean> {
    const left = performance.now();
    await this.gateway.fleet.restartEnvoy();
    return performance.now() - left < BACK_AFTER_MS;
  }

  /** All clients call a tool of their server; what becomes of these calls. */
  call(tool: string): { over(): Promise<Fate["call"][]> } {
    const calls = this.#cells.map(async (cell) => ({ cell, call: await this.#callOf(cell, tool) }));
    const waits = () => sleep(QUIET_MS, "waits" as const);
    return {
      over: () =>
        Promise.all(
          this.#cells.map((cell, at) => {
            const call = calls[at]?.then((settled) => settled.call) ?? Promise.resolve(undefined);
            return fateOf(this.#row, cell.place).call === "waits" ? Promise.race([call, waits()]) : call;
          }),
        ),
    };
  }

  async #callOf({ place, client, prefix }: Cell, tool: string): Promise<"answered" | "fails"> {
    try {
      await client.call(`${prefix}${tool}`, {});
      return "answered";
    } catch (error) {
      this.failures.push(`${place.name}: ${String(error)}`);
      return "fails";
    }
  }

  /** All clients call `hold`, and their server has these calls. */
  async hold(): Promise<ReturnType<Scene["call"]>> {
    const steps = () => this.#cells.map(({ client }) => client.progress.length);
    const before = steps();
    const call = this.call("hold");
    await vi.waitUntil(() => steps().every((count, at) => count > (before[at] ?? 0)), PATIENCE);
    return call;
  }

  /** Its server tells all clients something; what it was. */
  async tell(): Promise<string> {
    const text = `event ${performance.now()}, ${++this.#told}`;
    await this.server.tell(text);
    return text;
  }

  /** What became of a thing that was told. */
  event(text: string): Fate["event"][] {
    return this.#cells.map(({ client }) => (client.heard.includes(text) ? "heard" : "lost"));
  }

  /** What becomes of what the server tells from now on. Those that ought to hear are told until they do. */
  async hears(): Promise<Fate["hears"][]> {
    const told = new Set<unknown>();
    const hears = ({ client }: Cell) => client.heard.some((text) => told.has(text));
    const ought = this.#cells.filter(({ place }) => fateOf(this.#row, place).hears === "again");
    const tellUntil = async (isOver: () => boolean) => {
      while (!isOver()) {
        told.add(await this.tell());
        await sleep(TELL_EVERY_MS);
      }
    };
    const latest = Date.now() + PATIENCE.timeout;
    await tellUntil(() => ought.every(hears) || Date.now() > latest);
    if (ought.length < this.#cells.length) {
      const end = Date.now() + QUIET_MS;
      await tellUntil(() => Date.now() > end);
    }
    return this.#cells.map((cell) => (hears(cell) ? "again" : "nothing"));
  }

  /** What becomes of the next call of `tool`, and of one more where that fails. */
  calls(tool = "whoami"): Promise<Fate["calls"][]> {
    return Promise.all(
      this.#cells.map(async (cell) => {
        if ((await this.#callOf(cell, tool)) === "answered")
          return cell.client.sessionId === cell.session ? "answered" : "in another session";
        return (await this.#callOf(cell, tool)) === "answered" ? "stumbles" : "dead";
      }),
    );
  }
}

/** Puts together what became of each client. */
export function fates(parts: { readonly [Part in keyof Fate]: readonly Fate[Part][] }): Fate[] {
  return parts.calls.map((calls, at) => ({
    ...(parts.call && { call: parts.call[at] }),
    ...(parts.event && { event: parts.event[at] }),
    calls,
    hears: parts.hears[at] ?? "nothing",
  }));
}

/** Tests what becomes of clients at each row. @param statement what the world is */
export function matrix(statement: string, world: World): void {
  describe(statement, () => {
    const owner = new AsyncDisposableStack();
    let gateway: Breakable;
    beforeAll(async () => {
      gateway = await startBreakable(world.sections);
      owner.defer(() => gateway.stop());
    });
    afterAll(() => owner.disposeAsync());

    for (const [what, row] of Object.entries(world.rows))
      describe(what, () => {
        const became = new Map<string, Fate>();
        let failures: readonly string[] = [];
        beforeAll(async () => {
          for (let n = 0; n < TRIES && became.size === 0; n++) {
            const party = await enter(gateway, world.server);
            const scene = new Scene(gateway, world, row, party);
            const seen = await row.happen(scene);
            ({ failures } = scene);
            for (const [at, { place }] of party.cells.entries()) if (seen?.[at]) became.set(place.name, seen[at]);
            await party.leave();
          }
        }, LONGEST_MS);

        for (const place of PLACES) {
          const fate = fateOf(row, place);
          test.skipIf(place.sdk.missing !== undefined)(`the client of the ${place.name}: ${inWords(fate)}`, (at) => {
            const seen = became.get(place.name);
            if (!seen) at.skip(`this machine is too busy: it did not happen as it should in ${TRIES} tries`);
            expect(seen, failures.join("\n")).toEqual(fate);
          });
        }
      });
  });
}

function inWords({ call, event, calls, hears }: Fate): string {
  const words = [
    call && `its call in hand ${call === "answered" ? "is answered" : call}`,
    event && `an event meanwhile is ${event}`,
    calls === "answered" ? "its next call is answered" : `its next call leaves it ${calls}`,
    `it hears ${hears}`,
  ];
  return words.filter((word) => word !== undefined).join(", ");
}
