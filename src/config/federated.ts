/** Routes to several backends. Pure. */

import { ALL_NAMES, type NameFilter } from "../core/federation/filter.ts";
import { compileGlob } from "../core/federation/glob.ts";
import { MOST_PLACES } from "../core/federation/ids.ts";
import { LONGEST_NAME, LONGEST_PREFIX } from "../core/federation/naming.ts";
import { NOTHING_ACCEPTED, type Pins } from "../core/federation/pins.ts";
import { publicPath } from "../core/public-path.ts";
import type { BridgedRoute, FederatedRoute, Member, MemberRoute, TransparentRoute } from "../core/routes.ts";
import { VERSION } from "../version.ts";
import type { BackendConfig } from "./backends.ts";
import { withoutSecrets } from "./redact.ts";
import type { RawConfig } from "./schema.ts";

type Written = RawConfig["routes"][number];

/** Settings that mean nothing where messages only pass. */
const OF_FEDERATED = ["tools", "prompts", "resources", "instructions", "serverInfo"] as const;

export function isFederated({ federated, backends }: Pick<Written, "federated" | "backends">): boolean {
  return federated ?? backends.length > 1;
}

/** Whether backends are asked for their lists, and sessions opened at them. */
export function isServedByGateway(route: Pick<Written, "federated" | "backends" | "era">): boolean {
  return isFederated(route) || route.era === "bridge";
}

/** Errors of a route that is not federated. */
export function notFederated(where: string, route: Written): string[] {
  const errors: string[] = [];
  if (route.backends.length > 1)
    errors.push(
      `${where}.federated: got false with ${route.backends.length} backends, expected true (the default with several), or one ` +
        "backend: without federation, all messages go to one backend",
    );
  for (const setting of OF_FEDERATED)
    if (route[setting] !== undefined)
      errors.push(`${where}.${setting}: is only for a federated route; set federated: true, or remove it`);
  return errors;
}

interface Parts {
  /** Path of the route in the file, for errors. */
  readonly where: string;
  readonly path: string;
  readonly written: Written;
  readonly backends: readonly BackendConfig[];
  readonly lists: RawConfig["lists"];
  /** Whether the gateway has streams of its own. */
  readonly streams: boolean;
}

export function federatedRoute({ where, path, written, backends, lists, streams }: Parts): {
  readonly route: FederatedRoute;
  readonly errors: readonly string[];
} {
  const { sessions, tools, prompts, resources, instructions, serverInfo: named } = written;
  const errors = [...twice(where, written.backends), ...tooMany(where, backends), ...withoutRoom(where, backends)];
  if (sessions === "optional")
    errors.push(
      `${where}.sessions: got "optional", expected "required", or remove it: a federated route always requires sessions, which ` +
        "the gateway itself begins",
    );
  if (tools?.onChange !== undefined && tools.pin === undefined)
    errors.push(`${where}.tools.onChange: has no meaning without ${where}.tools.pin; set that, or remove it`);
  const route: FederatedRoute = {
    kind: "federated",
    path,
    sessions: "required",
    members: backends.map((backend) => memberOf(path, backend)),
    filters: { tools: filterOf(tools), prompts: filterOf(prompts), resources: filterOf(resources) },
    pins: pinsOf(tools),
    instructions,
    serverInfo: { name: named?.name ?? serverName(path), title: named?.title, version: named?.version ?? VERSION },
    presents: "route",
    lists,
    bridges: written.era === "bridge",
    stream: backends.length === 1 ? "backend" : ownStream(streams),
  };
  return { route, errors };
}

/** A route to one backend, by which clients of each era reach it, whatever it speaks. */
export function bridgedRoute(
  transparent: TransparentRoute,
  backend: BackendConfig,
  { lists, streams }: Pick<Parts, "lists" | "streams">,
): BridgedRoute {
  const { path, sessions } = transparent;
  const federated: FederatedRoute = {
    kind: "federated",
    path,
    sessions: "required",
    // Clients see the backend as it is, on this route as on others.
    members: [{ ...memberOf(path, backend), prefix: undefined, uris: [] }],
    filters: { tools: ALL_NAMES, prompts: ALL_NAMES, resources: ALL_NAMES },
    pins: undefined,
    instructions: undefined,
    serverInfo: { name: serverName(path), title: undefined, version: VERSION },
    presents: "backend",
    lists,
    bridges: true,
    // No stream of a backend crosses from one era to the other.
    stream: ownStream(streams),
  };
  return { kind: "bridged", path, sessions, transparent, federated };
}

function ownStream(streams: boolean): "own" | "none" {
  return streams ? "own" : "none";
}

function memberOf(path: string, backend: BackendConfig): Member {
  const { prefix, uris, lists } = backend;
  const route: MemberRoute = { kind: "member", path, sessions: "required", backend };
  return { route, prefix, uris, lists };
}

/** What is accepted stands in the file, and is put in where that is read (pins/in-force.ts). */
function pinsOf(written: Written["tools"]): Pins | undefined {
  if (written?.pin === undefined) return undefined;
  return { file: written.pin, onChange: written.onChange ?? "hide", ...NOTHING_ACCEPTED };
}

function filterOf(written: Written["prompts"]): NameFilter {
  return { allow: written?.allow?.map(compileGlob), deny: (written?.deny ?? []).map(compileGlob) };
}

/** By default no two routes have one name: clients may tell servers apart by it. */
export function serverName(written: string): string {
  const path = publicPath(written);
  return path === "/" ? path : path.slice(1);
}

function twice(where: string, names: readonly string[]): string[] {
  const seen = new Set<string>();
  const again = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) again.add(name);
    seen.add(name);
  }
  return [...again].map(
    (name) => `${where}.backends: got "${withoutSecrets(name)}" twice, expected each backend once: it has one place`,
  );
}

function tooMany(where: string, backends: readonly BackendConfig[]): string[] {
  if (backends.length <= MOST_PLACES) return [];
  return [`${where}.backends: got ${backends.length} backends, expected at most ${MOST_PLACES}`];
}

function withoutRoom(where: string, backends: readonly BackendConfig[]): string[] {
  return backends
    .filter(({ prefix }) => prefix.length > LONGEST_PREFIX)
    .map(
      ({ name, prefix }) =>
        `${where}.backends: got "${name}", whose prefix leaves ${LONGEST_NAME - prefix.length} of ${LONGEST_NAME} characters ` +
        `for the names of its tools; expected a name of at most ${LONGEST_PREFIX - 2} characters, or prefix: off`,
    );
}
