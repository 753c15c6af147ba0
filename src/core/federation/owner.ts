/** Which backend of several a message is for, and what of it must be changed for that. Pure. */

import { placesOf } from "../json/places.ts";
import { type Edit, jsonString } from "../json/rewrite.ts";
import { type StringAt, textOf } from "../json/span.ts";
import { textAt } from "../json/text-at.ts";
import { leadOf } from "../mcp/treatments.ts";
import type { Reject } from "../reject.ts";
import type { FederatedRoute, Member } from "../routes.ts";
import type { Message } from "../rpc/message.ts";
import { TASKS } from "./description.ts";
import { type BackendEras, type Era, eraAt, UNKNOWN_ERA } from "./era.ts";
import { allows } from "./filter.ts";
import { ownerOfId } from "./ids.ts";
import { hasMember } from "./list-flags.ts";
import type { MergedList } from "./merge.ts";
import { publicName } from "./naming.ts";
import type { Offer } from "./offer.ts";
import { allowsUnseen } from "./pins.ts";
import { type Question, whoseResource, whoseTask } from "./question.ts";
import { memberOfUri } from "./uri-owner.ts";

/** What the backends of a route offer, as far as it is known. */
export interface RouteLists {
  readonly tools: MergedList;
  readonly prompts: MergedList;
  readonly resources: MergedList;
  readonly templates: MergedList;
  /** By member: whether the backend has said what it offers. */
  readonly known: readonly boolean[];
  /** By member: what the backend can do, where it has said so. */
  readonly offers: readonly (Pick<Offer, "capabilities"> | undefined)[];
  /** By member: what it is known to speak. */
  readonly eras: readonly BackendEras[];
}

export interface Owner {
  /** Place of the backend in the route. */
  readonly member: number;
  /** The backend's own name of what the message is about; undefined where it is about nothing named. */
  readonly own: string | undefined;
  /** In the message's bytes. */
  readonly edits: readonly Edit[];
  /** Whether the backend's requests to the client get other ids: several backends may use the same. */
  readonly relays: boolean;
}

export type Lead =
  | { readonly kind: "owner"; readonly owner: Owner }
  /** A resource that nobody lists, or a task: the backends that may have it are to be asked, in this order. */
  | { readonly kind: "ask"; readonly question: Question; readonly members: readonly number[] }
  /** Without the id of the request. */
  | {
      readonly kind: "refused";
      readonly reject: Reject & {
        readonly reason: "not-offered" | "method-not-offered" | "invalid-params" | "invalid-request" | "backend-failed";
      };
    };

/** The tag (ids.ts) of a backend in the client's session. */
export type TagOf = (backend: string) => number;

/** Who sends a message. */
export interface Sender {
  /** Of its requests. */
  readonly era: Era;
  readonly tagOf: TagOf;
}

type Called = Exclude<Message, { kind: "response" }>;

/** @param bytes of the body that the message is in, alone */
export function leadOfCall(
  called: Called,
  bytes: Uint8Array,
  route: FederatedRoute,
  lists: RouteLists,
  { era, tagOf }: Sender,
  deepest: number,
): Lead {
  switch (leadOf(called.method)) {
    case "name":
      return byName(called, route, lists);
    case "uri":
      return byUri(called.params?.uri, route, lists);
    case "ref":
      return byRef(bytes, route, lists, deepest);
    case "progressToken":
      return bySpan(bytes, ["params", "progressToken"], route, tagOf, deepest);
    case "taskId":
      return byTask(called, route, lists, era);
    default:
      return onlyOwner(route) ?? METHOD_NOT_OFFERED;
  }
}

/** The owner of the request that a client answers; refused where no backend has asked it. */
export function leadOfResponse(bytes: Uint8Array, route: FederatedRoute, tagOf: TagOf, deepest: number): Lead {
  return bySpan(bytes, ["id"], route, tagOf, deepest);
}

function byName({ method, params }: Called, route: FederatedRoute, lists: RouteLists): Lead {
  const name = params?.name;
  if (!name) return wrongParams("params.name must be a string");
  const isPrompt = method === "prompts/get";
  const owner = ownerOfName(route, lists, isPrompt ? "prompts" : "tools", name);
  if (!owner) return notOffered(isPrompt ? "prompt" : "tool", name.value);
  const isSeen = isPrompt || allowsUnseen(route.pins) || lists.tools.find(name.value);
  return isSeen ? found(owner) : unseen(route, owner);
}

