/** What `mcp-router check --live` says of the backends' answers. Pure. */
import { servesModern } from "../core/federation/era.ts";
import { ALL_LISTS, type ListKind } from "../core/federation/kinds.ts";
import { MODERN_VERSION } from "../core/mcp/versions.ts";
import type { FederatedRoute } from "../core/routes.ts";
import type { CatalogueReport } from "../federation/report.ts";
import { printable } from "./printable.ts";

export interface LiveFindings {
  /** For each federated route, what clients would see. */
  readonly text: string;
  /** Backends that do not answer, and names that collide. */
  readonly errors: readonly string[];
  /** What backends offer and no client sees. */
  readonly warnings: readonly string[];
}

/** More probable than that all of them are away. */
const NONE_ANSWERS =
  "no backend answers: start Envoy with what `mcp-router envoy` prints for this file, then the backends, and check again";

type BackendReport = CatalogueReport["backends"][number];
type RouteReport = CatalogueReport["routes"][number];

export interface AskedElsewhere {
  /** Where the backends were asked: the address of Envoy's egress listener. */
  readonly egress: string;
  /** What a client gets, by path. */
  readonly clients: ReadonlyMap<string, string>;
  /** What backends that do not answer say themselves, by name. */
  readonly itself: ReadonlyMap<string, string>;
}

/** The backends that have answered nothing. */
export function silentBackends({ backends }: CatalogueReport): readonly string[] {
  return backends.filter((backend) => answers(backend) === "nothing").map(({ backend }) => backend);
}

export function liveFindings(
  { backends, routes }: CatalogueReport,
  configured: readonly FederatedRoute[],
  elsewhere: AskedElsewhere,
): LiveFindings {
  const membersOf = ({ members }: FederatedRoute) =>
    members.flatMap(({ route }) => backends.find(({ backend }) => backend === route.backend.name) ?? []);
  const described = configured.flatMap((route) => {
    const report = routes.find(({ path }) => path === route.path);
    const members = membersOf(route);
    const gets = elsewhere.clients.get(route.path);
    const clients = [...(gets === undefined ? [] : [`  ${gets}`]), modernLine(route, members)];
    return report ? describeRoute(report, members, clients) : [];
  });
  return {
    text: described.join("\n"),
    errors: [
      ...backends.flatMap((backend) => unanswered(backend, elsewhere)),
      ...(backends.length > 0 && backends.every((backend) => answers(backend) === "nothing") ? [NONE_ANSWERS] : []),
      ...routes.flatMap(collisions),
      ...routes.flatMap((route) => unaccepted(route, "hide")),
    ],
    warnings: [...backends.flatMap(leftOut), ...routes.flatMap((route) => unaccepted(route, "warn"))],
  };
}

/** Whether clients of the modern era alone are served, and if not, why. */
function modernLine({ members, bridges }: FederatedRoute, backends: readonly BackendReport[]): string {
  const served = `clients of ${MODERN_VERSION} alone`;
  const eras = members.map(({ route }) => {
    const speaksModern =
      backends.find(({ backend }) => backend === route.backend.name)?.eras.includes("modern") === true;
    return { speaksModern, inSession: true };
  });
  if (servesModern({ members, bridges }, eras)) return `  ${served}: served`;
  const namesOf = (isMeant: (member: number) => boolean) =>
    members.flatMap(({ route }, member) => (isMeant(member) ? [route.backend.name] : [])).join(", ");
  const personal = namesOf((member) => members[member]?.lists === "principal");
  const why =
    personal === ""
      ? `not known to speak it: ${namesOf((member) => !eras[member]?.speaksModern)} (\`era: bridge\` serves them all the same)`
      : `lists: principal at ${personal}`;
  return `  ${served}: refused, ${why}`;
}

function describeRoute(route: RouteReport, backends: readonly BackendReport[], clients: readonly string[]): string {
  const lines = [
    route.path,
    ...backends.map((backend) => `  ${backend.backend}: ${describeBackend(backend)}`),
    ...clients,
  ];
  for (const kind of ALL_LISTS) {
    const items = route[kind].map(({ key, backend }) => [printable(key), backend] as const);
    if (items.length === 0) continue;
    const width = Math.max(...items.map(([key]) => key.length));
    lines.push(`  ${kind}:`, ...items.map(([key, backend]) => `    ${key.padEnd(width)}  ${backend}`));
  }
  if (route.hidden > 0) lines.push(`  hidden by the route's filters: ${route.hidden}`);
  if (route.pins)
    lines.push(`  tools pinned by ${route.pins.file}: ${route.pins.differing.length} not accepted as they are`);
  return `${lines.join("\n")}\n`;
}

