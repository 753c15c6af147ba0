/** Which backends of several a batch is for (MCP 2025-03-26 alone has batches). Pure. */
import { treatmentOf } from "../mcp/treatments.ts";
import type { FederatedRoute } from "../routes.ts";
import type { Message } from "../rpc/message.ts";
import { type Lead, leadOfCall, type Owner, type RouteLists, type TagOf } from "./owner.ts";

/** `all`: it holds only notifications that every backend gets. */
export type BatchOwners = Exclude<Lead, { kind: "ask" }> | { readonly kind: "all" };

const NOT_ONE = "a batch on this route must be for one server, and of methods that a server answers";

/** @param bytes of the whole batch: the places of names in its messages are in it */
export function ownersOf(
  messages: readonly Message[],
  bytes: Uint8Array,
  route: FederatedRoute,
  lists: RouteLists,
  tagOf: TagOf,
  deepest: number,
): BatchOwners {
  const owners: Owner[] = [];
  for (const message of messages) {
    if (message.kind === "response") {
      if (route.members.length > 1) return NOT_FOR_ONE;
      continue;
    }
    const treatment = treatmentOf(message.method, "legacy");
    if (treatment === "all" && message.kind === "notification") continue;
    // Its place in the batch is not known for what stands deeper than a name or URI.
    const isNamed = treatment === "one" && (message.params?.name ?? message.params?.uri) !== undefined;
    if (!isNamed) return NOT_FOR_ONE;
    const lead = leadOfCall(message, bytes, route, lists, { era: "legacy", tagOf }, deepest);
    if (lead.kind === "ask") return NOT_FOR_ONE;
    if (lead.kind === "refused") return lead;
    owners.push(lead.owner);
  }
  const [first, ...others] = owners;
  if (!first) return { kind: "all" };
  if (others.some(({ member }) => member !== first.member)) return NOT_FOR_ONE;
  // A batch that is about one thing is told to Envoy by that name: two brackets must not get a call past a policy.
  const own = others.every((other) => other.own === first.own) ? first.own : undefined;
  return { kind: "owner", owner: { ...first, own, edits: owners.flatMap(({ edits }) => edits) } };
}

const NOT_FOR_ONE: BatchOwners = {
  kind: "refused",
  reject: { reason: "invalid-request", detail: NOT_ONE },
};