function byUri(uri: StringAt | undefined, route: FederatedRoute, lists: RouteLists): Lead {
  if (!uri) return wrongParams("params.uri must be a string");
  const owner = ownerOfUri(route, lists, uri.value);
  if (owner) return found(owner);
  const members = allows(route.filters.resources, uri.value) ? mayHaveResources(lists) : [];
  const [first, ...others] = members;
  if (first === undefined) return notOffered("resource", uri.value);
  // Where only one may have it, that one is not asked first: it says itself whether it has.
  if (others.length === 0) return found(ownerByUri(route, first, uri.value));
  return { kind: "ask", question: whoseResource(uri.value), members };
}

/** Nothing of a task's id says who gave it, and ids of two backends may be alike. */
function byTask({ params }: Called, route: FederatedRoute, lists: RouteLists, era: Era): Lead {
  const only = onlyOwner(route);
  if (only) return only;
  const members = mayHaveTasks(lists, era);
  const [first, ...others] = members;
  if (first === undefined) return METHOD_NOT_OFFERED;
  const task = params?.taskId;
  if (!task) return wrongParams("params.taskId must be a string");
  const question = whoseTask(task.value);
  return others.length === 0 ? found(ownerAsked(route, first, question)) : { kind: "ask", question, members };
}

/** Places of the backends that have tasks, or have not said whether they do. Tasks of the two eras are two things. */
function mayHaveTasks({ offers, eras }: RouteLists, era: Era): readonly number[] {
  return offers.flatMap((offer, member) => {
    const isOfEra = eraAt(era, eras[member] ?? UNKNOWN_ERA) === era;
    return isOfEra && (!offer || offersTasks(offer, era)) ? [member] : [];
  });
}

function offersTasks({ capabilities }: Pick<Offer, "capabilities">, era: Era): boolean {
  return era === "legacy" ? capabilities.has("tasks") : hasMember(capabilities, "extensions", TASKS);
}

/** What a message is for that a backend gets which has said that it has what the message is about. */
export function ownerAsked(route: FederatedRoute, member: number, { member: by, value }: Question): Owner {
  return by === "uri" ? ownerByUri(route, member, value) : { member, own: undefined, edits: [], relays: relays(route) };
}

/** Places of the backends that have resources, or have not said whether they do. */
function mayHaveResources({ offers }: RouteLists): readonly number[] {
  return offers.flatMap((offer, member) =>
    offer === undefined || offer.capabilities.has("resources") ? [member] : [],
  );
}

/** What a message is for that a backend gets for a URI of its own. */
function ownerByUri(route: FederatedRoute, member: number, uri: string): Owner {
  return { member, own: uri, edits: [], relays: relays(route) };
}

/** completion/complete: `ref` names a prompt, or a resource or template by its URI. */
function byRef(bytes: Uint8Array, route: FederatedRoute, lists: RouteLists, deepest: number): Lead {
  const name = textAt(bytes, ["params", "ref", "name"], deepest);
  const uri = textAt(bytes, ["params", "ref", "uri"], deepest);
  if (name.kind === "text" && uri.kind === "absent") {
    const owner = ownerOfName(route, lists, "prompts", name.text);
    return owner ? found(owner) : notOffered("prompt", name.text.value);
  }
  if (uri.kind === "text" && name.kind === "absent") {
    const offered = lists.templates.find(uri.text.value);
    const owner = offered
      ? ownerByUri(route, offered.member, uri.text.value)
      : (ownerOfUri(route, lists, uri.text.value) ?? onlyUnknown(route, lists, uri.text.value));
    return owner ? found(owner) : notOffered("resource", uri.text.value);
  }
  return wrongParams("params.ref must name a prompt, or the URI of a resource");
}

/** An id that a backend's request was given on its way to the client. */
function bySpan(
  bytes: Uint8Array,
  path: readonly string[],
  route: FederatedRoute,
  tagOf: TagOf,
  deepest: number,
): Lead {
  const only = onlyOwner(route);
  if (only) return only;
  const places = placesOf(bytes, path, deepest);
  const [span, ...others] = places.kind === "found" ? places.at : [];
  const owned = span && others.length === 0 ? ownerOfId(textOf(bytes, span)) : undefined;
  const backend = owned && route.members[owned.place]?.route.backend.name;
  // The backends of the route may have changed places since it asked.
  if (!span || !owned || backend === undefined || tagOf(backend) !== owned.tag) return notOffered("request", "");
  return found({ member: owned.place, own: undefined, edits: [{ ...span, text: owned.id }], relays: true });
}

