/** What clients are told of a route to several backends, before they use it. Pure. */
import { isJsonObject, parseJson } from "../json/parse.ts";
import type { FederatedRoute } from "../routes.ts";
import { type BackendEras, type Era, eraAt, UNKNOWN_ERA } from "./era.ts";
import type { Offer } from "./offer.ts";

/** Most characters of the backends' instructions together: they go into each agent's context. */
const LONGEST_INSTRUCTIONS = 32_000;

/** Lists that the gateway answers whatever is behind it, so it names them also where no backend has said anything yet. */
const ALWAYS: readonly string[] = ["tools", "prompts", "resources"];

/** Capabilities whose members are names of others': what any backend has, the route has. */
const KEYED: readonly string[] = ["experimental", "extensions"];

/** What a backend says on a stream of its own, which a route may not have. */
const ON_STREAM: readonly string[] = ["listChanged", "subscribe"];

/** The extension of the modern era by which a server has tasks (SEP-2663). Those of the legacy era are another thing. */
export const TASKS = "io.modelcontextprotocol/tasks";

/** Of tasks no list of several backends' is made: they could not be told apart in it. */
const LIST_OF_TASKS: readonly string[] = ["list"];

/** Capabilities of the legacy era alone: a modern request itself asks for logs, and for a task. */
const LEGACY_ONLY: readonly string[] = ["logging", "tasks"];

type Capabilities = Record<string, Readonly<Record<string, unknown>>>;

interface Description {
  readonly serverInfo: Readonly<Record<string, unknown>>;
  readonly capabilities: Capabilities;
  /** "": there are none. */
  readonly instructions: string;
}

/** What is known of a route's backends, by member. */
export interface KnownOfMembers {
  /** undefined where a backend has not answered. */
  readonly offers: readonly (Offer | undefined)[];
  readonly eras: readonly BackendEras[];
}

/** @param era the client's */
export function describeRoute(route: FederatedRoute, known: KnownOfMembers, era: Era): Description {
  return {
    serverInfo: serverInfoOf(route, known.offers),
    capabilities: capabilitiesOf(route, known, era),
    instructions: route.instructions ?? instructionsOf(route, known.offers),
  };
}

/** @param offers by member */
export function serverInfoOf(
  { serverInfo, presents }: Pick<FederatedRoute, "serverInfo" | "presents">,
  offers: readonly (Pick<Offer, "serverInfo"> | undefined)[],
): Description["serverInfo"] {
  const own = presents === "backend" ? parseJson(offers[0]?.serverInfo ?? "") : undefined;
  if (isJsonObject(own)) return own;
  const { name, title, version } = serverInfo;
  return { name, ...(title !== undefined && { title }), version };
}

/** All that a backend alone has; of several what any of them has, and the gateway can deliver. */
function capabilitiesOf({ stream }: FederatedRoute, { offers, eras }: KnownOfMembers, era: Era): Capabilities {
  const all: Capabilities = Object.create(null);
  const isAlone = offers.length === 1;
  for (const [member, offer] of offers.entries()) {
    for (const [name, text] of offer?.capabilities ?? []) {
      if (era === "modern" && LEGACY_ONLY.includes(name)) continue;
      const crosses = eraAt(era, eras[member] ?? UNKNOWN_ERA) !== era;
      if (crosses && name === "tasks") continue;
      const value = parseJson(text);
      const given = isJsonObject(value) ? value : {};
      // Of streams only the gateway's own cross from one era to the other.
      const hasStream = stream === "own" || (isAlone && !crosses);
      const withheld = withheldOf(name, { era, isAlone, crosses, hasStream });
      const kept = Object.fromEntries(Object.entries(given).filter(([key]) => !withheld.includes(key)));
      // The first backend's word holds: the others' are for the same thing.
      all[name] = { ...kept, ...all[name] };
    }
    if (!offer) for (const name of ALWAYS) all[name] ??= {};
  }
  // The gateway asks for the lists again and again, so it knows of changes that a backend does not tell.
  if (stream === "own") for (const name of ALWAYS) if (all[name]) all[name] = { ...all[name], listChanged: true };
  return all;
}

/** A backend, as a client meets it. */
interface Met {
  readonly era: Era;
  readonly isAlone: boolean;
  /** Its client is of the other era. */
  readonly crosses: boolean;
  readonly hasStream: boolean;
}

/** Members of a capability that the gateway cannot deliver. */
function withheldOf(name: string, { era, isAlone, crosses, hasStream }: Met): readonly string[] {
  if (KEYED.includes(name)) return crosses || (era === "legacy" && !isAlone) ? [TASKS] : [];
  if (name === "tasks") return isAlone ? [] : LIST_OF_TASKS;
  return hasStream ? [] : ON_STREAM;
}

/** The backends' own instructions, each under its name. A backend alone needs no heading. */
function instructionsOf({ members }: FederatedRoute, offers: readonly (Offer | undefined)[]): string {
  const parts = members.flatMap(({ route, prefix }, member) => {
    const text = offers[member]?.instructions;
    if (text === undefined || text.trim() === "") return [];
    const names = prefix === undefined || prefix === "" ? "" : ` (names begin with ${prefix})`;
    return [members.length === 1 ? text : `# ${route.backend.name}${names}\n\n${text}`];
  });
  const longest = fairShare(parts, LONGEST_INSTRUCTIONS);
  const cut = parts.map((part) => (part.length > longest ? `${part.slice(0, longest)}…` : part));
  // Half a surrogate pair, a backend's own or of a cut: some clients' parsers refuse the whole answer for it.
  return cut.join("\n\n").toWellFormed();
}

/** The length at which texts must be cut to be so many characters together: what short ones leave is for the long ones. */
function fairShare(texts: readonly string[], most: number): number {
  let left = most;
  let others = texts.length;
  for (const length of texts.map((text) => text.length).toSorted((one, other) => one - other)) {
    if (length * others > left) return Math.floor(left / others);
    left -= length;
    others--;
  }
  return most;
}