/** A backend may answer for some of its lists alone. */
function answers({ version, offered, asked }: BackendReport): "all" | "in part" | "nothing" {
  if (asked?.failure === null) return "all";
  return version !== undefined || Object.keys(offered).length > 0 ? "in part" : "nothing";
}

function describeBackend(report: BackendReport): string {
  const { version, serverInfo, lists, offered, eras } = report;
  if (answers(report) === "nothing") return "does not answer";
  const also = eras.includes("modern") && version !== MODERN_VERSION ? ` and ${MODERN_VERSION}` : "";
  const says = [serverName(serverInfo), version && `protocol ${printable(version)}${also}`];
  if (lists === "principal")
    return [...says, "its lists depend on who asks, and are not shown"].filter(Boolean).join(", ");
  const counts = ALL_LISTS.flatMap((kind) => {
    const list = offered[kind];
    return list ? [`${list.items} ${list.items === 1 ? kind.slice(0, -1) : kind}`] : [];
  });
  return [...says, counts.length > 0 ? counts.join(", ") : "no lists"].filter(Boolean).join(", ");
}

/** Name and version as the backend says them, which may be anything. */
function serverName(serverInfo: unknown): string | undefined {
  if (typeof serverInfo !== "object" || serverInfo === null) return undefined;
  const { name, version }: { name?: unknown; version?: unknown } = serverInfo;
  const words = [name, version].filter((word) => typeof word === "string" && word !== "");
  return words.length > 0 ? printable(words.join(" ")) : undefined;
}

function unanswered(report: BackendReport, { egress, itself }: AskedElsewhere): string[] {
  const answered = answers(report);
  if (answered === "all") return [];
  const { backend, asked } = report;
  const why = printable(asked?.failure ?? "it was not asked");
  const what = answered === "in part" ? "answers only in part" : "does not answer";
  return [`backend ${backend} ${what} through ${egress} (egress): ${why}${itself.get(backend) ?? ""}`];
}

function collisions({ path, collisions: all }: RouteReport): string[] {
  return all.map(
    ({ list, key, kept, leftOut: other }) =>
      `${path}: two ${list} are called "${printable(key)}": clients get that of ${kept}, and not that of ${other}`,
  );
}

/** Most tools of a route that are told of one by one. */
const MOST_TOLD = 20;

/** Tools that were not accepted as they are, where that is what becomes of them. */
function unaccepted({ path, pins }: RouteReport, onChange: "hide" | "warn"): string[] {
  if (pins?.onChange !== onChange) return [];
  const { differing, file } = pins;
  const tools = differing.slice(0, MOST_TOLD).map(({ tool, backend, accepted }) => {
    const is = accepted.length > 0 ? `is not what ${file} accepts` : `is new, and not in ${file}`;
    const seen = onChange === "hide" ? "clients do not see it" : "clients see it all the same";
    return `${path}: tool "${printable(tool)}" of ${backend} ${is}: ${seen}; look at it with \`mcp-router pin\``;
  });
  const more = differing.length - MOST_TOLD;
  return more > 0 ? [...tools, `${path}: and ${more} more tools that ${file} does not accept as they are`] : tools;
}

/** Items that no client sees, whatever the route. */
function leftOut({ backend, offered }: BackendReport): string[] {
  return ALL_LISTS.flatMap((kind) => {
    const list = offered[kind];
    if (!list) return [];
    const warnings: string[] = [];
    const warn = (what: string) => warnings.push(`backend ${backend}: ${what}`);
    if (list.leftOut > 0) warn(`${counted(list.leftOut, kind)} left out: without a name or URI, or no objects`);
    if (list.duplicates > 0) warn(`${counted(list.duplicates, kind)} left out: the list has the name already`);
    if (list.cut) warn(`its ${kind} are cut off after ${list.items}: ${CUTS[list.cut]}`);
    return warnings;
  });
}

type Cut = NonNullable<NonNullable<BackendReport["offered"][ListKind]>["cut"]>;

const CUTS: Readonly<Record<Cut, string>> = {
  cursor: "its list has no end, since a cursor came again",
  pages: "the list has more pages than lists.pages",
  bytes: "the list is larger than lists.bytes",
  items: "the list has more items than the router keeps",
};

function counted(number: number, kind: ListKind): string {
  return number === 1 ? `1 of its ${kind} is` : `${number} of its ${kind} are`;
}