/** The owner of a tool or prompt; undefined where no backend offers it, or the route hides it. */
function ownerOfName(
  route: FederatedRoute,
  lists: RouteLists,
  kind: "tools" | "prompts",
  name: StringAt,
): Owner | undefined {
  const offered = lists[kind].find(name.value);
  if (offered) return named(route, offered.member, offered.item.own, name);
  return allows(route.filters[kind], name.value) ? ownerByPrefix(route, lists, name) : undefined;
}

/**
 * Where a backend has not said yet what it offers, the prefix decides, and the backend says whether it knows the name. Not by a
 * name that no client was ever offered: under its public one the route may hide the same tool. A backend whose names are its own to
 * the byte says so always: it may know more than it lists.
 */
function ownerByPrefix(route: FederatedRoute, { known }: RouteLists, name: StringAt): Owner | undefined {
  const candidates = route.members
    .map(({ prefix }, member) => ({ prefix, member }))
    .filter(({ prefix, member }) => (!known[member] || prefix === undefined) && isNameUnder(prefix, name.value))
    .toSorted((one, other) => lengthOf(other) - lengthOf(one));
  const [first] = candidates;
  return first && named(route, first.member, name.value.slice(lengthOf(first)), name);
}

function lengthOf({ prefix = "" }: Pick<Member, "prefix">): number {
  return prefix.length;
}

function isNameUnder(prefix: string | undefined, name: string): boolean {
  if (prefix === undefined) return true;
  return (
    name.length > prefix.length && name.startsWith(prefix) && publicName(prefix, name.slice(prefix.length)) === name
  );
}

function named(route: FederatedRoute, member: number, own: string, name: StringAt): Owner {
  const edits = own === name.value ? [] : [{ start: name.start, end: name.end, text: jsonString(own) }];
  return { member, own, edits, relays: relays(route) };
}

/** The owner of a resource; undefined where none is known, or the route hides it. URIs stay as they are. */
export function ownerOfUri(route: FederatedRoute, lists: RouteLists, uri: string): Owner | undefined {
  if (!allows(route.filters.resources, uri)) return undefined;
  const patterns = route.members.map(({ uris }) => uris);
  const { resources, templates } = lists;
  const only = route.members.length === 1 ? 0 : undefined;
  const member = memberOfUri(uri, { resources, templates, patterns }) ?? only;
  return member === undefined ? undefined : ownerByUri(route, member, uri);
}

/** The only backend that has not said yet what it offers; undefined where the route hides the resource. */
function onlyUnknown(route: FederatedRoute, { known }: RouteLists, uri: string): Owner | undefined {
  const first = known.indexOf(false);
  if (first < 0 || known.lastIndexOf(false) !== first || !allows(route.filters.resources, uri)) return undefined;
  return ownerByUri(route, first, uri);
}

function onlyOwner(route: FederatedRoute): Lead | undefined {
  if (route.members.length !== 1) return undefined;
  return found({ member: 0, own: undefined, edits: [], relays: false });
}

function relays({ members }: FederatedRoute): boolean {
  return members.length > 1;
}

const METHOD_NOT_OFFERED: Lead = { kind: "refused", reject: { reason: "method-not-offered" } };

const UNSEEN = "it has not said what it offers, and its tools are pinned";

function found(owner: Owner): Lead {
  return { kind: "owner", owner };
}

function notOffered(what: Extract<Reject, { reason: "not-offered" }>["what"], name: string): Lead {
  return { kind: "refused", reject: { reason: "not-offered", what, name } };
}

/** Nobody can tell whether the tool is still what was accepted. */
function unseen({ members }: FederatedRoute, { member }: Owner): Lead {
  const backend = members[member]?.route.backend.name ?? "";
  return { kind: "refused", reject: { reason: "backend-failed", backend, why: UNSEEN } };
}

function wrongParams(detail: string): Lead {
  return { kind: "refused", reject: { reason: "invalid-params", detail } };
}
