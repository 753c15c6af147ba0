/** The answer to an initialize on a route to several backends. Pure. */
import { isJsonObject, parseJson } from "../json/parse.ts";
import { agreedVersion } from "../mcp/versions.ts";
import type { FederatedRoute } from "../routes.ts";
import type { Offer } from "./offer.ts";

/** Most characters of the backends' instructions together: they go into each agent's context. */
const LONGEST_INSTRUCTIONS = 32_000;

/** Lists that the gateway answers whatever is behind it, so it names them also where no backend has said anything yet. */
const ALWAYS: readonly string[] = ["tools", "prompts", "resources"];

/** Capabilities whose members are names of others': what any backend has, the route has. */
const KEYED: readonly string[] = ["experimental", "extensions"];

/** What a backend says on the stream of a GET, which a route may not have. */
const ON_STREAM: readonly string[] = ["listChanged", "subscribe"];

/** Capabilities that need requests which the gateway does not carry to several backends. */
const NOT_CARRIED: readonly string[] = ["tasks"];

/**
 * JSON text of the result (MCP 2025-11-25, "Initialization").
 * @param requested version of the client
 * @param offers by member; undefined where a backend has not answered
 */
export function initializeResult(
  route: FederatedRoute,
  offers: readonly (Offer | undefined)[],
  requested: string | undefined,
): string {
  const { name, title, version } = route.serverInfo;
  const serverInfo = { name, ...(title !== undefined && { title }), version };
  const instructions = route.instructions ?? instructionsOf(route, offers);
  return JSON.stringify({
    protocolVersion: agreedVersion(requested),
    capabilities: capabilitiesOf(route, offers),
    serverInfo,
    ...(instructions !== "" && { instructions }),
  });
}

type Capabilities = Record<string, Readonly<Record<string, unknown>>>;

/** All that a backend alone has; of several what any of them has, and the gateway can deliver. */
function capabilitiesOf({ stream }: FederatedRoute, offers: readonly (Offer | undefined)[]): Capabilities {
  const all: Capabilities = Object.create(null);
  for (const offer of offers) {
    for (const [name, text] of offer?.capabilities ?? []) {
      if (offers.length > 1 && NOT_CARRIED.includes(name)) continue;
      const value = parseJson(text);
      const given = isJsonObject(value) ? value : {};
      const kept = stream === "none" && !KEYED.includes(name) ? deliverable(given) : given;
      // The first backend's word holds: the others' are for the same thing.
      all[name] = { ...kept, ...all[name] };
    }
    if (!offer) for (const name of ALWAYS) all[name] ??= {};
  }
  // The gateway asks for the lists again and again, so it knows of changes that a backend does not tell.
  if (stream === "own") for (const name of ALWAYS) if (all[name]) all[name] = { ...all[name], listChanged: true };
  return all;
}

function deliverable(capability: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(capability).filter(([member]) => !ON_STREAM.includes(member)));
}

/** The backends' own instructions, each under its name. A backend alone needs no heading. */
function instructionsOf({ members }: FederatedRoute, offers: readonly (Offer | undefined)[]): string {
  const parts = members.flatMap(({ route, prefix }, member) => {
    const text = offers[member]?.instructions;
    if (text === undefined || text.trim() === "") return [];
    const names = prefix === "" ? "" : ` (names begin with ${prefix})`;
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
