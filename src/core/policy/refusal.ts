/** Which messages of a body the rules refuse, and by what. Pure. */
import type { Reject } from "../reject.ts";
import type { Body, Message } from "../rpc/message.ts";
import { type Called, type Named, namesIn } from "./named.ts";
import type { Standing } from "./route-rules.ts";
import type { NamedKind } from "./rule.ts";

/** Why a message is refused, without its id. `scopes`: with these it would not be. */
type Denial =
  | { readonly kind: "scopes"; readonly scopes: readonly string[] }
  | {
      readonly kind: "reject";
      readonly reject:
        | Extract<Reject, { reason: "not-offered" | "invalid-params" | "method-not-offered" }>
        | { readonly reason: "invalid-request"; readonly detail: string };
    };

/** `id`: as it was written; undefined for a notification. */
export interface Refused {
  readonly id: string | undefined;
  /** undefined: the rules let it pass. */
  readonly denial: Denial | undefined;
}

/** undefined: all of it may pass. @param deepest nesting of arrays and objects that is read; the outermost is 1 */
export function refusedIn(
  body: Body,
  bytes: Uint8Array,
  standing: Standing,
  deepest: number,
): readonly Refused[] | undefined {
  if (body.kind === "single") {
    const one = judge(body.message, bytes, standing, deepest);
    return one.denial ? [one] : undefined;
  }
  const judged = body.messages.map((message) => judge(message, bytes, standing, deepest));
  return judged.some(({ denial }) => denial) ? judged : undefined;
}

function judge(message: Message, bytes: Uint8Array, standing: Standing, deepest: number): Refused {
  if (message.kind === "response") return { id: undefined, denial: undefined };
  const id = message.kind === "request" ? message.id : undefined;
  const read = namesIn(message, bytes, deepest);
  switch (read.kind) {
    case "names":
      return { id, denial: denialOf(read.names, standing) ?? withoutId(message) };
    case "unclear":
      return { id, denial: { kind: "reject", reject: { reason: "invalid-params", detail: read.detail } } };
    case "unknown-method":
      return { id, denial: { kind: "reject", reject: { reason: "method-not-offered" } } };
    default:
      return read satisfies never;
  }
}

/** A server may take it for the request that it looks like, and answer it. */
function withoutId({ kind, method }: Called): Denial | undefined {
  if (kind === "request" || method.startsWith("notifications/")) return undefined;
  return { kind: "reject", reject: { reason: "invalid-request", detail: "a request must have an id" } };
}

/** What no scope would allow comes first: scopes alone would not help then. */
function denialOf(names: readonly Named[], standing: Standing): Denial | undefined {
  let scopes: Set<string> | undefined;
  for (const { kind, name } of names) {
    const decision = standing.decide(kind, name);
    if (decision.kind === "allowed") continue;
    if (!decision.scopes) return { kind: "reject", reject: { reason: "not-offered", what: WHAT[kind], name } };
    scopes = new Set([...(scopes ?? []), ...decision.scopes]);
  }
  return scopes && { kind: "scopes", scopes: [...scopes] };
}

const WHAT: Readonly<Record<NamedKind, "tool" | "prompt" | "resource">> = {
  tools: "tool",
  prompts: "prompt",
  resources: "resource",
};
