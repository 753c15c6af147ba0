/** What of an event on a backend's answer to a subscriptions/listen of ours goes on the stream of a client. Pure. */
import { withoutMembers } from "../json/object.ts";
import { isJsonObject, parseJson } from "../json/parse.ts";
import { type Path, placesOf } from "../json/places.ts";
import { type Edit, rewrite } from "../json/rewrite.ts";
import { type Span, textOf } from "../json/span.ts";
import { dataBytes } from "../sse/fields.ts";
import type { SseEvent } from "../sse/reader.ts";
import { withEnvelope } from "./envelope.ts";
import { allows, type NameFilter } from "./filter.ts";
import { ALL_LISTS, LIST_KINDS } from "./kinds.ts";
import { inEvent } from "./relay.ts";
import { ofThisStream } from "./stream-events.ts";
import { ACKNOWLEDGED, SUBSCRIPTION_ID, UPDATED } from "./subscription.ts";

export type SubscriptionEvent =
  /** The backend tells of updates of these resources. */
  | { readonly kind: "acknowledged"; readonly resources: readonly string[] }
  /** What the client gets. */
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  /** The backend has answered, so that nothing more comes. */
  | { readonly kind: "answered" }
  /** A comment, or what must not reach the client. */
  | { readonly kind: "nothing" };

/** Ids of one subscription, as JSON texts: that of our request, and that of the client's. */
export interface SubscriptionIds {
  readonly ours: string;
  /** undefined: the client has a session. It has subscribed to resources there, and knows of no subscriptions with an id. */
  readonly clients: string | undefined;
}

const NOTHING: SubscriptionEvent = { kind: "nothing" };
const NOTIFICATIONS = "notifications/";

/** Of its lists the gateway tells. A cancelled request is ours, and the end of the stream says the same. */
const NOT_FOR_CLIENTS: ReadonlySet<string> = new Set([
  ...ALL_LISTS.map((kind) => LIST_KINDS[kind].listChanged),
  "notifications/cancelled",
]);

/**
 * @param shown the filter of the route's resources: an update may be of a part of the resource that was asked for
 * @param deepest nesting of arrays and objects that is read; the outermost is 1
 */
export function readSubscriptionEvent(
  event: SseEvent,
  { ours, clients }: SubscriptionIds,
  shown: NameFilter,
  deepest: number,
): SubscriptionEvent {
  const data = dataBytes(event);
  if (!data) return NOTHING;
  const { only, valueAt } = readerOf(data, deepest);
  const isOurs = (span: Span) => parseJson(textOf(data, span)) === parseJson(ours);
  const method = valueAt("method");
  const id = only("id");
  if (method === undefined) return id && isOurs(id) ? { kind: "answered" } : NOTHING;
  const subscription = only("params", "_meta", SUBSCRIPTION_ID);
  // A server of this era asks its client nothing.
  if (id || typeof method !== "string" || !method.startsWith(NOTIFICATIONS) || !subscription) return NOTHING;
  if (!isOurs(subscription) || NOT_FOR_CLIENTS.has(method)) return NOTHING;
  if (method === ACKNOWLEDGED) return acknowledged(valueAt("params", "notifications"));
  if (method === UPDATED) {
    const uri = valueAt("params", "uri");
    if (typeof uri !== "string" || !allows(shown, uri)) return NOTHING;
  } else if (clients === undefined) return NOTHING;
  const meta = only("params", "_meta");
  const named = clients === undefined ? withoutId(data, meta, deepest) : [{ ...subscription, text: clients }];
  const edits = [...ofThisStream(event), ...inEvent(event, named)];
  return { kind: "message", bytes: rewrite(event.bytes, edits).subarray(event.start) };
}

/**
 * The same of an event on the stream of a GET, in a session with a backend of the legacy era that has subscribed for this client alone.
 * Of what such a backend says there only updates of resources are in both eras.
 * @param id JSON text of the client's
 */
export function readSessionUpdate(event: SseEvent, id: string, shown: NameFilter, deepest: number): SubscriptionEvent {
  const data = dataBytes(event);
  if (!data) return NOTHING;
  const { only, valueAt } = readerOf(data, deepest);
  if (only("id") || valueAt("method") !== UPDATED) return NOTHING;
  const uri = valueAt("params", "uri");
  if (typeof uri !== "string" || !allows(shown, uri)) return NOTHING;
  const named = withEnvelope(data, new Map([[SUBSCRIPTION_ID, id]]), deepest);
  const edits = [...ofThisStream(event), ...inEvent(event, named)];
  return { kind: "message", bytes: rewrite(event.bytes, edits).subarray(event.start) };
}

function withoutId(data: Uint8Array, meta: Span | undefined, deepest: number): readonly Edit[] {
  return meta ? withoutMembers(data, meta, deepest, (key) => key === SUBSCRIPTION_ID) : [];
}

/** Reads single values of a JSON text: undefined where there is none, or another parser may see another one. */
function readerOf(data: Uint8Array, deepest: number) {
  const only = (...path: Path): Span | undefined => {
    const places = placesOf(data, path, deepest);
    return places.kind === "found" ? places.at[0] : undefined;
  };
  const valueAt = (...path: Path): unknown => {
    const span = only(...path);
    return span && parseJson(textOf(data, span));
  };
  return { only, valueAt };
}

function acknowledged(notifications: unknown): SubscriptionEvent {
  const { resourceSubscriptions = [] } = isJsonObject(notifications) ? notifications : {};
  const resources = Array.isArray(resourceSubscriptions) ? resourceSubscriptions : [];
  return { kind: "acknowledged", resources: resources.filter((uri) => typeof uri === "string") };
}
