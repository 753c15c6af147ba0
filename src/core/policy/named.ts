/** What a message names that rules are about, by the body that its backend reads. Pure. */
import { readSubscription } from "../federation/subscription.ts";
import { type TextAt, textAt } from "../json/text-at.ts";
import { LISTEN } from "../mcp/methods.ts";
import { treatmentOf } from "../mcp/treatments.ts";
import type { Message } from "../rpc/message.ts";
import type { NamedKind } from "./rule.ts";

export interface Named {
  readonly kind: NamedKind;
  readonly name: string;
}

export type Called = Exclude<Message, { kind: "response" }>;

export type NamesRead =
  | { readonly kind: "names"; readonly names: readonly Named[] }
  /** What it is about cannot be told. */
  | { readonly kind: "unclear"; readonly detail: string }
  /** A request for a method that nobody here knows, so that no rule can be about it. */
  | { readonly kind: "unknown-method" };

const NONE: NamesRead = { kind: "names", names: [] };
const UNKNOWN: NamesRead = { kind: "unknown-method" };

/**
 * @param bytes of the whole body, also of a batch
 * @param deepest nesting of arrays and objects that is read; the outermost is 1
 */
export function namesIn(called: Called, bytes: Uint8Array, deepest: number): NamesRead {
  const { method, params } = called;
  switch (method) {
    case "tools/call":
      return one("tools", params?.name?.value, "params.name must be a string");
    case "prompts/get":
      return one("prompts", params?.name?.value, "params.name must be a string");
    case "resources/read":
    case "resources/subscribe":
    case "resources/unsubscribe":
      return one("resources", params?.uri?.value, "params.uri must be a string");
    case "completion/complete":
      return reference(called, bytes, deepest);
    case LISTEN: {
      const wanted = readSubscription(bytes, params, deepest);
      if (!wanted) return { kind: "unclear", detail: "params.notifications must be a filter" };
      return { kind: "names", names: wanted.resources.map((name) => ({ kind: "resources", name })) };
    }
    default:
      return called.kind === "notification" || isKnown(method) ? NONE : UNKNOWN;
  }
}

function isKnown(method: string): boolean {
  return treatmentOf(method, "legacy") !== "unknown" || treatmentOf(method, "modern") !== "unknown";
}

function one(kind: NamedKind, name: string | undefined, detail: string): NamesRead {
  return name === undefined ? { kind: "unclear", detail } : { kind: "names", names: [{ kind, name }] };
}

const UNCLEAR_REFERENCE: NamesRead = {
  kind: "unclear",
  detail: "params.ref must name a prompt, or the URI of a resource",
};

/** `ref` names a prompt, or a resource or template by its URI. One that names both needs both. */
function reference({ params }: Called, bytes: Uint8Array, deepest: number): NamesRead {
  if (!params) return UNCLEAR_REFERENCE;
  const within = bytes.subarray(params.start, params.end);
  const name = textAt(within, ["ref", "name"], deepest);
  const uri = textAt(within, ["ref", "uri"], deepest);
  if (name.kind === "wrong" || uri.kind === "wrong") return UNCLEAR_REFERENCE;
  const names: readonly Named[] = [...named("prompts", name), ...named("resources", uri)];
  return names.length === 0 ? UNCLEAR_REFERENCE : { kind: "names", names };
}

function named(kind: NamedKind, text: TextAt): readonly Named[] {
  return text.kind === "text" ? [{ kind, name: text.text.value }] : [];
}
