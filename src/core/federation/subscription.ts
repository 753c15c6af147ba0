/**
 * What a client listens for by a subscriptions/listen (MCP 2026-07-28) on a route to several backends: what of it the gateway agrees to,
 * which backend each resource is of, and what the gateway itself says on the stream. Pure.
 */
import { Buffer } from "node:buffer";
import { isJsonObject, parseJson } from "../json/parse.ts";
import { placesOf } from "../json/places.ts";
import { type Span, textOf } from "../json/span.ts";
import type { FederatedRoute } from "../routes.ts";
import { describeRoute, type KnownOfMembers } from "./description.ts";
import { SERVER_INFO } from "./discover.ts";
import { capabilityOf, LIST_FLAGS, type ListFlag, saysTrue } from "./list-flags.ts";
import { ownerOfUri, type RouteLists } from "./owner.ts";

/** Member of `_meta` in each message of the stream: the JSON-RPC id of the request that has opened it. */
export const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";

/** First message of the stream. */
export const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
export const UPDATED = "notifications/resources/updated";

/** Most resources of one stream. To the others the gateway does not agree: each is compared with all templates of the route. */
const MOST_RESOURCES = 1_000;

/** What a client listens for, or what of it the gateway agrees to. */
export interface Subscription {
  readonly lists: readonly ListFlag[];
  readonly resources: readonly string[];
}

/**
 * Reads `params.notifications` of a subscriptions/listen; undefined where it is none. Members that nobody here knows are not agreed to.
 * @param params of the request
 * @param deepest nesting of arrays and objects that is read; the outermost is 1
 */
export function readSubscription(
  bytes: Uint8Array,
  params: Span | undefined,
  deepest: number,
): Subscription | undefined {
  if (!params) return undefined;
  const within = bytes.subarray(params.start, params.end);
  const places = placesOf(within, ["notifications"], deepest);
  const [span] = places.kind === "found" ? places.at : [];
  const wanted = span && parseJson(textOf(within, span));
  if (!isJsonObject(wanted)) return undefined;
  const { resourceSubscriptions: resources = [] } = wanted;
  if (!Array.isArray(resources) || !resources.every((uri) => typeof uri === "string")) return undefined;
  if (LIST_FLAGS.some((flag) => !["boolean", "undefined"].includes(typeof wanted[flag]))) return undefined;
  return { lists: LIST_FLAGS.filter((flag) => wanted[flag] === true), resources: [...new Set(resources)] };
}

/** The lists of whose changes the gateway tells. */
export function agreedLists(
  { lists }: Subscription,
  route: FederatedRoute,
  known: KnownOfMembers,
): Subscription["lists"] {
  const { capabilities } = describeRoute(route, known, "modern");
  return lists.filter((flag) => capabilities[capabilityOf(flag)]?.listChanged === true);
}

/**
 * By place of a member: the resources that it is to be asked for. Those that are nobody's, that the route hides, or whose backend tells
 * of no updates, are in none.
 */
export function resourcesByMember(
  { resources }: Subscription,
  route: FederatedRoute,
  known: RouteLists,
): ReadonlyMap<number, readonly string[]> {
  const byMember = new Map<number, string[]>();
  for (const uri of resources.slice(0, MOST_RESOURCES)) {
    const member = ownerOfUri(route, known, uri)?.member;
    if (member === undefined || !tellsUpdates(known, member)) continue;
    const uris = byMember.get(member);
    if (uris) uris.push(uri);
    else byMember.set(member, [uri]);
  }
  return byMember;
}

function tellsUpdates({ offers }: RouteLists, member: number): boolean {
  const offer = offers[member];
  return !offer || saysTrue(offer.capabilities, "resources", "subscribe");
}

/** Methods of the notifications of those lists. */
export function listNotifications(lists: Subscription["lists"]): ReadonlySet<string> {
  return new Set(lists.map((flag) => `notifications/${capabilityOf(flag)}/list_changed`));
}

/** `params.notifications` of a subscriptions/listen for resources alone, as JSON text. */
export function resourcesText(uris: readonly string[]): string {
  return JSON.stringify({ resourceSubscriptions: uris });
}

/** @param id JSON text of the client's, which all that is said has in it as it was written */
export function acknowledgement(id: string, { lists, resources }: Subscription): Uint8Array {
  const flags = Object.fromEntries(lists.map((flag) => [flag, true]));
  const agreed = { ...flags, ...(resources.length > 0 && { resourceSubscriptions: resources }) };
  return notification(id, ACKNOWLEDGED, `"notifications":${JSON.stringify(agreed)},`);
}

export function listChanged(id: string, method: string): Uint8Array {
  return notification(id, method, "");
}

/** @param id undefined: the client has a session, and so no subscription's id */
export function updated(id: string | undefined, uri: string): Uint8Array {
  const params = `"uri":${JSON.stringify(uri)}`;
  return id === undefined
    ? message(`"method":"${UPDATED}","params":{${params}}`)
    : notification(id, UPDATED, `${params},`);
}

/** The response that ends the stream (MCP 2026-07-28, "Subscriptions"). */
export function completion(id: string, serverInfo: Readonly<Record<string, unknown>>): Uint8Array {
  const meta = `"_meta":{"${SUBSCRIPTION_ID}":${id},"${SERVER_INFO}":${JSON.stringify(serverInfo)}}`;
  return message(`"id":${id},"result":{"resultType":"complete",${meta}}`);
}

/** @param params its other members, each with a comma behind it */
function notification(id: string, method: string, params: string): Uint8Array {
  return message(`"method":"${method}","params":{${params}"_meta":{"${SUBSCRIPTION_ID}":${id}}}`);
}

/** Some clients want the event's name. */
function message(members: string): Uint8Array {
  return Buffer.from(`event: message\ndata: {"jsonrpc":"2.0",${members}}\n\n`);
}
