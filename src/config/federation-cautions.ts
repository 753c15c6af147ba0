/** Warnings on federated routes: settings without effect, and names that collide. Pure. */
import { LONGEST_NAME } from "../core/federation/naming.ts";
import type { BackendConfig } from "./backends.ts";
import { isFederated, isServedByGateway, serverName } from "./federated.ts";
import { shown } from "./redact.ts";
import type { RawConfig } from "./schema.ts";

export function federationCautions(raw: RawConfig, backends: readonly BackendConfig[]): string[] {
  const routes = federatedRoutes(raw, backends);
  return [
    ...settingsWithoutEffect(raw, routes),
    ...streamsWithoutEffect(raw, routes),
    ...routes.flatMap((route) => [...unprefixed(route), ...sharedUris(raw, route), ...idlePatterns(route)]),
    ...oneServerName(routes),
    ...listsOfNobody(raw),
  ];
}

interface Federated {
  /** Path of the route in the file. */
  readonly where: string;
  readonly written: RawConfig["routes"][number];
  readonly members: readonly BackendConfig[];
}

function federatedRoutes({ routes }: RawConfig, backends: readonly BackendConfig[]): Federated[] {
  const byName = new Map(backends.map((backend) => [backend.name, backend]));
  return routes.flatMap((written, index) => {
    if (!isFederated(written)) return [];
    const members = written.backends.flatMap((name) => byName.get(name) ?? []);
    return [{ where: `routes[${index}]`, written, members }];
  });
}

/** Whether messages pass to one backend where that speaks the client's era. */
function isBridged(route: RawConfig["routes"][number]): boolean {
  return isServedByGateway(route) && !isFederated(route);
}

function settingsWithoutEffect({ backends, routes: all }: RawConfig, routes: readonly Federated[]): string[] {
  const members = new Set(routes.flatMap(({ written }) => written.backends));
  const asked = new Set(all.filter(isServedByGateway).flatMap((route) => route.backends));
  return Object.entries(backends).flatMap(([name, { prefix, uris, lists }]) => {
    const unused = members.has(name) ? [] : [prefix && "prefix", uris && "uris"].filter(Boolean);
    const where = `backends.${name}`;
    return [
      ...unused.map((setting) => `${where}.${setting}: has no effect, since no federated route has this backend`),
      ...(lists === "principal" && !asked.has(name)
        ? [`${where}.lists: has no effect, since no route that is federated, or has era: bridge, has this backend`]
        : []),
    ];
  });
}

function streamsWithoutEffect({ processor, routes: all }: RawConfig, routes: readonly Federated[]): string[] {
  // `federated: true` is there for a second backend to join.
  const isUsed = routes.some(({ members, written }) => members.length > 1 || written.federated) || all.some(isBridged);
  if (!processor.streams || isUsed) return [];
  return ["processor.streams: has no effect, since no route has several backends, or passes to one with era: bridge"];
}

/** Prefixes keep names apart. Names without one are apart from them too, unless a backend imitates a prefix. */
function unprefixed({ where, members }: Federated): string[] {
  const names = members.filter(({ prefix }) => prefix === "").map(({ name }) => name);
  if (names.length < 2) return [];
  return [
    `${where}.backends: ${names.join(", ")} have prefix: off, so their names may collide; clients get the one whose backend ` +
      "stands first in the route",
  ];
}

function sharedUris({ backends }: RawConfig, { where, written }: Federated): string[] {
  const owners = new Map<string, string>();
  return written.backends.flatMap((name) =>
    (backends[name]?.uris ?? []).flatMap((uri) => {
      const first = owners.get(uri);
      if (first === undefined) owners.set(uri, name);
      return first === undefined || first === name
        ? []
        : [
            `${where}.backends: ${first} and ${name} both have ${shown(uri, [])} in uris; ${first}, which stands first, has it`,
          ];
    }),
  );
}

/** Patterns of names that no tool or prompt of the route can have, which are misspelt. */
function idlePatterns({ where, written, members }: Federated): string[] {
  const prefixes = members.map(({ prefix }) => prefix);
  return (["tools", "prompts"] as const).flatMap((kind) =>
    (["allow", "deny"] as const).flatMap((list) =>
      (written[kind]?.[list] ?? []).flatMap((pattern) => {
        const why = whyIdle(pattern, prefixes);
        return why === undefined ? [] : [`${where}.${kind}.${list}: ${shown(pattern, [])} matches no name: ${why}`];
      }),
    ),
  );
}

/** What no name has that clients see, nor the patterns' asterisk. */
const UNFIT = /[^A-Za-z0-9_*-]/;

function whyIdle(pattern: string, prefixes: readonly string[]): string | undefined {
  if (UNFIT.test(pattern) || pattern.replaceAll("*", "").length > LONGEST_NAME)
    return `names have only letters, digits, "_" and "-", at most ${LONGEST_NAME}`;
  const star = pattern.indexOf("*");
  const head = star < 0 ? pattern : pattern.slice(0, star);
  const isPossible = (prefix: string) =>
    star < 0
      ? head.startsWith(prefix) && head.length > prefix.length
      : head.startsWith(prefix) || prefix.startsWith(head);
  return prefixes.some(isPossible) ? undefined : `all names of this route begin with ${prefixes.join(" or ")}`;
}

/** Clients may tell servers apart by this name alone, and keep one of two. */
function oneServerName(routes: readonly Federated[]): string[] {
  const firsts = new Map<string, string>();
  return routes.flatMap(({ where, written }) => {
    const name = written.serverInfo?.name ?? serverName(written.path);
    const first = firsts.get(name);
    if (first === undefined) firsts.set(name, where);
    return first === undefined
      ? []
      : [
          `${where}.serverInfo.name: ${shown(name, [])} is the name of ${first} too; some clients take the two for one server`,
        ];
  });
}

function listsOfNobody({ identity, backends, routes }: RawConfig): string[] {
  if (identity.kind !== "none") return [];
  const names = routes.filter(isServedByGateway).flatMap((route) => route.backends);
  return [...new Set(names.filter((name) => backends[name]?.lists === "principal"))].map(
    (name) =>
      `backends.${name}.lists: principal without identity: no caller has a principal, so the router asks for the lists in each ` +
      "session",
  );
}
